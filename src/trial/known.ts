import { lstatSync, type Stats, statSync } from 'node:fs'
import { followedLinks } from '../machine/files.js'
import type { Seen } from '../machine/seen.js'

/**
 * Of a stack that has booted well, the whole decision is kept in `<data root>/hostext/known/`: what it was
 * made from, and what the generator wrote. In the boots that follow, the stub compares and writes the same
 * again, without the runtime: generators/steps/known.sh, which also describes the files.
 *
 * Here only the paths are named. The shell looks at what is there, at once and in the same way as later.
 */

/** The file in the run directory with assignments to shell variables: {@link Known}. */
export const SEEN_FILE = 'seen'

/** The file in the run directory with the paths, each followed by a NUL. */
export const PATHS_FILE = 'paths'

/** What the stub needs to know to remember a decision. */
export type Known = {
  /**
   * Assignments: `data`: the data root; `containers`: a directory, a space, the drivers, in each line;
   * `heads`: the number of bytes, a space, the disk. All paths are relative to the root.
   */
  variables: string
  /**
   * Paths for find(1), relative to the root. How it is spelled says what counts of a path, because find shows
   * a path as it was given:
   *
   *     PATH         what is there, whose it is and who may write to it, and where a link leads
   *     ./PATH       the same, and the text of a regular file
   *     .//PATH      size and time
   *     .///PATH     it is root's, and only root can write to it
   *     ././PATH/.   the names in a directory
   *     ././/PATH/.  the same, of a directory of containers
   */
  paths: string
}

/** What cannot be in a path there: each is a line, in quotes, and read by other programs. */
const STRANGE = /[^ -~]|'/

/** The most bytes of a disk that are kept: the place of a partition table is a number on that disk. */
const MOST_BYTES = 1 << 20

/** They have numbers and words that differ from boot to boot and mean nothing: known.sh reads them itself. */
const DIFFERING = ['/proc/self/mountinfo', '/proc/cmdline', '/proc/1/cmdline']

/**
 * What has to be compared before the same is decided again. `prefix`: of the input root; `place`: the data
 * root in which the decision is kept. Undefined if no later boot could compare all of it.
 */
export function whatWasSeen(seen: Seen, prefix: string, place: string): Known | undefined {
  const { containers, heads } = seen
  if ([...heads.values()].some((bytes) => bytes > MOST_BYTES)) return undefined
  const variables = Object.entries({
    data: [relative(place)],
    containers: [...containers].map(([directory, drivers]) => [relative(directory), ...drivers].join(' ')),
    heads: [...heads].map(([disk, bytes]) => `${bytes} ${relative(disk)}`),
  })
  const paths = spell(seen, prefix, place)
  // (And not what find would take for something else.)
  if ([...paths, ...variables.flatMap(([, lines]) => lines)].some((line) => STRANGE.test(line)))
    return undefined
  return {
    variables: variables.map(([name, lines]) => `${name}='${lines.join('\n')}'\n`).join(''),
    paths: paths.map((path) => `${path}\0`).join(''),
  }
}

function relative(path: string): string {
  return path === '/' ? '.' : path.slice(1)
}

/** The paths, spelled as {@link Known} says. What another one of them implies is left out. */
function spell(seen: Seen, prefix: string, place: string): string[] {
  const spelled = new Set<string>()
  for (const name of ['', '/hostext', '/hostext/known', '/hostext/known/sums'])
    spelled.add(`.//${place}${name}`)
  const exists = (path: string): boolean => {
    const stat = lstat(prefix + path)
    if (stat) return true
    // What is missing is missing as long as the directory above it is, and each costs find an error message.
    let top = path
    for (let above = parent(top); above !== '/' && !lstat(prefix + above); above = parent(above)) top = above
    if (!seen.names.has(parent(top))) spelled.add(relative(top))
    return false
  }
  const paths = (set: Iterable<string>): string[] => [...set].filter((path) => !DIFFERING.includes(path))
  for (const path of paths(seen.names)) if (exists(path)) spelled.add(`././${relative(path)}/.`)
  for (const path of seen.containers.keys()) if (exists(path)) spelled.add(`././/${relative(path)}/.`)
  for (const path of paths(seen.times)) if (exists(path)) spelled.add(`./${path}`)
  const there = paths(seen.texts).filter(exists)
  const texts = new Set(there.filter((path) => isFile(prefix + path)))
  for (const path of texts) spelled.add(`.${path}`)
  // Where a link leads that does not lead to a file, there may be one later.
  for (const path of there) {
    if (texts.has(path)) continue
    const { links, end } = followedLinks({ prefix }, path)
    for (const place of [...links, end]) spelled.add(relative(place))
  }
  for (const path of paths(new Set([...seen.stats, ...seen.texts])))
    if (!texts.has(path) && exists(path)) spelled.add(relative(path))
  return [...spelled]
}

function lstat(place: string): Stats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false })
  } catch {
    // A file is on the way to it, or its name is too long.
    return undefined
  }
}

/** Whether there is a regular file, or a link to one. */
function isFile(place: string): boolean {
  try {
    return statSync(place).isFile()
  } catch {
    return false
  }
}

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 1))
}
