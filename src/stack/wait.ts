import { parseTimeSpan } from '../machine/configuration.js'
import { devicePath } from '../machine/fstab.js'
import type { Machine } from '../machine/machine.js'
import { isBelow } from '../machine/mountinfo.js'
import { isRemote, type PlannedMount } from '../machine/planned.js'
import { isUnitPath, unitName } from '../text/unit-syntax.js'
import type { Limit } from './plan.js'

/** What is behind a mount that is waited for. */
export type Awaited = {
  /** The mount points that are needed, and those that the machine can do without: they may stay away. */
  paths: string[]
  hoped: string[]
  limits: Limit[]
  /** Mounts that are given up when the device manager has found all devices, and theirs is not among them. */
  optional: { unit: string; device: string }[]
  /** Whether an encrypted volume that is waited for may only be known by its contents. */
  unlock: boolean
  /** Whether the network is needed. */
  online: boolean
  /** Whether something may take as long as it takes: the check of a disk, a passphrase. */
  patient: boolean
}

/** fstab(5), systemd.mount(5). */
const OWN_LIMIT = 'x-systemd.device-timeout='

/**
 * How the first pass waits for these mounts, which `named` says are demanded by the configuration. A device
 * may take until the timeout to appear. What is done with it takes as long as it takes: a check of the disk,
 * a passphrase. One that fstab calls `nofail` is only waited for if something names it.
 */
export function awaitMounts(
  { planned, crypttab, configuration: { timeout } }: Pick<Machine, 'planned' | 'crypttab' | 'configuration'>,
  mounts: readonly { mount: PlannedMount; named: boolean }[],
): Awaited {
  const limits = new Map<string, number>()
  const optional = new Map<string, string>()
  const hoped = new Set<string>()
  let [unlock, online, patient] = [false, false, false]
  const limit = (device: string, options: readonly string[]): void => {
    // A shorter one of fstab's own stays.
    const own = options.findLast((option) => option.startsWith(OWN_LIMIT))?.slice(OWN_LIMIT.length)
    const isShorter = own !== undefined && (parseTimeSpan(own) ?? Number.POSITIVE_INFINITY) <= timeout
    if (isUnitPath(device) && !isShorter) limits.set(unitName(device, 'device'), timeout)
  }
  const volumeOf = (device: string) => crypttab.find(({ name }) => device === `/dev/mapper/${name}`)
  /** Returns whether it, or anything behind it, may stay away. */
  const visit = (mount: PlannedMount, named: boolean, seen: readonly PlannedMount[]): boolean => {
    if (seen.includes(mount)) return false
    const unit = unitName(mount.mountPoint, 'mount')
    const device = devicePath(mount.source)
    if (isRemote(mount)) {
      online = true
      limits.set(unit, timeout)
    } else if (device !== undefined) {
      const volume = volumeOf(device)
      // A tag may be that of what is in an encrypted volume.
      if (volume) limit(volume.device, mount.options)
      else if (crypttab.length > 0 && !/^\/dev\/(?!mapper\/|disk\/|dm-)/.test(device)) unlock = true
      else limit(device, mount.options)
      patient ||= mount.passno > 0 || volume !== undefined || unlock
      if (mount.options.includes('nofail') && !named) optional.set(unit, volume?.device ?? device)
    }
    // What it is mounted on, and what it binds.
    const behind = planned.filter(
      (other) =>
        other !== mount && [mount.mountPoint, mount.source].some((path) => isBelow(path, other.mountPoint)),
    )
    return behind.map((other) => visit(other, named, [...seen, mount])).includes(true) || optional.has(unit)
  }
  for (const { mount, named } of mounts) if (visit(mount, named, [])) hoped.add(mount.mountPoint)
  // Several places may be on one file system.
  const paths = new Set(mounts.map(({ mount }) => mount.mountPoint))
  return {
    paths: [...paths].filter((path) => !hoped.has(path)),
    hoped: [...hoped],
    limits: [...limits].map(([unit, seconds]) => ({ unit, seconds })),
    optional: [...optional].map(([unit, device]) => ({ unit, device })),
    unlock,
    online,
    patient,
  }
}
