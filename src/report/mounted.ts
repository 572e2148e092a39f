import { type Root, readText } from '../machine/files.js'
import { isBelow, type MountPoint, parseMountinfo } from '../machine/mountinfo.js'
import { BASE, ROOT_SOURCE, RUN_DIRECTORY } from '../machine/run-directory.js'

/**
 * What is mounted over the root of a running machine: its state, file systems of its own; not the overlays of
 * the root, and what shows their layers. mountOf() finds the one that a path is on.
 */
export function findMounted(root: Root): MountPoint[] {
  const text = readText(root, '/proc/self/mountinfo')
  return parseMountinfo(typeof text === 'string' ? text : '').filter(
    ({ source, mountPoint }) =>
      mountPoint !== '/' &&
      source !== ROOT_SOURCE &&
      !source.startsWith(`${ROOT_SOURCE}-`) &&
      ![BASE, RUN_DIRECTORY].some((own) => isBelow(mountPoint, own)),
  )
}
