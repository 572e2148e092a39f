import { DOCKER } from '../engine/daemon.js'
import { CONTAINER_LISTS, findHomes, OWN_DIRECTORY } from '../engine/places.js'
import { type Root, statLink } from '../machine/files.js'
import type { Machine } from '../machine/machine.js'
import { mountOf } from '../machine/mountinfo.js'
import { readDataRoots } from '../read.js'

/**
 * The directory in which hostext keeps its own, or would: also on a root file system that has never booted,
 * where fstab says what will be mounted.
 */
export function findRecordsHome(root: Root, machine: Machine): string {
  const homes = findHomes(readDataRoots(root, machine))
  const has = (path: string, names: string[]): boolean =>
    names.some((name) => statLink(root, `${path}/${name}`) !== undefined)
  // If there is no engine data yet, it will probably be on the file system that was made for it.
  return (
    homes.find((path) => has(path, [OWN_DIRECTORY])) ??
    homes.find((path) => has(path, CONTAINER_LISTS)) ??
    homes.find((path) => (mountOf(machine.mounts, path)?.mountPoint ?? '/') !== '/') ??
    (homes.includes(DOCKER.dataRoot) ? DOCKER.dataRoot : (homes[0] as string))
  )
}
