import { type DataRoots, findDataRoots, PODMAN } from './engine/places.js'
import { findUnread } from './engine/unread.js'
import { hostOf } from './image/compatibility.js'
import { readEngines } from './image/engines.js'
import type { Look } from './image/image.js'
import { makeBase } from './image/kept.js'
import { replacedFinder } from './image/replaced.js'
import { withChanges } from './machine/etc-changes.js'
import type { Root } from './machine/files.js'
import { forNextBoot } from './machine/kernel-command-line.js'
import { type Machine, readMachine } from './machine/machine.js'
import { nameOf } from './machine/os-release.js'
import { decide, findEngine } from './stack/decide.js'
import { keepsEtc } from './stack/etc.js'
import type { Facts, GoodStack, Reading } from './stack/facts.js'
import { findOver } from './stack/mounts.js'
import type { Decision } from './stack/plan.js'
import { readIndexes } from './trial/indexes.js'
import { readLastGood, readRecords, restoreStack, type SourcedStack } from './trial/records.js'

/**
 * The boot that is decided: the one under way; the same, by what prepares its images; or the next one, of
 * which commands speak. `whole`: the next one, with what the command line of this one skips; `any`: that of a
 * system that need not be running, with whatever kernel.
 */
export type Which = 'this' | 'preparing' | 'next' | 'whole' | 'any'

/**
 * Reads as much about the machine and its engine below `root` as the decision needs, and decides. Writes
 * nothing. Also returns the facts: on any machine, decide() gives the same decision for them.
 */
export function readAndDecide(
  root: Root,
  environment: NodeJS.ProcessEnv,
  which: Which = 'next',
): { facts: Facts; decision: Decision } {
  const machine = asOf(which, readMachine(root, environment))
  let facts: Facts = { machine, dataRoots: readDataRoots(root, machine) }
  // Each step reads the one thing that the last step found missing; there are at most three.
  for (;;) {
    const decision = decide(facts)
    if (!('read' in decision)) return { facts, decision }
    facts = { ...facts, ...readMore(root, facts, decision.read, which) }
  }
}

/** The machine as that boot finds it. */
function asOf(which: Which, machine: Machine): Machine {
  if (which === 'this' || which === 'preparing') return machine
  const commandLine = forNextBoot(machine.commandLine)
  if (which !== 'next') delete commandLine.skip
  // What generators mount is known where they have run: it is among the planned mounts.
  return { ...machine, commandLine, otherGenerators: [] }
}

/** Where to look for an engine, by its settings as it will find them. */
export function readDataRoots(root: Root, machine: Machine): DataRoots {
  const settings = keepsEtc(machine) ? withChanges(root, machine.etcChanges) : root
  return findDataRoots(settings, machine.configuration.dataRoot)
}

function readMore(root: Root, { machine, dataRoots }: Facts, reading: Reading, which: Which): Partial<Facts> {
  if (reading.what === 'unread') {
    const podman = dataRoots.places.flatMap(({ engine, path }) => (engine === PODMAN ? path : []))
    return { unread: findUnread(root, podman.length > 0 ? podman : undefined) }
  }
  if (reading.what === 'indexes') return { indexes: readIndexes(root, reading.dataRoot, machine.release) }
  const look: Look = {
    isFirst: which === 'this' && !machine.collected,
    host: { ...hostOf(machine), ...(which === 'any' && { kernel: undefined }) },
    findReplaced: replacedFinder(root, reading.essential),
    base: makeBase(root, nameOf(machine.os), reading.state, findOver(machine)),
    places: reading.places,
    absent: machine.absent,
  }
  if (reading.what === 'engines') {
    const engines = readEngines(root, reading.engines, dataRoots, look)
    const dataRoot = findEngine(engines)?.dataRoot
    // Almost every decision needs it, and each step takes as long as it does.
    const lastGood = dataRoot === undefined ? null : (readLastGood(root, dataRoot) ?? null)
    return { engines, state: reading.state, lastGood }
  }
  const { good, ...others } = readRecords(root, reading.dataRoot)
  return { records: { ...others, good: good.map((stack) => restore(root, reading.dataRoot, stack, look)) } }
}

function restore(root: Root, dataRoot: string, stack: SourcedStack, look: Look): GoodStack {
  try {
    return { ...stack, restored: restoreStack(root, dataRoot, stack, look) }
  } catch (error) {
    return { ...stack, restored: { problem: (error as Error).message } }
  }
}
