import { DOCKER } from '../engine/daemon.js'
import { CONTAINER_LISTS, findHomes, OWN_DIRECTORY } from '../engine/places.js'
import { type Root, statLink } from '../machine/files.js'
import { readMachine } from '../machine/machine.js'
import { mountOf } from '../machine/mountinfo.js'
import { readDataRoots } from '../read.js'
import { describeBase } from '../stack/base-change.js'
import type { RecordedStack } from '../stack/record.js'
import { chooseState, hasWritableRoot, withData } from '../stack/state.js'
import { findPlace } from '../stack/verdict.js'
import { printable } from '../text/printable.js'
import { readRecords } from '../trial/records.js'

/**
 * `hostext rollback`: whether rollback works on this machine, and what is recorded about its stacks. Returns
 * the lines to print. Also works on a root file system that has never booted: then fstab says what will be
 * mounted.
 */
export function showRollback(root: Root, environment: NodeJS.ProcessEnv): string[] {
  const machine = readMachine(root, environment)
  const { configuration, mounts, planned, directories } = machine
  if (configuration.attempts === 0) return ['rollback: off: Attempts=0']
  const homes = findHomes(readDataRoots(root, machine))
  const has = (path: string, names: string[]): boolean =>
    names.some((name) => statLink(root, `${path}/${name}`) !== undefined)
  // If there is no engine data yet, it will probably be on the file system that was made for it.
  const dataRoot =
    homes.find((path) => has(path, [OWN_DIRECTORY])) ??
    homes.find((path) => has(path, CONTAINER_LISTS)) ??
    homes.find((path) => (mountOf(mounts, path)?.mountPoint ?? '/') !== '/') ??
    (homes.includes(DOCKER.dataRoot) ? DOCKER.dataRoot : (homes[0] as string))
  const { state } = chooseState(configuration.state, hasWritableRoot(machine), planned, directories)
  const place = findPlace(mounts, dataRoot, withData(machine, state, [dataRoot]))
  const { good, tried, problems } = readRecords(root, dataRoot)
  return [
    'off' in place ? `rollback: off: ${place.off}` : `rollback: on: records are in ${place.directory}`,
    ...problems,
    ...good.map((stack) => `good: ${describe(stack)}`),
    ...tried.map(
      ({ stack, attempts }) => `tried ${attempts} of ${configuration.attempts}: ${describe(stack)}`,
    ),
  ]
}

function describe({ extensions, base }: RecordedStack): string {
  const names = extensions.map(({ name, image }) => `${printable(name)} (${printable(image)})`)
  return `${names.join(', ')}; with ${describeBase(base)}`
}
