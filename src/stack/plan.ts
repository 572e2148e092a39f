import type { Index } from '../image/contents.js'
import { type FstabEntry, isAutomatic } from '../machine/fstab.js'
import type { KernelCommandLine } from '../machine/kernel-command-line.js'
import { isBelow, isMountedWritable, type MountPoint } from '../machine/mountinfo.js'
import type { HeldImage } from '../trial/held.js'
import type { Trial } from '../trial/verdict.js'
import type { Etc } from './etc.js'
import { describeContainer, type Extension, isAbove, type LeftOut } from './extension.js'

/** OVL_MAX_STACK in fs/overlayfs/params.h is 500 lower layers; one of them is the root. */
export const MOST_EXTENSIONS = 499

/** How this boot starts, whatever comes of it. */
export type Boot = {
  /** The unit PID 1 boots into. */
  target: string
  /** Units that the target pulls in by links; they wait for the second pass. */
  pulledIn: string[]
  /** Seconds until a first pass that has not come to its end is given up. */
  timeout: number
}

/** The engine's data is on file systems that are not mounted yet: the directories to have before anything is decided. */
export type Wait = Boot & { paths: string[] }

/** Everything the units are made from. */
export type Plan = Boot & {
  /** All extensions, top first; the number of one is its index here. */
  extensions: Extension[]
  /** How many of them stand above the root. */
  above: number
  /** Directories of the base root that stay writable. */
  state: string[]
  etc: Etc
  /** Mount points that the initrd has made and nothing would make again. */
  carried: string[]
  /** The machine has an ID that is not on the disk yet, and its root can have it; `closeRoot`: that is read-only now. */
  machineId: { closeRoot: boolean } | undefined
  /** The initrd has mounted /usr: it gets an overlay of its own. `hasUnit`: fstab or the system has a unit for it. */
  separateUsr: false | { hasUnit: boolean }
  /** The indexes to be made anew from the files of all extensions and the root. */
  indexes: Index[]
  /** An extension ships sysusers.d(5) files. */
  sysusers: boolean
  /** The base root needs no update of its /etc after one of its /usr: systemd-update-done.service(8). */
  upToDate: boolean
  /** The options fstab has for the root, for the state that takes its place. */
  rootOptions: string[]
  /** Whether systemd checks the root file system at boot: fstab's sixth field. */
  checkRoot: boolean
  /** The engine's data root. */
  dataRoot: string
  /** The same, if it is on the root file system and not below a state directory. */
  bindDataRoot: string | undefined
  /** Mount points of the file systems that layers or kept changes are on, but the root. */
  dataMounts: string[]
  /** Mount points that nothing reaches after the switch, to be made read-only before it. */
  settled: string[]
  /** The devices among {@link Plan.dataMounts} that have been checked before the switch. */
  checkedDevices: string[]
  /** Mount points in fstab that systemd-remount-fs(8) remounts, but the root. */
  remount: string[]
  /** Whether /tmp needs a tmpfs, because it used to be on a writable root. */
  tmp: boolean
  /** systemd 254 or later: the switch is a soft-reboot. */
  softReboot: boolean
  /** The engine's file systems had to be mounted first. */
  collected: boolean
  /** The stack has not booted well yet, and what comes of it is recorded. */
  trial: Trial | undefined
  /** The stack is the last good one in place of one that did not boot well: the line that says so. */
  rolledBack: string | undefined
  /** Images that are not stacked and stay on the disk: those of the last good stack, while another is on trial. */
  alsoHold: HeldImage[]
}

/**
 * The stack the kernel can take: `most` extensions. What only adds goes first, then the
 * lowest priority. `extensions` is in stack order, which is the order of worth.
 */
export function chooseStack(
  extensions: readonly Extension[],
  most = MOST_EXTENSIONS,
): {
  stack: Extension[]
  above: number
  leftOut: LeftOut[]
} {
  const stack = extensions.slice(0, most)
  const leftOut = extensions.slice(most).map(({ container }) => ({
    who: describeContainer(container),
    why: `the kernel stacks ${most} extensions at most${most < MOST_EXTENSIONS ? ' beside the rebuilt indexes' : ''}, and ${extensions.length} are flagged`,
  }))
  return { stack, above: stack.filter(isAbove).length, leftOut }
}

/** Directories of a root that used to be writable which programs and people write to. */
const AUTOMATIC_STATE = ['/var', '/home', '/root', '/srv']

/**
 * The directories that stay writable. `auto`: of a root that would be writable without us, those of
 * {@link AUTOMATIC_STATE} that are real directories; otherwise none. What fstab mounts is not of the root.
 */
export function chooseState(
  configured: 'auto' | readonly string[],
  rootWritable: boolean,
  fstab: readonly FstabEntry[],
  isDirectory: (path: string) => boolean,
): { state: string[]; refused: { path: string; why: string }[] } {
  const isMounted = (path: string): boolean =>
    fstab.some((entry) => entry.mountPoint !== '/' && isAutomatic(entry) && isBelow(path, entry.mountPoint))
  if (configured === 'auto') {
    if (!rootWritable) return { state: [], refused: [] }
    return { state: AUTOMATIC_STATE.filter((path) => !isMounted(path) && isDirectory(path)), refused: [] }
  }
  const refused = configured.flatMap((path) => {
    if (isMounted(path)) return { path, why: 'is on a file system that fstab mounts' }
    return isDirectory(path) ? [] : { path, why: 'is no directory of the root, or behind a link' }
  })
  return { state: configured.filter((path) => !refused.some((entry) => entry.path === path)), refused }
}

/** File systems that cannot be written to, and overlays, whose changes are those of a live system. */
export const READ_ONLY_TYPES = ['squashfs', 'erofs', 'cramfs', 'romfs', 'iso9660', 'overlay']

/**
 * Whether the root would be writable in the end: what fstab says of it, which systemd-remount-fs(8)
 * applies; without a line there, what the command line or the kernel made of it.
 */
export function isRootWritable(
  fstabRoot: FstabEntry | undefined,
  commandLine: KernelCommandLine,
  root: MountPoint | undefined,
): boolean {
  if (root && READ_ONLY_TYPES.includes(root.type)) return false
  if (fstabRoot) return fstabRoot.options.findLast((option) => option === 'ro' || option === 'rw') !== 'ro'
  if (commandLine.root) return commandLine.root === 'rw'
  return isMountedWritable(root)
}
