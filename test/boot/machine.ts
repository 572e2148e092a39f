import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assemble, kindOf } from './assemble.js'
import { ownCgroup } from './cgroup.js'
import { type Cut, cutter, type Ending, endingOf } from './cut.js'
import { copyDisk, type DiskOptions, damage, type MadeDisk, makeDisks, uncleanness } from './disks.js'
import { loggedDriveWords, replayDriveLog } from './drive-log.js'
import { leanWords, makeLean } from './lean.js'
import { type Ran, run } from './process.js'
import { debian, type Release } from './rootfs.js'

/** What a case changes in a root filesystem that has hostext installed. */
export type Machine = DiskOptions & {
  release: Release
  /** The root has a container engine, dockerd, and docker.service is enabled. */
  device?: true
  /** A VM without what only makes its boots longer: lean.ts. */
  lean?: boolean
  /** Put at /var/lib/docker. */
  dataRoot?: string | ((release: Release) => string)
  /**
   * Sourced by the guest's reporter when the boot is complete: calls of `report KEY COMMAND …`. `$boot` is the
   * number of the boot, from 1.
   */
  script: string
  /** More files, path to text; a path that ends with `*` is executable. */
  files?: Record<string, string>
  /** Anything else, done on the tree before it boots. */
  prepare?: (root: string) => void
  /** More words for the kernel (a VM) or PID 1 (a container). */
  commandLine?: string[]
  /** The boots of the same disks (or tree), one after the other. Default: one. */
  boots?: BootOptions[]
  /** /etc/fstab. A VM without one mounts its root from /dev/vda, writable where it can be. */
  fstab?: string
  /** What a VM's kernel finds its root by: `UUID=…`, `LABEL=root`, `PARTUUID=…`. Default: /dev/vda or vda1. */
  root?: string
  /** MiB of a VM; default 768, for a device 1536. */
  memory?: number
  /** More devices of a VM, as QEMU names them: `edu`, a PCI device that Debian's kernel has no driver for. */
  devices?: string[]
}

/** What is special about one boot. */
export type BootOptions = {
  /** More words for this boot; a VM's may depend on what is where on its disks. */
  commandLine?: string[] | ((disks: MadeDisk[]) => string[])
  /**
   * The power is cut there, unless the machine ends before: QEMU is killed, and what was not flushed to the disks
   * is lost (drive-log.ts). Such a boot need not report END, and its disks need not be clean; but nothing may be wrong
   * with them that replaying the journals does not mend.
   */
  cut?: Cut
  /**
   * How this boot has to end; `reboot` ends QEMU as well. Without it, and without `cut`, the reporter ends it. What
   * ends in another way than by the reporter need not report END either.
   */
  expectEnd?: Ending | 'any'
  /** More words for QEMU: `-rtc`, `base=1970-01-02`. */
  qemu?: string[]
  /** MiB, of a VM. */
  memory?: number
  /** Seconds until this boot has failed if it has not ended. */
  limit?: number
  /** Texts of the console or the reports: the boot tells when each was first seen. */
  marks?: readonly string[]
  /** Called with the root disk after the boot, its journal replayed if it was left in use. */
  examine?: (disk: MadeDisk) => void
}

/** What a machine said in one boot: the reports by key, and everything on its console. */
export type Boot = {
  reports: Map<string, string>
  console: string
  seconds: number
  end: Ending
  /**
   * It left every ext4 file system of its attached disks unmounted or read-only; not known of a container and of a
   * boot that was not to end by itself.
   */
  clean: boolean | undefined
  /** Seconds from the start to when each of `marks` was seen; of the blocks that were not flushed at a cut. */
  marks: Map<string, number>
  unflushed?: { kept: number; lost: number }
}

/** The last boot, and all of them in their order. */
export type Outcome = Boot & { boots: Boot[] }

function parseReports(text: string): Map<string, string> {
  const reports = new Map<string, string>()
  for (const [, key, line] of text.matchAll(/@@(\S+): (.*?)\r?$/gm)) {
    const before = reports.get(key as string)
    reports.set(key as string, before === undefined ? (line as string) : `${before}\n${line}`)
  }
  return reports
}

/** Fails loudly, with the console of the machine: the only witness there is. */
function machineError(what: string, console: string): Error {
  return new Error(`${what}; its console:\n${console.slice(-20_000)}`)
}

