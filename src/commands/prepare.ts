import { appendFileSync, rmSync } from 'node:fs'
import { describeContainer } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import type { EngineFacts } from '../image/engines.js'
import type { Unprepared } from '../image/extension.js'
import { isTreeName, makeBase, readTreeFacts, TREES } from '../image/kept.js'
import { findEssentialLibraries } from '../image/libraries.js'
import {
  keepTrees,
  makeOwnDirectory,
  makePending,
  type PendingTree,
  type Preparation,
} from '../image/prepare.js'
import { at, listDirectory, type Root, reason, statLink } from '../machine/files.js'
import { nameOf } from '../machine/os-release.js'
import { RUN_DIRECTORY, UNPREPARED } from '../machine/run-directory.js'
import { readAndDecide, type Which } from '../read.js'
import { findEngine } from '../stack/decide.js'
import type { Facts } from '../stack/facts.js'
import { findOver } from '../stack/mounts.js'
import type { Decision } from '../stack/plan.js'
import { leaveOut, readSkips } from '../stack/skip.js'
import { log } from '../text/log.js'
import { printable } from '../text/printable.js'
import { findUnfitHome } from '../trial/home.js'
import { keepIndexes, removeIndexes } from '../trial/indexes.js'
import { withLock } from '../trial/lock.js'
import { readLastGood } from '../trial/records.js'
import { hasStacked, neededTrees, removeTrees } from '../trial/unused.js'

/** Milliseconds after which a preparation says how far it is, for somebody who looks at a console. */
const PATIENCE = 2000

/**
 * `hostext prepare`: prepares the images of all extensions that are not prepared yet, removes the trees that
 * nothing needs, and shows those that are kept. `isBoot`: in the first pass of a boot, for which nothing is
 * removed, and which reads afterwards what could not be prepared. Returns the lines to print, and whether
 * everything is prepared.
 */
export async function prepare(
  root: Root,
  environment: NodeJS.ProcessEnv,
  isBoot: boolean,
): Promise<Prepared> {
  // Nothing else runs in the first pass of a boot.
  if (isBoot) return prepareAlone(root, environment, isBoot)
  const { facts, decision } = readAndDecide(root, environment, whichBoot(root, false))
  const dataRoot = findHome(root, facts)
  if (dataRoot === undefined) return { lines: [`nothing to prepare: ${whyNothing(decision)}`], done: true }
  const wait = (): void =>
    log({ level: 'notice', text: 'another preparation is at work: waiting until it has ended' })
  try {
    makeOwnDirectory(root, dataRoot)
  } catch (error) {
    // What has to be prepared says so itself.
    log({ level: 'warning', text: (error as Error).message })
    return prepareAlone(root, environment, isBoot)
  }
  // It reads again: another preparation may have done it meanwhile.
  return withLock(root, dataRoot, wait, () => prepareAlone(root, environment, isBoot))
}

/** The data root in which something is to be prepared, or may have been kept; undefined if there is none. */
function findHome(root: Root, { engines = [] }: Facts): string | undefined {
  const engine = findEngine(engines)
  if (engine) return engine.dataRoot
  return engines.find(
    ({ isRefused, dataRoot }) => !isRefused && statLink(root, `${dataRoot}/${OWN_DIRECTORY}`),
  )?.dataRoot
}

/** Of a system that need not be running nobody knows which kernel will: it is the boot that judges that. */
function whichBoot({ prefix }: Root, isBoot: boolean): Which {
  return isBoot ? 'preparing' : prefix === '' ? 'whole' : 'any'
}

type Prepared = { lines: string[]; done: boolean }

/** Why there is nothing to prepare where no engine was found. */
function whyNothing(decision: Decision): string {
  if ('plain' in decision) return decision.plain
  return 'wait' in decision && decision.wait.mounting
    ? `the engine's data is on a file system that is not mounted: ${[...decision.wait.paths, ...decision.wait.hoped].join(' ')}`
    : 'the engine has no data here'
}

