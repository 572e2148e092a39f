import { describeContainer, named } from '../engine/engine.js'
import type { EngineFacts } from '../image/engines.js'
import type { Extension, LeftOut } from '../image/extension.js'
import { AUTOMATIC_STATE } from '../machine/configuration.js'
import { CHANGES } from '../machine/etc-changes.js'
import { devicePath, isAutomatic, remountOptions } from '../machine/fstab.js'
import type { Index } from '../machine/indexes.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, isMountedWritable, type MountPoint, mountOf } from '../machine/mountinfo.js'
import { isRemote, isShare, type PlannedMount } from '../machine/planned.js'
import type { Level } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { findAgainst } from './against.js'
import { type Back, findBack } from './back.js'
import { describeBooted } from './base-change.js'
import {
  chooseEtc,
  describeShadowed,
  findChangesPlace,
  findMountedLater,
  findShadowed,
  keepsEtc,
} from './etc.js'
import type { Against, Facts, Reading, RecordFacts, TrialName } from './facts.js'
import {
  findDataMounts,
  findForeign,
  findLocal,
  findMissing,
  findShowing,
  findUnmounted,
  isApi,
  isFromInitrd,
  isRemounted,
} from './mounts.js'
import { describeNothing } from './nothing.js'
import { findObstacle, findUnfit, MACHINE_ID } from './obstacle.js'
import { chooseStack, countAbove, MOST_EXTENSIONS } from './order.js'
import { describeLost, isDispensable, planOverlays } from './overlays.js'
import type { Boot, Decision, Plain, Plan, Said, Wait } from './plan.js'
import { type Recorded, recordOn, stackText } from './record.js'
import { findUnknown, leaveOut, readSkips, refuseSkipped, type Skips } from './skip.js'
import { chooseState, findOwn, findUsed, hasWritableRoot, READ_ONLY_TYPES, withData } from './state.js'
import {
  describeRollback,
  findMarks,
  findPlace,
  findReturn,
  judge,
  type Mark,
  type Place,
  type Trial,
  type Verdict,
} from './verdict.js'
import { awaitMounts } from './wait.js'

/**
 * Decides what this boot does, or says what has to be read first. Pure: the same facts give the same
 * decision.
 */
