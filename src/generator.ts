import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { OWN_DIRECTORY } from './engine/places.js'
import { TREES } from './image/kept.js'
import { inputRoot, reason, statLink } from './machine/files.js'
import type { Machine } from './machine/machine.js'
import { BOOT_REPORT, DECISION, RECORD_FILE, ROLLBACK_FILE, RUN_DIRECTORY } from './machine/run-directory.js'
import { seeNothing } from './machine/seen.js'
import { readAndDecide } from './read.js'
import { type BootReport, reportDecision } from './report/boot-report.js'
import { journalEntries } from './report/journal.js'
import { placeName } from './stack/order.js'
import type { Boot, Decision, Plain, Plan, Said, Wait } from './stack/plan.js'
import { type Level, log, logAll, type Message } from './text/log.js'
import { oneLine, printable, printableList } from './text/printable.js'
import type { UnitFile } from './text/unit-syntax.js'
import { PATHS_FILE, SEEN_FILE, whatWasSeen } from './trial/known.js'
import { collectUnits } from './units/collect.js'
import { firstPassUnits, nextRoot } from './units/first-pass.js'
import { layerUnits, TREES_LINK } from './units/layer.js'
import { plainUnits } from './units/left-out.js'
import { lockedUnits } from './units/locked.js'
import { mountLists } from './units/mounts.js'
import { newPlaces, stackDirectories } from './units/stack.js'
import { rollbackUnits } from './units/trial.js'

/**
 * The generator, as PID 1 calls it. Decides what this boot stacks and writes the units for it into the three
 * directories (systemd.generator(7)). Also saves them, and the units of the locked system, in /run/hostext
 * for the stub to replay. Does nothing in a boot that is already decided.
 *
 * Throws an Error if something could not be written. The boot stays plain then, because the early target,
 * which starts everything, is written last.
 */
export function generate(
  environment: NodeJS.ProcessEnv,
  normal: string,
  early = normal,
  late = normal,
): void {
  const input = inputRoot(environment)
  if (statLink(input, DECISION)) return

  const seen = seeNothing()
  const root = { ...input, seen }
  const { facts, decision: decided } = readAndDecide(root, environment, 'this')
  const decision = yieldTo(early, decided)
  const run = root.prefix + RUN_DIRECTORY
  if ('wait' in decision) {
    const { paths, hoped, mounting, preparing, generators } = decision.wait
    const what = mounting
      ? `mounting ${printable([...paths, ...hoped].join(', '))}`
      : preparing.length > 0
        ? `preparing ${printableList(preparing)}`
        : `looking at what ${printableList(generators)} mounts`
    log({ level: 'notice', text: `first: ${what}` })
    const units = collectUnits(decision.wait, normal)
    prepareRun(run, decision.wait)
    writeSet(run, 'waiting', units)
    writeFiles(units, { normal, early, late })
    return
  }
  const last = summary(decision)
  const messages = [...decision.messages, last]
  logAll(messages, DECISION)
  const report = reportDecision(facts, decision, last)

  let files: UnitFile[] = []
  if ('plan' in decision) {
    const { plan } = decision
    files = setAside(plan, run, normal)
    // Another build of hostext may decide in another way, with the same version.
    for (const path of PROGRAM) seen.times.add(path)
    const place = placeToKeep(plan)
    const known = place === undefined ? undefined : whatWasSeen(seen, root.prefix, place)
    if (known) {
      writeFileSync(`${run}/${PATHS_FILE}`, known.paths)
      writeFileSync(`${run}/${SEEN_FILE}`, known.variables)
    }
  } else if (decision.rolledBack || report.leftOut.length > 0) {
    files = setAsidePlain(decision, facts.machine, run)
  }
  if (files.length > 0) {
    writeFileSync(root.prefix + BOOT_REPORT, `${JSON.stringify(report)}\n`)
    try {
      writeJournal(report, run)
      sayAtLogin(report, root.prefix)
    } catch (error) {
      // It is only said; what is decided is done without it.
      log({ level: 'warning', text: `nothing is said at login and in the journal: ${reason(error)}` })
    }
  }
  writeFileSync(root.prefix + DECISION, messages.map(line).join(''))
  writeFiles(files, { normal, early, late })
}

