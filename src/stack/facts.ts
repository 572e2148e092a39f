import type { DataRoots } from '../engine/data-roots.js'
import type { EngineFacts } from '../image/engines.js'
import type { Extension } from '../image/extension.js'
import type { Machine } from '../machine/machine.js'
import type { RecordedStack } from './record.js'

/**
 * All that a decision is made from: values alone, as JSON has them, so that they can be kept and decided on again. What is
 * undefined has not been read yet; decide() asks for it where it needs it.
 */
export type Facts = {
  machine: Machine
  dataRoots: DataRoots
  engines?: EngineFacts[]
  /** The text of the last good record in the data root that is in use; null if there is none. */
  lastGood?: string | null
  records?: RecordFacts
}

/** What is recorded of the stacks of earlier boots. */
export type RecordFacts = {
  /** The last one first. */
  good: GoodStack[]
  /** The stacks that have been tried and are not good, with the number of boots. */
  tried: { stack: RecordedStack; attempts: number }[]
  /** A record that cannot be read counts as absent; one line each. */
  problems: string[]
}

/** A stack that has booted well, and what it would be now, or why it cannot be had any more. */
export type GoodStack = RecordedStack & { restored: Extension[] | { problem: string } }

/** What a decision needs to have read before it can be made. */
export type Reading =
  | {
      what: 'engines'
      dataRoots: string[]
      /** Paths that no image may replace: see replacedFinder(). */
      essential: string[]
      /** Directories of the root that may be covered. */
      places: string[]
    }
  | { what: 'last good record'; dataRoot: string }
  | { what: 'records'; dataRoot: string; essential: string[]; places: string[] }