async function prepareAlone(root: Root, environment: NodeJS.ProcessEnv, isBoot: boolean): Promise<Prepared> {
  const lines: string[] = []
  let done = true
  /** IDs of containers. */
  const tried = new Set<string>()
  // Until nothing new is found: an engine may take long to write a container.
  for (;;) {
    const { facts, decision } = readAndDecide(root, environment, whichBoot(root, isBoot))
    const engine = findEngine(facts.engines ?? [])
    if (!engine) {
      lines.push(`nothing to prepare: ${whyNothing(decision)}`, ...(isBoot ? [] : tidyAll(root, facts)))
      return { lines, done }
    }
    const left = leaveOut(engine, readSkips(facts.machine))
    const wanted = left.unprepared.filter(({ container }) => !tried.has(container.id))
    if (wanted.length === 0) {
      if (isBoot) return { lines, done }
      const others = [...engine.leftOut, ...left.skipped].map(({ who, why }) => `left out: ${who}: ${why}`)
      lines.push(...others, ...tidyUp(root, engine), ...removeLeft(root, engine, facts))
      return { lines, done }
    }
    for (const { container } of wanted) tried.add(container.id)
    const found = await prepareThese(root, facts, engine, wanted, isBoot)
    lines.push(...found.lines)
    done &&= found.done
    // Nothing else runs in the first pass.
    if (isBoot) return { lines, done }
  }
}

async function prepareThese(
  root: Root,
  { machine, state = [] }: Facts,
  { dataRoot }: EngineFacts,
  wanted: Unprepared[],
  isBoot: boolean,
): Promise<Prepared> {
  const lines: string[] = []
  let done = true
  const preparation: Preparation = {
    root,
    dataRoot,
    base: makeBase(root, nameOf(machine.os), state, findOver(machine)),
    libraries: once(() => findEssentialLibraries(root)),
  }
  const tell = (what: string, unprepared: Unprepared, { message }: Error): void => {
    done = false
    if (isBoot) tellBoot(root, unprepared, message)
    else lines.push(`${what}: ${describeContainer(unprepared.container)}: ${message}`)
  }
  let pending: PendingTree[] = []
  // In a boot, the clock may be set meanwhile.
  let keptAt = process.uptime()
  const keep = (): void => {
    const trees = pending
    pending = []
    keptAt = process.uptime()
    if (trees.length === 0) return
    try {
      keepTrees(root, dataRoot, trees)
    } catch (error) {
      // The next ones may be kept, and what nothing needs can be removed.
      for (const unprepared of wanted)
        if (trees.some(({ facts }) => facts.layers === unprepared.layers.chain))
          tell('not kept', unprepared, error as Error)
    }
  }
  const isMuch = (): boolean =>
    pending.reduce((sum, { facts }) => sum + facts.files, 0) > FILES_AT_RISK ||
    process.uptime() - keptAt > TIME_AT_RISK
  /** Images that are prepared, for containers that have the same. */
  const made = new Set<string>()
  for (const [number, unprepared] of wanted.entries()) {
    const who = describeContainer(unprepared.container)
    const image = unprepared.layers.chain
    if (made.has(image)) {
      lines.push(`prepared: ${who}: it has the same image as another one`)
      continue
    }
    try {
      const { tree, line } = await prepareOne(preparation, unprepared, number)
      pending.push(tree)
      made.add(image)
      lines.push(`prepared: ${who}: ${line}`)
      if (isMuch()) keep()
    } catch (error) {
      tell('not prepared', unprepared, error as Error)
    }
  }
  keep()
  return { lines, done }
}

/**
 * The most files in trees that a power cut would lose, and the seconds of work. A machine gets on even
 * if its power is cut often, or if a watchdog resets it a minute after each start.
 */
const FILES_AT_RISK = 20_000
const TIME_AT_RISK = 10

