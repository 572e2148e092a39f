import { unescapeOctal } from './fstab.js'

/** One line of /proc/self/mountinfo: proc_pid_mountinfo(5). */
export type MountPoint = {
  /** `major:minor` of the superblock: the same for every mount of one file system. */
  device: string
  /** The directory of its file system that is mounted. */
  root: string
  mountPoint: string
  type: string
  source: string
  superOptions: string[]
}

/** What was parsed last. A command reads mountinfo for several purposes, and finds the same. */
let last: { text: string; mounts: readonly MountPoint[] } | undefined

/** Parses mountinfo. Malformed lines are skipped. */
export function parseMountinfo(text: string): readonly MountPoint[] {
  if (last?.text !== text) last = { text, mounts: parseLines(text) }
  return last.mounts
}

function parseLines(text: string): MountPoint[] {
  const mounts: MountPoint[] = []
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ')
    const [, , device, root, mountPoint] = left?.split(' ') ?? []
    const [type, source, superOptions] = right?.split(' ') ?? []
    if (!device || !root || !mountPoint || !type || source === undefined) continue
    mounts.push({
      device,
      root: unescapeOctal(root),
      mountPoint: unescapeOctal(mountPoint),
      type,
      source: unescapeOctal(source),
      superOptions: superOptions?.split(',') ?? [],
    })
  }
  return mounts
}

/** The mount that a path is on: the last one whose mount point is the path or a directory above it. */
export function mountOf(mounts: readonly MountPoint[], path: string): MountPoint | undefined {
  let best: MountPoint | undefined
  for (const mount of mounts) {
    if (!isBelow(path, mount.mountPoint)) continue
    // Of two mounts at the same place, the later one covers the earlier one.
    if (!best || mount.mountPoint.length >= best.mountPoint.length) best = mount
  }
  return best
}

/**
 * Whether the file system is writable, not whether this mount is: systemd 257 runs generators in a sandbox in
 * which all mounts are read-only.
 */
export function isMountedWritable(mount: MountPoint | undefined): boolean {
  return mount?.superOptions.includes('rw') ?? false
}

/** Whether a normalized absolute path is `directory` or lies below it. */
export function isBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`)
}
