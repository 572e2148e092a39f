import { findUnfitDataRoot, isDataRoot } from '../engine/data-roots.js'
import type { Host } from '../image/compatibility.js'
import { type Found, readExtensions } from '../image/extensions.js'
import type { FindReplaced } from '../image/replaced.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { unitName } from '../text/unit-syntax.js'
import { COLLECTED } from '../units/layer.js'
import { type Configuration, readConfiguration } from './configuration.js'
import { listDirectory, type Root, readText, resolveLinks, statLink } from './files.js'
import { type FstabEntry, parseFstab } from './fstab.js'
import {
  type KernelCommandLine,
  readCommandLine,
  splitArguments,
  splitCommandLine,
} from './kernel-command-line.js'
import { type MountPoint, parseMountinfo } from './mountinfo.js'
import { readOsRelease } from './os-release.js'

/** What is known of the machine before its engine's data is looked at. */
export type Machine = {
  commandLine: KernelCommandLine
  configuration: Configuration
  inContainer: boolean
  mounts: MountPoint[]
  fstab: FstabEntry[]
  /** systemd 254 or later, which has soft-reboot.target. */
  softReboot: boolean
  /** Whether a switch-root has a directory to mount the new root on. */
  hasNextRoot: boolean
  /** An offline update waits: systemd.offline-updates(7). */
  updateWaits: boolean
  /** The running kernel's, as in /usr/lib/modules/<release>. */
  release: string
  /** The engine's file systems are mounted as far as they can be: the first step of this boot is done. */
  collected: boolean
  messages: Message[]
}

/** Reads everything about the machine. What cannot be read counts as absent, with a warning. */
export function readMachine(root: Root, environment: NodeJS.ProcessEnv): Machine {
  const inContainer =
    environment.SYSTEMD_VIRTUALIZATION?.startsWith('container:') ||
    statLink(root, '/run/systemd/container') !== undefined
  const { configuration, messages } = readConfiguration(root)
  const read = (path: string): string => {
    const text = readText(root, path)
    if (text instanceof Error) messages.push({ level: 'warning', text: text.message })
    return typeof text === 'string' ? text : ''
  }
  return {
    // In a container /proc/cmdline is the host's; PID 1's arguments take its place, as for systemd.
    commandLine: readCommandLine(
      inContainer ? splitArguments(read('/proc/1/cmdline')) : splitCommandLine(read('/proc/cmdline')),
    ),
    configuration,
    inContainer,
    mounts: parseMountinfo(read('/proc/self/mountinfo')),
    fstab: parseFstab(read('/etc/fstab')),
    softReboot: UNIT_DIRECTORIES.some((directory) => exists(root, `${directory}/soft-reboot.target`)),
    hasNextRoot: exists(root, '/usr/lib/hostext/nextroot'),
    updateWaits: exists(root, '/system-update') || exists(root, '/etc/system-update'),
    release: read('/proc/sys/kernel/osrelease').trim(),
    collected: exists(root, COLLECTED),
    messages,
  }
}

/** What images may ask for of the machine, and whether it takes those of containers that have been started. */
export function hostOf(root: Root, { release, commandLine, configuration }: Machine): Host {
  const { id, versionId } = readOsRelease(root)
  const { started } = configuration
  return {
    release,
    kernelAbi: commandLine.kernelAbi,
    versionId,
    // The supervisor of balenaOS starts its extensions.
    takesStarted: started === 'auto' ? id === 'balena-os' : started,
  }
}

function exists(root: Root, path: string): boolean {
  return statLink(root, path) !== undefined
}

/** `dataRoot`: where the extensions are; `holders`: where there are containers that hold some. */
export type Engines = Omit<Found, 'hasHolders'> & {
  dataRoot: string | undefined
  holders: string | undefined
}

/**
 * Finds the extensions of the first of `dataRoots` that has any; the containers of a second engine cannot be
 * ordered among them, so they are named and left out. `exposed`: data roots that others than root could have made, and
 * why; as any that cannot be trusted, they are left out as a whole.
 */
export function readEngines(
  root: Root,
  dataRoots: readonly string[],
  host: Host,
  findReplaced: FindReplaced,
  exposed: ReadonlyMap<string, string> = new Map(),
): Engines {
  const result: Engines = {
    dataRoot: undefined,
    holders: undefined,
    extensions: [],
    leftOut: [],
    messages: [],
  }
  for (const dataRoot of dataRoots.filter((path) => isDataRoot(root, path))) {
    let found: Found
    try {
      const problem = exposed.get(dataRoot) ?? findUnfitDataRoot(root, dataRoot)
      if (problem) throw new Error(problem)
      found = readExtensions(root, dataRoot, host, findReplaced)
    } catch (error) {
      const who = `all that the engine has in ${printable(dataRoot)}`
      result.leftOut.push({ who, why: (error as Error).message })
      continue
    }
    if (found.hasHolders) result.holders ??= dataRoot
    result.messages.push(...found.messages)
    result.leftOut.push(...found.leftOut)
    if (result.dataRoot === undefined && found.extensions.length > 0) {
      result.dataRoot = dataRoot
      result.extensions = found.extensions
    } else if (found.extensions.length > 0) {
      const why = `${dataRoot} is the data root of a second engine; ${result.dataRoot} is in use`
      result.leftOut.push(
        ...found.extensions.map(({ container }) => ({ who: printable(container.name), why })),
      )
    }
  }
  return result
}

/** Where systemd finds units, but the generators' own directories: systemd.unit(5). */
const UNIT_DIRECTORIES = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

/** The links that make `target` pull in units, as `<target>.wants/<unit>`, each once, sorted. */
export function readPulledIn(root: Root, target: string): string[] {
  const links = new Set<string>()
  for (const directory of UNIT_DIRECTORIES.filter((directory) => exists(root, directory))) {
    for (const kind of ['wants', 'requires', 'upholds']) {
      try {
        for (const name of listDirectory(root, `${directory}/${target}.${kind}`))
          links.add(`${target}.${kind}/${name}`)
      } catch {
        // systemd cannot read it either.
      }
    }
  }
  return [...links].sort()
}

/** Where systems and administrators have mount units: fewer places than units may be, because this is asked often. */
const MOUNT_UNIT_DIRECTORIES = ['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system']

/**
 * Whether the system has a unit of its own, not one from fstab, that mounts something at `path`. The first
 * directory that has it counts; one that is masked, a link to /dev/null, mounts nothing.
 */
export function hasMountUnit(root: Root, path: string): boolean {
  const name = unitName(path, 'mount')
  const directory = MOUNT_UNIT_DIRECTORIES.find((directory) => exists(root, `${directory}/${name}`))
  return directory !== undefined && resolveLinks(root, `${directory}/${name}`) !== '/dev/null'
}

/**
 * Whether the root has applied the last change of its /usr to its /etc: ConditionNeedsUpdate= in
 * systemd.unit(5), by the same comparison, before any extension changes the times.
 */
export function isUpToDate(root: Root): boolean {
  const usr = statLink(root, '/usr')
  const done = readText(root, '/etc/.updated', 4096)
  const time = typeof done === 'string' ? /^TIMESTAMP_NSEC=(\d+)/m.exec(done)?.[1] : undefined
  if (!usr || time === undefined) return false
  return usr.mtimeMs * 1e6 <= Number(time)
}
