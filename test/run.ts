/**
 * The tests: `tsx test/run.ts [unit|full]`. One tier after the other, so that emulated machines have the
 * processors to themselves: units, boots in containers, boots in virtual machines. `full` boots every case on every
 * release in both. What was skipped fails the run where CI=true.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { failures } from './boot/brief.js'
import { prepareHost } from './boot/packages.js'

const TEST = import.meta.dirname

const TIERS: Record<string, string[]> = {
  unit: ['test/unit.ts'],
  container: ['test/boot/tiers/container.ts'],
  vm: ['test/boot/tiers/vm.ts', 'test/boot/tiers/power-cuts.ts'],
}

// Before the first tier: its tests use some of it, too.
const problem = prepareHost()
if (problem) console.log(`boots are skipped: ${problem}`)

const [mode = 'all'] = process.argv.slice(2)
if (!['all', 'unit', 'full'].includes(mode)) throw new Error(`no tier ${mode}; unit or full`)
if (mode === 'full') process.env.HOSTEXT_TEST_FULL = '1'

/** Thousands of small trees are made and removed; a disk takes seven times as long over them. */
function inMemory(): { TMPDIR?: string } {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return {}
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > 2 ** 30 ? { TMPDIR: memory } : {}
}

const total = { pass: 0, fail: 0, skip: 0 }
const failedTests: string[] = []
let failed = false
for (const [tier, files] of Object.entries(TIERS)) {
  if (mode === 'unit' && tier !== 'unit') continue
  console.log(`\n=== ${tier}`)
  const started = Date.now()
  const words = [
    'tap',
    'run',
    '--disable-coverage',
    '--allow-empty-coverage',
    '--timeout=0',
    // The power cuts have two machines in the full run, one otherwise, beside those of the other file.
    `--jobs=${mode === 'full' && tier === 'vm' ? 1 : 2}`,
    '--reporter=tap',
  ]
  const { stdout, status } = spawnSync('npx', ['--no', '--', ...words, ...files], {
    cwd: join(TEST, '..'),
    encoding: 'utf8',
    env: tier === 'unit' ? { ...process.env, ...inMemory() } : process.env,
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 30,
  })
  // All of it where something failed: the console of a machine is the only witness.
  const seconds = Math.round((Date.now() - started) / 1000)
  const summary = stdout.split('\n').filter((line) => /^ {0,4}(?:not )?ok /.test(line))
  console.log(status === 0 ? summary.join('\n') : stdout)
  const counts = /^# \{ (total: .*) \}$/m.exec(stdout)?.[1] ?? ''
  for (const key of ['pass', 'fail', 'skip'] as const)
    total[key] += Number(new RegExp(`${key}: (\\d+)`).exec(counts)?.[1] ?? 0)
  console.log(`=== ${tier}: ${counts}, ${seconds} s`)
  if (status !== 0) failedTests.push(`\n=== failed in ${tier}`, ...failures(stdout))
  failed ||= status !== 0
}

if (process.env.CI === 'true' && total.skip > 0) {
  console.log('something was skipped, which CI does not allow')
  failed = true
}
// Once more and in short: of a long output often only the end is seen.
if (failed) console.log(failedTests.join('\n'))
console.log(`\n${total.pass} passed, ${total.fail} failed, ${total.skip} skipped`)
process.exit(failed ? 1 : 0)
