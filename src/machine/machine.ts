import { parseObject } from '../text/json.js'
import type { Message } from '../text/log.js'
import { type BaseIdentity, readBaseIdentity } from './base-identity.js'
import { findDeviceNumber } from './block-device.js'
import { AUTOMATIC_STATE, type Configuration, readConfiguration } from './configuration.js'
import { readCrypttab, type Volume } from './crypttab.js'
import { type EtcChanges, readEtcChanges } from './etc-changes.js'
import { changedAt, isRealDirectory, type Root, readText, statLink } from './files.js'
import { type FstabEntry, isAutomatic, isReadOnly, parseFstab } from './fstab.js'
import { NO_GPT, readGpt } from './gpt.js'
import {
  type KernelCommandLine,
  readCommandLine,
  splitArguments,
  splitCommandLine,
} from './kernel-command-line.js'
import { type MountPoint, mountOf, parseMountinfo } from './mountinfo.js'
import { withoutStack } from './next-boot.js'
import { type OsRelease, readOsRelease } from './os-release.js'
import { readOtherGenerators } from './other-generators.js'
import { type Packages, readPackages } from './packages.js'
import { type PlannedMount, readPlanned, readSwaps } from './planned.js'
import { BASE, COLLECTED, UNPREPARED } from './run-directory.js'
import {
  findUnit,
  isTmpMasked,
  readAskers,
  readEnabled,
  readHooked,
  readMerging,
  readPulledIn,
  unitDirectories,
} from './unit-files.js'
import { readUses, type Use } from './uses.js'

/**
 * What is known about the machine before its engine's data is read. Plain values only, so that it can be kept
 * as JSON.
 */
export type Machine = {
  commandLine: KernelCommandLine
  configuration: Configuration
  inContainer: boolean
  /**
   * Whether PID 1 takes this boot for the first one (ConditionFirstBoot= in systemd.unit(5)), and the disk of
   * the root can be written to.
   */
  isFirstBoot: boolean
  mounts: readonly MountPoint[]
  fstab: FstabEntry[]
  os: OsRelease
  /** Whether systemd has soft-reboot.target (254 and later). */
  softReboot: boolean
  /** Whether the directory exists on which a switch-root mounts the new root. */
  hasNextRoot: boolean
  /** Whether an offline update is waiting: systemd.offline-updates(7). */
  updateWaits: boolean
  /** The running kernel's release, as in /usr/lib/modules/<release>. */
  release: string
  /** What tells this kernel, this base root and this version of hostext from those of other boots. */
  identity: BaseIdentity
  /** Whether this boot has already mounted the engine's file systems, as far as it can. */
  collected: boolean
  /** Why images could not be prepared in this boot, by the IDs of their containers. */
  unprepared: Record<string, string>
  /** Whether the directory exists at which the locked system shows the base root. */
  hasBase: boolean
  /** The links and drop-ins through which the target of this boot pulls in units. */
  pulledIn: string[]
  /** The units that generators may link to that target. */
  hooked: string[]
  /** What this boot mounts without being asked. */
  planned: PlannedMount[]
  /** What of the root they and swap files write to. */
  uses: Use[]
  /** The planned mount points that do not exist yet: systemd creates them, where it can write. */
  absent: string[]
  /** The encrypted volumes. */
  crypttab: Volume[]
  /** The path units that answer when one of them asks for a passphrase, besides those of systemd. */
  askers: string[]
  /** The block device of the root, or the partition below it: `major:minor`; undefined if there is none. */
  rootDevice: string | undefined
  /** Whether systemd makes the root writable because of its partition's type, if nothing says what it is. */
  opensRoot: boolean
  /** The generators whose mounts are not known before they have run. */
  otherGenerators: string[]
  /** Which of /tmp and the possible state directories are real directories. */
  directories: string[]
  /** Whether tmp.mount is masked on the base root. */
  masksTmp: boolean
  /** The services that will merge system extensions of systemd's own kind. */
  merging: string[]
  /** Whether the root has applied the last change of its /usr to its /etc. */
  upToDate: boolean
  /** Whether balenaOS's file exists whose absence means that the data partition is about to be wiped. */
  hasPurgeMarker: boolean
  /** Whether SELinux is there, and set to refuse what its policy does not allow: selinux(8). */
  enforcesSelinux: boolean
  /** Only read if changes to /etc may be kept. */
  etcChanges: EtcChanges | undefined
  packages: Packages
  messages: Message[]
}

/**
 * Where balenaOS mounts its data partition, and the file whose absence means that the partition is about to
 * be wiped.
 */
export const DATA_PARTITION = '/mnt/data'
export const PURGE_MARKER = `${DATA_PARTITION}/remove_me_to_reset`

