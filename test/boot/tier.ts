import t from 'tap'
import { brief } from './brief.js'
import { allCases } from './cases.js'
import type { Case } from './checks.js'
import { bootContainer } from './container.js'
import { bootDisks } from './disk-machine.js'
import type { Boot, Outcome } from './machine.js'
import { prepareHost } from './packages.js'
import { SHARE } from './processors.js'
import { qemu } from './qemu.js'
import type { Release } from './rootfs.js'
import { timeLine } from './times.js'
import { uml } from './uml.js'
import { releasesOf, type Way } from './ways.js'

/**
 * A tier of the tests: boots the cases in one way. `HOSTEXT_TEST_FULL=1` is the full run.
 * `HOSTEXT_TEST_CASE=TEXT` selects cases by name, on all releases; `HOSTEXT_TEST_RELEASE=NAME` selects by
 * release. `HOSTEXT_TEST_REPEAT=NUMBER` boots each case that often, to find rare failures.
 */
export async function bootTier(way: Way): Promise<void> {
  const problem = prepareHost()
  if (problem) {
    if (process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)
    t.test(`boots (${way})`, { skip: problem }, async () => {})
    return
  }
  const wanted = process.env.HOSTEXT_TEST_CASE ?? ''
  const onlyRelease = process.env.HOSTEXT_TEST_RELEASE ?? ''
  const full = process.env.HOSTEXT_TEST_FULL === '1' || wanted !== ''
  const repeat = Number(process.env.HOSTEXT_TEST_REPEAT ?? 1)
  const runs = (await allCases())
    .flatMap((testCase, number) =>
      releasesOf(testCase, way, number, full).map((release) => ({ release, testCase })),
    )
    .filter(({ release, testCase }) => testCase.name.includes(wanted) && release.includes(onlyRelease))
    .flatMap((each) => Array<typeof each>(repeat).fill(each))
  t.jobs = way === 'uml' ? SHARE * 2 : 2
  for (const { release, testCase } of runs) {
    const name = `${release}: ${testCase.name}`
    const timeout = 300_000 + 700_000 * (testCase.machine.boots?.length ?? 1)
    t.test(name, { buffered: true, timeout }, async (t) => {
      let boots: readonly Boot[] = []
      const started = Date.now()
      try {
        const outcome = await boot(way, release, testCase)
        boots = outcome.boots
        const booting = boots.reduce((sum, { seconds }) => sum + seconds, 0)
        const seconds = (Date.now() - started) / 1000
        t.comment(timeLine({ way, name, boots: boots.length, booting, seconds }))
        testCase.check(t, outcome)
      } catch (error) {
        t.comment(brief(name, boots, error))
        throw error
      }
      if (t.passing()) return
      for (const [index, { console, reports }] of boots.entries())
        t.comment(
          `boot ${index + 1}, console:\n${console.slice(-15_000)}\nreports:\n${[...reports].map(([key, text]) => `${key}: ${text}`).join('\n')}`,
        )
      t.comment(brief(name, boots))
    })
  }
}

function boot(way: Way, release: Release, { boot, machine, dialogue }: Case): Promise<Outcome> {
  if (way === 'container') return bootContainer({ ...machine, release })
  // The main cases boot Debian as it comes.
  const lean = !Array.isArray(boot)
  return bootDisks({ uml, vm: qemu }[way], { ...machine, release, lean }, dialogue ? { dialogue } : {})
}