/**
 * Another generator may have made this boot its own. One that does it later is named by units/first-pass.ts.
 */
function yieldTo(early: string, decision: Decision): Decision {
  if ('plain' in decision) return decision
  const { target } = 'wait' in decision ? decision.wait : decision.plan
  let other: string
  try {
    other = readlinkSync(`${early}/${target}`)
  } catch {
    return decision
  }
  const name = printable(other.slice(other.lastIndexOf('/') + 1))
  return {
    plain: `another generator boots into ${name} in the place of ${target}`,
    messages: decision.messages,
  }
}

/** What decides, and what compares. */
const PROGRAM = ['hostext.cjs', 'known.sh', 'remember.sh'].map((name) => `/usr/lib/hostext/${name}`)

/** The data root where this is kept, if the boots that follow decide the same unless something changes. */
function placeToKeep({ safety, index }: Plan): string | undefined {
  // The next boot finds the indexes that this one builds.
  const building = index.key !== undefined && index.kept === undefined
  if (safety.kind !== 'known' || safety.keep === undefined || building) return undefined
  return safety.keep.directory.slice(0, -`/${OWN_DIRECTORY}`.length)
}

type Directories = Record<'normal' | 'early' | 'late', string>

/**
 * Writes to the run directory what both passes need: mount points, the target, and the units for the stub to
 * replay (`layers/` in both passes, `first/` and `locked/` in one). Returns the units of the first pass.
 */
function setAside(plan: Plan, run: string, normal: string): UnitFile[] {
  prepareRun(run, plan)
  makeDirectory(`${run}/empty`)
  for (const number of plan.extensions.keys())
    makeDirectory(`${run}/${placeName(number, plan.extensions.length)}`)
  for (const path of stackDirectories(plan)) {
    // An upper layer contains directories with the owners and modes of images. Only root may reach them
    // except through the overlay.
    mkdirSync(`${run}/${path.split('/', 1)[0]}`, { recursive: true, mode: 0o700 })
    mkdirSync(`${run}/${path}`, { recursive: true })
  }

  for (const path of newPlaces(plan)) mkdirSync(`${run}/${path}`, { recursive: true, mode: 0o755 })
  if (plan.rootDevice !== undefined) {
    rmSync(`${run}/volatile-root`, { force: true })
    symlinkSync(`/dev/block/${plan.rootDevice}`, `${run}/volatile-root`)
  }

  rmSync(`${run}/${TREES_LINK}`, { force: true })
  symlinkSync(`${plan.dataRoot}/${TREES}`, `${run}/${TREES_LINK}`)
  for (const { name, text } of mountLists(plan, nextRoot(plan.softReboot)))
    writeFileSync(`${run}/${name}`, text)

  const layers = layerUnits(plan)
  const first = firstPassUnits(plan, normal)
  writeSet(run, 'layers', layers)
  writeSet(run, 'first', first)
  writeSet(run, 'locked', lockedUnits(plan))
  const { safety } = plan
  if (plan.index.key !== undefined && !plan.index.kept) writeFileSync(`${run}/index.key`, plan.index.key)
  if ('trial' in safety && safety.trial) writeFileSync(`${run}/${RECORD_FILE}`, safety.trial.record)
  if (safety.kind === 'restored') writeFileSync(`${run}/${ROLLBACK_FILE}`, `${safety.line}\n`)
  return [...layers, ...first]
}

/** Writes and returns the units of a boot that stays plain although there are extensions. */
function setAsidePlain(
  { plain, rolledBack, messages }: Plain & { messages: Said[] },
  machine: Machine,
  run: string,
): UnitFile[] {
  const { commandLine, collected } = machine
  const leftOut = messages.flatMap(({ leftOut }) => leftOut ?? [])
  const files = [
    ...plainUnits(leftOut, rolledBack?.line ?? plain, commandLine.target, collected),
    ...(rolledBack ? rollbackUnits(rolledBack.line, rolledBack.target) : []),
  ]
  writeSet(run, 'plain', files)
  if (rolledBack) writeFileSync(`${run}/${ROLLBACK_FILE}`, `${rolledBack.line}\n`)
  return files
}