/** Runs `boot` for each boot of the machine. */
async function bootAll(
  { boots: wanted = [{}] }: Machine,
  boot: (options: BootOptions) => Promise<Boot>,
): Promise<Outcome> {
  const boots: Boot[] = []
  for (const options of wanted) boots.push(await boot(options))
  const last = boots.at(-1)
  if (last === undefined) throw new Error('a machine without boots')
  return { ...last, boots }
}

/** The words of all boots, those of this one, and its number for the reporter. */
function wordsOf(
  machine: Machine,
  { commandLine = [] }: BootOptions,
  disks: MadeDisk[],
  number: number,
): string[] {
  const own = typeof commandLine === 'function' ? commandLine(disks) : commandLine
  return [...(machine.commandLine ?? []), ...own, `test.boot=${number}`]
}

/** Whether the reporter is what ends this boot. */
function isReported({ cut, expectEnd }: BootOptions): boolean {
  return cut === undefined && expectEnd === undefined
}

/** Throws unless a boot has ended as it had to. */
function checkEnd(
  bootOptions: BootOptions,
  { reports, end }: Pick<Boot, 'reports' | 'end'>,
  ran: Ran,
  what: string,
): void {
  const { expectEnd } = bootOptions
  const isCut = end === 'cut'
  const isDone = isReported(bootOptions)
    ? reports.has('END')
    : expectEnd === undefined || expectEnd === 'any' || expectEnd === end
  if ((ran.ended || isCut) && isDone) return
  const how = ran.ended || isCut ? `ended (${end})` : 'did not end'
  const said = [...reports].map(([key, text]) => `${key}: ${text}`).join('\n')
  throw machineError(`${what} ${how} after ${Math.round(ran.seconds)} s; it reported:\n${said}`, ran.console)
}

/**
 * Boots the machine in a container (systemd-nspawn) until it powers off. Hostext is allowed to work there. A cut
 * of a container is a crash of all its processes at once, not of a machine: what they have written is there, flushed
 * or not.
 */
export async function bootContainer(machine: Machine, limit = 600): Promise<Outcome> {
  if (
    machine.disks ||
    machine.partitioned ||
    (machine.rootFilesystem ?? 'ext4') !== 'ext4' ||
    machine.devices ||
    machine.boots?.some(({ qemu }) => qemu)
  )
    throw new Error('a container has no disks, devices or file systems of its own')
  const tree = assemble({
    ...machine,
    files: {
      'etc/hostext.conf.d/container.conf': '[Boot]\nContainer=yes\n',
      ...(machine.fstab === undefined ? {} : { 'etc/fstab': machine.fstab }),
      ...machine.files,
    },
  })
  // The reports go to the console, which a getty would take for itself.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/console-getty.service'))
  let number = 0
  try {
    return await bootAll(machine, async (options) => {
      const commandLine = wordsOf(machine, options, [], ++number)
      const words = ['-q', '--register=no', '--keep-unit', '-D', tree, '-b', ...commandLine]
      const isTime = options.cut && cutter(options.cut)
      let isCut = false
      const ran = await runApart(
        ['systemd-nspawn', ...words],
        options.limit ?? limit,
        (child, console) => {
          if (isCut || !isTime?.(console, Date.now())) return
          isCut = child.kill('SIGKILL')
        },
        options.cut && CUT_PERIOD,
      )
      const reports = parseReports(ran.console)
      // What nspawn exits with when the container asks to be started again and it is not to do that itself.
      const end = isCut ? 'cut' : ran.code === 133 ? 'reboot' : 'poweroff'
      checkEnd(options, { reports, end }, ran, `the container (boot ${number})`)
      return { reports, console: ran.console, seconds: ran.seconds, end, clean: undefined, marks: new Map() }
    })
  } finally {
    // What is left of a container that was killed may still write.
    rmSync(tree, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 })
  }
}

/** Runs a container beside others: {@link run} in a control group of its own. */
async function runApart(command: string[], ...rest: DropTwo<Parameters<typeof run>>): Promise<Ran> {
  const cgroup = ownCgroup()
  try {
    const [program = '', ...words] = [...cgroup.words, ...command]
    return await run(program, words, ...rest)
  } finally {
    await cgroup.remove()
  }
}

