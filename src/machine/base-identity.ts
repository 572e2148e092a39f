import { type Root, readText, statTimes } from './files.js'
import type { KernelCommandLine } from './kernel-command-line.js'
import { type MountPoint, mountOf } from './mountinfo.js'
import { nameOf, type OsRelease } from './os-release.js'

/**
 * What tells the kernel and the base root of this boot from those before and after an update. All of it is
 * unchecked text, cut off. It is the same in each boot of the same base, and nothing that the running system
 * keeps (a persistent /etc, state) has a part in it.
 */
export type BaseIdentity = {
  /** The kernel's release. */
  kernel: string
  /** Its build, with date and number: packages are rebuilt under the same release. */
  kernelBuild: string
  /** The name, the version and the build of the system, by its os-release(5). */
  system: string
  /**
   * Which of several roots on one file system it is, and the hash of its image if the kernel command line has
   * it: deployments of OSTree, snapshots of btrfs, dm-verity.
   */
  root: string
  /** When the directories were last changed that an update changes: seconds, in the order of a fixed list. */
  changed: string
  /** The version of hostext. */
  hostext: string
}

/** The names of its fields, in their order. */
export const IDENTITY_FIELDS = ['kernel', 'kernelBuild', 'system', 'root', 'changed', 'hostext'] as const

/**
 * A package manager writes a new file under another name and renames it, which changes the time of its
 * directory, but not of those above it. So the time of /usr alone, which ConditionNeedsUpdate= in
 * systemd.unit(5) compares, says nothing about an upgraded package. These directories have the programs,
 * units and libraries of nearly all packages. None of them is for what is made on the running machine.
 */
const CHANGING = [
  '/usr',
  '/usr/bin',
  '/usr/sbin',
  '/usr/lib',
  '/usr/lib64',
  '/usr/lib/systemd',
  '/usr/lib/systemd/system',
  '/usr/lib/hostext',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  // These are links where /usr has everything.
  '/bin',
  '/sbin',
  '/lib',
]

/**
 * On these a boot may change a directory before PID 1 runs, and make it new in each boot: then its time says
 * nothing about an update.
 */
export const MADE_IN_BOOT = ['overlay', 'tmpfs', 'ramfs', 'rootfs']

/** The most characters of a field. */
const LONGEST = 200

/** Reads it. What cannot be read is empty. */
export function readBaseIdentity(
  root: Root,
  version: string,
  { release, os, mounts, commandLine }: Known,
): BaseIdentity {
  const build = readText(root, '/proc/sys/kernel/version', 4096)
  const at = (path: string): MountPoint | undefined => mountOf(mounts, path)
  const places = [...new Set([at('/'), at('/usr')])].map((mount) => mount?.root ?? '/')
  return {
    kernel: cut(release),
    kernelBuild: cut(typeof build === 'string' ? build.trim() : ''),
    system: cut([nameOf(os), ...os.build].filter(Boolean).join(', ')),
    root: cut([...places.filter((place) => place !== '/'), ...(commandLine.verity ?? [])].join(' ')),
    changed: MADE_IN_BOOT.includes(at('/usr')?.type ?? '') ? '' : readTimes(root),
    hostext: cut(version),
  }
}

type Known = { release: string; os: OsRelease; mounts: readonly MountPoint[]; commandLine: KernelCommandLine }

/** The times of the directories, `-` for one that is not there. */
function readTimes(root: Root): string {
  return CHANGING.map((path) => {
    const stat = statTimes(root, path)
    return stat?.isDirectory() ? Math.floor(stat.mtimeMs / 1000) : '-'
  }).join(' ')
}

function cut(text: string): string {
  return text.slice(0, LONGEST)
}
