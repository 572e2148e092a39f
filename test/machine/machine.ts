import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assemble, kindOf } from './assemble.js'
import { type DiskOptions, type MadeDisk, makeDisks, uncleanness } from './disks.js'
import { run } from './process.js'
import { debian, type Release } from './rootfs.js'

/** What a case changes in a root filesystem that has hostext installed. */
export type Machine = DiskOptions & {
  release: Release
  /** The root has a container engine, dockerd, and docker.service is enabled. */
  device?: true
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
  /** The boots of the same disks (or tree), one after the other, each with more words. Default: one. */
  boots?: { commandLine?: string[] }[]
  /** /etc/fstab. A VM without one mounts its root from /dev/vda, writable where it can be. */
  fstab?: string
  /** What a VM's kernel finds its root by: `UUID=…`, `LABEL=root`, `PARTUUID=…`. Default: /dev/vda or vda1. */
  root?: string
  /** MiB of a VM; default 768, for a device 1536. */
  memory?: number
  /** More devices of a VM, as QEMU names them: `edu`, a PCI device that Debian's kernel has no driver for. */
  devices?: string[]
}

/** What a machine said in one boot: the reports by key, and everything on its console. */
export type Boot = {
  reports: Map<string, string>
  console: string
  seconds: number
  /** It left every ext4 file system of its attached disks unmounted or read-only; of a container not known. */
  clean: boolean | undefined
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

/** Runs `boot` with the command line of each boot of the machine. */
async function bootAll(
  machine: Machine,
  boot: (number: number, words: string[]) => Promise<Boot>,
): Promise<Outcome> {
  const boots: Boot[] = []
  for (const { commandLine = [] } of machine.boots ?? [{}]) {
    const number = boots.length + 1
    boots.push(await boot(number, [...(machine.commandLine ?? []), ...commandLine, `test.boot=${number}`]))
  }
  const last = boots.at(-1)
  if (last === undefined) throw new Error('a machine without boots')
  return { ...last, boots }
}

/** Boots the machine in a container (systemd-nspawn) until it powers off. Hostext is allowed to work there. */
export async function bootContainer(machine: Machine, limit = 240): Promise<Outcome> {
  if (
    machine.disks ||
    machine.partitioned ||
    (machine.rootFilesystem ?? 'ext4') !== 'ext4' ||
    machine.devices
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
  try {
    return await bootAll(machine, async (number, commandLine) => {
      const words = ['-q', '--register=no', '--keep-unit', '-D', tree, '-b', ...commandLine]
      const { console, seconds, ended } = await run('systemd-nspawn', words, limit, () => {})
      const reports = parseReports(console)
      if (!ended || !reports.has('END'))
        throw machineError(`the container did not finish in ${limit} s (boot ${number})`, console)
      return { reports, console, seconds, clean: undefined }
    })
  } finally {
    // What is left of a container that was killed may still write.
    rmSync(tree, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 })
  }
}

export type VmOptions = {
  /** Seconds until a boot of a machine that has not powered off has failed. */
  limit?: number
  /** What to type when the console shows the first string: [expect, send]. */
  dialogue?: [string, string][]
  /** Called with the root disk after the last power-off. */
  afterwards?: (disk: string) => void
}

/** Seconds without a line from user space after which an emulated machine is taken for stalled. */
const STALL = 120

/** Boots the machine in QEMU (emulation) until it powers off. */
export async function bootVm(machine: Machine, options: VmOptions = {}): Promise<Outcome> {
  const rootDevice = machine.partitioned ? '/dev/vda1' : '/dev/vda'
  const fstab = machine.fstab ?? defaultFstab(machine, rootDevice)
  const tree = assemble({ ...machine, files: { 'etc/fstab': fstab, ...machine.files } })
  const work = mkdtempSync(join(tmpdir(), 'hostext-vm-'))
  try {
    const disks = makeDisks(machine, tree, machine.device ? '3G' : '1200M', work)
    rmSync(tree, { recursive: true })
    const outcome = await bootAll(machine, (number, commandLine) => {
      const kernelLine = [`root=${machine.root ?? rootDevice}`, 'ro', ...rootFlags(machine), ...commandLine]
      return bootOnce(machine, disks, kernelLine, join(work, `ttyS1-${number}`), options)
    })
    options.afterwards?.((disks[0] as MadeDisk).file)
    return outcome
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
  commandLine: string[],
  port: string,
  { limit = 600, dialogue = [] }: VmOptions,
): Promise<Boot> {
  const words = qemuWords(machine, disks, commandLine, port)
  for (let attempt = 1; ; attempt++) {
    const answers = [...dialogue]
    let stalled = false
    const { console, seconds, ended } = await run(
      'qemu-system-x86_64',
      words,
      limit,
      (child, text, elapsed) => {
        const [expected, answer] = answers[0] ?? []
        if (expected !== undefined && text.includes(expected)) {
          answers.shift()
          child.stdin?.write(answer as string)
        }
        stalled = elapsed > STALL && !text.includes('systemd')
        if (stalled) child.kill('SIGKILL')
      },
    )
    if (stalled && attempt < 4) continue
    const reports = parseReports(existsSync(port) ? readFileSync(port, 'utf8') : '')
    if (!ended || !reports.has('END')) {
      const said = [...reports].map(([key, text]) => `${key}: ${text}`).join('\n')
      const what = `the machine (${commandLine.at(-1)}) did not finish in ${limit} s`
      throw machineError(`${what}; it reported:\n${said}`, console)
    }
    const unclean = disks.map(uncleanness).filter((text) => text !== undefined)
    const evidence = unclean.map((text) => `\nnot clean after power-off: ${text}`).join('')
    return { reports, console: console + evidence, seconds, clean: unclean.length === 0 }
  }
}

function qemuWords(machine: Machine, disks: MadeDisk[], commandLine: string[], port: string): string[] {
  const { kernel, initrd } = debian(machine.release, kindOf(machine))
  const append = ['console=ttyS0', 'panic=-1', 'mitigations=off', ...commandLine]
  const memory = machine.memory ?? (machine.device ? 1536 : 768)
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', String(memory), '-smp', '1'],
    ...['-nographic', '-no-reboot', '-nodefaults'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', append.join(' ')],
    ...disks.flatMap(({ file }) => ['-drive', `file=${file},if=virtio,format=raw,cache=unsafe`]),
    ...(machine.devices ?? []).flatMap((device) => ['-device', device]),
    ...['-serial', 'stdio', '-serial', `file:${port}`],
  ]
}

/** The text reported under `key` in the last boot or the one of that number, from 1. */
export function reported(outcome: Outcome, key: string, boot = outcome.boots.length): string {
  const { reports, console } = outcome.boots[boot - 1] as Boot
  if (!reports.has(`${key}.status`))
    throw machineError(`no report ${key} in boot ${boot}, only ${[...reports.keys()].join(' ')}`, console)
  return reports.get(key) ?? ''
}