type DropTwo<Words> = Words extends [unknown, unknown, ...infer Rest] ? Rest : never

export type VmOptions = {
  /** Seconds until a boot of a machine that has not powered off has failed. */
  limit?: number
  /** What to type when the console shows the first string: [expect, send]. */
  dialogue?: [string, string][]
  /** Called with the root disk after the last power-off. */
  afterwards?: (disk: string) => void
}

/** Seconds without a line from user space after which an emulated machine is taken for stalled. */
const STALL = 90
/** Without what only costs an emulated machine time: a fifth level of page tables, a hypervisor's module. */
const CPU = 'max,la57=off,svm=off'
/** Milliseconds between two looks at a machine whose power is to be cut. */
const CUT_PERIOD = 20

/** Boots the machine in QEMU (emulation) until it powers off. */
export function bootVm(machine: Machine, options: VmOptions = {}): Promise<Outcome> {
  return withVm(machine, options, async ({ disks, boot }) => {
    const outcome = await bootAll(machine, boot)
    options.afterwards?.((disks[0] as MadeDisk).file)
    return outcome
  })
}

/** A virtual machine that can be booted again and again. */
export type Vm = { disks: MadeDisk[]; boot: (options?: BootOptions) => Promise<Boot> }

/** Makes the disks of the machine for as long as `use` takes. */
export async function withVm<Result>(
  machine: Machine,
  options: VmOptions,
  use: (vm: Vm) => Promise<Result>,
): Promise<Result> {
  const rootDevice = machine.partitioned ? '/dev/vda1' : '/dev/vda'
  const fstab = machine.fstab ?? defaultFstab(machine, rootDevice)
  const tree = assemble({ ...machine, files: { 'etc/fstab': fstab, ...machine.files } })
  if (machine.lean) makeLean(tree)
  const work = mkdtempSync(join(tmpdir(), 'hostext-vm-'))
  try {
    const disks = makeDisks(machine, tree, machine.device ? '3G' : '1200M', work)
    rmSync(tree, { recursive: true })
    let number = 0
    const boot = (bootOptions: BootOptions = {}): Promise<Boot> => {
      const words = wordsOf(machine, bootOptions, disks, ++number)
      const own = [...rootFlags(machine), ...(machine.lean ? leanWords(machine) : [])]
      const kernelLine = [`root=${machine.root ?? rootDevice}`, 'ro', ...own, ...words]
      return bootOnce(machine, disks, bootOptions, kernelLine, join(work, `ttyS1-${number}`), options)
    }
    return await use({ disks, boot })
  } finally {
    rmSync(tree, { recursive: true, force: true })
    rmSync(work, { recursive: true, force: true })
  }
}

function defaultFstab({ rootFilesystem = 'ext4' }: Machine, device: string): string {
  const options = { ext4: 'rw,errors=remount-ro', btrfs: 'rw,subvol=@', squashfs: 'ro', erofs: 'ro' }
  return `${device} / ${rootFilesystem} ${options[rootFilesystem]} 0 ${rootFilesystem === 'ext4' ? 1 : 0}\n`
}

function rootFlags({ rootFilesystem }: Machine): string[] {
  return rootFilesystem === 'btrfs' ? ['rootflags=subvol=@'] : []
}

