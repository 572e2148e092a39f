import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FLAGS } from '../../../packaging/code/code.mjs'
import { findSeeds, vainTries } from '../../../packaging/code/seeds.mjs'
import { OFFICIAL } from '../../../packaging/runtime/official.mjs'
import { cannotFetch, runtimeDirectory, TESTED } from '../../support/runtime.js'
import { makeTree } from '../../support/tree.js'

t.test('the seeds are those that are said to be fast', async (t) => {
  const seeds = findSeeds()
  t.equal(seeds.length, 256)
  t.equal(new Set(seeds).size, 256)
  for (const seed of seeds) t.ok(vainTries(seed) <= 5, `${seed}`)
  // Most others are not.
  const others = Array.from({ length: 100 }, (_, index) => index + 1).filter((seed) => !seeds.includes(seed))
  t.ok(others.length > 95)
  for (const seed of others) t.ok(vainTries(seed, 5) === 6, `${seed}`)
})

const skip =
  cannotFetch ??
  (!(process.arch in OFFICIAL.integrity)
    ? `no runtime for ${process.arch}`
    : spawnSync('valgrind', ['--version']).status !== 0 && 'valgrind is not installed')

t.test('the V8 of the runtime searches as it is said to', { skip }, async (t) => {
  const directory = makeTree(t)
  const script = join(directory, 'empty.js')
  writeFileSync(script, '')
  /** Millions of instructions of a start with this seed. */
  const count = (seed: number): number => {
    const node = join(runtimeDirectory(process.arch, TESTED), 'node')
    const words = ['--tool=callgrind', '--callgrind-out-file=/dev/null', node, ...FLAGS]
    const { stderr } = spawnSync('valgrind', [...words, `--random-seed=${seed}`, script], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, OPENSSL_CONF: '/dev/null' },
    })
    const instructions = Number(/refs:\s+([\d,]+)/.exec(stderr)?.[1]?.replaceAll(',', ''))
    t.ok(instructions > 0, stderr)
    return instructions / 1e6
  }
  const [few, some, many] = [10331, 2, 8]
  t.same(
    [few, some, many].map((seed) => vainTries(seed)),
    [0, 63, 219],
  )
  const [least, middle, most] = [count(few), count(some), count(many)]
  t.comment(`${least}, ${middle} and ${most} million instructions`)
  const each = (most - least) / 219
  t.ok(each > 0.05, `${each} million instructions for each number that is no prime`)
  t.ok(Math.abs(middle - least - 63 * each) < 20 * each, 'and as many for each of fewer')
})
