import { describeContainer, type Extension, type LeftOut } from './extension.js'
import type { FstabEntry } from './fstab.js'
import type { KernelCommandLine } from './kernel-command-line.js'
import type { MountPoint } from './mountinfo.js'

/** OVL_MAX_STACK in fs/overlayfs/params.h is 500 lower layers; one of them is the root. */
export const MOST_EXTENSIONS = 499

/** Everything the units are made from. */
export type Plan = {
  /** All extensions, top first; the number of one is its index here. */
  extensions: Extension[]
  /** How many of them stand above the root. */
  above: number
  /** Directories of the base root that stay writable. */
  state: string[]
  /** The options fstab has for the root, for the state that takes its place. */
  rootOptions: string[]
  /** Whether systemd checks the root file system at boot: fstab's sixth field. */
  checkRoot: boolean
  /** The engine's data root, if it is on the root file system and not below a state directory. */
  bindDataRoot: string | undefined
  /** Mount points in fstab that systemd-remount-fs(8) remounts, but the root. */
  remount: string[]
  /** Whether /tmp needs a tmpfs, because it used to be on a writable root. */
  tmp: boolean
  /** The unit PID 1 boots into. */
  target: string
  /** Units that the target pulls in by links; they wait for the second pass. */
  pulledIn: string[]
  /** systemd 254 or later: the switch is a soft-reboot. */
  softReboot: boolean
  /** Seconds. */
  timeout: number
}

/**
 * The stack the kernel can take: at most {@link MOST_EXTENSIONS}. What only adds goes first, then the
 * lowest priority. `extensions` is in stack order, which is the order of worth.
 */
export function chooseStack(extensions: readonly Extension[]): {
  stack: Extension[]
  above: number
  leftOut: LeftOut[]
} {
  const stack = extensions.slice(0, MOST_EXTENSIONS)
  const leftOut = extensions.slice(MOST_EXTENSIONS).map(({ container }) => ({
    who: describeContainer(container),
    why: `the kernel stacks ${MOST_EXTENSIONS} extensions at most, and ${extensions.length} are flagged`,
  }))
  return { stack, above: stack.filter(({ rank }) => rank.kind !== 'overlay').length, leftOut }
}

/** Directories of a root that used to be writable which programs and people write to. */
const AUTOMATIC_STATE = ['/var', '/home', '/root', '/srv']

/**
 * The directories that stay writable. `auto`: of a root that would be writable without us, those of
 * {@link AUTOMATIC_STATE} that are real directories and that fstab does not mount; otherwise none.
 */
export function chooseState(
  configured: 'auto' | readonly string[],
  rootWritable: boolean,
  fstab: readonly FstabEntry[],
  isDirectory: (path: string) => boolean,
): { state: string[]; missing: string[] } {
  if (configured !== 'auto') {
    return { state: configured.filter(isDirectory), missing: configured.filter((path) => !isDirectory(path)) }
  }
  if (!rootWritable) return { state: [], missing: [] }
  const mounted = new Set(fstab.map(({ mountPoint }) => mountPoint))
  return { state: AUTOMATIC_STATE.filter((path) => !mounted.has(path) && isDirectory(path)), missing: [] }
}

/**
 * Whether the root would be writable in the end: what fstab says of it, which systemd-remount-fs(8)
 * applies; without a line there, what the command line or the kernel made of it.
 */
export function isRootWritable(
  fstabRoot: FstabEntry | undefined,
  commandLine: KernelCommandLine,
  root: MountPoint | undefined,
): boolean {
  if (fstabRoot) return fstabRoot.options.findLast((option) => option === 'ro' || option === 'rw') !== 'ro'
  if (commandLine.root) return commandLine.root === 'rw'
  return root?.superOptions.includes('rw') ?? false
}
