import type { Libraries } from './libraries.js'

/**
 * What a machine needs to boot at all, and to recover from an extension that it cannot boot with. An
 * extension above the root that would replace any of it goes below the root instead.
 *
 * Paths in the root; `*` is any part of one name. A directory stands for everything in it. On a root that is
 * not usr-merged, a path below /usr also counts without /usr.
 */
export const ESSENTIAL = [
  // PID 1 and its helpers.
  '/usr/sbin/init',
  '/usr/bin/init',
  '/usr/lib/systemd/systemd',
  '/usr/lib/systemd/systemd-*',
  // The loader, the C library and its parts.
  ...['ld-*', 'libc.so*'].flatMap(inLibraries),
  ...libraries('m', 'dl', 'rt', 'pthread', 'resolv', 'gcc_s', 'stdc++'),
  // The libraries of PID 1, mount, systemctl and udev on Debian 12 and 13: ldd(1).
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

/** A file in each of the directories that the loader searches. */
function inLibraries(name: string): string[] {
  return ['/usr/lib', '/usr/lib/*-linux-*', '/usr/lib64'].map((directory) => `${directory}/${name}`)
}

function libraries(...names: string[]): string[] {
  return names.flatMap((name) => inLibraries(`lib${name}.so*`))
}

/** The libraries that the base root needs: the files themselves, and the links by which they are found. */
export function libraryPaths({ files, links }: Libraries): string[] {
  return [...files.map(([path]) => path), ...links]
}

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
