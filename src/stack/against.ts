import type { Place } from '../engine/places.js'
import { ESSENTIAL } from '../image/essential.js'
import type { Machine } from '../machine/machine.js'
import type { Against } from './facts.js'
import { findMountPoints } from './mounts.js'
import { findLowers } from './overlays.js'
import { findCopied } from './state.js'

/**
 * What the images of a machine are read against. `places`: where engines may have their data. `directories`
 * of state, and what else is `writable` because a mount of the machine writes to it.
 */
export function findAgainst(
  machine: Machine,
  places: readonly Pick<Place, 'path'>[],
  directories: readonly string[],
  writable: readonly string[],
): Against {
  const { configuration, planned } = machine
  const mountPoints = findMountPoints(machine, [
    ...new Set([...directories, ...writable, ...places.map(({ path }) => path), ...findLowers(machine)]),
  ])
  return {
    essential: [...ESSENTIAL, ...configuration.essential, ...mountPoints.map((path) => `${path}/`)],
    places: mountPoints,
    state: findCopied(configuration.state, directories, planned),
  }
}
