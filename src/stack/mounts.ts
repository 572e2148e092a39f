import { READ_DIRECTORIES } from '../engine/places.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, mountOf } from '../machine/mountinfo.js'
import { isRemote, type PlannedMount } from '../machine/planned.js'
import { isUnitPath } from '../text/unit-syntax.js'

type Mounts = Pick<Machine, 'mounts' | 'planned'>

/**
 * The mount points that `paths` are on, with all that they stand on: what they are mounted on, and what they
 * bind. If one of these were unmounted, PID 1 would unmount them first. Not the root, and not /usr, which is
 * stacked. `shown`: mount points that count as well, mounted or not ({@link findShowing}).
 */
export function findDataMounts(
  { mounts, planned }: Mounts,
  paths: readonly string[],
  shown: readonly string[] = [],
): string[] {
  const found = new Set<string>()
  const addAll = (place: string): void => {
    if (isApi(place) || place === '/usr' || found.has(place)) return
    found.add(place)
    addBelow(place.slice(0, place.lastIndexOf('/')) || '/')
    const source = planned.find(({ mountPoint }) => mountPoint === place)?.source
    if (source?.startsWith('/')) addBelow(source)
  }
  const addBelow = (path: string): void => addAll(mountOf(mounts, path)?.mountPoint ?? '/')
  paths.forEach(addBelow)
  shown.forEach(addAll)
  // A path that no unit can name has no unit to order.
  return [...found].filter(isUnitPath).sort()
}

/**
 * Where else than at `places` the file system of the mount point `place` is shown: other subvolumes, /var of
 * OSTree. It can be reached there after the switch. (What is bound later is bound from the stack.)
 */
export function findShowing(
  { mounts }: Pick<Mounts, 'mounts'>,
  place: string,
  places: readonly string[],
): string[] {
  const device = mountOf(mounts, place)?.device
  const showing = mounts.filter((mount) => mount.device === device).map(({ mountPoint }) => mountPoint)
  return [...new Set(showing)].filter((path) => path !== place && !places.includes(path))
}

/** The mount that `path` will be on once everything is mounted; undefined if it is there already. */
export function findUnmounted({ planned, mounts }: Mounts, path: string): PlannedMount | undefined {
  for (let place = path; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const mount = planned.find(({ mountPoint }) => mountPoint === place)
    if (mount && !mounts.some(({ mountPoint }) => mountPoint === place)) return mount
  }
  return undefined
}

/**
 * The mounts that are still missing where an engine has its data: the one that the place will be on, those
 * below it on what hostext reads there ({@link READ_DIRECTORIES}), and the one of `snapshots`, which
 * containerd may keep elsewhere.
 */
export function findMissing(
  machine: Mounts,
  { path, snapshots }: { path: string; snapshots?: string },
): PlannedMount[] {
  const missing = [findUnmounted(machine, path)]
  const read = READ_DIRECTORIES.map((name) => `${path}/${name}`)
  if (snapshots !== undefined) {
    missing.push(findUnmounted(machine, snapshots))
    read.push(snapshots)
  }
  for (const { mountPoint } of machine.planned)
    if (read.some((directory) => isBelow(mountPoint, directory)))
      missing.push(findUnmounted(machine, mountPoint))
  return [...new Set(missing.filter((mount) => mount !== undefined))]
}

/**
 * The mount points of the initrd that no unit would mount again after the switch. They are carried over. /usr
 * is stacked instead, because extensions have files there. What is below something that a unit mounts is
 * hidden by it in any case, and most often is only a copy: the kernel shows what is mounted on a bind at its
 * source, too (shared subtrees).
 */
export function findForeign(machine: Mounts & Pick<Machine, 'softReboot'>): string[] {
  const { mounts, planned } = machine
  // The root and /usr are stacked: what comes along is mounted over the stack.
  const again = planned.filter(
    (mount) => !['/', '/usr'].includes(mount.mountPoint) && !isFromInitrd(machine, mount),
  )
  const places = new Set(mounts.map(({ mountPoint }) => mountPoint))
  return [...places].filter(
    (place) =>
      !isApi(place) &&
      place !== '/usr' &&
      !planned.some(({ mountPoint }) => mountPoint === place) &&
      !again.some(({ mountPoint }) => isBelow(place, mountPoint)),
  )
}

/**
 * Whether a planned mount is the initrd's (`x-initrd.mount` in systemd.mount(5)) and there. It goes into the
 * new root as it is: PID 1 reads /etc before its units mount anything, and the options may have paths of the
 * initrd. Not /usr, as above, nor what is below /mnt, where systemd 252 takes everything away
 * (units/mounts.ts): there its unit mounts it again.
 */
export function isFromInitrd(
  { mounts, softReboot }: Pick<Machine, 'mounts' | 'softReboot'>,
  { mountPoint, options }: PlannedMount,
): boolean {
  if (!options.includes('x-initrd.mount') || isApi(mountPoint) || mountPoint === '/usr') return false
  if (!softReboot && isBelow(mountPoint, '/mnt')) return false
  return mounts.some((mount) => mount.mountPoint === mountPoint)
}

/** The directories that PID 1 mounts its own file systems on, and /tmp. */
const API = ['/proc', '/sys', '/dev', '/run', '/tmp']

/**
 * Where the new root will have mount points, as far as that is known: state, the engine's data, the mounts of
 * PID 1, of the initrd and of fstab. If an image had anything but a directory there, the mount would fail,
 * and with it the whole stack.
 */
export function findMountPoints({ mounts, planned }: Mounts, paths: readonly string[]): string[] {
  const mountPoints = [...mounts, ...planned].map(({ mountPoint }) => mountPoint)
  return [...API, ...new Set([...paths, ...mountPoints.filter((path) => !isApi(path))])]
}

/** Which of `paths` are neither on a share nor on what is mounted when somebody looks at it. */
export function findLocal({ planned }: Pick<Mounts, 'planned'>, paths: readonly string[]): string[] {
  const others = planned.filter((mount) => isRemote(mount) || mount.options.includes('x-systemd.automount'))
  return paths.filter((path) => !others.some(({ mountPoint }) => isBelow(path, mountPoint)))
}

/**
 * Where file systems of their own are, or will be, over the root. Not /usr, which is stacked, and no
 * overlays: those of the machine may have directories of the root as their layers, which are stacked as well.
 */
export function findOver({ mounts, planned }: Mounts): string[] {
  return [...mounts, ...planned].flatMap(({ mountPoint, type }) =>
    type === 'overlay' || ['/', '/usr'].includes(mountPoint) ? [] : mountPoint,
  )
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
