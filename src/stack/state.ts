import { AUTOMATIC_STATE } from '../machine/configuration.js'
import { type FstabEntry, isReadOnly } from '../machine/fstab.js'
import type { KernelCommandLine } from '../machine/kernel-command-line.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import type { PlannedMount } from '../machine/planned.js'
import type { Use } from '../machine/uses.js'
import { isApi } from './mounts.js'

/**
 * Chooses the directories that stay writable. `auto`: if the root would be writable without us, those of
 * {@link AUTOMATIC_STATE} that are real directories; otherwise none. What is mounted there is not part of the
 * root.
 */
export function chooseState(
  configured: 'auto' | readonly string[],
  rootWritable: boolean,
  planned: readonly PlannedMount[],
  directories: readonly string[],
): { state: string[]; refused: { path: string; why: string }[] } {
  const mountAt = (path: string) => planned.find(({ mountPoint }) => isBelow(path, mountPoint))
  if (configured === 'auto') {
    const state = AUTOMATIC_STATE.filter((path) => !mountAt(path) && directories.includes(path))
    return { state: rootWritable ? state : [], refused: [] }
  }
  const refused = configured.flatMap((path) => {
    const mount = mountAt(path)
    if (mount) return { path, why: `is on a file system of its own (${mount.from})` }
    return directories.includes(path)
      ? []
      : { path, why: 'is not a directory of the root, or is behind a link' }
  })
  return { state: configured.filter((path) => !refused.some((entry) => entry.path === path)), refused }
}

/**
 * Of the chosen directories, those on the file system of the root: the other ones are mounted already, by
 * the initrd, and are carried over as they are. (What fstab says of the root is for all that shows its file
 * system: /var of OSTree, other subvolumes.)
 */
export function findOwn(mounts: readonly MountPoint[], directories: readonly string[]): string[] {
  const root = mountOf(mounts, '/')?.device
  // (Over /tmp is PID 1's sandbox for generators.)
  return directories.filter((path) => isApi(path) || mountOf(mounts, path)?.device === root)
}

/**
 * What stays writable in addition, because a mount or swap of the machine writes to it: what is on the root
 * and in no directory of state yet.
 */
export function findUsed(
  { uses, planned, mounts }: Pick<Machine, 'uses' | 'planned' | 'mounts'>,
  state: readonly string[],
): Use[] {
  const paths = findWritten(
    { planned, mounts },
    state,
    uses.map(({ path }) => path),
  )
  return uses.filter(({ path }) => paths.includes(path))
}

/**
 * What stays writable, with the directories `data` of an engine, which writes to them on the plain root. Not
 * where State= says what it is.
 */
export function withData(
  machine: Pick<Machine, RootFacts | 'configuration' | 'planned'>,
  state: readonly string[],
  data: readonly string[],
): string[] {
  const isChosen = machine.configuration.state === 'auto' && hasWritableRoot(machine)
  return isChosen ? [...state, ...findWritten(machine, state, data)] : [...state]
}

/**
 * Of what something of the machine writes to, a mount or an engine: what is on the root and in no directory
 * of state yet. One in another is there with it.
 */
function findWritten(
  { planned, mounts }: Pick<Machine, 'planned' | 'mounts'>,
  state: readonly string[],
  paths: readonly string[],
): string[] {
  const places = [...state, ...planned.map(({ mountPoint }) => mountPoint)]
  const onRoot = paths.filter(
    (path) =>
      !places.some((place) => isBelow(path, place)) && (mountOf(mounts, path)?.mountPoint ?? '/') === '/',
  )
  return onRoot.filter((path) => !onRoot.some((other) => other !== path && isBelow(path, other)))
}

/** File systems that cannot be written to, and overlays, whose changes are lost on a live system. */
export const READ_ONLY_TYPES = ['squashfs', 'erofs', 'cramfs', 'romfs', 'iso9660', 'overlay']

/**
 * Whether the root would be writable at the end of a normal boot. fstab decides, because
 * systemd-remount-fs(8) applies it. Without a line for the root there, the command line decides. If neither
 * says it, systemd makes the root writable because of its partition's type (`opensRoot`), or it stays as it
 * is mounted.
 */
export function isRootWritable(
  fstabRoot: FstabEntry | undefined,
  commandLine: KernelCommandLine,
  root: MountPoint | undefined,
  opensRoot: boolean,
): boolean {
  if (root && READ_ONLY_TYPES.includes(root.type)) return false
  if (fstabRoot) return !isReadOnly(fstabRoot.options)
  if (commandLine.root) return commandLine.root === 'rw'
  return opensRoot || isMountedWritable(root)
}

/** What {@link hasWritableRoot} has to know of a machine. */
export type RootFacts = 'fstab' | 'commandLine' | 'mounts' | 'opensRoot'

/** {@link isRootWritable} for the root of a machine. */
export function hasWritableRoot({
  fstab,
  commandLine,
  mounts,
  opensRoot,
}: Pick<Machine, RootFacts>): boolean {
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  return isRootWritable(fstabRoot, commandLine, mountOf(mounts, '/'), opensRoot)
}

/**
 * The directories that images' state is copied to: what stays writable, and those of the possible ones that
 * are mounted.
 */
export function findCopied(
  configured: 'auto' | readonly string[],
  state: readonly string[],
  planned: readonly PlannedMount[],
): string[] {
  const isMounted = (path: string): boolean =>
    planned.some(({ mountPoint, options }) => !isReadOnly(options) && isBelow(path, mountPoint))
  const possible = new Set([...AUTOMATIC_STATE, ...(configured === 'auto' ? [] : configured)])
  return [...possible].filter((path) => state.includes(path) || isMounted(path)).sort()
}
