import { OWN_DIRECTORY } from '../engine/data-roots.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import { printableList } from '../text/printable.js'
import type { RecordFacts } from './facts.js'
import { isSameImage, isSameStack, type RecordedStack } from './record.js'
import { READ_ONLY_TYPES } from './state.js'

/**
 * Automatic rollback. A stack that has never booted well is on *trial*: before the switch to it, that is recorded; when
 * the machine has booted well, the record is marked good. A stack that has been tried so often without that is not tried again
 * until it changes.
 */

/** What earlier boots say of the stack that this boot would have. */
export type Verdict =
  | { kind: 'good' }
  /** `attempt`: the number this boot has, from 1. */
  | { kind: 'trial'; attempt: number }
  /** `culprits`: the names of the extensions that are not part of the last good stack as they are. */
  | { kind: 'bad'; attempts: number; culprits: string[] }

/** Judges a stack by the records; `most`: how many boots a trial has (`Attempts=`). */
export function judge(
  stack: RecordedStack,
  { good, tried }: Pick<RecordFacts, 'good' | 'tried'>,
  most: number,
): Verdict {
  if (good.some((other) => isSameStack(other, stack))) return { kind: 'good' }
  const earlier = tried.filter((trial) => isSameStack(trial.stack, stack))
  const attempts = Math.max(0, ...earlier.map((trial) => trial.attempts))
  if (attempts < most) return { kind: 'trial', attempt: attempts + 1 }
  return { kind: 'bad', attempts, culprits: findCulprits(stack, good[0]) }
}

/** What is new or changed since the last good stack; all of it, if that would be nothing or there is none. */
function findCulprits({ extensions }: RecordedStack, good: RecordedStack | undefined): string[] {
  const changed = extensions.filter(
    (extension) => !good?.extensions.some((other) => isSameImage(other, extension)),
  )
  return (changed.length > 0 ? changed : extensions).map(({ name }) => name)
}

/**
 * Where the records of a data root can be written, before the switch and after it. `state`: the state directory
 * that the data root is in; it is made writable for it. Without: the data root is on a file system of its own.
 */
export type Place = { directory: string; state: string | undefined }

/** Finds that place, or says why there is none: then nothing can be rolled back. */
export function findPlace(
  mounts: readonly MountPoint[],
  dataRoot: string,
  state: readonly string[],
): Place | { off: string } {
  const directory = `${dataRoot}/${OWN_DIRECTORY}`
  const mount = mountOf(mounts, dataRoot)
  const where = mount?.mountPoint ?? '/'
  if (mount && READ_ONLY_TYPES.includes(mount.type))
    return { off: `${dataRoot} is on ${mount.type}, which is read-only` }
  if (where === '/') {
    const holder = state.find((path) => isBelow(dataRoot, path))
    return holder
      ? { directory, state: holder }
      : { off: `${dataRoot} is on the root, which is locked, and not below a directory of State=` }
  }
  return isMountedWritable(mount) ? { directory, state: undefined } : { off: `${where} is mounted read-only` }
}

/** What the units of a trial need; part of the plan. */
export type Trial = {
  attempt: number
  /** The record to be written at the first attempt. */
  record: string
  place: Place
  /** Seconds between the complete boot and the mark. */
  settle: number
  /** Seconds until a trial without the mark is rebooted. */
  timeout: number
  /** The machine is a container: its host is not to be rebooted. */
  inContainer: boolean
}

/** A rollback as people are told of it: one line. `instead`: what is booted. */
export function describeRollback({ attempts, culprits }: Verdict & { kind: 'bad' }, instead: string): string {
  const names = printableList(culprits, 500)
  return `rolled back: ${names}: did not boot well in ${attempts} boot${attempts === 1 ? '' : 's'}; not tried again until the stack changes (or "hostext retry"); booting ${instead}`
}
