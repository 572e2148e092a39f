import { DOCKER } from '../engine/daemon.js'
import { CONTAINER_LISTS, findHomes, OWN_DIRECTORY } from '../engine/places.js'
import { type Root, statLink } from '../machine/files.js'
import { mountOf } from '../machine/mountinfo.js'
import { findEngine } from '../stack/decide.js'
import type { Facts } from '../stack/facts.js'

/**
 * The directory in which hostext keeps its own, or would: that of the engine in use; without one, also on a
 * root file system that has never booted, where fstab says what will be mounted.
 */
export function findRecordsHome(root: Root, { machine, dataRoots, engines = [] }: Facts): string {
  const homes = findHomes(dataRoots)
  const has = (path: string, names: string[]): boolean =>
    names.some((name) => statLink(root, `${path}/${name}`) !== undefined)
  // If there is no engine data yet, it will probably be on the file system that was made for it.
  return (
    findEngine(engines)?.dataRoot ??
    homes.find((path) => has(path, [OWN_DIRECTORY])) ??
    homes.find((path) => has(path, CONTAINER_LISTS)) ??
    homes.find((path) => (mountOf(machine.mounts, path)?.mountPoint ?? '/') !== '/') ??
    (homes.includes(DOCKER.dataRoot) ? DOCKER.dataRoot : (homes[0] as string))
  )
}
