import type { Message } from '../text/log.js'
import { AUTOMATIC_STATE, type Configuration, readConfiguration } from './configuration.js'
import { type EtcChanges, readEtcChanges } from './etc-changes.js'
import { isRealDirectory, type Root, readText, statLink } from './files.js'
import { type FstabEntry, parseFstab } from './fstab.js'
import {
  type KernelCommandLine,
  readCommandLine,
  splitArguments,
  splitCommandLine,
} from './kernel-command-line.js'
import { type MountPoint, parseMountinfo } from './mountinfo.js'
import { type OsRelease, readOsRelease } from './os-release.js'
import { COLLECTED } from './run-directory.js'
import { readMountUnits, readPulledIn, UNIT_DIRECTORIES } from './unit-files.js'

/** What is known of the machine before its engine's data is looked at: values alone, as JSON has them. */
export type Machine = {
  commandLine: KernelCommandLine
  configuration: Configuration
  inContainer: boolean
  mounts: MountPoint[]
  fstab: FstabEntry[]
  os: OsRelease
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
  /** Links by which the target of this boot pulls in units. */
  pulledIn: string[]
  /** The names of the mount units that the system has itself. */
  mountUnits: string[]
  /** Which of the directories that may be state, and /tmp, are real directories. */
  directories: string[]
  /** The directories at the top that are links, on a usr-merged root: file-hierarchy(7). */
  links: string[]
  /** The root has applied the last change of its /usr to its /etc. */
  upToDate: boolean
  /** The file of balenaOS is there whose absence asks for the data partition to be wiped. */
  hasPurgeMarker: boolean
  /** Asked for only where changes to /etc are to be kept. */
  etcChanges: EtcChanges | undefined
  messages: Message[]
}

/** Where balenaOS mounts its data partition, and the file whose absence asks for the partition to be wiped. */
export const DATA_PARTITION = '/mnt/data'
export const PURGE_MARKER = `${DATA_PARTITION}/remove_me_to_reset`

/** The directories at the top that are links to those of the same name below /usr, on a usr-merged root: file-hierarchy(7). */
export const USR_MERGED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']

/** Reads everything about the machine. What cannot be read counts as absent, with a warning. */
export function readMachine(root: Root, environment: NodeJS.ProcessEnv): Machine {
  const has = (path: string): boolean => statLink(root, path) !== undefined
  const inContainer =
    environment.SYSTEMD_VIRTUALIZATION?.startsWith('container:') || has('/run/systemd/container')
  const { configuration, messages } = readConfiguration(root)
  const read = (path: string): string => {
    const text = readText(root, path)
    if (text instanceof Error) messages.push({ level: 'warning', text: text.message })
    return typeof text === 'string' ? text : ''
  }
  // In a container /proc/cmdline is the host's; PID 1's arguments take its place, as for systemd.
  const commandLine = readCommandLine(
    inContainer ? splitArguments(read('/proc/1/cmdline')) : splitCommandLine(read('/proc/cmdline')),
  )
  const { state, etc } = configuration
  const maybeState = state === 'auto' ? AUTOMATIC_STATE : state
  return {
    commandLine,
    configuration,
    inContainer,
    mounts: parseMountinfo(read('/proc/self/mountinfo')),
    fstab: parseFstab(read('/etc/fstab')),
    os: readOsRelease(root),
    softReboot: UNIT_DIRECTORIES.some((directory) => has(`${directory}/soft-reboot.target`)),
    hasNextRoot: has('/usr/lib/hostext/nextroot'),
    updateWaits: has('/system-update') || has('/etc/system-update'),
    release: read('/proc/sys/kernel/osrelease').trim(),
    collected: has(COLLECTED),
    pulledIn: readPulledIn(root, commandLine.target),
    mountUnits: readMountUnits(root),
    directories: [...new Set([...maybeState, '/tmp'])].filter((path) => isRealDirectory(root, path)),
    links: USR_MERGED.map((name) => `/${name}`).filter((path) => statLink(root, path)?.isSymbolicLink()),
    upToDate: isUpToDate(root),
    hasPurgeMarker: has(PURGE_MARKER),
    etcChanges: etc === 'persistent' ? readEtcChanges(root) : undefined,
    messages,
  }
}

/**
 * Whether the root has applied the last change of its /usr to its /etc: ConditionNeedsUpdate= in
 * systemd.unit(5), by the same comparison, before any extension changes the times.
 */
function isUpToDate(root: Root): boolean {
  const usr = statLink(root, '/usr')
  const done = readText(root, '/etc/.updated', 4096)
  const time = typeof done === 'string' ? /^TIMESTAMP_NSEC=(\d+)/m.exec(done)?.[1] : undefined
  if (!usr || time === undefined) return false
  return usr.mtimeMs * 1e6 <= Number(time)
}
