/** The commands that the scripts in generators/, the units and PID 1 run. */
export const COMMANDS = [
  'cat',
  'chroot',
  'cp',
  'cut',
  'depmod',
  'fsck',
  'grep',
  'head',
  'init',
  'logger',
  'ldconfig',
  'ln',
  'mkdir',
  'mount',
  'mountpoint',
  'mv',
  'readlink',
  'rm',
  'rmdir',
  'sh',
  'sleep',
  'sync',
  'systemctl',
  'systemd-hwdb',
  'systemd-machine-id-setup',
  'timeout',
  'tr',
  'true',
  'udevadm',
  'umount',
  'uname',
]

/**
 * What a machine needs to boot at all, and to recover from an extension that it cannot boot with. An
 * extension above the root that would replace any of it goes below the root instead.
 *
 * Its libraries are not among these: which ones it needs follows from its programs (libraries.ts).
 *
 * Paths in the root; `*` is any part of one name. A directory stands for everything in it. On a root that is
 * not usr-merged, a path below /usr also counts without /usr.
 */
export const ESSENTIAL = [
  // PID 1 and its helpers.
  '/usr/lib/systemd/systemd',
  '/usr/lib/systemd/systemd-*',
  // The shells that /bin/sh may be, and what has many programs in one.
  ...[...COMMANDS, 'dash', 'bash', 'busybox', 'coreutils', 'kmod'].flatMap((name) => [
    `/usr/bin/${name}`,
    `/usr/sbin/${name}`,
  ]),
  // hostext itself, its configuration, and what the boot goes by.
  '/usr/lib/hostext',
  '/usr/bin/hostext',
  '/usr/lib/systemd/system-generators/hostext-generator',
  '/usr/lib/systemd/system/hostext-*',
  '/etc/hostext.conf',
  '/etc/hostext.conf.d',
  '/etc/fstab',
  '/etc/os-release',
  '/usr/lib/os-release',
]

/**
 * How much of an entry is essential: all of it (`true`), or what these levels say about the entries below it.
 */
export type EssentialBelow = EssentialTree[] | true

/** One level of the tree of essential paths: the next level for each name and for each pattern. */
export type EssentialTree = {
  names: Map<string, EssentialTree | true>
  patterns: Map<string, EssentialTree | true>
  /** What was found for a name before: images have most names in common. */
  found: Map<string, EssentialBelow>
}

const newLevel = (): EssentialTree => ({ names: new Map(), patterns: new Map(), found: new Map() })

/** Builds the tree from absolute paths. A path below another one adds nothing. */
export function essentialTree(paths: readonly string[]): EssentialTree {
  const tree = newLevel()
  // Most paths are in a few directories.
  const levels = new Map<string, EssentialTree | true>([['', tree]])
  const levelOf = (directory: string): EssentialTree | true => {
    const known = levels.get(directory)
    if (known !== undefined) return known
    const at = directory.lastIndexOf('/')
    const level = enter(levelOf(directory.slice(0, at)), directory.slice(at + 1))
    levels.set(directory, level)
    return level
  }
  for (const path of paths) {
    const at = path.lastIndexOf('/')
    const level = levelOf(path.slice(0, at))
    const name = path.slice(at + 1)
    if (level !== true && name !== '') branchesFor(level, name).set(name, true)
  }
  return tree
}

/** The level that follows a name; `true` if everything below it is essential. */
function enter(level: EssentialTree | true, name: string): EssentialTree | true {
  if (level === true || name === '') return level
  const branches: EssentialTree['names'] = branchesFor(level, name)
  const known = branches.get(name)
  if (known !== undefined) return known
  const below = newLevel()
  branches.set(name, below)
  return below
}

function branchesFor({ names, patterns }: EssentialTree, name: string): EssentialTree['names'] {
  return name.includes('*') ? patterns : names
}

/**
 * How much of the entry `name` is essential in these levels: everything, something below it, or nothing (no
 * levels).
 */
export function essentialBelow(levels: readonly EssentialTree[], name: string): EssentialBelow {
  const all: EssentialTree[] = []
  for (const level of levels) {
    let below = level.found.get(name)
    if (below === undefined) {
      below = findBelow(level, name)
      level.found.set(name, below)
    }
    if (below === true) return true
    all.push(...below)
  }
  return all
}

function findBelow({ names, patterns }: EssentialTree, name: string): EssentialBelow {
  const exact = names.get(name)
  if (exact === true) return true
  const below = exact ? [exact] : []
  for (const [pattern, next] of patterns) {
    if (!matches(name, pattern)) continue
    if (next === true) return true
    below.push(next)
  }
  return below
}

/**
 * Whether a name matches a pattern in which `*` is any text. Not path.matchesGlob(): its first call takes
 * tens of milliseconds, and this runs in every boot.
 */
function matches(name: string, pattern: string): boolean {
  const star = pattern.indexOf('*')
  // Almost all names end here.
  if (!name.startsWith(pattern.slice(0, star))) return false
  const parts = pattern.slice(star + 1).split('*')
  const last = parts.pop() as string
  let at = star
  for (const part of parts) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}
