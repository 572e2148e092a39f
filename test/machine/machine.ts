import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cached } from './cache.js'
import { debian, type Release } from './rootfs.js'

const PROJECT = join(import.meta.dirname, '../..')

/** What a case changes in a root filesystem that has hostext installed. */
export type Machine = {
  release: Release
  /** Put at /var/lib/docker. */
  dataRoot?: string
  /** Sourced by the guest's reporter when the boot is complete: calls of `report KEY COMMAND …`. */
  script: string
  /** More files, path to text; a path that ends with `*` is executable. */
  files?: Record<string, string>
  /** Anything else, done on the tree before it boots. */
  prepare?: (root: string) => void
  /** More words for the kernel (a VM) or PID 1 (a container). */
  commandLine?: string[]
}

/** What a machine said: the reports by key, and everything on its console. */
export type Outcome = { reports: Map<string, string>; console: string; seconds: number }

/** The root filesystem of `release` with this checkout's hostext installed, as `build.mjs install` does it. */
function installed(release: Release): string {
  const hash = createHash('sha256').update(debian(release).root)
  for (const path of ['build.mjs', 'package.json', 'dist', 'generators', 'docs']) {
    const full = join(PROJECT, path)
    const files = statSync(full).isDirectory() ? readdirSync(full).map((name) => join(full, name)) : [full]
    for (const file of files.sort()) hash.update(file.slice(PROJECT.length)).update(readFileSync(file))
  }
  return cached(`installed-${release}`, hash.digest('hex'), (directory) => {
    execFileSync('cp', ['-a', `${debian(release).root}/.`, directory])
    execFileSync(process.execPath, ['build.mjs', 'install', '--destdir', directory], {
      cwd: PROJECT,
      stdio: 'pipe',
    })
  })
}

/** Makes the tree of a machine in a new directory. */
function assemble(machine: Machine): string {
  const tree = mkdtempSync(join(tmpdir(), `hostext-${machine.release}-`))
  chmodSync(tree, 0o755)
  // Nothing writes into a file below /usr in place, so links do there; the rest is copied.
  const base = installed(machine.release)
  const others = readdirSync(base).filter((name) => name !== 'usr')
  execFileSync('cp', ['-a', '-t', tree, ...others.map((name) => join(base, name))])
  execFileSync('cp', ['-al', '-t', tree, join(base, 'usr')])
  if (machine.dataRoot) {
    mkdirSync(join(tree, 'var/lib/docker'), { recursive: true })
    execFileSync('cp', ['-a', `${machine.dataRoot}/.`, join(tree, 'var/lib/docker')])
  }
  for (const [path, text] of Object.entries({ 'usr/lib/test/script': machine.script, ...machine.files })) {
    const file = join(tree, path.replace(/\*$/, ''))
    mkdirSync(dirname(file), { recursive: true })
    rmSync(file, { force: true })
    writeFileSync(file, text)
    if (path.endsWith('*')) chmodSync(file, 0o755)
  }
  machine.prepare?.(tree)
  return tree
}

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

