import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { withoutTrailingSlashes } from '../text/path.js'
import type { Seen } from './seen.js'

/**
 * The input root: every file that the program reads is below it. `/` on a machine; `$HOSTEXT_ROOT` in tests
 * and in a dry run on another system's files.
 */
export type Root = {
  prefix: string
  /**
   * On a stacked machine: where the base root can be read, and the mount points that are the same with and
   * without extensions, each with a slash at the end. Everything else is read from the base root, so that the
   * answer is about the next boot.
   */
  base?: { prefix: string; live: string[] }
  /**
   * For the settings of an engine: the upper directory of a persistent /etc, for the kernel. The engine of
   * the stacked system finds its settings in /etc with these changes.
   */
  changes?: string
  /** Collects what is looked at. */
  seen?: Seen
}

/** The same root, where it does not matter for a later boot what is looked at. */
export function unseen({ seen: _, ...root }: Root): Root {
  return root
}

/**
 * Notes that this was looked at. Of a path of /etc with changes, what is in both counts, and each directory
 * on the way: {@link changedPlace}.
 */
function note(
  { seen, changes, prefix }: Root,
  kind: 'texts' | 'stats' | 'times' | 'names',
  path: string,
): void {
  if (!seen) return
  seen[kind].add(path)
  if (changes === undefined || !path.startsWith('/etc/')) return
  let place = changes.slice(prefix.length)
  for (const name of path.split('/').slice(2)) {
    place += `/${name}`
    seen.stats.add(place)
  }
  seen[kind].add(place)
}

/** Notes that the metadata of a container in this file count for a later boot. */
export function seeContainer(root: Root, source: string): void {
  seeFile(root, source)
  root.seen?.stats.add(source.slice(0, source.lastIndexOf('/')))
}

/** Notes that the bytes of a file count, and whose it is. */
export function seeFile({ seen }: Root, path: string): void {
  seen?.texts.add(path)
  seen?.stats.add(path)
}

export function inputRoot(environment: NodeJS.ProcessEnv): Root {
  return { prefix: withoutTrailingSlashes(environment.HOSTEXT_ROOT ?? '') }
}

/** Where a path of the root is for the kernel. */
export function at({ prefix, base, changes }: Root, path: string): string {
  const own = (base && !isLive(base.live, path) ? base.prefix : prefix) + path
  return changes !== undefined && path.startsWith('/etc/') ? changedPlace(changes, path, own) : own
}

/** Asked for every file that is read: a closure for each place would take a tenth of `hostext status`. */
function isLive(live: readonly string[], path: string): boolean {
  const below = `${path}/`
  for (const place of live) if (below.startsWith(place)) return true
  return false
}

/** Where a path of /etc is with its changes. `own`: where it is without them. */
function changedPlace(changes: string, path: string, own: string): string {
  const changed = changes + path.slice('/etc'.length)
  let place = changes
  for (const name of path.split('/').slice(2)) {
    place += `/${name}`
    const stat = lstat(place)
    if (!stat) return own
    // Nothing is below a file, and nothing is where something was deleted.
    if (!stat.isDirectory()) return place === changed && !isWhiteout(stat) ? place : `${place}/none`
  }
  // Of a directory that both have, the names of both count: listDirectory().
  return lstat(own) ? own : place
}

/** Whether something was deleted there: Documentation/filesystems/overlayfs.rst, "whiteouts". */
export function isWhiteout(stat: Pick<Stats, 'isCharacterDevice' | 'rdev'>): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0
}

/** What is wrong with a file or a directory. The message starts with the path; `why` does not have it. */
export class FileProblem extends Error {
  constructor(
    path: string,
    readonly why: string,
  ) {
    super(`${path}: ${why}`)
  }
}

/**
 * Reads a file that may be absent. Returns its text, undefined if it does not exist, or a FileProblem for
 * everything else. Anything but a regular file is a problem, because a FIFO would hang the boot. `refuse`
 * says what else is wrong with the file; if it is given, links are not followed either.
 */
export function readText(
  root: Root,
  path: string,
  largest = 1 << 20,
  refuse?: (stat: Stats) => string | undefined,
): string | undefined | FileProblem {
  const place = at(root, path)
  const found = findFile(root, path, place, largest, refuse)
  if (found === undefined || found instanceof FileProblem) return found
  try {
    if (found.size > 0) return readFileSync(place, 'utf8')
    const bytes = readUpTo(place, largest)
    return bytes?.toString('utf8') ?? new FileProblem(path, `more than ${largest} bytes`)
  } catch (error) {
    return new FileProblem(path, reason(error))
  }
}

/** The same, as bytes. */
export function readBytes(
  root: Root,
  path: string,
  largest = 1 << 20,
  refuse?: (stat: Stats) => string | undefined,
): Buffer | undefined | FileProblem {
  const place = at(root, path)
  const found = findFile(root, path, place, largest, refuse)
  if (found === undefined || found instanceof FileProblem) return found
  try {
    if (found.size > 0) return readFileSync(place)
    return readUpTo(place, largest) ?? new FileProblem(path, `more than ${largest} bytes`)
  } catch (error) {
    return new FileProblem(path, reason(error))
  }
}

function findFile(
  root: Root,
  path: string,
  place: string,
  largest: number,
  refuse: ((stat: Stats) => string | undefined) | undefined,
): Stats | undefined | FileProblem {
  note(root, 'texts', path)
  note(root, 'stats', path)
  try {
    // Stat first: most files that may be absent are, and an exception costs more than a stat. Nobody but root
    // can put another file in its place meanwhile: the engine's directories are checked for that.
    const stat = (refuse ? lstatSync : statSync)(place, { throwIfNoEntry: false })
    if (!stat) return undefined
    const problem = stat.isFile() ? refuse?.(stat) : `not a regular file but ${kindOf(stat)}`
    if (problem) return new FileProblem(path, problem)
    return stat.size > largest ? new FileProblem(path, `${stat.size} bytes, more than ${largest}`) : stat
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    return new FileProblem(path, reason(error))
  }
}