/** Prepares one image, and says on the log how far it is if that takes long. `line`: what was made. */
async function prepareOne(
  preparation: Preparation,
  { container, layers }: Unprepared,
  number: number,
): Promise<{ tree: PendingTree; line: string }> {
  const who = printable(container.name, 60)
  const started = Date.now()
  let told = started
  const progress = (entries: number): void => {
    const now = Date.now()
    if (now - told < PATIENCE) return
    told = now
    log({ level: 'notice', text: `preparing ${who}: ${entries} files so far` })
  }
  const tree = await makePending({ ...preparation, progress }, layers, container.imageId, number)
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  return { tree, line: `${tree.facts.files} files, ${tree.facts.directories} directories, ${seconds} s` }
}

/** Leaves the reason for the decision of this boot. */
function tellBoot(root: Root, { container }: Unprepared, why: string): void {
  if (!statLink(root, RUN_DIRECTORY)) return
  const line = JSON.stringify({ id: container.id, why: printable(why, 500) })
  appendFileSync(`${root.prefix}${UNPREPARED}`, `${line}\n`)
}

/** Tidies all data roots up of which no extension is left. Of one that is refused nothing is known. */
function tidyAll(root: Root, { engines = [] }: Facts): string[] {
  return engines.flatMap((engine) => (engine.isRefused ? [] : tidyUp(root, engine)))
}

/** Removes what nothing needs. Returns lines about that and about what is kept. */
function tidyUp(root: Root, { dataRoot, extensions, trees }: EngineFacts): string[] {
  const needed = neededTrees(root, dataRoot)
  for (const tree of trees) needed.add(tree)
  const indexes = keep(root, dataRoot, needed)
  const removed = removeTrees(root, dataRoot, needed)
  const kept = listDirectory(root, `${dataRoot}/${TREES}`)
    .filter(isTreeName)
    .map((name) => {
      const facts = readTreeFacts(root, dataRoot, name)
      const user = extensions.find(({ tree }) => tree === name)
      const other = trees.includes(name) ? 'an extension that is left out' : 'a stack of an earlier boot'
      const who = user ? describeContainer(user.container) : `for ${other}`
      return `kept: ${name}: ${who}, ${facts?.files ?? 0} files of ${mebibytes(facts?.bytes ?? 0)} MiB`
    })
  return [...indexes, ...removed.map((name) => `removed: ${name}: nothing needs it`), ...kept]
}

/**
 * Removes what was kept in a store that the engine has left, once a stack of the one in use has booted well.
 */
function removeLeft(
  root: Root,
  { dataRoot, homes }: EngineFacts,
  { engines = [], dataRoots }: Facts,
): string[] {
  if (readLastGood(root, dataRoot) === undefined) return []
  const left = homes.filter(
    (home) => !engines.some((other) => other.dataRoot === home) && !hasStacked(root, home),
  )
  return left.flatMap((home) => {
    const directory = `${home}/${OWN_DIRECTORY}`
    if (!statLink(root, directory) || findUnfitHome(root, dataRoots, home) !== undefined) return []
    // Or half of a tree would count as whole when the engine comes back to this store.
    removeTrees(root, home, new Set())
    removeIndexes(root, home, new Set())
    rmSync(at(root, directory), { recursive: true })
    return [`removed: ${directory}: the engine has left this store`]
  })
}

/** Keeps what can be kept of the indexes: where the disk is read-only or full, they are made in each boot. */
function keep(root: Root, dataRoot: string, needed: ReadonlySet<string>): string[] {
  try {
    return keepIndexes(root, dataRoot, needed)
  } catch (error) {
    return [`the indexes of this boot are not kept: ${reason(error)}`]
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}

function once<Result>(make: () => Result): () => Result {
  let made: { result: Result } | undefined
  return () => {
    made ??= { result: make() }
    return made.result
  }
}
