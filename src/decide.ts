import { hiddenBelow } from './engine/extensions.js'
import { describeContainer } from './extension.js'
import { type Root, statLink } from './files.js'
import type { Message } from './log.js'
import { isBelow, mountOf } from './mountinfo.js'
import { chooseStack, chooseState, isRootWritable, type Plan } from './plan.js'
import { type Machine, readEngines, readMachine, readPulledIn } from './system.js'

/** What this boot does: stack, or stay on the plain root, and all there is to say about it. */
export type Decision = { plan: Plan; messages: Message[] } | { plain: string; messages: Message[] }

/** The mount type and source of our root overlay, which tell it from any other: findmnt(8). */
export const ROOT_SOURCE = 'hostext'

/** Reads the machine and its engine below `root` and decides. Nothing is written. */
export function decide(root: Root, environment: NodeJS.ProcessEnv): Decision {
  const machine = readMachine(root, environment)
  const { configuration, fstab, mounts, messages } = machine

  const obstacle = findObstacle(machine)
  if (obstacle) return { plain: obstacle, messages }

  const engine = readEngines(root, configuration.dataRoot)
  messages.push(...engine.messages)
  const { stack, above, leftOut } = chooseStack(engine.extensions)
  for (const { who, why } of [...engine.leftOut, ...leftOut]) {
    messages.push({ level: 'warning', text: `left out: ${who}: ${why}` })
  }
  const { dataRoot } = engine
  if (dataRoot === undefined) {
    const all = engine.leftOut.length > 0 ? 'every extension is left out' : 'no container is a host extension'
    return { plain: all, messages }
  }

  const isDirectory = (path: string): boolean => statLink(root, path)?.isDirectory() ?? false
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === '/')
  const rootMount = mountOf(mounts, '/')
  const { state, missing } = chooseState(
    configuration.state,
    isRootWritable(fstabRoot, machine.commandLine, rootMount),
    fstab,
    isDirectory,
  )
  for (const path of missing) {
    messages.push({ level: 'warning', text: `State=: ${path} is no directory of the root: not bound` })
  }
  for (const extension of stack) {
    const hidden = hiddenBelow(root, extension, state)
    if (hidden.length > 0) {
      const text = `${describeContainer(extension.container)}: its files below ${hidden.join(', ')} are not visible: that is state of the base root`
      messages.push({ level: 'warning', text })
    }
  }

  return {
    messages,
    plan: {
      extensions: stack,
      above,
      state,
      rootOptions: fstabRoot?.options ?? [],
      checkRoot: (fstabRoot?.passno ?? 0) > 0,
      bindDataRoot:
        mountOf(mounts, dataRoot)?.mountPoint === '/' && !state.some((path) => isBelow(dataRoot, path))
          ? dataRoot
          : undefined,
      remount: fstab.map(({ mountPoint }) => mountPoint).filter(isRemounted),
      tmp: state.length > 0 && isDirectory('/tmp') && !fstab.some(({ mountPoint }) => mountPoint === '/tmp'),
      target: machine.commandLine.target,
      pulledIn: readPulledIn(root, machine.commandLine.target),
      softReboot: machine.softReboot,
      timeout: configuration.timeout,
    },
  }
}

/** Why this boot stays plain whatever the engine has, or undefined. */
function findObstacle(machine: Machine): string | undefined {
  const { commandLine, configuration, inContainer, mounts, fstab, softReboot, hasNextRoot, updateWaits } =
    machine
  if (commandLine.off) return commandLine.off
  if (inContainer && !configuration.container) return 'running in a container, and Container=no'
  if (commandLine.otherTarget) return commandLine.otherTarget
  if (updateWaits) return 'an offline update waits (/system-update)'
  if (mountOf(mounts, '/')?.source === ROOT_SOURCE) return 'the root is stacked already'
  if (!softReboot && !hasNextRoot) return 'no directory /usr/lib/hostext/nextroot to switch to'
  const foreign = mounts.find(
    ({ mountPoint }) => !isApi(mountPoint) && !fstab.some((entry) => entry.mountPoint === mountPoint),
  )
  // An overlay does not cross mount points, and nothing would mount this one again after the switch.
  if (foreign) return `${foreign.mountPoint} is a file system of its own that fstab does not mount`
  return undefined
}

/** The root itself, what PID 1 carries over, and /tmp, which its sandbox for generators covers. */
function isApi(path: string): boolean {
  return path === '/' || /^\/(?:proc|sys|dev|run|tmp)(?:\/|$)/.test(path)
}

/** What systemd-remount-fs(8) remounts besides the root: /usr and the kernel's file systems. */
function isRemounted(path: string): boolean {
  return path === '/usr' || /^\/(?:proc|sys|dev|run)(?:\/(?:shm|pts|mqueue|hugepages))?$/.test(path)
}
