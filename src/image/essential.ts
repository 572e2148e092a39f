/**
 * What a machine needs to boot at all, and to come back from what it cannot boot with. An extension above the root that would
 * replace any of it goes below the root instead.
 *
 * Paths in the root; `*` is any part of one name. A directory stands for all that is in it. What is below /usr here counts at the
 * top as well, on a root that is not usr-merged.
 */
export const ESSENTIAL = [
  // PID 1 and its helpers.
  '/usr/sbin/init',
  '/usr/bin/init',
  '/usr/lib/systemd/systemd',
  '/usr/lib/systemd/systemd-*',
  // The loader, the C library and what belongs to it.
  ...['ld-*', 'libc.so*'].flatMap(inLibraries),
  ...libraries('m', 'dl', 'rt', 'pthread', 'resolv', 'gcc_s', 'stdc++'),
  // What PID 1, mount, systemctl and udev are linked with on Debian 12 and 13: ldd(1).
  ...inLibraries('systemd/libsystemd-*'),
  ...libraries(
    'acl',
    'apparmor',
    'audit',
    'blkid',
    'cap',
    'cap-ng',
    'crypt',
    'crypto',
    'gcrypt',
    'gpg-error',
    'ip4tc',
  ),
  ...libraries(
    'kmod',
    'lz4',
    'lzma',
    'mount',
    'pam',
    'pcre2-8',
    'seccomp',
    'selinux',
    'systemd',
    'udev',
    'uuid',
    'z',
  ),
  ...libraries('zstd'),
  // The commands of the first pass and of the mark, and the shell that runs its scripts.
  ...[
    'mount',
    'umount',
    'mountpoint',
    'systemctl',
    'udevadm',
    'sh',
    'dash',
    'bash',
    'busybox',
    'cp',
    'mv',
    'sync',
  ].map((name) => `/usr/bin/${name}`),
  // hostext itself, what it is told, and what the boot is told.
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

/** A file in each of the directories that the loader looks through. */
function inLibraries(name: string): string[] {
  return ['/usr/lib', '/usr/lib/*-linux-*', '/usr/lib64'].map((directory) => `${directory}/${name}`)
}

function libraries(...names: string[]): string[] {
  return names.flatMap((name) => inLibraries(`lib${name}.so*`))
}

/** What is essential of an entry: all of it (`true`), or what these levels say of what is below it. */
export type EssentialBelow = EssentialTree[] | true

/** A level of the tree of essential paths: what follows each name, and each pattern of names. */
export type EssentialTree = {
  names: Map<string, EssentialTree | true>
  patterns: Map<string, EssentialTree | true>
  /** What has been found for a name before: images have most of theirs in common. */
  found: Map<string, EssentialBelow>
}

const newLevel = (): EssentialTree => ({ names: new Map(), patterns: new Map(), found: new Map() })

/** Makes the tree of absolute paths. A path below another one adds nothing. */
export function essentialTree(paths: readonly string[]): EssentialTree {
  const tree = newLevel()
  // Most are in a few directories.
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

/** The level below `level` that follows a name; all of it, where that is essential. */
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

/** What is essential of the entry `name` of these levels: all, something below it, or nothing: no levels. */
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
 * Whether a name has the form of a pattern, in which `*` is any text. Not path.matchesGlob(), as for labels: its first call
 * takes tens of milliseconds, and this is asked in every boot.
 */
function matches(name: string, pattern: string): boolean {
  const star = pattern.indexOf('*')
  // Almost all end here.
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
