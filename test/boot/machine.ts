import type { Cut, Ending } from './cut.js'
import type { DiskOptions, MadeDisk } from './disks.js'
import type { Release } from './rootfs.js'
import type { Initrd } from './uml-kernel.js'

/** What a case changes in a root file system that has hostext installed. */
export type Machine = DiskOptions & {
  release: Release
  /** The root has a container engine: dockerd, with docker.service enabled, or Podman. */
  device?: true | 'podman'
  /** The root has what mounts encrypted disks, volume groups, shares of other machines and zram. */
  storage?: true
  /** Makes another root file system than Debian with hostext: a directory that is copied. */
  base?: (release: Release) => string
  /** A container has a network of its own, with nothing but a loopback interface. */
  ownNetwork?: true
  /** The machine has disks and lacks what only makes its boots longer: lean.ts. */
  lean?: boolean
  /**
   * Makes the data root for /var/lib/docker. `kernel`: the release of the machine's kernel, if it has its
   * own.
   */
  dataRoot?: string | ((release: Release, kernel: string) => string)
  /**
   * Sourced by the guest's reporter when the boot is complete: calls of `report KEY COMMAND …`. `$boot` is
   * the number of the boot, from 1.
   */
  script: string
  /** More files, path to text. A path that ends in `*` is executable. */
  files?: Record<string, string>
  /** Anything else, done on the tree before it boots. */
  prepare?: (root: string) => void
  /** More words for the kernel (of a container: for its PID 1). */
  commandLine?: string[]
  /** The boots of the same disks (or tree), one after the other. Default: one. */
  boots?: BootOptions[]
  /**
   * /etc/fstab, or a function that makes it from the name of the root's device. Default: the root, writable
   * if possible.
   */
  fstab?: string | ((root: string) => string)
  /** How the kernel finds its root: `UUID=…`, `LABEL=root`, `PARTUUID=…`. Default: the name of the device. */
  root?: string
  /**
   * User-mode Linux boots with an initrd, because its root needs one, or because it stacks. QEMU always does.
   */
  initrd?: Initrd
  /** MiB; default 768, for a device 1536. */
  memory?: number
  /** More devices, as QEMU names them: `edu`, a PCI device that Debian's kernel has no driver for. */
  devices?: string[]
}

/** What is special about one boot. */
export type BootOptions = {
  /** More words for this boot; they may depend on the layout of its disks. */
  commandLine?: string[] | ((disks: MadeDisk[]) => string[])
  /**
   * When the power is cut, unless the machine ends before. User-mode Linux is killed, and what was not
   * flushed to the disks is lost (unflushed.ts). In a container it is only a crash, and everything written is
   * kept. QEMU cannot do it. Such a boot need not report END. Its disks need not be clean, but replaying the
   * journals must repair them.
   */
  cut?: Cut
  /**
   * How this boot has to end; the harness does not restart a machine. Without it, and without `cut`, the
   * reporter ends the boot. A boot that the reporter does not end need not report END either.
   */
  expectEnd?: Ending | 'any'
  /** More words for QEMU: `-rtc`, `base=1970-01-02`. */
  qemu?: string[]
  /** MiB. */
  memory?: number
  /** Seconds until this boot has failed if it has not ended. */
  limit?: number
  /** Texts of the console or the reports; the outcome says when each was first seen. */
  marks?: readonly string[]
  /** Called after the boot with the root disk, whose journal is replayed if it was left in use. */
  examine?: (disk: MadeDisk) => void
}

/** What a machine said in one boot: the reports by key, and everything on its console. */
export type Boot = {
  reports: Map<string, string>
  console: string
  seconds: number
  end: Ending
  /**
   * Whether it left every ext4 file system of its attached disks unmounted or read-only; unknown for a
   * container, and for a boot that was cut.
   */
  clean: boolean | undefined
  /**
   * Seconds from the start until each of `marks` was seen; what happened to the blocks that were not flushed
   * at a cut.
   */
  marks: Map<string, number>
  unflushed?: { kept: number; lost: number }
}

/** The last boot, and all of them in their order. */
export type Outcome = Boot & { boots: Boot[] }

/** What the reporter sent, by key. */
export function parseReports(text: string): Map<string, string> {
  const reports = new Map<string, string>()
  for (const [, key, line] of text.matchAll(/@@(\S+): (.*?)\r?$/gm)) {
    const before = reports.get(key as string)
    reports.set(key as string, before === undefined ? (line as string) : `${before}\n${line}`)
  }
  return reports
}

/** Fails loudly with the console of the machine, which is the only witness. */
export function machineError(what: string, console: string): Error {
  return new Error(`${what}; its console:\n${console.slice(-20_000)}`)
}

/** The text reported under `key` in the last boot, or in the boot of that number, from 1. */
export function reported(outcome: Outcome, key: string, boot = outcome.boots.length): string {
  const { reports, console } = outcome.boots[boot - 1] as Boot
  if (!reports.has(`${key}.status`))
    throw machineError(`no report ${key} in boot ${boot}, only ${[...reports.keys()].join(' ')}`, console)
  return reports.get(key) ?? ''
}
