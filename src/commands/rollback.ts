import { rmSync } from 'node:fs'
import { findDataRoots, isDataRoot } from '../engine/data-roots.js'
import { readConfiguration } from '../machine/configuration.js'
import { isRealDirectory, listDirectory, type Root } from '../machine/files.js'
import { type FstabEntry, isAutomatic } from '../machine/fstab.js'
import type { MountPoint } from '../machine/mountinfo.js'
import { mountOf } from '../machine/mountinfo.js'
import { readMachine } from '../machine/system.js'
import { chooseState, isRootWritable } from '../stack/plan.js'
import { printable } from '../text/printable.js'
import { RECORDS, type RecordedStack, readRecords, TRIAL } from '../trial/records.js'
import { findPlace } from '../trial/verdict.js'

/**
 * `hostext rollback`: whether this machine can take back a stack that does not boot well, and what is recorded of its
 * stacks. Works on a root filesystem that has not booted yet, too: then fstab says what will be mounted.
 */
export function showRollback(root: Root, environment: NodeJS.ProcessEnv): string[] {
  const { configuration, commandLine, fstab, mounts } = readMachine(root, environment)
  if (configuration.attempts === 0) return ['rollback: off: Attempts=0']
  const { candidates } = findDataRoots(root, configuration.dataRoot)
  const all = mounts.length > 0 ? mounts : expectedMounts(fstab)
  // Where there is no engine data yet, it will be on the file system that was made for it.
  const dataRoot =
    candidates.find((path) => isDataRoot(root, path)) ??
    candidates.find((path) => (mountOf(all, path)?.mountPoint ?? '/') !== '/') ??
    (candidates.at(-1) as string)
  const isDirectory = (path: string): boolean => isRealDirectory(root, path)
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  const writable = isRootWritable(fstabRoot, commandLine, mountOf(all, '/'))
  const { state } = chooseState(configuration.state, writable, fstab, isDirectory)
  const place = findPlace(all, dataRoot, state)
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

function describe({ extensions }: RecordedStack): string {
  return extensions.map(({ name, image }) => `${printable(name)} (${printable(image)})`).join(', ')
}

/** The mounts that a machine will have, as far as fstab knows. */
function expectedMounts(fstab: readonly FstabEntry[]): MountPoint[] {
  return fstab.filter(isAutomatic).map(({ mountPoint, type, source, options }) => ({
    device: '',
    mountPoint,
    type,
    source,
    superOptions: [options.includes('ro') ? 'ro' : 'rw'],
  }))
}

/** `hostext retry`: forgets what did not boot well, so that the next boot tries it again. Returns what to say. */
export function retry(root: Root): string[] {
  const { configuration } = readConfiguration(root)
  const { candidates } = findDataRoots(root, configuration.dataRoot)
  const forgotten = candidates.flatMap((dataRoot) => {
    const directory = `${dataRoot}/${RECORDS}`
    const names = listDirectory(root, directory).filter((name) => TRIAL.test(name))
    for (const name of names) rmSync(`${root.prefix}${directory}/${name}`)
    return names.map((name) => `forgotten: ${directory}/${name}`)
  })
  return forgotten.length > 0
    ? [...forgotten, 'the next boot tries the stack again']
    : ['nothing is kept from being tried']
}
