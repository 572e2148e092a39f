import t from 'tap'
import { ROTATING_SEED } from '../../support/seeded.js'
import { prepareHost } from '../packages.js'
import { live } from '../power-cuts.js'
import { RELEASES, type Release } from '../rootfs.js'
import { timeLine } from '../times.js'

/**
 * Power cuts during the life of an extension. `HOSTEXT_TEST_CUTS=N` (100 in the full run, otherwise 3 on one
 * release) with the fixed seed, and a tenth as many with the seed of this run. `HOSTEXT_TEST_SEED=N` repeats
 * those of an earlier run: at the same moments, as far as a machine behaves in the same way again.
 * `HOSTEXT_TEST_RELEASE=NAME` works as usual; `HOSTEXT_TEST_CASE` skips them unless it matches their name.
 */
const full = process.env.HOSTEXT_TEST_FULL === '1'
const total = Number(process.env.HOSTEXT_TEST_CUTS ?? (full ? 100 : 3))
const FIXED = 1
const isWanted = 'power cuts'.includes(process.env.HOSTEXT_TEST_CASE ?? '')
const releases = RELEASES.filter((name) => name.includes(process.env.HOSTEXT_TEST_RELEASE ?? ''))

/** The most cuts for one machine, so that two machines can run side by side until the end. */
const MOST = 13

/** The machines for `total` cuts, at least `least` of them, with the share and the seed of each. */
function machines(
  total: number,
  least: number,
  seed: number,
): { release: Release; cuts: number; seed: number }[] {
  const count = Math.max(least, Math.ceil(total / MOST))
  return Array.from({ length: count }, (_, index) => ({
    release: releases[(index + (full ? 0 : seed)) % releases.length] as Release,
    cuts: Math.floor(total / count) + (index < total % count ? 1 : 0),
    seed: seed * 1000 + index,
  }))
}

const problem = prepareHost()
if (problem && process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)
if (problem || !isWanted) {
  t.test('power cuts', { skip: problem ?? 'another case is wanted' }, async () => {})
} else {
  t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)
  t.jobs = 2
  const all = [
    ...machines(total, full ? releases.length : 1, FIXED),
    ...machines(Math.ceil(total / 10), 1, ROTATING_SEED),
  ]
  for (const { release, cuts, seed } of all) {
    const name = `${release}: ${cuts} power cuts (seed ${seed})`
    t.test(name, { buffered: true, timeout: 24 * 3600 * 1000 }, async (t) => {
      const started = Date.now()
      const done = await live({ release, seed, cuts, tell: (line) => t.comment(line) })
      // Anything wrong in a boot throws an error.
      t.pass(`nothing was wrong in ${done.boots} boots`)
      t.comment(`${done.boots} boots, ${done.ends} to their end`)
      const seconds = (Date.now() - started) / 1000
      t.comment(timeLine({ way: 'vm', name, boots: done.boots, booting: done.seconds, seconds }))
    })
  }
}
