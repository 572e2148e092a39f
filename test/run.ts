/**
 * The tests: `tsx test/run.ts [unit|full]`. One tier after the other, so that machines have the processors to
 * themselves: units, boots in containers, in user-mode Linux, in emulation. `full` boots every case on every
 * release. What was skipped fails the run where CI=true. HOSTEXT_TEST_TIMES=1: a line a case on where the
 * time goes.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { countsOf, failures } from './boot/brief.js'
import { prepareHost } from './boot/packages.js'
import { RELEASES } from './boot/rootfs.js'
import { summary, table, timesIn } from './boot/times.js'
import { inMemory } from './support/memory.js'
import { runtimeDirectory, TESTED } from './support/runtime.js'
import { ROTATING_SEED } from './support/seeded.js'

const PROJECT = join(import.meta.dirname, '..')
const TIERS: Record<string, string[]> = {
  unit: ['test/unit.ts'],
  container: ['test/boot/tiers/container.ts', 'test/boot/tiers/killed-engines.ts'],
  uml: ['test/boot/tiers/uml.ts', 'test/boot/tiers/power-cuts.ts'],
  vm: ['test/boot/tiers/vm.ts'],
}

const begun = Date.now()
const secondsSince = (start: number): number => Math.round((Date.now() - start) / 1000)

/** Runs a program until it ends; `output` is what it prints, where that is not ours. */
async function command(words: string[], env = process.env, isSeen = false) {
  const [program = '', ...rest] = words
  const stdio = ['ignore', isSeen ? 'inherit' : 'pipe', 'inherit'] as const
  const child = spawn(program, rest, { cwd: PROJECT, env, stdio: [...stdio] })
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk) => chunks.push(chunk))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, output: Buffer.concat(chunks).toString() }
}

/** Makes what machines are made of, all at once: mostly it waits for packages. */
async function prepare(): Promise<void> {
  const names = [...RELEASES, 'uml']
  const made = await Promise.all(
    names.map((name) =>
      command(['npx', '--no', '--', 'tsx', 'test/boot/prepare.ts', name], process.env, true),
    ),
  )
  for (const [index, { status }] of made.entries())
    if (status !== 0) throw new Error(`${names[index]} could not be made: status ${status}`)
}

// Before the first tier: its tests use some of it, too.
const problem = prepareHost()
if (problem) console.log(`boots are skipped: ${problem}`)
// Test files run in parallel, and would all compile it.
if (TESTED.length > 0) console.log(`with ${runtimeDirectory(process.arch, TESTED)}`)

const [mode = 'all'] = process.argv.slice(2)
if (!['all', 'unit', 'full'].includes(mode)) throw new Error(`no tier ${mode}; unit or full`)
if (mode === 'full') process.env.HOSTEXT_TEST_FULL = '1'

// While the units are tested.
const prepared = (problem || mode === 'unit' ? Promise.resolve() : prepare()).then(() => secondsSince(begun))
prepared.catch(() => {})

const inWords = ({ pass, fail, skip }: typeof total): string =>
  `${pass} passed, ${fail} failed, ${skip} skipped`

// The same for all tiers, and known where one of them failed.
process.env.HOSTEXT_TEST_SEED ??= String(ROTATING_SEED)
console.log(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)

const total = { pass: 0, fail: 0, skip: 0 }
const failedTests: string[] = []
const briefs: string[] = []
const tiers: string[] = []
let failed = false
for (const [tier, files] of Object.entries(TIERS)) {
  if (mode === 'unit' && tier !== 'unit') continue
  if (tier === 'container') console.log(`\n=== the root filesystems were there after ${await prepared} s`)
  console.log(`\n=== ${tier}`)
  const started = Date.now()
  const words = [
    'tap',
    'run',
    '--disable-coverage',
    '--allow-empty-coverage',
    '--timeout=0',
    '--jobs=2',
    '--reporter=tap',
  ]
  const env = tier === 'unit' ? { ...process.env, ...inMemory() } : process.env
  const { output, status } = await command(['npx', '--no', '--', ...words, ...files], env)
  // All of it where something failed: the console of a machine is the only witness.
  const summaryLines = output.split('\n').filter((line) => /^ {0,4}(?:not )?ok /.test(line))
  console.log(status === 0 ? summaryLines.join('\n') : output)
  const counts = countsOf(output)
  for (const key of ['pass', 'fail', 'skip'] as const) total[key] += counts[key]
  const times = timesIn(output)
  if (process.env.HOSTEXT_TEST_TIMES === '1' && times.length > 0) console.log(table(times))
  const line = [`${tier}: ${inWords(counts)}, ${secondsSince(started)} s`, summary(times)]
    .filter(Boolean)
    .join('; ')
  tiers.push(line)
  console.log(`=== ${line}`)
  if (status !== 0) {
    const { failed, briefs: said } = failures(output)
    failedTests.push(`\n=== failed in ${tier}`, ...failed)
    briefs.push(...said)
  }
  failed ||= status !== 0
}

if (process.env.CI === 'true' && total.skip > 0) {
  console.log('something was skipped, which CI does not allow')
  failed = true
}
// Once more and in short: of a long output often only the end is seen.
if (failed) console.log(briefs.join('\n'))
console.log(`\n=== where the ${secondsSince(begun)} s went\n${tiers.join('\n')}`)
if (failed) console.log(failedTests.join('\n'))
console.log(`\n${inWords(total)}`)
process.exit(failed ? 1 : 0)