export function decide(facts: Facts): Decision | { read: Reading } {
  const { machine } = facts
  const { configuration, fstab, mounts } = machine
  const messages: Said[] = [...machine.messages]
  const say = (level: Level, text: string): void => void messages.push({ level, text })
  const leave = (out: LeftOut): void => void messages.push(sayLeftOut(out))

  const { once } = machine.commandLine
  if (once) say('warning', `this boot has ${once}: the next one is shown without it`)
  const obstacle = findObstacle(machine)
  if (obstacle) return { plain: obstacle, messages }

  const boot: Boot = {
    target: machine.commandLine.target,
    pulledIn: [...machine.pulledIn, ...machine.hooked, ...(machine.commandLine.debugUnits ?? [])],
    timeout: configuration.timeout,
  }
  type Demand = { mount: PlannedMount; named: boolean }
  const waitFor = (demands: Demand[]): Wait => ({
    ...boot,
    ...awaitMounts(machine, demands),
    ...{ mounting: true, preparing: [], remount: undefined },
    ...{ generators: machine.otherGenerators, askers: machine.askers },
  })
  const { places: candidates, containerd, images, messages: problems } = facts.dataRoots
  messages.push(...problems)
  // What an engine has left is only looked at if it is there.
  const wanted = [...candidates.filter(({ left }) => left === undefined), ...containerd, ...images]
  const places = candidates.filter((place) => findMissing(machine, place).length === 0)
  const demands = wanted.flatMap((place): (Demand & { place: string })[] => {
    const named = 'source' in place && place.source !== undefined
    return findMissing(machine, place).map((mount) => ({ mount, named, place: place.path }))
  })
  // A place that nothing names is only waited for if it is on this machine.
  const hoped = demands.filter(({ named, mount }) => !named && !isRemote(mount))
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  const rootWritable = hasWritableRoot(machine)
  const etcMount = keepsEtc(machine) ? findUnmounted(machine, CHANGES) : undefined
  const etcDemand = etcMount && !isRemote(etcMount) ? [{ mount: etcMount, named: false }] : []
  if (demands.some(({ named }) => named) && !machine.collected)
    // Everything that is missing at once: there is no third try.
    return { wait: waitFor([...demands.filter(({ named }) => named), ...hoped, ...etcDemand]), messages }

  const { state: possible, refused } = chooseState(
    configuration.state,
    rootWritable,
    machine.planned,
    machine.directories,
  )
  const directories = findOwn(mounts, possible)
  if (configuration.state !== 'auto')
    for (const path of possible.filter((path) => !directories.includes(path)))
      refused.push({ path, why: 'is on a file system of its own (mounted before systemd)' })
  const used = rootWritable ? findUsed(machine, directories) : []
  const writable = used.filter(({ kind }) => kind === 'directory').map(({ path }) => path)
  // Images have the same trees, whatever has mounted the state.
  const look = findAgainst(machine, places, possible, writable)
  if (!facts.engines) return { read: { what: 'engines', engines: places, ...look } }
  const { engine, leftOut } = chooseEngine(facts.engines)
  if (!engine && hoped.length > 0 && !machine.collected)
    return { wait: waitFor([...hoped, ...etcDemand]), messages }
  for (const mountPoint of new Set(demands.map(({ mount }) => mount.mountPoint))) {
    const lost = demands.flatMap(({ mount, place }) => (mount.mountPoint === mountPoint ? place : []))
    const text = `${mountPoint} is not mounted: whatever an engine keeps in ${lost.join(' ')} is left out`
    say(engine && !machine.collected ? 'notice' : 'warning', text)
  }
  for (const { messages: said } of facts.engines) messages.push(...said)
  const changesPlace = findChangesPlace(machine, directories, etcMount)
  const { etc, wait, lost } = chooseEtc(configuration.etc, rootWritable, changesPlace, findEtcMount(machine))
  const etcChanges = etc.mode === 'persistent' ? machine.etcChanges : undefined
  const persisted = etcChanges?.indexes ?? []
  leftOut.forEach(leave)
  const skips = readSkips(machine)
  messages.push(...findUnknown(skips, facts.engines))

  if (engine === undefined) {
    if (configuration.dataRoot && demands.length === 0 && facts.engines.length === 0)
      say('warning', `DataRoot=${configuration.dataRoot} holds no engine data`)
    if (leftOut.length > 0) return { plain: 'every extension is left out', messages }
    if (!facts.unread) return { read: { what: 'unread' } }
    const generators = machine.collected ? [] : machine.otherGenerators
    return { plain: describeNothing(candidates, facts.engines, facts.unread, generators), messages }
  }
  const { place: enginePlace, dataRoot } = engine
  const { extensions, unprepared, skipped, isReduced } = leaveOut(engine, skips)
  skipped.forEach(leave)
  const data = [...new Set([enginePlace, dataRoot])]
  const isTmpMasked = (etcChanges ?? machine).masksTmp
  const hasTmp = machine.directories.includes('/tmp')
  // It is on the disk then, as on the plain root, but not against State=none. A bind needs no unit.
  const tmp = isTmpMasked && hasTmp && rootWritable && configuration.state.length > 0 ? ['/tmp'] : []
  const needed = [...data, ...machine.uses.map(({ path }) => path)]
  const mountedLater =
    etcChanges && configuration.state === 'auto' ? findMountedLater(etcChanges, possible, needed) : []
  const own = directories.filter((path) => !mountedLater.includes(path))
  const state = withData(machine, [...new Set([...own, ...tmp, ...used.map(({ path }) => path)])], data)
  const unfit = findUnfit(machine, dataRoot)
  if (unfit) return { plain: unfit, messages }

  for (const { path, why } of refused) say('warning', `State=: ${path} ${why}: ignored`)

  const isOnRoot = mountOf(mounts, dataRoot)?.mountPoint === '/'
  const closed = findClosed(mountOf(mounts, dataRoot), isOnRoot && rootWritable)
  const toPrepare = closed === undefined ? unprepared.map(({ container }) => container.name) : []
  const remount: Wait['remount'] =
    isOnRoot && toPrepare.length > 0
      ? { options: remountOptions(fstabRoot?.options ?? []), check: (fstabRoot?.passno ?? 0) > 0 }
      : undefined
  if (wait) return { wait: { ...waitFor(etcDemand), preparing: toPrepare, remount }, messages }
  if (lost) messages.push(lost)
  const looked = [...possible, CHANGES, ...wanted.map(({ path }) => path)]
  const shadowed = etcChanges ? findShadowed(etcChanges, looked, mountedLater) : []
  for (const path of shadowed) say('warning', describeShadowed(path))

  const { otherGenerators: generators } = machine
  if ((toPrepare.length > 0 || generators.length > 0) && !machine.collected) {
    const wait = { ...waitFor([]), paths: [dataRoot], mounting: false, preparing: toPrepare, remount }
    return { wait, messages }
  }
  const needIndexes = persisted.length > 0 || extensions.some(({ contents }) => contents.indexes.length > 0)
  const newPlaces = findNewPlaces(machine, state)
  const others = [needIndexes, newPlaces.length > 0].filter(Boolean).length
  const chosen = chooseStack(extensions, MOST_EXTENSIONS - others)
  const notPrepared = unprepared.map(({ container, change }) => ({
    who: describeContainer(container),
    container: named(container),
    why: `it is not prepared: ${machine.unprepared[container.id] ?? ([change, closed].filter(Boolean).join('; ') || 'the preparation did not end')}`,
  }))
  for (const out of [...notPrepared, ...chosen.leftOut]) leave(out)

  const choice = { stack: chosen.stack, isIncomplete: notPrepared.length > 0, isReduced, skips }
  const safe = chooseSafely(facts, dataRoot, choice, state, look)
  if ('read' in safe) return safe
  if ('plain' in safe) return { ...safe, messages: [...messages, ...safe.messages] }
  const { stack, safety } = safe

  const isBound = !isOnRoot && isOther(mounts, dataRoot)
  if (!isBound || mountOf(mounts, '/')?.type === 'overlay')
    for (const unit of machine.merging)
      say('warning', `${unit} will fail, and its images are missing: the root is two overlays deep`)
  const linked = machine.uses.flatMap(({ path, written }) =>
    written !== undefined && state.some((place) => isBelow(path, place)) ? written : [],
  )
  const planned = planOverlays(machine, [...state, ...linked], stack, isBound)
  for (const lost of planned.lost) {
    if (!isDispensable(lost.mount)) return { plain: describeLost(lost), messages }
    say('warning', describeLost(lost))
  }
  // Only now is it certain that there is a stack to speak of.
  messages.push(...safe.messages)
  if (machine.enforcesSelinux)
    say('warning', 'SELinux is set to enforcing: it may keep services from files of extensions')
  const indexes = [...new Set([...stack.flatMap(({ contents }) => contents.indexes), ...persisted])].sort()
  if (indexes.length > 0 && !facts.indexes) return { read: { what: 'indexes', dataRoot } }
  const index = findIndex(facts, stack, indexes, persisted.length > 0)

  const separateUsr = mounts.some(({ mountPoint }) => mountPoint === '/usr')
  // The root of a container is on a file system of its host.
  const unreached = machine.inContainer
    ? []
    : [...(state.length > 0 ? [] : ['/']), ...(separateUsr ? ['/usr'] : [])]
  const showing = new Map(unreached.map((place) => [place, findShowing(machine, place, unreached)]))
  const standing = findDataMounts(
    machine,
    [...data, ...(etc.mode === 'persistent' ? [CHANGES] : [])],
    [...showing.values()].flat(),
  )
  const isOn = (isIt: (mount: PlannedMount) => boolean) => (path: string) =>
    machine.planned.some((mount) => mount.mountPoint === path && isIt(mount))
  const machineId =
    rootWritable && mounts.some(({ mountPoint }) => mountPoint === MACHINE_ID)
      ? { closeRoot: !isMountedWritable(mountOf(mounts, '/')) }
      : undefined
  const foreign = findForeign(machine).filter(
    (path) => path !== MACHINE_ID || !(machineId || etcChanges?.machineId),
  )
  const carried = foreign.filter((path) => isUnitPath(path) && !state.includes(path))
  for (const path of foreign.filter((path) => !isUnitPath(path)))
    say('warning', `${printable(path)} is not carried over: no unit can name it`)
  const covered = machine.planned.map(({ mountPoint }) => mountPoint)
  const isCovered = (path: string): boolean => covered.includes(path)
  const losesTmp =
    hasTmp && !state.includes('/tmp') && (rootWritable || state.length > 0 || isCovered('/tmp'))
  if (losesTmp && isTmpMasked) say('warning', '/tmp is read-only: tmp.mount is masked')
  const overRoot = planned.overlays.map(({ mount }) => mount.mountPoint)
  const hiding = [...new Set([...carried, ...covered, ...mountedLater])].filter(
    (path) => !isApi(path) && path !== '/usr' && !state.includes(path) && !overRoot.includes(path),
  )
  for (const extension of stack) {
    const who = describeContainer(extension.container)
    const hide = (directories: string[], why: string): void => {
      const hidden = directories.filter((path) => extension.covered.includes(path))
      if (hidden.length > 0)
        say('warning', `${who}: its files below ${hidden.join(', ')} are not visible: ${why}`)
    }
    hide(hiding, 'a file system is mounted there')
    hide(writable, 'it stays as it is on the base root, because a mount of the machine writes to it')
    const dead = AUTOMATIC_STATE.filter(
      (path) => !look.state.includes(path) && extension.contents.top.includes(path.slice(1)),
    )
    if (dead.length > 0)
      say(
        'warning',
        `${who}: its files below ${dead.join(', ')} are read-only: this machine keeps no state there`,
      )
    if (extension.contents.sysusers && etc.mode === 'read-only')
      say('warning', `${who}: its users (sysusers.d) cannot be created: /etc is read-only`)
  }

  return {
    messages,
    plan: {
      ...boot,
      extensions: stack,
      leftOut: messages.flatMap(({ leftOut }) => leftOut ?? []),
      state,
      copied: findLocal(machine, look.state),
      // systemd names the unit by the path in fstab, and one more by that in /proc/swaps.
      swapFiles: used.flatMap(({ path, kind, written = path }) =>
        kind === 'swap' ? [...new Set([path, written])] : [],
      ),
      overlays: planned.overlays,
      places: newPlaces,
      rootDevice: machine.rootDevice,
      etc,
      bound: isBound,
      showsBase: machine.hasBase,
      carried,
      fromInitrd: machine.planned
        .filter((mount) => isFromInitrd(machine, mount))
        .map(({ mountPoint }) => mountPoint),
      machineId,
      separateUsr: separateUsr && {
        hasUnit: isCovered('/usr'),
      },
      indexes,
      index,
      sysusers: stack.some(({ contents }) => contents.sysusers),
      upToDate: machine.upToDate,
      rootOptions: fstabRoot?.options ?? [],
      checkRoot: (fstabRoot?.passno ?? 0) > 0,
      enginePlace,
      dataRoot,
      boundData: data.filter(
        (path, _, all) =>
          mountOf(mounts, path)?.mountPoint === '/' &&
          ![...state, ...all.filter((other) => other !== path)].some((other) => isBelow(path, other)),
      ),
      dataMounts: standing.filter((path) => !isOn(isShare)(path)),
      online: standing.filter((path) => findDataMounts(machine, [], [path]).some(isOn(isRemote))),
      closedBeforeSwitch: unreached.filter((place) => showing.get(place)?.length === 0),
      // Once, whatever of it is mounted: subvolumes.
      checkedDevices: [
        ...new Set(
          machine.planned.flatMap(({ source, mountPoint, passno }) =>
            passno > 0 && standing.includes(mountPoint) ? (devicePath(source) ?? []) : [],
          ),
        ),
      ],
      // Only what is in fstab: systemd-remount-fs(8).
      remount: fstab
        .filter(isAutomatic)
        .flatMap(({ mountPoint }) =>
          isRemounted(mountPoint) && !(mountPoint === '/usr' && separateUsr) ? mountPoint : [],
        ),
      tmp: losesTmp && !isTmpMasked && !isCovered('/tmp'),
      packages: machine.packages,
      softReboot: machine.softReboot,
      collected: machine.collected,
      safety,
    },
  }
}

