import type { Extension, LeftOut } from '../image/extension.js'
import type { Index } from '../machine/indexes.js'
import type { Packages } from '../machine/packages.js'
import type { Message } from '../text/log.js'
import type { Etc } from './etc.js'
import type { PlannedOverlay } from './overlays.js'
import type { Mark, Place, Trial } from './verdict.js'

/**
 * What this boot does: stack, mount the engine's data first, or stay on the plain root; and the messages
 * about it.
 */
export type Decision = ({ plan: Plan } | { wait: Wait } | Plain) & { messages: Said[] }

/** A message; if it is about an extension that is left out: which one, and why. */
export type Said = Message & { leftOut?: LeftOut }

/**
 * Why nothing is stacked. `rolledBack`: set if the reason is a stack that did not boot well: the line that
 * says so, the names of what may be to blame, and the target of this boot.
 */
export type Plain = {
  plain: string
  rolledBack?: { line: string; culprits: string[]; target: string }
}

/** How this boot starts, whatever it decides. */
export type Boot = {
  /** The unit PID 1 boots into. */
  target: string
  /** What waits for the second pass: units, and links and drop-ins by which the target pulls in others. */
  pulledIn: string[]
  /** Seconds until an unfinished first pass is given up. */
  timeout: number
}

/** How many seconds the job of a unit may take: a device, or a mount of another machine's files. */
export type Limit = { unit: string; seconds: number }

/** What has to be done before the decision. */
export type Wait = Boot & {
  /** Directories that are needed: the engine's data, and where changes to /etc are kept. */
  paths: string[]
  /** Directories that are only looked at if they can be mounted. */
  hoped: string[]
  /** Whether they are on file systems that are not mounted yet. */
  mounting: boolean
  /** How long that may take. */
  limits: Limit[]
  /** The mounts that are given up once all devices are found and theirs is not among them. */
  optional: { unit: string; device: string }[]
  /** Whether encrypted volumes are opened, because one of them may have what is missing. */
  unlock: boolean
  /** The path units that answer when a passphrase is asked for, besides those of systemd. */
  askers: string[]
  /** Whether the network is needed. */
  online: boolean
  /** Whether that may take long: the check of a disk, a passphrase. */
  patient: boolean
  /** The generators whose mounts are looked at. */
  generators: string[]
  /** The names of the extensions whose images are to be prepared, as far as they are known. */
  preparing: string[]
  /** Set if that is on the root's own file system, which is made writable for it. */
  remount: { options: string; check: boolean } | undefined
}

/** Everything the units are made from. */
export type Plan = Boot & {
  /** All extensions, top first. An extension's number is its index here. */
  extensions: Extension[]
  leftOut: LeftOut[]
  /** Directories and files of the base root that stay writable. */
  state: string[]
  /** The directories of state that systemd-tmpfiles copies images' state to, on whatever file system. */
  copied: string[]
  /** The swap files among them, and the links that lead to these. */
  swapFiles: string[]
  /** Overlays of the machine's own over directories of the root. */
  overlays: PlannedOverlay[]
  /** Mount points that the root does not have yet. */
  places: string[]
  /** The block device of the base root: systemd looks for the other partitions of its disk. */
  rootDevice: string | undefined
  etc: Etc
  /**
   * Whether trees are bound: the data is on another file system than the root, so that no overlay is needed.
   */
  bound: boolean
  /** Whether the locked system shows the base root at {@link BASE}. */
  showsBase: boolean
  /** Mount points of the initrd that nothing would mount again. */
  carried: string[]
  /** Those that come along although they have units, in fstab: it says that they are the initrd's. */
  fromInitrd: string[]
  /**
   * The machine's ID is not on the disk yet, and its root can store it. `closeRoot`: the root is read-only
   * now.
   */
  machineId: { closeRoot: boolean } | undefined
  /**
   * The initrd has mounted /usr, so it gets an overlay of its own. `hasUnit`: fstab or the system has a unit
   * for it.
   */
  separateUsr: false | { hasUnit: boolean }
  /** The indexes to be rebuilt from the files of all extensions and the root. */
  indexes: Index[]
  /**
   * What they are made from, if they can be kept for the next boot, and the name of those that an earlier
   * boot made from the same.
   */
  index: { key: string | undefined; kept: string | undefined }
  /** Whether an extension ships sysusers.d(5) files. */
  sysusers: boolean
  /** Whether the base root's /etc is up to date with its /usr: systemd-update-done.service(8). */
  upToDate: boolean
  /** fstab's options for the root, which are used for the state that takes its place. */
  rootOptions: string[]
  /** Whether systemd checks the root file system at boot: fstab's sixth field. */
  checkRoot: boolean
  /** Where the engine keeps its containers. */
  enginePlace: string
  /** Where the layers are, and what hostext keeps: mostly the same. */
  dataRoot: string
  /** Those of both that are on the root file system and not below a state directory. */
  boundData: string[]
  /**
   * Mount points of what stays mounted to the end: the file systems that layers or kept changes are on, and
   * what they stand on, except for the root and for shares of other machines; those that show a root that
   * stays writable.
   */
  dataMounts: string[]
  /**
   * Those that need the network, or stand on what does, and shares: what is on them cannot be mounted before
   * local-fs.target.
   */
  online: string[]
  /**
   * Mount points whose file systems nothing can reach after the switch, so they are made read-only before it.
   */
  closedBeforeSwitch: string[]
  /** The devices of such mounts that were checked before the switch. */
  checkedDevices: string[]
  /** Mount points in fstab that systemd-remount-fs(8) remounts, except for the root. */
  remount: string[]
  /** Whether /tmp needs a tmpfs because it used to be on a writable root. */
  tmp: boolean
  /** What must not change packages on the locked root. */
  packages: Packages
  /** Whether the switch is a soft-reboot: systemd 254 and later. */
  softReboot: boolean
  /** Whether the engine's file systems had to be mounted first. */
  collected: boolean
  safety: Safety
}

/**
 * What is known about the stack: it has booted well (or rollback is off), it has not yet and is on trial, or
 * it is the last good stack instead of one that did not boot well.
 */
export type Safety =
  | {
      kind: 'known'
      /** Where this decision can be kept for the boots that follow; undefined if nowhere. */
      keep: Place | undefined
      /** Set if it was not the last good stack, and becomes it. Nothing of this boot is kept then. */
      mark?: Mark
    }
  | { kind: 'trial'; trial: Trial }
  | {
      kind: 'restored'
      /** The line that says so. */
      line: string
      /** The names of the extensions that may be to blame. */
      culprits: string[]
      /** Set if that stack has booted well with another base only. */
      trial?: Trial
    }
