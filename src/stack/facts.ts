import type { DataRoots, Place } from '../engine/places.js'
import type { Unread } from '../engine/unread.js'
import type { EngineFacts } from '../image/engines.js'
import type { Extension } from '../image/extension.js'
import type { Machine } from '../machine/machine.js'
import type { RecordedStack } from './record.js'

/**
 * Everything that a decision is made from. Plain values only, so that the facts can be kept as JSON and
 * decided on again. A fact that is undefined has not been read yet; decide() asks for it when it needs it.
 * The last good record is read with the engines.
 */
export type Facts = {
  machine: Machine
  dataRoots: DataRoots
  engines?: EngineFacts[]
  /** What is there and is not read. Only looked for if nothing else is found. */
  unread?: Unread[]
  /** The directories of state that images were read against. */
  state?: string[]
  /** The text of the last good record in the data root in use; null if there is none. */
  lastGood?: string | null
  records?: RecordFacts
  indexes?: IndexFacts
}

/**
 * The rebuilt indexes of earlier boots, by what they were made from; and the state of the base root's own.
 */
export type IndexFacts = { kept: { name: string; key: string }[]; sources: string }

/**
 * The names of the records of stacks that have booted well, in the order in which the machine goes back to
 * them: the last one; the one before it; the last one on the base before this one; the last reduced one, in
 * which the kernel command line has left something out; one that is on its way to another of these names.
 */
export const GOOD_NAMES = ['good', 'previous', 'other', 'reduced', 'spare'] as const
export type GoodName = (typeof GOOD_NAMES)[number]

/**
 * The names of the records of trials, each followed by the number of its boots: of the stack that the
 * containers make; of a good stack of another base in the place of one that is bad; of a reduced stack. One
 * of a kind is kept.
 */
export const TRIAL_NAMES = ['trial', 'back', 'reduced'] as const
export type TrialName = (typeof TRIAL_NAMES)[number]

/** What is recorded about the stacks of earlier boots. */
export type RecordFacts = {
  /** In the order of {@link GOOD_NAMES}. */
  good: GoodStack[]
  /** The stacks that have been tried and are not good, with their number of boots. */
  tried: { name: TrialName; stack: RecordedStack; attempts: number }[]
  /** The records that cannot be read and are ignored, one line for each. */
  problems: string[]
}

/**
 * A stack that has booted well: its extensions as they would be stacked now, or why it can no longer be
 * stacked.
 */
export type GoodStack = RecordedStack & { name: GoodName; restored: Extension[] | { problem: string } }

/** What has to be read before the decision can be made. */
export type Reading =
  | ({ what: 'engines'; engines: Place[] } & Against)
  | { what: 'unread' }
  | ({ what: 'records'; dataRoot: string } & Against)
  | { what: 'indexes'; dataRoot: string }

/** What images are read against. */
export type Against = {
  /** Paths that no image may replace: see replacedFinder(). */
  essential: string[]
  /** Directories of the root that something may cover. */
  places: string[]
  /** The directories of state: what images have there is copied. */
  state: string[]
}