/** What mounts something at /etc: before PID 1, or later; undefined if nothing does. */
function findEtcMount({ mounts, planned }: Machine): string | undefined {
  const mount = planned.find(({ mountPoint }) => mountPoint === '/etc')
  if (mount) return mount.from
  return mounts.some(({ mountPoint }) => mountPoint === '/etc') ? 'something before systemd' : undefined
}

/** The mount points that systemd cannot create on the locked root. */
function findNewPlaces({ absent, planned }: Machine, state: readonly string[]): string[] {
  const others = (path: string) => planned.filter(({ mountPoint }) => mountPoint !== path)
  return absent
    .filter(
      (path) =>
        !isApi(path) &&
        isUnitPath(path) &&
        ![...state, ...others(path).map(({ mountPoint }) => mountPoint)].some((place) =>
          isBelow(path, place),
        ),
    )
    .sort()
}

/** The engine in use: the first one that has extensions. */
export function findEngine(engines: readonly EngineFacts[]): EngineFacts | undefined {
  return engines.find(({ extensions, unprepared }) => extensions.length + unprepared.length > 0)
}

/**
 * Extensions of a second engine cannot be ordered among those of the first, so they are named and left out.
 */
function chooseEngine(engines: readonly EngineFacts[]): {
  engine: EngineFacts | undefined
  leftOut: EngineFacts['leftOut']
} {
  const engine = findEngine(engines)
  const leftOut = engines.flatMap((other) => {
    if (other === engine) return other.leftOut
    const why = `it is in ${other.place} (${other.name}), and the extensions of this machine come from ${engine?.place} (${engine?.name}); DataRoot= in hostext.conf chooses`
    const names = [...chooseStack(other.extensions, other.extensions.length).stack, ...other.unprepared]
    const out = names.map(({ container }) => ({
      who: printable(container.name),
      why,
      container: named(container),
    }))
    return [...other.leftOut, ...out]
  })
  return { engine, leftOut }
}

