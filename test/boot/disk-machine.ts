import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inMemory } from '../support/memory.js'
import { assemble } from './assemble.js'
import { bootAll, checkEnd, isReported, wordsOf } from './boots.js'
import { CUT_PERIOD, cutter, endingOf } from './cut.js'
import { damage, type MadeDisk, makeDisks, uncleanness } from './disks.js'
import { makeLean } from './lean.js'
import {
  type Boot,
  type BootOptions,
  type Machine,
  machineError,
  type Outcome,
  parseReports,
} from './machine.js'
import type { Ran, RunOptions } from './process.js'
import { loseUnflushed, unwatch, watchFlushes } from './unflushed.js'

/** A program that runs machines with disks. */
export type Emulator = {
  /** The name of its disk of that number, from 0. */
  device: (index: number) => string
  /** Adds the modules of its kernel to a tree, if that is not the kernel of the release. */
  addModules?: (tree: string) => void
  /** After how many seconds without a line from user space a machine counts as stalled. */
  stall: number
  run: (start: Start, options: RunOptions) => Promise<Ran>
}

/** A boot of a machine: the words for its kernel, and the file that the reports go to. */
export type Start = {
  machine: Machine
  disks: MadeDisk[]
  boot: BootOptions
  words: string[]
  reports: string
  /** Something will be typed on its console. */
  isTyped: boolean
}

/** What to type when the console shows the first string, and how many seconds later. */
export type Dialogue = [expect: string, send: string, wait?: number][]

export type DiskMachineOptions = {
  /** Seconds until a boot fails because the machine has not powered off. */
  limit?: number
  dialogue?: Dialogue
}

/** A machine that can be booted again and again. */
export type DiskMachine = { disks: MadeDisk[]; boot: (options?: BootOptions) => Promise<Boot> }

/** Boots the machine until it powers off. */
export function bootDisks(
  emulator: Emulator,
  machine: Machine,
  options: DiskMachineOptions = {},
): Promise<Outcome> {
  return withDisks(emulator, machine, options, ({ boot }) => bootAll(machine, boot))
}

/** Makes the disks of the machine, which exist for as long as `use` runs. */
export async function withDisks<Result>(
  emulator: Emulator,
  machine: Machine,
  options: DiskMachineOptions,
  use: (machine: DiskMachine) => Promise<Result>,
): Promise<Result> {
  const rootDevice = `${emulator.device(0)}${machine.partitioned ? '1' : ''}`
  const tree = assemble(
    { ...machine, files: { 'etc/fstab': fstabOf(machine, rootDevice), ...machine.files } },
    emulator.addModules,
  )
  if (machine.lean) makeLean(tree)
  const work = workDirectory()
  try {
    const disks = makeDisks(machine, tree, machine.device ? '3G' : '1200M', work, emulator.device)
    rmSync(tree, { recursive: true })
    let number = 0
    const boot = (bootOptions: BootOptions = {}): Promise<Boot> => {
      const own = machine.rootFilesystem === 'btrfs' ? ['rootflags=subvol=@'] : []
      const access = machine.partitioned === 'root' ? [] : ['ro']
      const words = wordsOf(machine, bootOptions, disks, ++number)
      const start = {
        machine,
        disks,
        boot: bootOptions,
        words: [`root=${machine.root ?? rootDevice}`, ...access, ...own, ...words],
        reports: join(work, `reports-${number}`),
        isTyped: options.dialogue !== undefined,
      }
      return bootOnce(emulator, start, options)
    }
    return await use({ disks, boot })
  } finally {
    rmSync(tree, { recursive: true, force: true })
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * A directory for a machine's disks, in memory if two machines fit there. Removes what killed runs have left.
 */
function workDirectory(): string {
  const parent = inMemory(8 * 2 ** 30).TMPDIR ?? tmpdir()
  for (const name of readdirSync(parent)) {
    const [, pid] = /^hostext-machine-(\d+)-/.exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(join(parent, name), { recursive: true, force: true })
  }
  return mkdtempSync(join(parent, `hostext-machine-${process.pid}-`))
}

function fstabOf({ fstab, rootFilesystem = 'ext4' }: Machine, root: string): string {
  if (fstab !== undefined) return typeof fstab === 'string' ? fstab : fstab(root)
  const options = { ext4: 'rw,errors=remount-ro', btrfs: 'rw,subvol=@', squashfs: 'ro', erofs: 'ro' }
  return `${root} / ${rootFilesystem} ${options[rootFilesystem]} 0 ${rootFilesystem === 'ext4' ? 1 : 0}\n`
}

/** One boot; again, if the machine stalled before user space. */
async function bootOnce(
  emulator: Emulator,
  start: Start,
  { limit = 600, dialogue = [] }: DiskMachineOptions,
): Promise<Boot> {
  const { disks, boot: bootOptions, reports: file, words } = start
  const { cut, marks: awaited = [], examine } = bootOptions
  const reported = () => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  for (let attempt = 1; ; attempt++) {
    const answers = [...dialogue]
    const isTime = cut && cutter(cut)
    const marks = new Map<string, number>()
    let stalled = false
    let asked: number | undefined
    let isCut = false
    rmSync(file, { force: true })
    if (cut) for (const disk of disks) watchFlushes(disk.file)
    const ran = await emulator.run(start, {
      limit: bootOptions.limit ?? limit,
      ...(cut && { period: CUT_PERIOD }),
      watch({ console, elapsed, kill, type }) {
        const [expected, answer, wait = 0] = answers[0] ?? []
        if (expected !== undefined && console.includes(expected)) {
          asked ??= elapsed
          if (elapsed - asked >= wait) {
            answers.shift()
            asked = undefined
            type(answer as string)
          }
        }
        const seen = cut || awaited.length > 0 ? console + reported() : console
        for (const mark of awaited) if (!marks.has(mark) && seen.includes(mark)) marks.set(mark, elapsed)
        stalled = elapsed > emulator.stall && !console.includes('systemd')
        isCut ||= !stalled && isTime !== undefined && isTime(seen, Date.now())
        if (stalled || isCut) kill()
      },
    })
    const unflushed = { kept: 0, lost: 0 }
    for (const { file } of cut ? disks : []) {
      if (isCut || stalled) loseUnflushed(file, cut?.random ?? (() => 1), unflushed)
      unwatch(file)
    }
    if (stalled && attempt < 4) continue
    const { console, seconds } = ran
    const reports = parseReports(reported())
    const end = isCut ? 'cut' : endingOf(console)
    const what = `the machine (${words.at(-1)})`
    checkEnd(bootOptions, { reports, end }, ran, what)
    const boot = { reports, console, seconds, end, marks }
    if (!isReported(bootOptions) && (end === 'cut' || !reports.has('END'))) {
      const damaged = disks
        .map((disk, index) => damage(disk, index === 0 ? examine : undefined))
        .filter(Boolean)
      if (damaged.length > 0)
        throw machineError(`${what} left a damaged disk: ${damaged.join('\n')}`, console)
      return { ...boot, clean: undefined, ...(end === 'cut' && { unflushed }) }
    }
    const unclean = disks
      .flatMap((disk) => [disk, ...(disk.others ?? [])])
      .map(uncleanness)
      .filter((text) => text !== undefined)
    const evidence = unclean.map((text) => `\nnot clean after power-off: ${text}`).join('')
    examine?.(disks[0] as MadeDisk)
    return { ...boot, console: console + evidence, clean: unclean.length === 0 }
  }
}
