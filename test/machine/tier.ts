import t from 'tap'
import { allCases } from './cases.js'
import type { Case } from './checks.js'
import { bootContainer, bootVm } from './machine.js'
import { prepareHost } from './packages.js'
import { RELEASES, type Release } from './rootfs.js'

/**
 * A tier of the tests: boots the cases on machines of one kind. `HOSTEXT_TEST_FULL=1` boots all of them on
 * every release; otherwise virtual machines boot the main ones on every release, and on one of them what no container
 * can show. `HOSTEXT_TEST_CASE=TEXT` picks by name, `HOSTEXT_TEST_RELEASE=NAME` by release.
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
    if (kind === 'container') return container ? RELEASES : []
    if (full || main || wanted) return RELEASES
    return container ? [] : [RELEASES[index % RELEASES.length] as Release]
  }
  const runs = allCases()
    .flatMap((testCase, index) => releases(testCase, index).map((release) => ({ release, testCase })))
    .filter(({ release, testCase }) => testCase.name.includes(wanted) && release.includes(onlyRelease))
  t.jobs = 2
  for (const { release, testCase } of runs) {
    t.test(`${release}: ${testCase.name}`, { buffered: true, timeout: 1_500_000 }, async (t) => {
      const outcome = await boot(kind, release, testCase)
      testCase.check(t, outcome)
      if (!t.passing())
        t.comment(
          `console:\n${outcome.console.slice(-15_000)}\nreports:\n${[...outcome.reports].map(([key, text]) => `${key}: ${text}`).join('\n')}`,
        )
    })
  }
}

function boot(kind: 'container' | 'vm', release: Release, { machine, dialogue }: Case) {
  if (kind === 'container') return bootContainer({ ...machine, release })
  return bootVm({ ...machine, release }, dialogue ? { dialogue } : {})
}
