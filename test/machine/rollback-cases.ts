import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isStacked, said } from './checks.js'
import { dataRoot, type ExtensionSource } from './engine.js'
import { FEATURE, standardDataRoot } from './extensions.js'
import { type Outcome, reported } from './machine.js'

const RECORDS = '/var/lib/docker/hostext'

/** `marked`: waits for the mark that the stack is good. */
const SCRIPT = `${BASE_REPORT}
marked() { for try in $(seq 600); do [ -e /run/hostext/good ] && break; sleep 0.1; done; }
`
const REPORT = `
report records ls ${RECORDS}
report watch systemctl show -P ActiveState hostext-watch.service
report rollback hostext rollback
report culprit systemctl status --no-pager hostext-rollback.service
report issue cat /run/issue.d/hostext.issue
report failed-after systemctl --failed --plain --no-legend
`
const SAFETY = { 'etc/hostext.conf': '[Safety]\nSettle=1s\nTrialTimeout=45s\n' }

/** An extension that a machine cannot boot with, as a container of its own beside a good one. */
function bad(name: string, files: Record<string, string>): ExtensionSource {
  return { name, dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`, files }
}

/** The machine has come back by itself, on its plain root, and says who is to blame. */
function isRolledBack(t: Test, outcome: Outcome, culprit: string): void {
  t.notMatch(reported(outcome, 'root'), /^hostext/, 'the root is the plain one')
  t.equal(reported(outcome, 'target'), 'active', 'multi-user.target is reached')
  const line = new RegExp(`rolled back: ${culprit}: did not boot well in 2 boots`)
  t.match(said(outcome), line)
  t.match(reported(outcome, 'culprit'), line, 'a failed unit names it')
  t.match(reported(outcome, 'issue'), line, 'the console says so')
  t.match(reported(outcome, 'failed'), /^hostext-rollback\.service [^\n]*$/, 'nothing else has failed')
  t.equal(reported(outcome, 'records'), 'trial.2')
}

export function rollbackCases(): Case[] {
  const hangs = bad('hangs', {
    'tree/usr/lib/systemd/system/hang.service':
      '[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nTimeoutSec=infinity\nExecStart=/bin/sleep infinity\n',
    'tree/usr/lib/systemd/system/sysinit.target.wants/hang.service': '->../hang.service',
  })
  const masks = bad('masks', { 'tree/etc/systemd/system/multi-user.target': '->/dev/null' })
  return [
    {
      name: 'rollback: a stack that boots well is marked good, once',
      container: true,
      machine: {
        dataRoot: standardDataRoot(),
        boots: [{}, {}],
        files: SAFETY,
        script: `${SCRIPT}
report watched systemctl show -P ActiveState,SubState hostext-watch.service
report panic cat /proc/sys/kernel/panic
[ "$boot" = 2 ] || marked
${REPORT}
report times sh -c 'cd ${RECORDS} && stat -c "%n %y" . *'
`,
      },
      check(t, outcome) {
        const [first, second] = [bootOf(outcome, 1), bootOf(outcome, 2)]
        isStacked(t, first)
        t.match(reported(first, 'decision'), /on trial: boot 1 of 2/)
        t.match(said(first), /marked good/)
        t.equal(reported(first, 'records'), 'good')
        t.equal(reported(first, 'watch'), 'inactive', 'nobody reboots a good boot')
        isStacked(t, second)
        t.notMatch(reported(second, 'decision'), /trial/)
        t.equal(reported(second, 'times'), reported(first, 'times'), 'a good stack is not recorded again')
        t.match(reported(second, 'rollback'), /^rollback: on: .*\ngood: override \(override:1\), many-layers/)
        t.equal(reported(second, 'failed-after'), '')
      },
    },
    {
      name: 'rollback: a unit that hangs sysinit.target',
      container: true,
      machine: {
        dataRoot: dataRoot('hangs', [hangs]),
        files: SAFETY,
        script: SCRIPT + REPORT,
      },
      check: (t, outcome) => isRolledBack(t, outcome, 'hangs'),
    },
    {
      name: 'rollback: multi-user.target is masked',
      container: true,
      machine: { dataRoot: dataRoot('masks', [masks]), files: SAFETY, script: SCRIPT + REPORT },
      check: (t, outcome) => isRolledBack(t, outcome, 'masks'),
    },
  ]
}
