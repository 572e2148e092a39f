import { MADE_IN_BOOT } from '../machine/base-identity.js'
import { DATA_PARTITION, type Machine, PURGE_MARKER } from '../machine/machine.js'
import { mountOf } from '../machine/mountinfo.js'
import { ROOT_SOURCE } from '../machine/run-directory.js'
import { hasWritableRoot } from './state.js'

/**
 * PID 1 mounts a new ID over this file on a machine without one, until the ID can be written: machine-id(5).
 */
export const MACHINE_ID = '/etc/machine-id'

/** Why this boot stays plain, whatever the engine has; undefined if it need not. */
export function findObstacle(machine: Machine): string | undefined {
  const { commandLine, configuration, inContainer, mounts, softReboot, hasNextRoot, updateWaits } = machine
  if (commandLine.off) return commandLine.off
  if (inContainer && !configuration.container) return 'running in a container, and Container=no'
  if (commandLine.otherTarget) return commandLine.otherTarget
  if (updateWaits) return 'an offline update is waiting (/system-update)'
  if (setsUp(machine))
    return 'the first boot of this machine, which sets it up (/etc/machine-id): extensions come with the next'
  const base = mountOf(mounts, '/')
  if (base?.source === ROOT_SOURCE) return 'the root is stacked already'
  if (!softReboot && !hasNextRoot) return 'no directory /usr/lib/hostext/nextroot to switch to'
  // `lowerdir+=` names one layer. Linux 6.8 lists layers like this if they were added one by one.
  const lower =
    base?.superOptions.flatMap((option) => /^lowerdir\+?=(.*)/.exec(option)?.[1]?.split(':') ?? []) ?? []
  const isOverlay = (path: string): boolean => {
    const mount = mountOf(mounts, path)
    // A directory that would be on this root itself is one that only the initrd could see. If that is an
    // overlay, the kernel refuses the mount, and the machine boots plain as well.
    return mount !== base && mount?.type === 'overlay'
  }
  // FILESYSTEM_MAX_STACK_DEPTH in include/linux/fs.h.
  if (base?.type === 'overlay' && lower.some(isOverlay))
    return 'the root is already an overlay on an overlay, and the kernel stacks no deeper'
  return undefined
}

/**
 * Whether the units with ConditionFirstBoot= belong to this boot, and to no other one. After the switch PID 1
 * would find the ID that the first pass has written, and start none of them, now or ever. Where the ID is not
 * written to the root's own /etc for good, every boot may be the first one: then nothing is put off.
 */
function setsUp(machine: Machine): boolean {
  const { isFirstBoot, mounts, planned } = machine
  return (
    isFirstBoot &&
    mounts.some(({ mountPoint }) => mountPoint === MACHINE_ID) &&
    hasWritableRoot(machine) &&
    !MADE_IN_BOOT.includes(mountOf(mounts, '/')?.type ?? '') &&
    ![...mounts, ...planned].some(({ mountPoint }) => mountPoint === '/etc')
  )
}

/** Why nothing in this data root may or can be stacked; undefined if it can. */
export function findUnfit({ mounts, hasPurgeMarker }: Machine, dataRoot: string): string | undefined {
  const mount = mountOf(mounts, dataRoot)
  if (mount?.mountPoint === DATA_PARTITION && !hasPurgeMarker)
    return `${PURGE_MARKER} is missing: the data partition is about to be wiped`
  if (mount?.type === 'overlay')
    return `${dataRoot} is on an overlay (${mount.mountPoint}), and the kernel stacks at most two deep`
  return undefined
}
