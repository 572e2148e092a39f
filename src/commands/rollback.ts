import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { OWN_DIRECTORY } from '../engine/places.js'
import type { BaseIdentity } from '../machine/base-identity.js'
import { type Root, readText, statLink } from '../machine/files.js'
import { RECORD_FILE, RUN_DIRECTORY } from '../machine/run-directory.js'
import { readAndDecide } from '../read.js'
import { findRecordsHome } from '../report/records-home.js'
import { describeBase } from '../stack/base-change.js'
import type { Facts, RecordFacts } from '../stack/facts.js'
import type { Decision } from '../stack/plan.js'
import { isSameRecord, isSameStack, type RecordedStack, recordOn, stackText } from '../stack/record.js'
import { chooseState, findOwn, hasWritableRoot, withData } from '../stack/state.js'
import { findPlace } from '../stack/verdict.js'
import { printable } from '../text/printable.js'
import { findUnfitHome } from '../trial/home.js'
import { parseStack, readRecords } from '../trial/records.js'
import type { Answer } from './answer.js'

/**
 * `hostext rollback`: whether rollback works on this machine, and what is recorded about its stacks. Also
 * works on a root file system that has never booted: then fstab says what will be mounted. `isNow`: gives up
 * the stack that the next boot would take.
 */
export function showRollback(root: Root, environment: NodeJS.ProcessEnv, isNow: boolean): Answer {
  const { facts, decision } = readAndDecide(root, environment, 'whole')
  const { machine } = facts
  const { configuration, mounts, planned, directories } = machine
  if (configuration.attempts === 0) {
    if (isNow) throw new Error('rollback is off: Attempts=0')
    return {
      document: { rollback: 'off', why: 'Attempts=0' },
      lines: ['rollback: off: Attempts=0'],
      status: 0,
    }
  }
  const dataRoot = findRecordsHome(root, facts)
  const { state } = chooseState(configuration.state, hasWritableRoot(machine), planned, directories)
  const place = findPlace(mounts, dataRoot, withData(machine, findOwn(mounts, state), [dataRoot]))
  if (isNow) {
    if ('off' in place) throw new Error(`rollback is off: ${place.off}`)
    return giveUp(root, environment, facts, decision, dataRoot)
  }
  const { good, tried, problems } = readRecords(root, dataRoot)
  const { attempts: most } = configuration
  const off = 'off' in place ? place.off : null
  return {
    document: {
      rollback: off === null ? 'on' : 'off',
      why: off,
      directory: 'off' in place ? null : place.directory,
      good: good.map(asDocument),
      tried: tried.map(({ stack, attempts }) => ({ ...asDocument(stack), boots: Math.min(attempts, most) })),
      problems,
    },
    lines: [
      'off' in place ? `rollback: off: ${place.off}` : `rollback: on: records are in ${place.directory}`,
      ...problems,
      ...good.map((stack) => `good: ${describe(stack)}`),
      ...tried.map(
        ({ stack, attempts }) => `tried ${Math.min(attempts, most)} of ${most}: ${describe(stack)}`,
      ),
    ],
    status: 0,
  }
}

/**
 * Records the stack that the next boot would take as one that was tried and did not boot well, and the one
 * before it as the last good one. In the last boot of a trial, it is the one on trial. Throws an Error if
 * there is nothing to give up, if it cannot be written, or if the next boot would take that stack all the
 * same.
 */
function giveUp(
  root: Root,
  environment: NodeJS.ProcessEnv,
  { machine: { identity, configuration }, dataRoots }: Facts,
  decision: Decision,
  dataRoot: string,
): Answer {
  const { good, tried } = readRecords(root, dataRoot)
  const stack = stackOf(decision, identity) ?? stackOnTrial(root, tried)
  if (!stack)
    throw new Error(
      'plan' in decision
        ? 'the next boot goes back already: "hostext rollback" shows why'
        : 'the next boot stacks nothing: there is nothing to give up',
    )
  const directory = `${dataRoot}/${OWN_DIRECTORY}`
  const unfit = findUnfitHome(root, dataRoots, dataRoot)
  if (unfit !== undefined) throw new Error(unfit)
  const own = root.prefix + directory
  const trials = tried.filter(({ name }) => name === 'trial').map(({ attempts }) => attempts)
  for (const attempts of trials) rmSync(`${own}/trial.${attempts}`, { force: true })
  // One more than any boot of a trial: what is about to mark this boot good must not find its record.
  writeDurably(`${own}/trial.${Math.max(configuration.attempts, ...trials) + 1}`, stackText(stack))
  // It is no longer good under any name, or the boot would take it. To the boot, a container of another name
  // with the same image is the same.
  const dropped = good.filter((other) => isSameRecord(other, stack)).map(({ name }) => name)
  for (const name of dropped) rmSync(`${own}/${name}`)
  if (dropped.includes('good') && statLink(root, `${directory}/previous`))
    renameSync(`${own}/previous`, `${own}/good`)
  const next = readAndDecide(root, environment, 'whole').decision
  if ('plan' in next && isSameStack(recordOn(identity, next.plan.extensions), stack))
    throw new Error('the next boot takes this stack all the same: "hostext rollback" shows what is recorded')
  const instead = 'plan' in next ? next.plan.extensions.map(({ container }) => container.name) : null
  const lines = [
    `given up: ${describe(stack)}`,
    instead === null
      ? 'the next boot stays on the plain root; "hostext retry" takes this back'
      : `the next boot stacks ${instead.map((name) => printable(name)).join(', ')}; "hostext retry" takes this back`,
  ]
  return { document: { givenUp: asDocument(stack), nextBoot: instead }, lines, status: 0 }
}

/** What a boot stacks of its own accord, and not to go back. */
function stackOf(decision: Decision, identity: BaseIdentity): RecordedStack | undefined {
  if (!('plan' in decision) || decision.plan.safety.kind === 'restored') return undefined
  return recordOn(identity, decision.plan.extensions)
}

/** The stack that is on trial in this boot: even in the last boot of its trial, it may yet be marked good. */
function stackOnTrial(root: Root, tried: RecordFacts['tried']): RecordedStack | undefined {
  const text = readText(root, `${RUN_DIRECTORY}/${RECORD_FILE}`)
  const own = typeof text === 'string' ? parseStack(text) : undefined
  return tried.find(({ name, stack }) => name === 'trial' && own && isSameRecord(stack, own))?.stack
}

/** Writes a file beside its place, and renames it: after a power cut there is the old one, or the new one. */
function writeDurably(path: string, text: string): void {
  const temporary = `${path}.new`
  const descriptor = openSync(temporary, 'w', 0o644)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, path)
}

function asDocument({ extensions, base }: RecordedStack) {
  return {
    extensions: extensions.map(({ name, image, id, tree }) => ({ name, image, id, tree })),
    base: base ?? null,
  }
}

function describe({ extensions, base }: RecordedStack): string {
  const names = extensions.map(({ name, image }) => `${printable(name)} (${printable(image)})`)
  return `${names.join(', ')}; with ${describeBase(base)}`
}
