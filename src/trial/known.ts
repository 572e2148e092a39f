import type { Seen } from '../machine/seen.js'

/**
 * Of a stack that has booted well, the whole decision is kept in `<data root>/hostext/known/`: what it was
 * made from, and what the generator wrote. In the boots that follow, the stub compares and writes the same
 * again, without the runtime: generators/steps/known.sh, which also describes the files.
 *
 * Here only the paths are named. The shell looks at what is there, at once and in the same way as later.
 */

/** The file in the run directory with the paths. */
export const SEEN_FILE = 'seen'

/** What cannot be in a path there: each is a line, in quotes, and read by other programs. */
const STRANGE = /[^ -~]|'/

/** The most bytes of a disk that are kept: the place of a partition table is a number on that disk. */
const MOST_BYTES = 1 << 20

/** They have numbers and words that differ from boot to boot and mean nothing: known.sh reads them itself. */
const DIFFERING = ['/proc/self/mountinfo', '/proc/cmdline', '/proc/1/cmdline']

/**
 * Assignments to shell variables: `texts`, `stats`, `times`, `names`, a path in each line, relative to the
 * root; `containers`: the directory, a space, the drivers; `heads`: the number of bytes, a space, the disk.
 * Undefined if no later boot could compare all of it.
 */
export function seenText({ texts, stats, times, names, containers, heads }: Seen): string | undefined {
  const relative = (path: string): string => (path === '/' ? '.' : path.slice(1))
  const paths = (set: Set<string>): string[] =>
    [...set].filter((path) => !DIFFERING.includes(path)).map(relative)
  const variables = Object.entries({
    texts: paths(texts),
    stats: paths(stats),
    times: paths(times),
    names: paths(names),
    containers: [...containers].map(([directory, drivers]) => [relative(directory), ...drivers].join(' ')),
    heads: [...heads].map(([disk, bytes]) => `${bytes} ${relative(disk)}`),
  })
  if ([...heads.values()].some((bytes) => bytes > MOST_BYTES)) return undefined
  if (variables.some(([, lines]) => lines.some((line) => STRANGE.test(line)))) return undefined
  return variables.map(([name, lines]) => `${name}='${lines.join('\n')}'\n`).join('')
}
