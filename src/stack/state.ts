import { AUTOMATIC_STATE } from '../machine/configuration.js'
import { type FstabEntry, isAutomatic } from '../machine/fstab.js'
import type { KernelCommandLine } from '../machine/kernel-command-line.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import { hasMountUnit } from '../machine/unit-files.js'

/**
 * Chooses the directories that stay writable. `auto`: if the root would be writable without us, those of
 * {@link AUTOMATIC_STATE} that are real directories; otherwise none. What fstab mounts is not part of the
 * root.
 */
export function chooseState(
  configured: 'auto' | readonly string[],
  rootWritable: boolean,
  fstab: readonly FstabEntry[],
  directories: readonly string[],
): { state: string[]; refused: { path: string; why: string }[] } {
  const isMounted = (path: string): boolean =>
    fstab.some((entry) => entry.mountPoint !== '/' && isAutomatic(entry) && isBelow(path, entry.mountPoint))
  if (configured === 'auto') {
    const state = AUTOMATIC_STATE.filter((path) => !isMounted(path) && directories.includes(path))
    return { state: rootWritable ? state : [], refused: [] }
  }
  const refused = configured.flatMap((path) => {
    if (isMounted(path)) return { path, why: 'is on a file system that fstab mounts' }
    return directories.includes(path)
      ? []
      : { path, why: 'is not a directory of the root, or is behind a link' }
  })
  return { state: configured.filter((path) => !refused.some((entry) => entry.path === path)), refused }
}

/** File systems that cannot be written to, and overlays, whose changes are lost on a live system. */
export const READ_ONLY_TYPES = ['squashfs', 'erofs', 'cramfs', 'romfs', 'iso9660', 'overlay']

/**
 * Whether the root would be writable at the end of a normal boot. fstab decides, because
 * systemd-remount-fs(8) applies it. Without a line for the root there, the command line decides, or the
 * current mount.
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

/** {@link isRootWritable} for the root of a machine. */
export function hasWritableRoot({
  fstab,
  commandLine,
  mounts,
}: Pick<Machine, 'fstab' | 'commandLine' | 'mounts'>): boolean {
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  return isRootWritable(fstabRoot, commandLine, mountOf(mounts, '/'))
}

/**
 * The directories that images' state is copied to: what stays writable, and those of the possible ones that
 * fstab or a unit mounts.
 */
export function findCopied(
  configured: 'auto' | readonly string[],
  state: readonly string[],
  fstab: readonly FstabEntry[],
  mountUnits: readonly string[],
): string[] {
  const isMounted = (path: string): boolean =>
    hasMountUnit(mountUnits, path) ||
    fstab.some(
      (entry) =>
        entry.mountPoint !== '/' &&
        isAutomatic(entry) &&
        !entry.options.includes('ro') &&
        isBelow(path, entry.mountPoint),
    )
  const possible = new Set([...AUTOMATIC_STATE, ...(configured === 'auto' ? [] : configured)])
  return [...possible].filter((path) => state.includes(path) || isMounted(path)).sort()
}
