import { OWN_DIRECTORY } from '../engine/places.js'
import type { BaseIdentity } from '../machine/base-identity.js'
import type { Configuration } from '../machine/configuration.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import { printableList } from '../text/printable.js'
import { type BaseChange, findBaseChange } from './base-change.js'
import type { GoodName, RecordFacts, TrialName } from './facts.js'
import {
  choiceOf,
  isSameBase,
  isSameChoice,
  isSameRecord,
  type Recorded,
  type RecordedStack,
} from './record.js'
import { READ_ONLY_TYPES } from './state.js'

/**
 * Automatic rollback. A stack that has never booted well on this base is on *trial*. This is recorded before
 * the switch. When the machine has booted well, the record is marked good. If that has not happened after
 * some boots, the stack is not tried again until it or the base changes.
 */

/** What earlier boots say about the stack of this boot. */
export type Verdict =
  | { kind: 'good' }
  /**
   * `attempt`: the number of this boot in the trial, from 1. `change`: what of the base has changed, if the
   * same stack has booted well with another one.
   */
  | { kind: 'trial'; attempt: number; change: BaseChange | undefined }
  /**
   * `culprits`: the names of the extensions that are new or changed since the last good stack. There are none
   * if the base has changed and the stack has not.
   */
  | { kind: 'bad'; attempts: number; culprits: string[]; change: BaseChange | undefined }

/**
 * Judges a stack by the records. `most`: how many boots a trial may take (`Attempts=`). `name`: what its
 * trial is or would be.
 */
export function judge(
  stack: Recorded,
  { good, tried }: Pick<RecordFacts, 'good' | 'tried'>,
  most: number,
  name: TrialName = 'trial',
): Verdict {
  if (good.some((other) => isSameRecord(other, stack))) return { kind: 'good' }
  const earlier = tried.filter((trial) => trial.name === name && isSameRecord(trial.stack, stack))
  const attempts = Math.max(0, ...earlier.map((trial) => trial.attempts))
  const elsewhere = good.find((other) => !isSameBase(other.base, stack.base) && isSameChoice(other, stack))
  const change = elsewhere && findBaseChange(elsewhere.base, stack.base)
  if (attempts < most) return { kind: 'trial', attempt: attempts + 1, change }
  const here = good.find((other) => isSameBase(other.base, stack.base))
  // One that was given up has the number of a boot that never was.
  return { kind: 'bad', attempts: most, culprits: change ? [] : findCulprits(stack, here ?? good[0]), change }
}

/**
 * The names of what is new or changed since the last good stack; all names if there is no such stack or no
 * such change.
 */
function findCulprits({ extensions }: RecordedStack, good: RecordedStack | undefined): string[] {
  const known = new Set(good?.extensions.map(choiceOf))
  const changed = extensions.filter((extension) => !known.has(choiceOf(extension)))
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
  // State is bound without what is mounted below it.
  const holder = state.find((path) => isBelow(dataRoot, path) && isBelow(path, where))
  if (holder) return { directory, state: holder }
  if (where === '/')
    return { off: `${dataRoot} is on the root, which is locked, and not below a directory of State=` }
  return isMountedWritable(mount) ? { directory, state: undefined } : { off: `${where} is mounted read-only` }
}

/** What the units that mark a stack good are made from; part of the plan. */
export type Mark = {
  place: Place
  /** How records are renamed, in this order. The last one becomes the one of this stack. */
  marks: [from: string, to: GoodName][]
  failedUnits: Configuration['failedUnits']
  /** Seconds between the end of the boot and the mark. */
  settle: number
}

/** What the units of a trial are made from; part of the plan. */
export type Trial = Mark & {
  name: TrialName
  attempt: number
  /** The record that the first attempt writes. */
  record: string
  /** Seconds until a trial that is not marked good is rebooted. */
  timeout: number
  /** Whether the machine is a container, whose host must not be rebooted. */
  inContainer: boolean
}

/**
 * How records are renamed when a trial is marked good: see {@link GOOD_NAMES}. A stack of another base stays
 * on record, so that it counts where a machine goes back to that base. One without a base goes where an
 * earlier version of hostext finds it.
 */
export function findMarks(
  { name, attempt }: Pick<Trial, 'name' | 'attempt'>,
  good: RecordFacts['good'],
  base: BaseIdentity,
): Mark['marks'] {
  const record = `${name}.${attempt}`
  return name === 'reduced' ? [[record, 'reduced']] : marksOf(record, good, base)
}

/**
 * How records are renamed when a machine has gone back to a good stack that is not the last one. It becomes
 * the last one, or a later rollback would lead to the stack that the machine has left. It makes way for that
 * one first, and is good under each name. There are none if it is the last one already.
 */
export function findReturn(stack: Recorded, good: RecordFacts['good']): Mark['marks'] {
  const own = good.find((other) => isSameRecord(other, stack))
  if (!own || own.name === 'good') return []
  const others = good.filter((other) => other !== own && other.name !== 'spare')
  return [
    ...(own.name === 'spare' ? [] : ([[own.name, 'spare']] satisfies Mark['marks'])),
    ...marksOf('spare', others, stack.base),
  ]
}

/** The same for a record with any name. */
function marksOf(record: string, good: RecordFacts['good'], base: BaseIdentity): Mark['marks'] {
  const named = (wanted: GoodName): RecordedStack | undefined => good.find(({ name }) => name === wanted)
  const [last, other, spare] = [named('good'), named('other'), named('spare')]
  if (!last) return [[record, 'good']]
  const isElsewhere = last.base !== undefined && !isSameBase(last.base, base)
  return [
    // One whose way to `good` was cut, and that the machine has left again.
    ...(isSameBase(spare?.base, base) ? ([['spare', 'previous']] satisfies Mark['marks']) : []),
    ...(isElsewhere && isSameBase(other?.base, base)
      ? ([['other', 'previous']] satisfies Mark['marks'])
      : []),
    ['good', isElsewhere ? 'other' : 'previous'],
    [record, 'good'],
  ]
}

/** One line that tells people about a rollback. `instead`: what is booted. */
export function describeRollback(
  { attempts, culprits, change }: Pick<Verdict & { kind: 'bad' }, 'attempts' | 'culprits' | 'change'>,
  instead: string,
): string {
  const boots = `${attempts} boot${attempts === 1 ? '' : 's'}`
  const why = change
    ? `${change.what} changed, and the stack did not: it booted well with ${change.was}; now ${change.is}`
    : printableList(culprits, 500)
  return `rolled back: ${why}: did not boot well in ${boots}; not tried again until the stack, the kernel or the base root changes (or "hostext retry"); booting ${instead}`
}
