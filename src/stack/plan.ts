import type { Identity } from '../engine/container.js'
import type { Extension } from '../image/extension.js'
import type { Index } from '../machine/indexes.js'
import type { Message } from '../text/log.js'
import type { Etc } from './etc.js'
import type { Trial } from './verdict.js'

/** What this boot does: stack, mount the engine's data first, or stay on the plain root; and all there is to say about it. */
export type Decision = ({ plan: Plan } | { wait: Wait } | Plain) & { messages: Message[] }

/**
 * Nothing is stacked, and why. `holders`: the data root in which holders of earlier boots are to be let go.
 * `rolledBack`: the line that says that it is because the stack did not boot well, for the target of this boot.
 */
export type Plain = { plain: string; holders?: string; rolledBack?: { line: string; target: string } }

/** The image of one extension, to be held. `container` is unchecked text; without `image` it cannot be asked for. */
export type HeldImage = { container: string; image: string | undefined }

export function heldImage({ container }: { container: Identity }): HeldImage {
  return { container: container.name, image: container.imageId }
}

/** How this boot starts, whatever comes of it. */
export type Boot = {
  /** The unit PID 1 boots into. */
  target: string
  /** Units that the target pulls in by links; they wait for the second pass. */
  pulledIn: string[]
  /** Seconds until a first pass that has not come to its end is given up. */
  timeout: number
}

/** The engine's data is on file systems that are not mounted yet: the directories to have before anything is decided. */
export type Wait = Boot & { paths: string[] }

/** Everything the units are made from. */
export type Plan = Boot & {
  /** All extensions, top first; the number of one is its index here. */
  extensions: Extension[]
  /** Directories of the base root that stay writable. */
  state: string[]
  etc: Etc
  /** Mount points that the initrd has made and nothing would make again. */
  carried: string[]
  /** The machine has an ID that is not on the disk yet, and its root can have it; `closeRoot`: that is read-only now. */
  machineId: { closeRoot: boolean } | undefined
  /** The initrd has mounted /usr: it gets an overlay of its own. `hasUnit`: fstab or the system has a unit for it. */
  separateUsr: false | { hasUnit: boolean }
  /** The indexes to be made anew from the files of all extensions and the root. */
  indexes: Index[]
  /** An extension ships sysusers.d(5) files. */
  sysusers: boolean
  /** The base root needs no update of its /etc after one of its /usr: systemd-update-done.service(8). */
  upToDate: boolean
  /** The options fstab has for the root, for the state that takes its place. */
  rootOptions: string[]
  /** Whether systemd checks the root file system at boot: fstab's sixth field. */
  checkRoot: boolean
  /** The engine's data root. */
  dataRoot: string
  /** The same, if it is on the root file system and not below a state directory. */
  bindDataRoot: string | undefined
  /** Mount points of the file systems that layers or kept changes are on, but the root. */
  dataMounts: string[]
  /** Mount points that nothing reaches after the switch, to be made read-only before it. */
  closedBeforeSwitch: string[]
  /** The devices among {@link Plan.dataMounts} that have been checked before the switch. */
  checkedDevices: string[]
  /** Mount points in fstab that systemd-remount-fs(8) remounts, but the root. */
  remount: string[]
  /** Whether /tmp needs a tmpfs, because it used to be on a writable root. */
  tmp: boolean
  /** systemd 254 or later: the switch is a soft-reboot. */
  softReboot: boolean
  /** The engine's file systems had to be mounted first. */
  collected: boolean
  safety: Safety
}

/**
 * Whether the stack may be booted: it has booted well (or nobody asks); it has not yet, and what comes of it is recorded; it is
 * the last good one in place of one that did not boot well.
 */
export type Safety =
  | { kind: 'known' }
  | {
      kind: 'trial'
      trial: Trial
      /** Images that are not stacked and stay on the disk: those of the stack that would be gone back to. */
      alsoHold: HeldImage[]
    }
  | {
      kind: 'restored'
      /** The line that says so. */
      line: string
    }
