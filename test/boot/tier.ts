import t from 'tap'
import { brief } from './brief.js'
import { allCases } from './cases/main.js'
import type { Case } from './checks.js'
import { type Boot, bootContainer, bootVm } from './machine.js'
import { prepareHost } from './packages.js'
import { RELEASES, type Release } from './rootfs.js'

/**
 * A tier of the tests: boots the cases on machines of one kind. `HOSTEXT_TEST_FULL=1` boots all of them on
 * every release; otherwise the main ones are booted on every release, and each other one on one of them, in a virtual
 * machine if no container can show it. `HOSTEXT_TEST_CASE=TEXT` picks by name, `HOSTEXT_TEST_RELEASE=NAME` by release, `HOSTEXT_TEST_REPEAT=NUMBER`
 * boots each that often, to find what fails once in a while.
 */
export function bootTier(kind: 'container' | 'vm'): void {
  const problem = prepareHost()
  if (problem) {
    if (process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)
    t.test(`boots (${kind})`, { skip: problem }, async () => {})
    return
  }
  const full = process.env.HOSTEXT_TEST_FULL === '1'
  const wanted = process.env.HOSTEXT_TEST_CASE ?? ''
  const onlyRelease = process.env.HOSTEXT_TEST_RELEASE ?? ''
  const releases = ({ container, main }: Case, index: number): readonly Release[] => {
    if (kind === 'container' && !container) return []
    if (full || main || wanted) return RELEASES
    return kind === 'vm' && container ? [] : [RELEASES[index % RELEASES.length] as Release]
  }
  const repeat = Number(process.env.HOSTEXT_TEST_REPEAT ?? 1)
  const runs = allCases()
    .flatMap((testCase, index) => releases(testCase, index).map((release) => ({ release, testCase })))
    .filter(({ release, testCase }) => testCase.name.includes(wanted) && release.includes(onlyRelease))
    .flatMap((each) => Array<typeof each>(repeat).fill(each))
  t.jobs = 2
  for (const { release, testCase } of runs) {
    const name = `${release}: ${testCase.name}`
    const timeout = 300_000 + 700_000 * (testCase.machine.boots?.length ?? 1)
    t.test(name, { buffered: true, timeout }, async (t) => {
      let boots: readonly Boot[] = []
      try {
        const outcome = await boot(kind, release, testCase)
        boots = outcome.boots
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

function boot(kind: 'container' | 'vm', release: Release, { machine, main, dialogue }: Case) {
  if (kind === 'container') return bootContainer({ ...machine, release })
  // The main cases boot Debian as it comes.
  return bootVm({ ...machine, release, lean: !main }, dialogue ? { dialogue } : {})
}
