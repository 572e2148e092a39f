import { describeContainer } from '../engine/container.js'
import type { EngineFacts } from '../image/engines.js'
import { ESSENTIAL } from '../image/essential.js'
import type { Extension } from '../image/extension.js'
import { CHANGES } from '../machine/etc-changes.js'
import { devicePath, isAutomatic } from '../machine/fstab.js'
import { isBelow, isMountedWritable, mountOf } from '../machine/mountinfo.js'
import { hasMountUnit } from '../machine/unit-files.js'
import type { Level, Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { chooseEtc, describeShadowed, findChangesPlace } from './etc.js'
import type { Facts, GoodStack, Reading } from './facts.js'
import { findDataMounts, findForeign, findMountPoints, findUnmounted, isApi, isRemounted } from './mounts.js'
import { findObstacle, findUnfit } from './obstacle.js'
import { chooseStack, isAbove, MOST_EXTENSIONS } from './order.js'
import type { Boot, Decision, Plain, Plan } from './plan.js'
import { recordStack, stackText } from './record.js'
import { chooseState, isRootWritable } from './state.js'
import { describeRollback, findPlace, judge, type Verdict } from './verdict.js'

/**
 * PID 1 mounts a new ID over this file on a machine without one, until the ID can be written: machine-id(5).
 */
const MACHINE_ID = '/etc/machine-id'

/**
 * Decides what this boot does, or says what has to be read first. Pure: the same facts give the same
 * decision.
 */
export function decide(facts: Facts): Decision | { read: Reading } {
  const { machine } = facts
  const { configuration, fstab, mounts } = machine
  const messages = [...machine.messages]
  const say = (level: Level, text: string): void => void messages.push({ level, text })

  const obstacle = findObstacle(machine)
  if (obstacle) return { plain: obstacle, messages }

  const boot: Boot = {
    target: machine.commandLine.target,
    pulledIn: machine.pulledIn,
    timeout: configuration.timeout,
  }
  const { candidates, messages: problems } = facts.dataRoots
  messages.push(...problems)
  const missing = new Map(candidates.map((path) => [path, findUnmounted(machine, path)]))
  const dataRoots = candidates.filter((path) => !missing.get(path))
  const paths = candidates.filter((path) => missing.get(path))
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  const rootWritable = isRootWritable(fstabRoot, machine.commandLine, mountOf(mounts, '/'))
  const keepsEtc = configuration.etc === 'persistent' || (configuration.etc === 'auto' && rootWritable)
  const etcUnmounted = keepsEtc && findUnmounted(machine, CHANGES) !== undefined
  if (paths.length > 0 && !machine.collected) {
    // Everything that is missing at once: there is no third try.
    return { wait: { ...boot, paths: etcUnmounted ? [...paths, CHANGES] : paths }, messages }
  }
  for (const path of paths)
    say('warning', `${missing.get(path)} is not mounted: whatever an engine keeps in ${path} is left out`)

  const { state, refused } = chooseState(configuration.state, rootWritable, fstab, machine.directories)
  const mountPoints = findMountPoints(machine, [...state, ...dataRoots])
  const look = {
    essential: [...ESSENTIAL, ...configuration.essential, ...mountPoints.map((path) => `${path}/`)],
    places: [...mountPoints, ...machine.links],
  }
  if (!facts.engines) return { read: { what: 'engines', dataRoots, ...look } }
  const { engine, leftOut } = chooseEngine(facts.engines)
  for (const { messages: said } of facts.engines) messages.push(...said)
  const changesPlace = findChangesPlace(machine, state, etcUnmounted)
  const { etc, wait, lost } = chooseEtc(configuration.etc, rootWritable, changesPlace)
  const etcChanges = etc.mode === 'persistent' ? machine.etcChanges : undefined
  const persisted = etcChanges?.indexes ?? []
  const extensions = engine?.extensions ?? []
  const needIndexes = persisted.length > 0 || extensions.some(({ contents }) => contents.indexes.length > 0)
  const chosen = chooseStack(extensions, MOST_EXTENSIONS - (needIndexes ? 1 : 0))
  for (const { who, why } of [...leftOut, ...chosen.leftOut]) say('warning', `left out: ${who}: ${why}`)

  if (engine === undefined) {
    if (configuration.dataRoot && paths.length === 0 && facts.engines.length === 0)
      say('warning', `DataRoot=${configuration.dataRoot} holds no engine data`)
    const all = leftOut.length > 0 ? 'every extension is left out' : 'no container is a host extension'
    return { plain: all, messages }
  }
  const { dataRoot } = engine
  const unfit = findUnfit(machine, dataRoot)
  if (unfit) return { plain: unfit, messages }

  for (const { path, why } of refused) say('warning', `State=: ${path} ${why}: ignored`)

  if (wait) return { wait: { ...boot, paths: [CHANGES] }, messages }
  if (lost) messages.push(lost)
  for (const path of etcChanges?.shadowed ?? []) say('warning', describeShadowed(path))

  const safe = chooseSafely(facts, dataRoot, chosen.stack, state, look)
  if ('read' in safe) return safe
  messages.push(...safe.messages)
  if ('plain' in safe) return { ...safe, messages }
  const { stack, safety } = safe

  const dataMounts = findDataMounts(machine, etc.mode === 'persistent' ? [dataRoot, CHANGES] : [dataRoot])
  const separateUsr = mounts.some(({ mountPoint }) => mountPoint === '/usr')
  const machineId =
    rootWritable && mounts.some(({ mountPoint }) => mountPoint === MACHINE_ID)
      ? { closeRoot: !isMountedWritable(mountOf(mounts, '/')) }
      : undefined
  const foreign = findForeign(machine).filter(
    (path) => path !== MACHINE_ID || !(machineId || etcChanges?.machineId),
  )
  const carried = foreign.filter(isUnitPath)
  for (const path of foreign.filter((path) => !isUnitPath(path)))
    say('warning', `${printable(path)} is not carried over: no unit can name it`)
  const covered = fstab.filter(isAutomatic).map(({ mountPoint }) => mountPoint)
  const others = [...carried, ...covered].filter(
    (path) => !isApi(path) && path !== '/usr' && !state.includes(path),
  )
  for (const extension of stack) {
    const who = describeContainer(extension.container)
    const hide = (directories: string[], why: string): void => {
      const hidden = directories.filter((path) => extension.covered.includes(path))
      if (hidden.length > 0)
        say('warning', `${who}: its files below ${hidden.join(', ')} are not visible: ${why}`)
    }
    hide(state, 'state of the base root is there')
    hide(others, 'a file system is mounted there')
    if (!isAbove(extension))
      hide(machine.links, 'the root has a link there, and such files belong below /usr')
    if (extension.contents.sysusers && etc.mode === 'read-only')
      say('warning', `${who}: its users (sysusers.d) cannot be created: /etc is read-only`)
  }

  return {
    messages,
    plan: {
      ...boot,
      extensions: stack,
      state,
      etc,
      carried,
      machineId,
      separateUsr: separateUsr && {
        hasUnit: covered.includes('/usr') || hasMountUnit(machine.mountUnits, '/usr'),
      },
      indexes: [...new Set([...stack.flatMap(({ contents }) => contents.indexes), ...persisted])].sort(),
      sysusers: stack.some(({ contents }) => contents.sysusers),
      upToDate: machine.upToDate,
      rootOptions: fstabRoot?.options ?? [],
      checkRoot: (fstabRoot?.passno ?? 0) > 0,
      dataRoot,
      bindDataRoot:
        mountOf(mounts, dataRoot)?.mountPoint === '/' && !state.some((path) => isBelow(dataRoot, path))
          ? dataRoot
          : undefined,
      dataMounts,
      // The root of a container is on a file system of its host.
      closedBeforeSwitch: machine.inContainer
        ? []
        : [...(state.length > 0 ? [] : ['/']), ...(separateUsr ? ['/usr'] : [])],
      checkedDevices: fstab.flatMap(({ source, mountPoint, passno }) =>
        passno > 0 && dataMounts.includes(mountPoint) ? (devicePath(source) ?? []) : [],
      ),
      remount: covered.filter((path) => isRemounted(path) && !(path === '/usr' && separateUsr)),
      tmp: state.length > 0 && machine.directories.includes('/tmp') && !covered.includes('/tmp'),
      packages: machine.packages,
      softReboot: machine.softReboot,
      collected: machine.collected,
      safety,
    },
  }
}

/**
 * Chooses the first engine that has extensions. Those of a second engine cannot be ordered among them, so
 * they are named and left out.
 */
function chooseEngine(engines: readonly EngineFacts[]): {
  engine: EngineFacts | undefined
  leftOut: EngineFacts['leftOut']
} {
  const engine = engines.find(({ extensions }) => extensions.length > 0)
  const leftOut = engines.flatMap((other) => {
    if (other === engine) return other.leftOut
    const why = `${other.dataRoot} is the data root of a second engine; ${engine?.dataRoot} is in use`
    const names = chooseStack(other.extensions, other.extensions.length).stack
    return [...other.leftOut, ...names.map(({ container }) => ({ who: printable(container.name), why }))]
  })
  return { engine, leftOut }
}

type Safe = Pick<Plan, 'safety'> & { stack: Extension[] }

/**
 * The stack that may be booted. This is the chosen one, on trial if it has never booted well. If it did not
 * boot well, it is the last good one that can still be stacked, or none.
 */
function chooseSafely(
  { machine, ...facts }: Facts,
  dataRoot: string,
  stack: Extension[],
  state: readonly string[],
  look: { essential: string[]; places: string[] },
): ((Safe | Plain) & { messages: Message[] }) | { read: Reading } {
  const { configuration, commandLine, inContainer, mounts } = machine
  const messages: Message[] = []
  const say = (level: Level, text: string): void => void messages.push({ level, text })
  const chosen: Safe = { stack, safety: { kind: 'known' } }
  if (configuration.attempts === 0) return { ...chosen, messages }
  if (facts.lastGood === undefined) return { read: { what: 'last good record', dataRoot } }
  const recorded = recordStack(stack)
  const record = stackText(recorded)
  let verdict: Verdict = { kind: 'good' }
  let good: readonly GoodStack[] = []
  // In almost every boot this equals the record of the last good stack, byte for byte. Then no record has to
  // be parsed.
  if (record !== facts.lastGood) {
    if (!facts.records) return { read: { what: 'records', dataRoot, ...look } }
    verdict = judge(recorded, facts.records, configuration.attempts)
    good = facts.records.good
    for (const text of facts.records.problems) say('warning', text)
  }
  if (verdict.kind === 'bad') {
    const { back, problems } = findRestored(good)
    for (const text of problems) say('warning', `the last good stack cannot be booted: ${text}`)
    const line = describeRollback(verdict, back ? 'the last good stack' : 'the plain root')
    say('error', line)
    if (!back) return { plain: 'rolled back', rolledBack: { line, target: commandLine.target }, messages }
    return { stack: back, safety: { kind: 'restored', line }, messages }
  }

  const place = findPlace(mounts, dataRoot, state)
  if ('off' in place) {
    say('notice', `rollback is off: ${place.off}: a stack that does not boot well is tried again`)
    return { ...chosen, messages }
  }
  if (verdict.kind === 'good') return { ...chosen, messages }
  say(
    'notice',
    `on trial: boot ${verdict.attempt} of ${configuration.attempts}; this stack has not booted well yet`,
  )
  const { settle, trialTimeout: timeout } = configuration
  const trial = { attempt: verdict.attempt, record, place, settle, timeout, inContainer }
  return { stack, safety: { kind: 'trial', trial }, messages }
}

/** The first good stack that can still be stacked, and why those before it cannot. */
function findRestored(good: readonly GoodStack[]): { back: Extension[] | undefined; problems: string[] } {
  const problems: string[] = []
  for (const { restored } of good) {
    if (Array.isArray(restored)) return { back: restored, problems }
    problems.push(restored.problem)
  }
  return { back: undefined, problems }
}
