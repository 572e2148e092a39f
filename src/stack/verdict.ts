import { OWN_DIRECTORY } from '../engine/places.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import { printableList } from '../text/printable.js'
import type { RecordFacts } from './facts.js'
import { isSameImage, isSameStack, type RecordedStack } from './record.js'
import { READ_ONLY_TYPES } from './state.js'

/**
 * Automatic rollback. A stack that has never booted well is on *trial*. This is recorded before the switch.
 * When the machine has booted well, the record is marked good. If that has not happened after some boots, the
 * stack is not tried again until it changes.
 */

/** What earlier boots say about the stack of this boot. */
export type Verdict =
  | { kind: 'good' }
  /** `attempt`: the number of this boot in the trial, from 1. */
  | { kind: 'trial'; attempt: number }
  /** `culprits`: the names of the extensions that are new or changed since the last good stack. */
  | { kind: 'bad'; attempts: number; culprits: string[] }

/** Judges a stack by the records. `most`: how many boots a trial may take (`Attempts=`). */
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

/**
 * The names of what is new or changed since the last good stack; all names if there is no such stack or no
 * such change.
 */
function findCulprits({ extensions }: RecordedStack, good: RecordedStack | undefined): string[] {
  const changed = extensions.filter(
    (extension) => !good?.extensions.some((other) => isSameImage(other, extension)),
  )
  return (changed.length > 0 ? changed : extensions).map(({ name }) => name)
}

/**
 * Where the records of a data root can be written, before and after the switch. `state`: the state directory
 * that the data root is in, which is made writable first; undefined if the data root is on a file system of
 * its own.
 */
export type Place = { directory: string; state: string | undefined }

/** Finds that place, or says why there is none and nothing can be rolled back. */
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

/** What the units of a trial are made from; part of the plan. */
export type Trial = {
  attempt: number
  /** The record that the first attempt writes. */
  record: string
  place: Place
  /** Seconds between the end of the boot and the mark. */
  settle: number
  /** Seconds until a trial that is not marked good is rebooted. */
  timeout: number
  /** Whether the machine is a container, whose host must not be rebooted. */
  inContainer: boolean
}

/** One line that tells people about a rollback. `instead`: what is booted. */
export function describeRollback({ attempts, culprits }: Verdict & { kind: 'bad' }, instead: string): string {
  const names = printableList(culprits, 500)
  return `rolled back: ${names}: did not boot well in ${attempts} boot${attempts === 1 ? '' : 's'}; not tried again until the stack changes (or "hostext retry"); booting ${instead}`
}