function sayLeftOut(out: LeftOut): Said {
  return {
    level: out.onRequest ? 'notice' : 'warning',
    text: `left out: ${out.who}: ${out.why}`,
    leftOut: out,
  }
}

type Safe = Pick<Plan, 'safety'> & { stack: Extension[] }

/**
 * The stack that was chosen. `isIncomplete`: an extension is missing because it could not be prepared.
 * `isReduced`: the kernel command line leaves one out; `skips`: what is left out on request.
 */
type Choice = { stack: Extension[]; isIncomplete: boolean; isReduced: boolean; skips: Skips }

/**
 * The stack that may be booted. This is the chosen one, on trial if it has never booted well on this base. If
 * it did not boot well, it is a good one that can still be stacked, or none. If it is incomplete, a good
 * stack, if there is one, is better than a part of a new one.
 */
function chooseSafely(
  { machine, ...facts }: Facts,
  dataRoot: string,
  { stack, isIncomplete, isReduced, skips }: Choice,
  state: readonly string[],
  look: Against,
): ((Safe | Plain) & { messages: Said[] }) | { read: Reading } {
  const { configuration, commandLine, inContainer, mounts, identity } = machine
  const { attempts, settle, trialTimeout: timeout, failedUnits } = configuration
  const messages: Said[] = []
  const say = (level: Level, text: string): void => void messages.push({ level, text })
  const chosen: Safe | Plain =
    stack.length > 0
      ? { stack, safety: { kind: 'known', keep: undefined } }
      : { plain: 'every extension is left out' }
  if (attempts === 0) return { ...chosen, messages }
  const recorded = recordOn(identity, stack)
  const record = stackText(recorded)
  const kind = isReduced ? 'reduced' : 'trial'
  let verdict: Verdict = { kind: 'good' }
  let records: Pick<RecordFacts, 'good' | 'tried'> = { good: [], tried: [] }
  // In almost every boot this equals the record of the last good stack, byte for byte. Then no record has to
  // be parsed.
  const isKnown = record === facts.lastGood
  if (!isKnown) {
    if (!facts.records) return { read: { what: 'records', dataRoot, ...look } }
    records = { ...facts.records, good: refuseSkipped(facts.records.good, skips) }
    verdict = judge(recorded, records, attempts, kind)
    for (const text of facts.records.problems) say('warning', text)
  }
  const place = findPlace(mounts, dataRoot, state)
  const makeTrial = (name: TrialName, attempt: number, stack: Recorded, place: Place): Trial => {
    const marks = findMarks({ name, attempt }, records.good, identity)
    return {
      name,
      attempt,
      record: stackText(stack),
      place,
      marks,
      failedUnits,
      settle,
      timeout,
      inContainer,
    }
  }
  const sayOff = (why: string): void =>
    say('notice', `rollback is off: ${why}: a stack that does not boot well is tried again`)
  const goBack = ({ stack, trial }: Back, line: string, culprits: string[]): Safe => {
    say('error', line)
    if (trial && 'off' in place) sayOff(place.off)
    if (!trial || 'off' in place) return { stack, safety: { kind: 'restored', line, culprits } }
    const { attempt, change } = trial
    say('notice', `on trial: boot ${attempt} of ${attempts}; ${describeBooted(change)}`)
    const back = makeTrial('back', attempt, recordOn(identity, stack), place)
    return { stack, safety: { kind: 'restored', line, culprits, trial: back } }
  }
  const findGood = (triesOthers: boolean): Back | undefined => {
    const { back, problems } = findBack(records, identity, attempts, triesOthers)
    for (const text of problems) say('warning', `the last good stack cannot be booted: ${text}`)
    return back
  }
  if (verdict.kind === 'bad') {
    // In place of a bad stack, one of another base is only tried if that can be recorded.
    const back = findGood(!('off' in place || verdict.change))
    const line = describeRollback(verdict, back ? 'the last good stack' : 'the plain root')
    const { culprits } = verdict
    if (back) return { ...goBack(back, line, culprits), messages }
    say('error', line)
    return { plain: 'rolled back', rolledBack: { line, culprits, target: commandLine.target }, messages }
  }

  if (isIncomplete && !isKnown) {
    // A part of the new stack has not booted well either, and could be recorded no better.
    const back = findGood(true)
    if (back) {
      const kept = new Set(back.stack.map(({ container }) => container.id))
      for (const { container } of stack.filter(({ container }) => !kept.has(container.id))) {
        const why = 'the last good stack does not have it'
        messages.push(sayLeftOut({ who: describeContainer(container), why, container: named(container) }))
      }
      const line = 'not everything could be prepared: booting the last good stack'
      return { ...goBack(back, line, []), messages }
    }
  }
  if ('plain' in chosen) return { ...chosen, messages }

  if ('off' in place) {
    sayOff(place.off)
    return { ...chosen, messages }
  }
  if (verdict.kind === 'good') {
    // One boot without an extension does not count.
    const marks = isReduced ? [] : findReturn(recorded, records.good)
    if (marks.length === 0) return { stack, safety: { kind: 'known', keep: place }, messages }
    const mark: Mark = { place, marks, failedUnits: 'ignore', settle }
    return { stack, safety: { kind: 'known', keep: undefined, mark }, messages }
  }
  const { attempt, change } = verdict
  const why = change ? describeBooted(change) : 'this stack has not booted well yet'
  say('notice', `on trial: boot ${attempt} of ${attempts}; ${why}`)
  return { stack, safety: { kind: 'trial', trial: makeTrial(kind, attempt, recorded, place) }, messages }
}

