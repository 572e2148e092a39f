import t from 'tap'
import { prepareHost } from '../packages.js'
import { live } from '../power-cuts.js'
import { RELEASES, type Release } from '../rootfs.js'
import { timeLine } from '../times.js'

/**
 * Power cuts across the life of an extension. `HOSTEXT_TEST_CUTS=N` (100 in the full run, otherwise 3 on one release),
 * `HOSTEXT_TEST_SEED=N` for the cuts of an earlier run: at the same moments, as far as a machine can be had to
 * do the same again. `HOSTEXT_TEST_RELEASE=NAME` as ever; `HOSTEXT_TEST_CASE` skips them, unless they are what it means.
 */
const full = process.env.HOSTEXT_TEST_FULL === '1'
const total = Number(process.env.HOSTEXT_TEST_CUTS ?? (full ? 100 : 3))
const seed = Number(process.env.HOSTEXT_TEST_SEED ?? 1)
const isWanted = 'power cuts'.includes(process.env.HOSTEXT_TEST_CASE ?? '')
const releases = RELEASES.filter((name) => name.includes(process.env.HOSTEXT_TEST_RELEASE ?? ''))

/** No machine gets more: so that two can go on at the same time to the end. */
const MOST = 13

/** The machines, their shares of the cuts, and a seed for each. */
function machines(): { release: Release; cuts: number; seed: number }[] {
  const count = Math.max(full ? releases.length : 1, Math.ceil(total / MOST))
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
  t.comment(`HOSTEXT_TEST_SEED=${seed}`)
  t.jobs = 2
  for (const { release, cuts, seed } of machines()) {
    const name = `${release}: ${cuts} power cuts (seed ${seed})`
    t.test(name, { buffered: true, timeout: 24 * 3600 * 1000 }, async (t) => {
      const started = Date.now()
      const done = await live({ release, seed, cuts, tell: (line) => t.comment(line) })
      t.equal(done.cuts, cuts, 'as many cuts as were asked for')
      t.comment(`${done.boots} boots, ${done.ends} to their end`)
      const seconds = (Date.now() - started) / 1000
      t.comment(timeLine({ way: 'vm', name, boots: done.boots, booting: done.seconds, seconds }))
    })
  }
}