/** One boot; again, if the machine stalled before user space. The reports come through the file `port`. */
async function bootOnce(
  machine: Machine,
  disks: MadeDisk[],
  bootOptions: BootOptions,
  commandLine: string[],
  port: string,
  { limit = 600, dialogue = [] }: VmOptions,
): Promise<Boot> {
  const { cut, marks: awaited = [], examine } = bootOptions
  const words = qemuWords(machine, disks, bootOptions, commandLine, port)
  const reported = () => (existsSync(port) ? readFileSync(port, 'utf8') : '')
  for (let attempt = 1; ; attempt++) {
    const answers = [...dialogue]
    const isTime = cut && cutter(cut)
    const marks = new Map<string, number>()
    let stalled = false
    let isCut = false
    if (cut) for (const disk of disks) prepareCut(disk)
    const ran = await run(
      'qemu-system-x86_64',
      words,
      bootOptions.limit ?? limit,
      (child, text, elapsed) => {
        const [expected, answer] = answers[0] ?? []
        if (expected !== undefined && text.includes(expected)) {
          answers.shift()
          child.stdin?.write(answer as string)
        }
        const seen = cut || awaited.length > 0 ? text + reported() : text
        for (const mark of awaited) if (!marks.has(mark) && seen.includes(mark)) marks.set(mark, elapsed)
        stalled = elapsed > STALL && !text.includes('systemd')
        isCut ||= !stalled && isTime !== undefined && isTime(seen, Date.now())
        if (stalled || isCut) child.kill('SIGKILL')
      },
      cut && CUT_PERIOD,
    )
    const rests = cut ? disks.map((disk) => finishCut(disk, isCut || stalled, cut.random ?? (() => 1))) : []
    if (stalled && attempt < 4) continue
    const { console, seconds } = ran
    const reports = parseReports(reported())
    const end = isCut ? 'cut' : endingOf(console)
    const what = `the machine (${commandLine.at(-1)})`
    checkEnd(bootOptions, { reports, end }, ran, what)
    const boot = { reports, console, seconds, end, marks }
    if (!isReported(bootOptions) && (end === 'cut' || !reports.has('END'))) {
      const damaged = disks
        .map((disk, index) => damage(disk, index === 0 ? examine : undefined))
        .filter(Boolean)
      if (damaged.length > 0)
        throw machineError(`${what} left a damaged disk: ${damaged.join('\n')}`, console)
      const unflushed = { kept: 0, lost: 0 }
      for (const { kept, lost } of rests) {
        unflushed.kept += kept
        unflushed.lost += lost
      }
      return { ...boot, clean: undefined, ...(end === 'cut' && { unflushed }) }
    }
    const unclean = disks.map(uncleanness).filter((text) => text !== undefined)
    const evidence = unclean.map((text) => `\nnot clean after power-off: ${text}`).join('')
    examine?.(disks[0] as MadeDisk)
    return { ...boot, console: console + evidence, clean: unclean.length === 0 }
  }
}

const beforeCut = ({ file }: MadeDisk) => `${file}.before`
const driveLog = ({ file }: MadeDisk) => `${file}.log`

/** Keeps a disk as it is before a boot whose power will be cut, and makes the log for what that boot writes. */
function prepareCut(disk: MadeDisk): void {
  copyDisk(disk.file, beforeCut(disk))
  writeFileSync(driveLog(disk), '')
}

/** Makes of a disk what a cut leaves of it, if there was one. */
function finishCut(disk: MadeDisk, isCut: boolean, random: () => number): { kept: number; lost: number } {
  let rest = { kept: 0, lost: 0 }
  if (isCut) {
    rest = replayDriveLog(beforeCut(disk), driveLog(disk), random)
    renameSync(beforeCut(disk), disk.file)
  } else {
    rmSync(beforeCut(disk))
  }
  rmSync(driveLog(disk))
  return rest
}

function qemuWords(
  machine: Machine,
  disks: MadeDisk[],
  bootOptions: BootOptions,
  commandLine: string[],
  port: string,
): string[] {
  const { kernel, initrd } = debian(machine.release, kindOf(machine))
  const append = ['console=ttyS0', 'panic=-1', 'mitigations=off', ...commandLine]
  const memory = bootOptions.memory ?? machine.memory ?? (machine.device ? 1536 : 768)
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', CPU, '-m', String(memory), '-smp', '1'],
    ...['-nographic', '-no-reboot', '-nodefaults'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', append.join(' ')],
    ...disks.flatMap((disk, number) =>
      bootOptions.cut
        ? loggedDriveWords(disk.file, driveLog(disk), number)
        : ['-drive', `file=${disk.file},if=virtio,format=raw,cache=unsafe`],
    ),
    ...(machine.devices ?? []).flatMap((device) => ['-device', device]),
    ...['-serial', 'stdio', '-serial', `file:${port}`],
    ...(bootOptions.qemu ?? []),
  ]
}

/** The text reported under `key` in the last boot or the one of that number, from 1. */
export function reported(outcome: Outcome, key: string, boot = outcome.boots.length): string {
  const { reports, console } = outcome.boots[boot - 1] as Boot
  if (!reports.has(`${key}.status`))
    throw machineError(`no report ${key} in boot ${boot}, only ${[...reports.keys()].join(' ')}`, console)
  return reports.get(key) ?? ''
}