/**
 * On a usr-merged root, these top-level names are links to directories of the same name below /usr:
 * file-hierarchy(7).
 */
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
  const seen = parseMountinfo(read('/proc/self/mountinfo'))
  const fstab = parseFstab(read('/etc/fstab'))
  const crypttab = readCrypttab(read('/etc/crypttab'))
  const running = root.base ? withoutStack(seen) : seen
  // A root file system that is not booted, at image build, has everything in its place.
  const mounts = running.length > 0 ? running : expectedMounts(fstab)
  const os = readOsRelease(root)
  const release = read('/proc/sys/kernel/osrelease').trim()
  const maybeState = state === 'auto' ? AUTOMATIC_STATE : state
  // It came with 254, like systemd.mount-extra=.
  const directories = unitDirectories(root)
  const softReboot = findUnit(root, 'soft-reboot.target', directories) !== undefined
  const enabled = readEnabled(root, directories)
  const base = mountOf(mounts, '/')
  const gpt = commandLine.gptAuto === false || inContainer ? NO_GPT : readGpt(root, mounts)
  const planned = readPlanned(
    root,
    fstab,
    softReboot ? (commandLine.mountExtra ?? []) : [],
    enabled,
    gpt.partitions,
    commandLine.volatileVar,
  )
  const isProtected = (): boolean => read(`/sys/dev/block/${base?.device}/ro`).trim() === '1'
  const hasTmp = planned.some(({ mountPoint }) => mountPoint === '/tmp')
  return {
    commandLine,
    configuration,
    inContainer,
    // It says so to generators since systemd 251, and to nobody who asks about the next boot.
    isFirstBoot: environment.SYSTEMD_FIRST_BOOT === '1' && !isProtected(),
    mounts,
    fstab,
    os,
    softReboot,
    hasNextRoot: has('/usr/lib/hostext/nextroot'),
    updateWaits: has('/system-update') || has('/etc/system-update'),
    release,
    identity: readBaseIdentity(root, HOSTEXT_VERSION, { release, os, mounts, commandLine }),
    // What this boot did says nothing about the next one.
    collected: !root.base && has(COLLECTED),
    unprepared: root.base ? {} : readUnprepared(read(UNPREPARED)),
    hasBase: statLink(root, BASE)?.isDirectory() ?? false,
    pulledIn: readPulledIn(root, commandLine.target, directories),
    // Nobody links units to default.target.
    hooked: commandLine.target === 'default.target' ? [] : readHooked(root),
    planned,
    uses: readUses(
      root,
      planned,
      readSwaps(root, fstab, softReboot ? (commandLine.swapExtra ?? []) : [], enabled),
    ),
    absent: planned.map(({ mountPoint }) => mountPoint).filter((path) => !has(path)),
    crypttab,
    askers: crypttab.length > 0 ? readAskers(root, directories) : [],
    rootDevice: inContainer || !base ? undefined : findDeviceNumber(root, base),
    // A device that cannot be written to stays as it is: dm-verity.
    opensRoot: gpt.opensRoot && !isProtected(),
    otherGenerators: readOtherGenerators(root),
    merging: readMerging(root, enabled),
    directories: [...new Set([...maybeState, '/tmp'])].filter((path) => isRealDirectory(root, path)),
    masksTmp: isTmpMasked(root, hasTmp),
    upToDate: isUpToDate(root),
    hasPurgeMarker: has(PURGE_MARKER),
    // (What its file system says is no input: the initrd does not have that, and would know no boot.)
    enforcesSelinux:
      seen.some(({ type }) => type === 'selinuxfs') &&
      /^SELINUX=enforcing/m.test(read('/etc/selinux/config')),
    etcChanges: etc === 'persistent' || etc === 'auto' ? readEtcChanges(root, hasTmp, maybeState) : undefined,
    packages: readPackages(root),
    messages,
  }
}

/** Reads what `hostext prepare` has written; other lines are ignored. */
function readUnprepared(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split('\n').flatMap((line): [string, string][] => {
      const { id, why } = parseObject(line) ?? {}
      return typeof id === 'string' && typeof why === 'string' ? [[id, why]] : []
    }),
  )
}

/** The mounts that a machine will have, according to fstab. */
function expectedMounts(fstab: readonly FstabEntry[]): MountPoint[] {
  return fstab.filter(isAutomatic).map(({ mountPoint, type, source, options }) => ({
    device: source,
    root: '/',
    mountPoint,
    type,
    source,
    superOptions: [isReadOnly(options) ? 'ro' : 'rw'],
  }))
}

/**
 * Whether the root has applied the last change of its /usr to its /etc. The same comparison as
 * ConditionNeedsUpdate= in systemd.unit(5), made before an extension changes the times.
 */
function isUpToDate(root: Root): boolean {
  const usr = changedAt(root, '/usr')
  const done = readText(root, '/etc/.updated', 4096)
  const time = typeof done === 'string' ? /^TIMESTAMP_NSEC=(\d+)/m.exec(done)?.[1] : undefined
  return usr !== undefined && time !== undefined && usr <= BigInt(time)
}

/** Set by the build from package.json. */
declare const HOSTEXT_VERSION: string
