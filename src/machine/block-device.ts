import { listDirectory, type Root, readText, resolveLinks, statLink } from './files.js'
import type { MountPoint } from './mountinfo.js'

/** More layers than anybody stacks: LUKS on LVM on RAID has three. */
const MOST_LAYERS = 10

/**
 * The directory in /sys of the block device that a mount is on; undefined if it is on none. Of a device that
 * is made from others (LUKS, dm-verity, LVM), the partition below it, as systemd finds it for
 * systemd-gpt-auto-generator(8) and systemd-repart(8): get_block_device_harder(). (systemd 252 and 257 look
 * one layer down, later versions through all of them.) If there is no partition, or there are several disks,
 * it is the device itself.
 */
export function findBlockDevice(root: Root, { device, source }: MountPoint): string | undefined {
  let link = `/sys/dev/block/${device}`
  if (device.startsWith('0:')) {
    // A file system on several devices has a number of its own, and the first device as its source.
    const name = /^\/dev\/([^/]+)$/.exec(resolveLinks(root, source))?.[1]
    if (!source.startsWith('/dev/') || name === undefined) return undefined
    link = `/sys/class/block/${name}`
  }
  const own = resolveLinks(root, link)
  return findPartition(root, own, MOST_LAYERS) ?? own
}

function findPartition(root: Root, device: string, layers: number): string | undefined {
  if (isPartition(root, device)) return device
  const below = names(root, `${device}/slaves`).map((name) => resolveLinks(root, `${device}/slaves/${name}`))
  // Two on one disk are the data and the hashes of dm-verity.
  const disks = new Set(below.map((path) => (isPartition(root, path) ? diskOf(path) : path)))
  const [first] = below
  return first !== undefined && disks.size === 1 && layers > 0
    ? findPartition(root, first, layers - 1)
    : undefined
}

function isPartition(root: Root, device: string): boolean {
  return statLink(root, `${device}/partition`) !== undefined
}

/** The directory of the disk that a partition is on, by the partition's own. */
export function diskOf(partition: string): string {
  return partition.slice(0, partition.lastIndexOf('/'))
}

/** The number of that device, `major:minor`; without /sys, what mountinfo has; undefined if there is none. */
export function findDeviceNumber(root: Root, mount: MountPoint): string | undefined {
  const device = findBlockDevice(root, mount)
  const number = device === undefined ? undefined : readText(root, `${device}/dev`, 4096)
  const found = typeof number === 'string' ? number.trim() : mount.device
  return /^[1-9]\d*:\d+$/.test(found) ? found : undefined
}

/** The names in a directory of /sys; none where there is no such directory. */
function names(root: Root, path: string): string[] {
  try {
    return listDirectory(root, path)
  } catch {
    return []
  }
}