/** Boots the machine in a container (systemd-nspawn) until it powers off. Hostext is allowed to work there. */
export async function bootContainer(machine: Machine, limit = 240): Promise<Outcome> {
  const tree = assemble({
    ...machine,
    files: { 'etc/hostext.conf.d/container.conf': '[Boot]\nContainer=yes\n', ...machine.files },
  })
  // The reports go to the console, which a getty would take for itself.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/console-getty.service'))
  try {
    const words = ['-q', '--register=no', '--keep-unit', '-D', tree, '-b', ...(machine.commandLine ?? [])]
    const { console, seconds, ended } = await run('systemd-nspawn', words, limit, () => {})
    const reports = parseReports(console)
    if (!ended || !reports.has('END'))
      throw machineError(`the container did not finish in ${limit} s`, console)
    return { reports, console, seconds }
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

export type VmOptions = {
  /** Seconds until a machine that has not powered off has failed. */
  limit?: number
  /** fstab; the root is /dev/vda. */
  fstab?: string
  /** What to type when the console shows the first string: [expect, send]. */
  dialogue?: [string, string][]
  /** Called with the disk after the machine has powered off. */
  afterwards?: (disk: string) => void
}

/** Seconds without a line from user space after which an emulated machine is taken for stalled. */
const STALL = 120

/** Boots the machine in QEMU (emulation) until it powers off; again, if it stalled before user space. */
export async function bootVm(machine: Machine, options: VmOptions = {}): Promise<Outcome> {
  const limit = options.limit ?? 600
  const { kernel, initrd } = debian(machine.release)
  const fstab = options.fstab ?? '/dev/vda / ext4 rw,errors=remount-ro 0 1\n'
  const tree = assemble({ ...machine, files: { 'etc/fstab': fstab, ...machine.files } })
  const work = mkdtempSync(join(tmpdir(), 'hostext-vm-'))
  const disk = join(work, 'disk')
  const port = join(work, 'ttyS1')
  try {
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-E', 'lazy_itable_init=1', '-d', tree, disk, '1200M'], {
      stdio: 'pipe',
    })
    rmSync(tree, { recursive: true })
    const append = [
      'console=ttyS0',
      'root=/dev/vda',
      'ro',
      'panic=-1',
      'mitigations=off',
      ...(machine.commandLine ?? []),
    ]
    const words = [
      ...[
        '-accel',
        'tcg,thread=multi',
        '-cpu',
        'max',
        '-m',
        '768',
        '-smp',
        '1',
        '-nographic',
        '-no-reboot',
        '-nodefaults',
      ],
      ...['-kernel', kernel, '-initrd', initrd, '-append', append.join(' ')],
      ...['-drive', `file=${disk},if=virtio,format=raw,cache=unsafe`],
      ...['-serial', 'stdio', '-serial', `file:${port}`],
    ]
    for (let attempt = 1; ; attempt++) {
      const dialogue = [...(options.dialogue ?? [])]
      let stalled = false
      const { console, seconds, ended } = await run(
        'qemu-system-x86_64',
        words,
        limit,
        (child, text, elapsed) => {
          const [expected, answer] = dialogue[0] ?? []
          if (expected !== undefined && text.includes(expected)) {
            dialogue.shift()
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
        throw machineError(`the machine did not finish in ${limit} s; it reported:\n${said}`, console)
      }
      options.afterwards?.(disk)
      return { reports, console, seconds }
    }
  } finally {
    rmSync(tree, { recursive: true, force: true })
    rmSync(work, { recursive: true, force: true })
  }
}

/** Runs a machine; `watch` sees its console four times a second. `ended`: by itself, within the limit. */
async function run(
  command: string,
  words: string[],
  limit: number,
  watch: (child: ChildProcess, console: string, elapsed: number) => void,
): Promise<{ console: string; seconds: number; ended: boolean }> {
  const started = Date.now()
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const chunks: string[] = []
  child.stdout?.on('data', (chunk) => chunks.push(String(chunk)))
  child.stderr?.on('data', (chunk) => chunks.push(String(chunk)))
  let ended = true
  const kill = () => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }
  process.once('exit', kill)
  const timer = setInterval(() => {
    const elapsed = (Date.now() - started) / 1000
    watch(child, chunks.join(''), elapsed)
    if (elapsed > limit) {
      ended = false
      kill()
    }
  }, 250)
  await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  process.off('exit', kill)
  return { console: chunks.join(''), seconds: (Date.now() - started) / 1000, ended: ended && !child.killed }
}

/** The text reported under `key`; says which keys there are if there is none. */
export function reported({ reports, console }: Outcome, key: string): string {
  if (!reports.has(`${key}.status`))
    throw machineError(`no report ${key}, only ${[...reports.keys()].join(' ')}`, console)
  return reports.get(key) ?? ''
}
