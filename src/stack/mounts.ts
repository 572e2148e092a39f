import { isAutomatic } from '../machine/fstab.js'
import type { Machine } from '../machine/machine.js'
import { mountOf } from '../machine/mountinfo.js'
import { hasMountUnit } from '../machine/unit-files.js'
import { isUnitPath } from '../text/unit-syntax.js'

type Mounts = Pick<Machine, 'mounts' | 'fstab' | 'mountUnits'>

/** The mount points that `paths` are on, except for the root. */
export function findDataMounts({ mounts }: Mounts, paths: readonly string[]): string[] {
  const places = paths.map((path) => mountOf(mounts, path)?.mountPoint ?? '/')
  // A path that no unit can name has no unit to order.
  return [...new Set(places.filter((place) => place !== '/' && isUnitPath(place)))].sort()
}

/** The mount point that `path` will be on once everything is mounted; undefined if it is already mounted. */
export function findUnmounted({ fstab, mounts, mountUnits }: Mounts, path: string): string | undefined {
  const isMissing = (mountPoint: string): boolean => !mounts.some((mount) => mount.mountPoint === mountPoint)
  for (let place = path; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const isMounted = fstab.some((entry) => isAutomatic(entry) && entry.mountPoint === place)
    if ((isMounted || hasMountUnit(mountUnits, place)) && isMissing(place)) return place
  }
  return undefined
}

/**
 * The mount points of the initrd that no unit would mount again after the switch. They are carried over. /usr
 * is stacked instead, because extensions have files there.
 */
export function findForeign({ mounts, fstab, mountUnits }: Mounts): string[] {
  const places = new Set(mounts.map(({ mountPoint }) => mountPoint))
  return [...places].filter(
    (place) =>
      !isApi(place) &&
      place !== '/usr' &&
      !fstab.some((entry) => isAutomatic(entry) && entry.mountPoint === place) &&
      !hasMountUnit(mountUnits, place),
  )
}

/** The directories that PID 1 mounts its own file systems on, and /tmp. */
const API = ['/proc', '/sys', '/dev', '/run', '/tmp']

/**
 * Where the new root will have mount points, as far as that is known: state, the engine's data, the mounts of
 * PID 1, of the initrd and of fstab. If an image had anything but a directory there, the mount would fail,
 * and with it the whole stack.
 */
export function findMountPoints({ mounts, fstab }: Mounts, paths: readonly string[]): string[] {
  const mountPoints = [
    ...mounts.map(({ mountPoint }) => mountPoint),
    ...fstab.filter(isAutomatic).map(({ mountPoint }) => mountPoint),
  ]
  return [...API, ...new Set([...paths, ...mountPoints.filter((path) => !isApi(path))])]
}

/**
 * The root itself, the mounts that PID 1 carries over, and /tmp, which PID 1's sandbox for generators covers.
 */
export function isApi(path: string): boolean {
  return path === '/' || /^\/(?:proc|sys|dev|run|tmp)(?:\/|$)/.test(path)
}

/** Whether systemd-remount-fs(8) remounts this path, besides the root: /usr and the kernel's file systems. */
export function isRemounted(path: string): boolean {
  return path === '/usr' || /^\/(?:proc|sys|dev|run)(?:\/(?:shm|pts|mqueue|hugepages))?$/.test(path)
}
