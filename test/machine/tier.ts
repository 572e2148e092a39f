import t from 'tap'
import { allCases, type Case } from './cases.js'
import { bootContainer, bootVm } from './machine.js'
import { prepareHost } from './packages.js'
import { RELEASES, type Release } from './rootfs.js'

/**
 * A tier of the tests: boots the cases on machines of one kind. `HOSTEXT_TEST_FULL=1` boots all of them on
 * every release; otherwise virtual machines boot the main ones. `HOSTEXT_TEST_CASE=TEXT` picks by name.
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
  const runs = allCases()
    .filter(
      ({ name, container, main }) =>
        name.includes(wanted) && (kind === 'container' ? container : full || main || wanted),
    )
    .flatMap((testCase) => RELEASES.map((release) => ({ release, testCase })))
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
