import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { assemble } from './assemble.js'
import { bootAll, checkEnd, wordsOf } from './boots.js'
import { ownCgroup } from './cgroup.js'
import { type Boot, type BootOptions, type Machine, type Outcome, parseReports } from './machine.js'
import { type Ran, type RunOptions, run } from './process.js'

/**
 * systemd 258 and later refuse version 1 of the control groups, which the host may still have. And nothing
 * here answers what it asks the terminal.
 */
const ENVIRONMENT = ['SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1', 'TERM=dumb']

/**
 * Boots the machine in a container (systemd-nspawn) until it powers off. hostext is allowed to work there. A
 * power cut of a container kills all its processes at once, but everything they have written is kept, flushed
 * or not.
 */
export function bootContainer(machine: Machine, limit = 600): Promise<Outcome> {
  return withContainer(machine, limit, (boot) => bootAll(machine, boot))
}

/** A boot, and the seconds of processor time that all processes of the container took, from start to end. */
type ContainerBoot = Boot & { processor: number }

/** Makes the tree of the machine, which exists for as long as `use` boots it. */
export async function withContainer<Result>(
  machine: Machine,
  limit: number,
  use: (boot: (options: BootOptions) => Promise<ContainerBoot>) => Promise<Result>,
): Promise<Result> {
  if (
    machine.disks ||
    machine.partitioned ||
    (machine.rootFilesystem ?? 'ext4') !== 'ext4' ||
    machine.devices ||
    machine.initrd ||
    typeof machine.fstab === 'function' ||
    machine.boots?.some(({ qemu }) => qemu)
  )
    throw new Error('a container has no disks, devices or file systems of its own')
  const tree = assemble({
    ...machine,
    files: {
      'etc/hostext.conf.d/container.conf': '[Boot]\nContainer=yes\n',
      ...(typeof machine.fstab === 'string' && { 'etc/fstab': machine.fstab }),
      ...machine.files,
    },
  })
  // The reports go to the console, which a getty would take over.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/console-getty.service'))
  let number = 0
  try {
    return await use(async (options) => {
      const commandLine = wordsOf(machine, options, [], ++number)
      const network = machine.ownNetwork ? ['--private-network'] : []
      const words = ['-q', '--register=no', '--keep-unit', ...network, '-D', tree, '-b', ...commandLine]
      const { cut } = options
      const ran = await runApart(['env', ...ENVIRONMENT, 'systemd-nspawn', ...words], {
        limit: options.limit ?? limit,
        ...(cut && { cut, output: `${tree}.console` }),
      })
      const reports = parseReports(ran.console)
      // The exit status of nspawn if the container asks for a reboot and nspawn is told not to do it.
      const end = ran.isCut ? 'cut' : ran.code === 133 ? 'reboot' : 'poweroff'
      checkEnd(options, { reports, end }, ran, `the container (boot ${number})`)
      const { console, seconds, processor } = ran
      return { reports, console, seconds, processor, end, clean: undefined, marks: new Map() }
    })
  } finally {
    // Processes of a killed container may still write.
    rmSync(tree, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 })
    rmSync(`${tree}.console`, { force: true })
  }
}

/** Runs a container at the same time as others: {@link run} in a control group of its own. */
async function runApart(command: string[], options: RunOptions): Promise<Ran & { processor: number }> {
  const cgroup = ownCgroup()
  try {
    const ran = await run([...cgroup.words, ...command], options)
    return { ...ran, processor: cgroup.processor() }
  } finally {
    await cgroup.remove()
  }
}
