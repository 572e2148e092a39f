import t from 'tap'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { killEngine, STORES } from '../killed-engines.js'
import { prepareHost } from '../packages.js'

/**
 * Engines that are killed amid what they do. `HOSTEXT_TEST_KILLS=N` times a store (50 in the full run,
 * otherwise 3) with the fixed seed, and a tenth as many with the seed of this run. `HOSTEXT_TEST_CASE` skips
 * them unless it matches their name.
 */
const kills = Number(process.env.HOSTEXT_TEST_KILLS ?? (process.env.HOSTEXT_TEST_FULL === '1' ? 50 : 3))
const wanted = process.env.HOSTEXT_TEST_CASE ?? ''

const problem = prepareHost()
if (problem && process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)
t.jobs = 2
for (const store of STORES) {
  const name = `killed engines: ${store.name}`
  const skip = problem ?? (name.includes(wanted) ? false : 'another case is wanted')
  t.test(name, { buffered: true, timeout: 3600_000, skip }, async (t) => {
    for (const [seed, rounds] of [
      [FIXED_SEED, kills],
      [ROTATING_SEED, Math.ceil(kills / 10)],
    ] as const) {
      const { problems, compared } = await killEngine(store, rounds, seed)
      t.same(problems, [], `${rounds} kills, seed ${seed}: ${compared} containers`)
      t.ok(compared > 0)
    }
  })
}
