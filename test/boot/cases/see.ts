import { BASE_REPORT, bootOf, type Case, isStacked, MARKED } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'

/** What people and programs see of a machine, in its different states. */
const SEEN = `
report status hostext status
report status-json hostext status --json
report list hostext list
report diff hostext diff
report show hostext show override
report which hostext which /usr/share/base/replaced
report log hostext log
report dependencies systemctl list-dependencies --plain --no-pager hostext.target
report target-status systemctl status --no-pager hostext.target
report left-out systemctl list-units --plain --no-legend --no-pager 'hostext-left-out-*'
report journal sh -c 'for try in $(seq 100); do systemctl is-active -q hostext-report.service && break; sleep 0.1; done; journalctl --no-pager -b -o json SYSLOG_IDENTIFIER=hostext | cat'
report login cat /run/motd.d/hostext
report completion bash -c '. /usr/share/bash-completion/completions/hostext; COMP_WORDS=(hostext show ov) COMP_CWORD=2; _hostext; echo "\${COMPREPLY[@]}"'
`

const skip = (names: string) => ({ commandLine: [`hostext.skip=${names}`] })
const statusOf = (outcome: Outcome, name: string): string | undefined => outcome.reports.get(`${name}.status`)

/** The entries of the journal with this MESSAGE_ID. */
const entries = (outcome: Outcome, id: string): Record<string, string>[] =>
  reported(outcome, 'journal')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ MESSAGE_ID }) => MESSAGE_ID === id)

export function cases(): Case[] {
  return [
    {
      name: 'see: what commands, units and the journal show on trial, when it is good, and plain',
      boot: 'container',
      machine: {
        dataRoot: standardDataRoot(),
        boots: [{}, {}, skip('one-layer'), skip('one-layer,override,many-layers,additive')],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=5s\n' },
        script: `${BASE_REPORT}${MARKED}${SEEN}
case "$boot" in
1)
	marked
	report good hostext status
	report good-log systemctl status --no-pager hostext.target
	;;
2)
	for file in /var/lib/docker/containers/*/config.v2.json; do
		grep -q '"Name":"/one-layer"' $file && mv \${file%/*} /var/lib/gone && id=$file
	done
	report differs hostext status
	report difference hostext diff
	mv /var/lib/gone \${id%/*}
	;;
3) report asked systemctl show -P Description hostext-left-out-one-layer.target ;;
esac
`,
      },
      check(t, outcome) {
        const first = bootOf(outcome, 1)
        isStacked(t, first)
        t.equal(statusOf(first, 'status'), '5')
        t.match(
          reported(first, 'status'),
          /^on trial, boot 1 of 2: 4 host extensions are stacked: override, /,
        )
        t.match(reported(first, 'status'), /^The next boot\n {2}the same$/m)
        t.match(JSON.parse(reported(first, 'status-json')), {
          verdict: { kind: 'on trial' },
          thisBoot: { root: 'stacked', etc: String, base: { kernel: /^\d/ } },
        })
        t.match(reported(first, 'list'), /^0 {3}override +override:1 +override=10 +stacked +/m)
        t.equal(statusOf(first, 'diff'), '0')
        t.match(reported(first, 'show'), '/usr/share/base/replaced, that of the root')
        t.match(reported(first, 'which'), /^\* {2}file +override \(override:1, .*\n +file +the root$/m)
        t.match(reported(first, 'log'), /^on trial: boot 1 of 2/)
        t.same(
          reported(first, 'dependencies').match(/run-hostext-\w+\.mount/g),
          [0, 1, 2, 3].map((number) => `run-hostext-${number}.mount`),
          'the stack in order',
        )
        t.notMatch(first.console, /Unmount\w+ .*(?:run-hostext-|Host extension)/, 'it stays to the end')
        t.match(
          reported(first, 'target-status'),
          'Host extensions: override, many-layers, one-layer, additive; on trial (boot 1)',
        )
        t.match(
          reported(first, 'target-status'),
          'stacking 4 host extensions over the root',
          'with its lines',
        )
        t.equal(entries(first, '57556405dab54ee1af12b13129345a4d').length, 1, 'stacked')
        t.equal(entries(first, '6fab299120a44930a0cc0f8b32065dd6').length, 1, 'on trial')
        t.equal(reported(first, 'completion'), 'override')
        t.equal(statusOf(first, 'good'), '0')
        t.match(reported(first, 'good'), /^as intended: 4 host extensions are stacked/)
        t.match(reported(first, 'good-log'), 'marked good: this stack has booted well')

        const second = bootOf(outcome, 2)
        t.equal(statusOf(second, 'status'), '0')
        t.match(reported(second, 'status'), /^The last good boot\n {2}the same as this one$/m)
        t.same(entries(second, '57556405dab54ee1af12b13129345a4d'), [], 'nothing has happened')
        t.equal(statusOf(second, 'differs'), '6')
        t.match(reported(second, 'differs'), /^4 host extensions are stacked: .*; the next boot differs/)
        t.match(reported(second, 'difference'), /^- one-layer \(one-layer:1\): no such container$/m)

        const third = bootOf(outcome, 3)
        t.equal(
          statusOf(third, 'status'),
          '5',
          'another stack is on trial, and what is left out is on request',
        )
        t.match(
          reported(third, 'asked'),
          'Host extension one-layer (one-layer:1) is left out: hostext.skip= on the kernel command line',
        )
        t.match(reported(third, 'left-out'), /^hostext-left-out-one-layer\.target +loaded active active /m)
        t.match(reported(third, 'target-status'), '; left out: one-layer; on trial (boot 1)')
        t.match(entries(third, '1d851dc4d29d406f86f115b378eb9998'), [{ HOSTEXT_EXTENSION: 'one-layer' }])
        t.match(reported(third, 'list'), /^- {3}one-layer +one-layer:1 +- +left out /m)

        const last = bootOf(outcome, 4)
        t.match(
          reported(last, 'target-status'),
          'Host extensions: none is stacked: every extension is left out',
        )
        t.equal(reported(last, 'left-out').split('\n').filter(Boolean).length, 4)
        t.not(statusOf(last, 'login'), '0', 'nothing for those who log in: it was asked for')
        t.equal(entries(last, '244bd622141a489e87adc437e8a004f3').length, 1, 'plain')
        t.equal(statusOf(last, 'status'), '0', 'as it was asked for')
      },
    },
  ]
}
