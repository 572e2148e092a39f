import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { OWN_DIRECTORY } from '../engine/places.js'
import { findUnfitDirectory } from '../engine/trust.js'
import { type Root, statLink } from '../machine/files.js'
import { type Machine, readMachine } from '../machine/machine.js'
import { readAndDecide } from '../read.js'
import { findRecordsHome } from '../report/records-home.js'
import { describeBase } from '../stack/base-change.js'
import { type RecordedStack, recordOn, stackText } from '../stack/record.js'
import { chooseState, hasWritableRoot, withData } from '../stack/state.js'
import { findPlace } from '../stack/verdict.js'
import { printable } from '../text/printable.js'
import { readRecords } from '../trial/records.js'
import type { Answer } from './answer.js'

/**
 * `hostext rollback`: whether rollback works on this machine, and what is recorded about its stacks. Also
 * works on a root file system that has never booted: then fstab says what will be mounted. `isNow`: gives up
 * the stack that the next boot would take.
 */
export function showRollback(root: Root, environment: NodeJS.ProcessEnv, isNow: boolean): Answer {
  const machine = readMachine(root, environment)
  const { configuration, mounts, planned, directories } = machine
  if (configuration.attempts === 0) {
    if (isNow) throw new Error('rollback is off: Attempts=0')
    return {
      document: { rollback: 'off', why: 'Attempts=0' },
      lines: ['rollback: off: Attempts=0'],
      status: 0,
    }
  }
  const dataRoot = findRecordsHome(root, machine)
  const { state } = chooseState(configuration.state, hasWritableRoot(machine), planned, directories)
  const place = findPlace(mounts, dataRoot, withData(machine, state, [dataRoot]))
  if (isNow) {
    if ('off' in place) throw new Error(`rollback is off: ${place.off}`)
    return giveUp(root, environment, machine, dataRoot)
  }
  const { good, tried, problems } = readRecords(root, dataRoot)
  const off = 'off' in place ? place.off : null
  return {
    document: {
      rollback: off === null ? 'on' : 'off',
      why: off,
      directory: 'off' in place ? null : place.directory,
      good: good.map(asDocument),
      tried: tried.map(({ stack, attempts }) => ({ ...asDocument(stack), boots: attempts })),
      problems,
    },
    lines: [
      'off' in place ? `rollback: off: ${place.off}` : `rollback: on: records are in ${place.directory}`,
      ...problems,
      ...good.map((stack) => `good: ${describe(stack)}`),
      ...tried.map(
        ({ stack, attempts }) => `tried ${attempts} of ${configuration.attempts}: ${describe(stack)}`,
      ),
    ],
    status: 0,
  }
}

/**
 * Records the stack that the next boot would take as one that was tried and did not boot well, and the one
 * before it as the last good one. Throws an Error if there is nothing to give up, or if it cannot be written.
 */
function giveUp(
  root: Root,
  environment: NodeJS.ProcessEnv,
  { identity, configuration }: Machine,
  dataRoot: string,
): Answer {
  const { decision } = readAndDecide(root, environment, 'whole')
  if (!('plan' in decision)) throw new Error('the next boot stacks nothing: there is nothing to give up')
  const { extensions, safety } = decision.plan
  if (safety.kind === 'restored')
    throw new Error('the next boot goes back already: "hostext rollback" shows why')
  const directory = `${dataRoot}/${OWN_DIRECTORY}`
  // Whoever can replace a directory there with a link could make us write elsewhere.
  const unfit = findUnfitDirectory(root, directory)
  if (unfit !== undefined) throw new Error(`${directory}: ${unfit}`)
  const stack = recordOn(identity, extensions)
  const { good, tried } = readRecords(root, dataRoot)
  const own = root.prefix + directory
  for (const { name, attempts } of tried)
    if (name === 'trial') rmSync(`${own}/${name}.${attempts}`, { force: true })
  writeDurably(`${own}/trial.${configuration.attempts}`, stackText(stack))
  const text = stackText(stack)
  const others = good.filter((other) => stackText(other) !== text)
  // The last one is no longer good, or the boot would take it.
  if (good.some((other) => other.name === 'good' && !others.includes(other))) {
    if (statLink(root, `${directory}/previous`)) renameSync(`${own}/previous`, `${own}/good`)
    else rmSync(`${own}/good`)
  }
  const next = readAndDecide(root, environment, 'whole').decision
  const instead = 'plan' in next ? next.plan.extensions.map(({ container }) => container.name) : null
  const lines = [
    `given up: ${describe(stack)}`,
    instead === null
      ? 'the next boot stays on the plain root; "hostext retry" takes this back'
      : `the next boot stacks ${instead.map((name) => printable(name)).join(', ')}; "hostext retry" takes this back`,
  ]
  return { document: { givenUp: asDocument(stack), nextBoot: instead }, lines, status: 0 }
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
