/**
 * `npm run demo`: as root, a real machine from nothing. It builds the bundle, makes a Debian root filesystem,
 * has a real dockerd create three extensions, installs hostext, boots the result in QEMU and shows what the
 * machine says of itself. Without root, what hostext would do on a sample machine.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bootDisks } from './boot/disk-machine.js'
import { standardDataRoot } from './boot/extensions.js'
import type { Outcome } from './boot/machine.js'
import { prepareHost } from './boot/packages.js'
import { qemu } from './boot/qemu.js'
import { debian } from './boot/rootfs.js'

const PROJECT = join(import.meta.dirname, '..')
const RELEASE = 'bookworm'

/** Commands as a person would type them on the machine, one report each. */
const COMMANDS = [
  'findmnt /',
  "systemctl list-units 'run-hostext-*' --no-legend --plain",
  'systemctl status --no-pager --lines=0 run-hostext-0.mount',
  'cat /usr/share/one-layer/one.txt',
  'ls /usr/share/layers /usr/share/layers/directory',
  'cat /usr/share/base/replaced',
  'cat /usr/share/base/deleted',
  'hostext status',
  'mount -o remount,rw /',
  'systemctl is-system-running',
]
const WHY: Record<string, string> = {
  'cat /usr/share/one-layer/one.txt': 'a file of an image of one layer',
  'ls /usr/share/layers /usr/share/layers/directory':
    'of many layers, which delete a file and replace a directory',
  'cat /usr/share/base/replaced': "override=10: replaces the root's file",
  'cat /usr/share/base/deleted': "an image deleted its own file of that name; the root's stays",
  'mount -o remount,rw /': 'root cannot unlock the root; the kernel refuses',
}

const started = Date.now()
function step<T>(what: string, work: () => T): T {
  console.log(`[${((Date.now() - started) / 1000).toFixed(0).padStart(3)} s] ${what}`)
  return work()
}

async function machine(): Promise<void> {
  step('building dist/hostext.cjs', () => execFileSync(process.execPath, ['build.mjs'], { cwd: PROJECT }))
  step('a Debian 12 root filesystem', () => debian(RELEASE))
  const dataRoot = step('a real dockerd builds the images and creates the containers', standardDataRoot)
  const wait = `for try in $(seq 600); do systemctl is-system-running | grep -qE 'initializing|starting' || break; sleep 0.1; done\n`
  const script = wait + COMMANDS.map((command, index) => `report ${index} ${command}\n`).join('')
  const outcome = await step(
    'hostext goes in (build.mjs install), and the machine boots in QEMU: a minute or two',
    () => bootDisks(qemu, { release: RELEASE, dataRoot, script }, { limit: 400 }),
  )
  show(outcome)
  console.log(`[${((Date.now() - started) / 1000).toFixed(0).padStart(3)} s] done`)
}

function show({ console: log, reports }: Outcome): void {
  console.log('\nThe boot, from its console:\n')
  for (const line of log.split(/\r?\n/)) {
    if (/hostext: |Mounted .*Host ext|Switching root|Reached target .*(?:hostext|Multi-User)/.test(line))
      console.log(`  ${line}`)
  }
  console.log('\nThe machine, in its own words:')
  for (const [index, command] of COMMANDS.entries()) {
    console.log(`\n# ${command}${WHY[command] ? `    (${WHY[command]})` : ''}`)
    console.log(reports.get(String(index)) ?? '')
  }
}

function sample(problem: string): void {
  const work = mkdtempSync(join(tmpdir(), 'hostext-demo-'))
  try {
    const root = join(work, 'root')
    cpSync(join(PROJECT, 'test/cases/soft-reboot/root'), root, { recursive: true })
    const dataRoot = join(PROJECT, 'test/data-roots/standard')
    cpSync(dataRoot, join(root, 'var/lib/docker'), { recursive: true, verbatimSymlinks: true })
    const directories = ['normal', 'early', 'late'].map((name) => join(work, name))
    for (const directory of [join(root, 'run'), ...directories]) mkdirSync(directory)
    const hostext = (...words: string[]) =>
      execFileSync(process.execPath, [join(PROJECT, 'dist/commands.cjs'), ...words], {
        encoding: 'utf8',
        env: { ...process.env, HOSTEXT_ROOT: root },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
    console.log('A sample machine (test/cases/soft-reboot, test/data-roots/standard).\n\n# hostext plan')
    console.log(hostext('plan'))
    console.log('# hostext NORMAL EARLY LATE, as systemd calls it')
    execFileSync(process.execPath, [join(PROJECT, 'dist/hostext.cjs'), ...directories], {
      env: { ...process.env, HOSTEXT_ROOT: root },
    })
    for (const unit of [
      'run-hostext-0.mount',
      'hostext-stack.service',
      'hostext-switch.service',
      'hostext.target',
    ]) {
      console.log(`\n## ${unit}\n${readFileSync(join(work, 'normal', unit), 'utf8')}`)
    }
    console.log(
      `The full demo boots a machine with them: ${problem}.\nIt needs root on Debian 12 for x64, about 2 GB of disk, and no virtualization hardware.`,
    )
  } finally {
    rmSync(work, { recursive: true })
  }
}

const problem = prepareHost()
if (problem) sample(problem)
else await machine()
