import { findDataRoots } from '../engine/data-roots.js'
import { ESSENTIAL, USR_MERGED } from '../image/essential.js'
import { hiddenBelow } from '../image/extensions.js'
import { replacedFinder } from '../image/replaced.js'
import { isRealDirectory, type Root, statLink } from '../machine/files.js'
import { devicePath, isAutomatic } from '../machine/fstab.js'
import { isBelow, isMountedWritable, mountOf } from '../machine/mountinfo.js'
import {
  hasMountUnit,
  hostOf,
  isUpToDate,
  type Machine,
  readEngines,
  readMachine,
  readPulledIn,
} from '../machine/system.js'
import type { Level, Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { heldImage } from '../trial/held.js'
import {
  type GoodStack,
  isLastGood,
  type Records,
  readRecords,
  recordStack,
  restoreStack,
  stackText,
} from '../trial/records.js'
import { describeRollback, findPlace, judge, type Verdict } from '../trial/verdict.js'
import { CHANGES, chooseEtc, describeShadowed, persistedIndexes } from './etc.js'
import { describeContainer } from './extension.js'
import {
  type Boot,
  chooseStack,
  chooseState,
  isRootWritable,
  MOST_EXTENSIONS,
  type Plan,
  type Wait,
} from './plan.js'

/** What this boot does: stack, mount the engine's data first, or stay on the plain root; and all there is to say about it. */
export type Decision = ({ plan: Plan } | { wait: Wait } | Plain) & { messages: Message[] }

/**
 * Nothing is stacked, and why. `holders`: the data root in which holders of earlier boots are to be let go.
 * `rolledBack`: the line that says that it is because the stack did not boot well, for the target of this boot.
 */
export type Plain = { plain: string; holders?: string; rolledBack?: { line: string; target: string } }

/** Over it PID 1 mounts the ID that it gives a machine without one, until it can be written: machine-id(5). */
const MACHINE_ID = '/etc/machine-id'

/** The mount type and source of our root overlay, which tell it from any other: findmnt(8). */
export const ROOT_SOURCE = 'hostext'

/** Where balenaOS mounts its data partition, and the file whose absence asks for the partition to be wiped. */
const DATA_PARTITION = '/mnt/data'
const PURGE_MARKER = `${DATA_PARTITION}/remove_me_to_reset`

/** Reads the machine and its engine below `root` and decides. Nothing is written. */
export function decide(root: Root, environment: NodeJS.ProcessEnv): Decision {
  const machine = readMachine(root, environment)
  const { configuration, fstab, mounts, messages } = machine
  const say = (level: Level, text: string): void => void messages.push({ level, text })

  const obstacle = findObstacle(machine)
  if (obstacle) return { plain: obstacle, messages }

  const boot: Boot = {
    target: machine.commandLine.target,
    pulledIn: readPulledIn(root, machine.commandLine.target),
    timeout: configuration.timeout,
  }
  const { candidates, exposed, messages: problems } = findDataRoots(root, configuration.dataRoot)
  messages.push(...problems)
  const missing = new Map(candidates.map((path) => [path, findUnmounted(root, machine, path)]))
  const dataRoots = candidates.filter((path) => !missing.get(path))
  const paths = candidates.filter((path) => missing.get(path))
  const etcUnmounted =
    configuration.etc === 'persistent' && findUnmounted(root, machine, CHANGES) !== undefined
  if (paths.length > 0 && !machine.collected) {
    // All that is needed at once: nothing is asked a third time.
    return { wait: { ...boot, paths: etcUnmounted ? [...paths, CHANGES] : paths }, messages }
  }
  for (const path of paths)
    say('warning', `${missing.get(path)} is not mounted: what an engine has in ${path} is left out`)

  const isDirectory = (path: string): boolean => isRealDirectory(root, path)
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  const rootWritable = isRootWritable(fstabRoot, machine.commandLine, mountOf(mounts, '/'))
  const { state, refused } = chooseState(configuration.state, rootWritable, fstab, isDirectory)
  const findReplaced = replacedFinder(root, [
    ...ESSENTIAL,
    ...configuration.essential,
    ...findPlaces(machine, [...state, ...dataRoots]),
  ])
  const host = hostOf(root, machine)
  const engine = readEngines(root, dataRoots, host, findReplaced, exposed)
  messages.push(...engine.messages)
  const persisted = configuration.etc === 'persistent' ? persistedIndexes(root) : []
  const needIndexes =
    engine.extensions.some(({ contents }) => contents.indexes.size > 0) || persisted.length > 0
  const chosen = chooseStack(engine.extensions, MOST_EXTENSIONS - (needIndexes ? 1 : 0))
  for (const { who, why } of [...engine.leftOut, ...chosen.leftOut])
    say('warning', `left out: ${who}: ${why}`)

  const { dataRoot } = engine
  if (dataRoot === undefined) {
    if (
      configuration.dataRoot &&
      paths.length === 0 &&
      !statLink(root, `${configuration.dataRoot}/containers`)
    )
      say('warning', `DataRoot=${configuration.dataRoot} holds no engine data`)
    const all = engine.leftOut.length > 0 ? 'every extension is left out' : 'no container is a host extension'
    return { plain: all, ...(engine.holders && { holders: engine.holders }), messages }
  }
  const unfit = findUnfit(root, machine, dataRoot)
  if (unfit) return { plain: unfit, messages }

  for (const { path, why } of refused) say('warning', `State=: ${path} ${why}: not bound`)

  const changesMount = mountOf(mounts, CHANGES)
  const { etc, wait, warning } = chooseEtc(configuration.etc, rootWritable, {
    state: state.find((path) => isBelow(CHANGES, path)),
    mounted: changesMount?.mountPoint !== '/' && isMountedWritable(changesMount) && !etcUnmounted,
    willBeMounted: etcUnmounted && !machine.collected,
    kept: statLink(root, `${CHANGES}/upper`)?.isDirectory() ?? false,
  })
  if (wait) return { wait: { ...boot, paths: [CHANGES] }, messages }
  if (warning) say('warning', warning)
  if (etc.mode === 'persistent') for (const text of describeShadowed(root)) say('warning', text)

  const restore = (stack: GoodStack) => restoreStack(root, dataRoot, stack, host, findReplaced)
  const safe = chooseSafely(root, machine, dataRoot, chosen, state, restore)
  messages.push(...safe.messages)
  if ('plain' in safe) return { ...safe, messages }
  const { stack, above, trial, rolledBack, alsoHold } = safe

  const dataMounts = findDataMounts(machine, etc.mode === 'persistent' ? [dataRoot, CHANGES] : [dataRoot])
  const separateUsr = mounts.some(({ mountPoint }) => mountPoint === '/usr')
  const machineId =
    rootWritable && mounts.some(({ mountPoint }) => mountPoint === MACHINE_ID)
      ? { closeRoot: !isMountedWritable(mountOf(mounts, '/')) }
      : undefined
  const keepsMachineId =
    etc.mode === 'persistent' && statLink(root, `${CHANGES}/upper/machine-id`) !== undefined
  const foreign = findForeign(root, machine).filter(
    (path) => path !== MACHINE_ID || !(machineId || keepsMachineId),
  )
  const carried = foreign.filter(isUnitPath)
  for (const path of foreign.filter((path) => !isUnitPath(path)))
    say('warning', `${printable(path)} is not carried over: no unit can name it`)
  const covered = fstab.filter(isAutomatic).map(({ mountPoint }) => mountPoint)
  const others = [...carried, ...covered].filter(
    (path) => !isApi(path) && path !== '/usr' && !state.includes(path),
  )
  const linked = USR_MERGED.map((name) => `/${name}`).filter((path) => statLink(root, path)?.isSymbolicLink())
  for (const [index, extension] of stack.entries()) {
    const who = describeContainer(extension.container)
    const hide = (directories: string[], why: string): void => {
      const hidden = hiddenBelow(root, extension, directories)
      if (hidden.length > 0)
        say('warning', `${who}: its files below ${hidden.join(', ')} are not visible: ${why}`)
    }
    hide(state, 'that is state of the base root')
    hide(others, 'a file system is mounted there')
    if (index >= above) hide(linked, 'the root has a link there, and its place is below /usr')
    if (extension.contents.sysusers && etc.mode === 'read-only')
      say('warning', `${who}: its users (sysusers.d) cannot be made: /etc is read-only`)
  }

  const ships = (stack: Plan['extensions']) =>
    new Set([...stack.flatMap(({ contents }) => [...contents.indexes]), ...persisted])
  return {
    messages,
    plan: {
      ...boot,
      extensions: stack,
      above,
      state,
      etc,
      carried,
      machineId,
      separateUsr: separateUsr && { hasUnit: covered.includes('/usr') || hasMountUnit(root, '/usr') },
      indexes: [...ships(stack)].sort(),
      sysusers: stack.some(({ contents }) => contents.sysusers),
      upToDate: isUpToDate(root),
      rootOptions: fstabRoot?.options ?? [],
      checkRoot: (fstabRoot?.passno ?? 0) > 0,
      dataRoot,
      bindDataRoot:
        mountOf(mounts, dataRoot)?.mountPoint === '/' && !state.some((path) => isBelow(dataRoot, path))
          ? dataRoot
          : undefined,
      dataMounts,
      // A container's root is part of a file system of its host.
      settled: machine.inContainer
        ? []
        : [...(state.length > 0 ? [] : ['/']), ...(separateUsr ? ['/usr'] : [])],
      checkedDevices: fstab.flatMap(({ source, mountPoint, passno }) =>
        passno > 0 && dataMounts.includes(mountPoint) ? (devicePath(source) ?? []) : [],
      ),
      remount: covered.filter((path) => isRemounted(path) && !(path === '/usr' && separateUsr)),
      tmp: state.length > 0 && isDirectory('/tmp') && !covered.includes('/tmp'),
      softReboot: machine.softReboot,
      collected: machine.collected,
      trial,
      rolledBack,
      alsoHold,
    },
  }
}

const NO_RECORDS: Records = { good: [], tried: [], problems: [] }

type Safe = Pick<Plan, 'trial' | 'rolledBack' | 'alsoHold' | 'above'> & { stack: Plan['extensions'] }

/**
 * The stack that may be booted: the chosen one, on trial if it has never booted well; in place of one that did not boot
 * well the last good one that can be had again (`restore` throws where it cannot), or none.
 */
function chooseSafely(
  root: Root,
  { configuration, commandLine, mounts }: Machine,
  dataRoot: string,
  { stack, above }: { stack: Plan['extensions']; above: number },
  state: readonly string[],
  restore: (stack: GoodStack) => Plan['extensions'],
): (Safe | Plain) & { messages: Message[] } {
  const chosen: Safe = { stack, above, trial: undefined, rolledBack: undefined, alsoHold: [] }
  if (configuration.attempts === 0) return { ...chosen, messages: [] }
  const recorded = recordStack(stack, above)
  const record = stackText(recorded)
  const isKnown = isLastGood(root, dataRoot, record)
  const records = isKnown ? NO_RECORDS : readRecords(root, dataRoot)
  const verdict: Verdict = isKnown ? { kind: 'good' } : judge(recorded, records, configuration.attempts)
  const messages: Message[] = records.problems.map((text) => ({ level: 'warning', text }))
  const say = (level: Level, text: string): void => void messages.push({ level, text })
  if (verdict.kind === 'bad') {
    const { back, problems } = restoreGood(records.good, restore)
    for (const text of problems) say('warning', `the last good stack cannot be booted: ${text}`)
    const line = describeRollback(verdict, back ? 'the last good stack' : 'plain root')
    say('error', line)
    if (!back) return { plain: 'rolled back', rolledBack: { line, target: commandLine.target }, messages }
    return { ...chosen, stack: back.stack, above: back.good.above, rolledBack: line, messages }
  }

  const place = findPlace(mounts, dataRoot, state)
  if ('off' in place) {
    say('notice', `rollback is off: ${place.off}: a stack that does not boot well is tried again`)
    return { ...chosen, messages }
  }
  if (verdict.kind === 'good') return { ...chosen, messages }
  say(
    'notice',
    `on trial: boot ${verdict.attempt} of ${configuration.attempts} that this stack has to boot well in`,
  )
  const { settle, trialTimeout: timeout } = configuration
  return {
    ...chosen,
    trial: { attempt: verdict.attempt, record, place, settle, timeout },
    // The one that would be gone back to. What is not there any more cannot be held.
    alsoHold: restoreGood(records.good, restore).back?.stack.map(heldImage) ?? [],
    messages,
  }
}

/** The last good stack that can be had again, and why those after it cannot. */
function restoreGood(
  stacks: readonly GoodStack[],
  restore: (stack: GoodStack) => Plan['extensions'],
): { back?: { good: GoodStack; stack: Plan['extensions'] }; problems: string[] } {
  const problems: string[] = []
  for (const good of stacks) {
    try {
      return { back: { good, stack: restore(good) }, problems }
    } catch (error) {
      problems.push((error as Error).message)
    }
  }
  return { problems }
}

/** Why this boot stays plain whatever the engine has, or undefined. */
function findObstacle(machine: Machine): string | undefined {
  const { commandLine, configuration, inContainer, mounts, softReboot, hasNextRoot, updateWaits } = machine
  if (commandLine.off) return commandLine.off
  if (inContainer && !configuration.container) return 'running in a container, and Container=no'
  if (commandLine.otherTarget) return commandLine.otherTarget
  if (updateWaits) return 'an offline update waits (/system-update)'
  const base = mountOf(mounts, '/')
  if (base?.source === ROOT_SOURCE) return 'the root is stacked already'
  if (!softReboot && !hasNextRoot) return 'no directory /usr/lib/hostext/nextroot to switch to'
  // `lowerdir+=` has one layer each: how Linux 6.8 shows those that were added one by one.
  const lower =
    base?.superOptions.flatMap((option) => /^lowerdir\+?=(.*)/.exec(option)?.[1]?.split(':') ?? []) ?? []
  // FILESYSTEM_MAX_STACK_DEPTH in include/linux/fs.h. Lower directories that only the initrd could see are not
  // found here; then the kernel refuses, and the machine boots plain as well.
  if (base?.type === 'overlay' && lower.some((path) => mountOf(mounts, path)?.type === 'overlay'))
    return 'the root is an overlay over an overlay already, and the kernel stacks no deeper'
  return undefined
}

/** Why nothing of this data root may or can be stacked, or undefined. */
function findUnfit(root: Root, { mounts }: Machine, dataRoot: string): string | undefined {
  const mount = mountOf(mounts, dataRoot)
  if (mount?.mountPoint === DATA_PARTITION && !statLink(root, PURGE_MARKER))
    return `${PURGE_MARKER} is missing: the data partition is about to be wiped`
  if (mount?.type === 'overlay')
    return `${dataRoot} is on an overlay (${mount.mountPoint}), and the kernel stacks two deep at most`
  return undefined
}

/** The mount points, other than the root, that `paths` are on. */
function findDataMounts({ mounts }: Machine, paths: string[]): string[] {
  const places = paths.map((path) => mountOf(mounts, path)?.mountPoint ?? '/')
  // One that no unit can name has none whose order matters.
  return [...new Set(places.filter((place) => place !== '/' && isUnitPath(place)))].sort()
}

/** The mount point that `path` will be on once the machine has mounted all it has to mount, if that is missing yet. */
function findUnmounted(root: Root, { fstab, mounts }: Machine, path: string): string | undefined {
  const isMissing = (mountPoint: string): boolean => !mounts.some((mount) => mount.mountPoint === mountPoint)
  for (let place = path; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const isMounted = fstab.some((entry) => isAutomatic(entry) && entry.mountPoint === place)
    if ((isMounted || hasMountUnit(root, place)) && isMissing(place)) return place
  }
  return undefined
}

/**
 * What the initrd has mounted and no unit would mount again after the switch: it is carried over. /usr is
 * stacked instead, because extensions have files there.
 */
function findForeign(root: Root, { mounts, fstab }: Machine): string[] {
  const places = new Set(mounts.map(({ mountPoint }) => mountPoint))
  return [...places].filter(
    (place) =>
      !isApi(place) &&
      place !== '/usr' &&
      !fstab.some((entry) => isAutomatic(entry) && entry.mountPoint === place) &&
      !hasMountUnit(root, place),
  )
}

/** Where PID 1 has the kernel's file systems, and takes them along to the new root. */
const API = ['/dev', '/proc', '/sys', '/run', '/tmp']

/**
 * Where something is mounted in the new root, by the first pass, by PID 1 or later: `/home/`. An image that has a link or a file
 * in such a place would cost the whole stack, in each boot, before anything is on trial.
 */
function findPlaces({ mounts, fstab }: Machine, paths: readonly string[]): string[] {
  const mountPoints = [
    ...mounts.map(({ mountPoint }) => mountPoint),
    ...fstab.filter(isAutomatic).map(({ mountPoint }) => mountPoint),
  ]
  return [...API, ...new Set([...paths, ...mountPoints.filter((path) => !isApi(path))])].map(
    (path) => `${path}/`,
  )
}

/** The root itself, what PID 1 carries over, and /tmp, which its sandbox for generators covers. */
function isApi(path: string): boolean {
  return path === '/' || /^\/(?:proc|sys|dev|run|tmp)(?:\/|$)/.test(path)
}

/** What systemd-remount-fs(8) remounts besides the root: /usr and the kernel's file systems. */
function isRemounted(path: string): boolean {
  return path === '/usr' || /^\/(?:proc|sys|dev|run)(?:\/(?:shm|pts|mqueue|hugepages))?$/.test(path)
}