/** Reads a file that reports no size, like those in /proc. Undefined if it has more bytes than `largest`. */
function readUpTo(path: string, largest: number): Buffer | undefined {
  const descriptor = openSync(path, 'r')
  try {
    const chunks: Buffer[] = []
    for (let left = largest; left >= 0; ) {
      const chunk = Buffer.allocUnsafe(Math.min(left + 1, 1 << 16))
      const length = readSync(descriptor, chunk)
      if (length === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, length))
      left -= length
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}

/** What kind of file this is, for an error message. */
export function kindOf(
  stat: Pick<Stats, 'isSymbolicLink' | 'isDirectory' | 'isFIFO' | 'isSocket' | 'isFile'>,
): string {
  if (stat.isSymbolicLink()) return 'a symbolic link'
  if (stat.isDirectory()) return 'a directory'
  if (stat.isFIFO()) return 'a FIFO'
  if (stat.isSocket()) return 'a socket'
  return stat.isFile() ? 'a file' : 'a device'
}

/** The names in a directory, sorted; none if it is not a directory. Throws an Error if it cannot be read. */
export function listDirectory(root: Root, path: string): string[] {
  note(root, 'names', path)
  try {
    const place = at(root, path)
    if (!statSync(place, { throwIfNoEntry: false })?.isDirectory()) return []
    const names = readdirSync(place)
    if (root.changes === undefined || !path.startsWith('/etc/')) return names.sort()
    // With those that were added, and without those that were deleted.
    const added = listDirectory({ prefix: root.changes }, path.slice('/etc'.length))
    return [...new Set([...names, ...added])].filter((name) => statLink(root, `${path}/${name}`)).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
    throw new FileProblem(path, reason(error))
  }
}

/** lstat(2), or undefined if it fails. Of its times and sizes nothing counts: {@link statTimes}. */
export function statLink(root: Root, path: string): Stats | undefined {
  note(root, 'stats', path)
  return lstat(at(root, path))
}

/** lstat(2) for what depends on the time of the last change, or on the size. */
export function statTimes(root: Root, path: string): Stats | undefined {
  note(root, 'times', path)
  return statLink(root, path)
}

/** The time of the last change in nanoseconds, too many for a number; undefined if lstat(2) fails. */
export function changedAt(root: Root, path: string): bigint | undefined {
  note(root, 'times', path)
  note(root, 'stats', path)
  try {
    return lstatSync(at(root, path), { bigint: true, throwIfNoEntry: false })?.mtimeNs
  } catch {
    return undefined
  }
}

function lstat(place: string): Stats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false })
  } catch {
    // The name is too long, or the disk does not answer.
    return undefined
  }
}

/**
 * Whether this is a directory with no symbolic link on the way to it, as Where= requires (systemd.mount(5)).
 */
export function isRealDirectory(root: Root, path: string): boolean {
  return (statLink(root, path)?.isDirectory() ?? false) && resolveLinks(root, path) === path
}

/**
 * How many components and links are followed before a path counts as a loop: path_resolution(7) allows 40
 * links.
 */
const MOST_STEPS = 400

/**
 * Resolves the symbolic links in a normalized absolute path, below the input root. Components that do not
 * exist are kept. A loop ends in the path at which it was given up. `look`: lstat(2) of everything on the
 * way.
 */
export function resolveLinks(
  root: Root,
  path: string,
  look: (path: string) => Stats | undefined = (path) => statLink(root, path),
): string {
  return followLinks(path, (place) =>
    look(place)?.isSymbolicLink() ? readlinkSync(at(root, place)) : undefined,
  )
}

/** Where a path leads, as above, and the links that were followed on the way, in their order. */
export function followedLinks(root: Root, path: string): { links: string[]; end: string } {
  const links: string[] = []
  const end = resolveLinks(root, path, (place) => {
    const stat = statLink(root, place)
    if (stat?.isSymbolicLink()) links.push(place)
    return stat
  })
  return { links, end }
}

/** The same, wherever the files are. `targetOf`: where the link at a path leads; undefined if it is none. */
export function followLinks(path: string, targetOf: (path: string) => string | undefined): string {
  let resolved = ''
  const rest = path.split('/').reverse()
  for (let steps = 0; rest.length > 0 && steps < MOST_STEPS; steps++) {
    const name = rest.pop() as string
    if (name === '' || name === '.') continue
    if (name === '..') {
      resolved = resolved.slice(0, resolved.lastIndexOf('/'))
      continue
    }
    const next = `${resolved}/${name}`
    const target = targetOf(next)
    if (target === undefined) {
      resolved = next
      continue
    }
    if (target.startsWith('/')) resolved = ''
    rest.push(...target.split('/').reverse())
  }
  return (
    resolved +
      rest
        .reverse()
        .map((name) => `/${name}`)
        .join('') || '/'
  )
}

/** The errors of a damaged file system (EBADMSG, EUCLEAN), for which libuv has no name. */
const DAMAGED = [-74, -117]

/** An error as the end of a message: "no such file or directory", without its code and the path. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (DAMAGED.includes((error as NodeJS.ErrnoException).errno ?? 0)) return 'the file system is damaged there'
  return error.message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*')?$/, '')
}