/** Sets aside what generators/steps/report sends to the journal. */
function writeJournal(report: BootReport, run: string): void {
  const entries = journalEntries(report)
  if (entries.length > 0) mkdirSync(`${run}/journal`, { recursive: true })
  for (const [index, text] of entries.entries())
    writeFileSync(`${run}/journal/${String(index).padStart(2, '0')}`, text)
}

/**
 * Has everybody who logs in see that the machine is not as intended: pam_motd(8) shows the files in
 * /run/motd.d.
 */
function sayAtLogin({ root, safety, leftOut, messages }: BootReport, prefix: string): void {
  const isPlain = root === 'plain' && leftOut.some(({ onRequest }) => !onRequest)
  if (!isPlain && safety.kind !== 'rolled back') return
  const line = safety.line ?? messages.at(-1)?.text
  mkdirSync(`${prefix}/run/motd.d`, { recursive: true })
  writeFileSync(`${prefix}/run/motd.d/hostext`, `hostext: ${line}; see "hostext status"\n`)
}

/** Creates a directory. One that an interrupted attempt left behind will do. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function prepareRun(run: string, boot: Boot): void {
  mkdirSync(run, { recursive: true })
  writeFileSync(`${run}/target`, `${boot.target}\n`)
}

/** Saves units for the stub to replay. Removes what an interrupted attempt left behind. */
function writeSet(run: string, name: string, files: readonly UnitFile[]): void {
  const set = `${run}/${name}`
  if (existsSync(set)) rmSync(set, { recursive: true })
  writeFiles(files, { normal: `${set}/normal`, early: `${set}/early`, late: `${set}/late` })
}

/** If the encoding is named, Node writes a string in one native step, which takes a third of the time. */
const NEW_FILE = { encoding: 'utf8', flag: 'wx', mode: 0o666 } as const

/**
 * Of files of one name the first one counts: a plan that makes one twice is a mistake, but nothing to boot
 * plain for. One that was there before is an error.
 */
export function writeFiles(files: readonly UnitFile[], directories: Directories): void {
  const made = new Set<string>()
  for (const file of files) {
    const slash = file.path.indexOf('/')
    const path = `${directories[file.path.slice(0, slash) as 'normal']}${file.path.slice(slash)}`
    const directory = path.slice(0, path.lastIndexOf('/'))
    if (!made.has(directory)) mkdirSync(directory, { recursive: true })
    if (made.has(path)) {
      log({ level: 'warning', text: `${file.path} is made twice: the first one counts` })
      continue
    }
    made.add(directory).add(path)
    if ('link' in file) makeLink(file.link, path)
    else writeFileSync(path, file.text, NEW_FILE)
  }
}

/** systemd-debug-generator(8) may mask the same unit in the same directory, at the same time. */
function makeLink(target: string, path: string): void {
  try {
    symlinkSync(target, path)
  } catch (error) {
    if (target !== '/dev/null' || readlinkSync(path) !== target) throw error
  }
}

function summary(decision: Exclude<Decision, { wait: Wait }>): Message {
  if ('plain' in decision) return { level: 'notice', text: `plain root: ${decision.plain}` }
  const { extensions, state, etc } = decision.plan
  const names = printableList(extensions.map(({ container }) => container.name))
  const writable = [...state, ...(etc.mode === 'read-only' ? [] : [`/etc (${etc.mode})`])]
  const where = writable.length > 0 ? `; writable: ${writable.join(', ')}` : ''
  const count = `${extensions.length} host extension${extensions.length === 1 ? '' : 's'}`
  return { level: 'notice', text: `stacking ${count} over the root: ${names}${where}` }
}

const MARKS: Record<Level, string> = { error: 'error: ', warning: 'warning: ', notice: '', info: '' }

function line({ level, text }: Message): string {
  return `${MARKS[level]}${oneLine(text)}\n`
}