/** Why nothing can be written to the file system of the engine's data; undefined if something can. */
function findClosed(mount: MountPoint | undefined, isRootWritable: boolean): string | undefined {
  const where = mount?.mountPoint ?? '/'
  const isOpen =
    where === '/' ? isRootWritable : isMountedWritable(mount) && !READ_ONLY_TYPES.includes(mount?.type ?? '')
  return isOpen ? undefined : `the file system of ${where}, which has the engine's data, is read-only`
}

/**
 * What the indexes are made from, and the kept ones that were made from the same. Those that contain changes
 * to /etc are made in each boot.
 */
function findIndex(
  { machine, indexes: facts }: Facts,
  stack: readonly Extension[],
  indexes: readonly Index[],
  isPersisted: boolean,
): Plan['index'] {
  const key = [
    `indexes: ${indexes.join(' ')}`,
    `trees: ${stack.map(({ tree }) => tree).join(' ')}`,
    `above: ${countAbove(stack)}`,
    `kernel: ${machine.release}`,
    `root: ${facts?.sources}`,
    '',
  ].join('\n')
  if (isPersisted || indexes.length === 0) return { key: undefined, kept: undefined }
  return { key, kept: facts?.kept.find((other) => other.key === key)?.name }
}

/** Whether the file system at `path` is neither the root's nor that of /usr. */
function isOther(mounts: readonly MountPoint[], path: string): boolean {
  const device = mountOf(mounts, path)?.device
  return ['/', '/usr'].every((place) => mountOf(mounts, place)?.device !== device)
}
