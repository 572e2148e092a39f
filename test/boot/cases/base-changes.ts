import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked, MARKED, said } from '../checks.js'
import { dataRoot } from '../engine.js'
import { FEATURE, standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'

/** The same stack on another base; units that fail; extensions that are left out. */

const RECORDS = '/var/lib/docker/hostext'
const SCRIPT = `${BASE_REPORT}${MARKED}`
const REPORT = `
report records sh -c 'ls ${RECORDS} | grep -vxE "trees|indexes|ids|known"; true'
report rollback hostext rollback
report log hostext log
report names sh -c 'systemctl show -P Description "run-hostext-*.mount" | sort'
`

/** A unit of an extension, which multi-user.target wants. */
const unit = (name: string, text: string): Record<string, string> => ({
  [`tree/usr/lib/systemd/system/${name}.service`]: text,
  [`tree/usr/lib/systemd/system/multi-user.target.wants/${name}.service`]: `->../${name}.service`,
})
const extension = (name: string, files: Record<string, string>) => ({
  name,
  dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`,
  files,
})

const isKnown = (t: Test, outcome: Outcome, number: number): void => {
  const boot = bootOf(outcome, number)
  isStacked(t, boot)
  t.notMatch(reported(boot, 'log'), /trial|marked|rolled/, `boot ${number} is known to be good`)
}
const isTrial = (t: Test, outcome: Outcome, number: number, why: RegExp): void => {
  const boot = bootOf(outcome, number)
  isStacked(t, boot)
  t.match(reported(boot, 'log'), why)
  t.match(reported(boot, 'log'), /^marked good: /m)
}

export function cases(): Case[] {
  return [
    {
      // A container has the kernel of its host, so it is the records that name another one.
      name: 'base: another kernel, hostext or record is a trial, and the one before it stays good',
      boot: 'container',
      machine: {
        dataRoot: standardDataRoot(),
        boots: [{}, {}, {}, {}, {}, {}],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        script: `${SCRIPT}
case $boot in 4|6) ;; *) marked ;; esac
${REPORT}
report other cat ${RECORDS}/other
cd ${RECORDS}
case $boot in
1) sed -i '1s/"kernel":"[^"]*"/"kernel":"0.0.1-old"/' good ;;
2) sed -i '1s/"hostext":"[^"]*"/"hostext":"0.0.9"/' good ;;
# As if the machine had been on that base since.
3) mv good new; mv other good; mv new other ;;
# As an earlier version has recorded it.
4) sed '1s/,"base".*/}/' other >good; rm other ;;
esac
`,
      },
      check(t, outcome) {
        isTrial(t, outcome, 1, /on trial: boot 1 of 2; this stack has not booted well yet/)
        isTrial(
          t,
          outcome,
          2,
          /on trial: boot 1 of 2; this stack booted well with kernel 0\.0\.1-old; now kernel \d/,
        )
        t.equal(reported(outcome, 'records', 2).replaceAll('\n', ' '), 'good other')
        t.match(reported(outcome, 'other', 2), /"kernel":"0\.0\.1-old"/)
        isTrial(t, outcome, 3, /; this stack booted well with hostext 0\.0\.9; now hostext \d/)
        t.match(reported(outcome, 'other', 3), /"hostext":"0\.0\.9"/)
        isKnown(t, outcome, 4)
        isTrial(t, outcome, 5, /; this stack booted well with an earlier version of hostext; now hostext \d/)
        t.equal(reported(outcome, 'records', 5).replaceAll('\n', ' '), 'good previous')
        t.match(
          reported(outcome, 'rollback', 5),
          /^good: .*; with kernel \d.*\ngood: .*; with an earlier version/m,
        )
        isKnown(t, outcome, 6)
      },
    },
    {
      // The update: a build of the base root with which the extension turns the machine off. It is taken back
      // as an A/B scheme does it, times included.
      name: 'base: an update of the base root that breaks the stack ends on the plain root, and blames no extension',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('base-changes', [
          extension('wifi', {
            ...unit(
              'off',
              '[Unit]\nConditionPathExists=/usr/share/second-build\n[Service]\nType=oneshot\nExecStart=/bin/systemctl --no-block --job-mode=replace-irreversibly start poweroff.target\n',
            ),
            'tree/usr/share/wifi': 'wifi\n',
          }),
        ]),
        boots: [
          {},
          { commandLine: ['balena.nohostext'] },
          { expectEnd: 'poweroff' },
          { expectEnd: 'poweroff' },
          {},
          {},
        ],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        script: `
case $boot in 3|4) sleep infinity ;; esac
${SCRIPT}
[ "$boot" != 1 ] || marked
${REPORT}
report issue cat /run/issue.d/hostext.issue
release=$(readlink -f /etc/os-release)
case $boot in
2)
	touch -r /usr/lib /var/time
	# By a rename: the file itself is a link to one that other machines have.
	cp -p "$release" /var/release
	{ cat "$release" && echo BUILD_ID=second; } >/var/new
	mv /var/new "$release"
	echo x >/usr/share/second-build
	;;
5)
	rm /usr/share/second-build
	mv /var/release "$release"
	touch -r /var/time /usr/lib
	;;
esac
`,
      },
      check(t, outcome) {
        isTrial(t, outcome, 1, /on trial: boot 1 of 2/)
        const plain = bootOf(outcome, 5)
        const line =
          /rolled back: the base root changed, and the stack did not: it booted well with debian[^;]*; now debian[^;]*BUILD_ID=second: did not boot well in 2 boots; .*; booting the plain root/
        t.equal(reported(plain, 'target'), 'active')
        t.notMatch(reported(plain, 'root'), /^hostext/)
        t.match(said(plain), line)
        t.match(reported(plain, 'issue'), line)
        t.match(reported(plain, 'failed'), /^hostext-rollback\.service [^\n]*$/)
        t.notMatch(`${reported(plain, 'log')}${reported(plain, 'why')}`, /wifi/, 'no finger at the extension')
        t.equal(reported(plain, 'records').replaceAll('\n', ' '), 'good trial.2')
        isKnown(t, outcome, 6)
      },
    },
    {
      name: 'failed units of extensions are named when a stack is marked good',
      boot: 'container',
      machine: {
        dataRoot: failing(),
        files: {
          'etc/hostext.conf': '[Safety]\nSettle=1s\n',
          // One of the root's own fails, too.
          'etc/systemd/system/own.service': '[Service]\nType=oneshot\nExecStart=/bin/false\n',
          'etc/systemd/system/multi-user.target.d/own.conf': '[Unit]\nWants=own.service\n',
        },
        script: `${SCRIPT}marked\n${REPORT}`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /^hostext/)
        t.match(reported(outcome, 'failed'), /^own\.service /m)
        t.match(
          reported(outcome, 'log'),
          /^warning: marked good: this stack has booted well, but units of its extensions have failed: broken\.service of failing \(failing:1\)$/m,
        )
        t.match(reported(outcome, 'records'), /^good$/)
      },
    },
    {
      name: 'failed units of extensions make a trial a failed one with FailedUnits=bad',
      boot: 'container',
      machine: {
        dataRoot: failing(),
        boots: [{ expectEnd: 'reboot' }, { expectEnd: 'reboot' }, {}],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\nTrialTimeout=25s\nFailedUnits=bad\n' },
        script: `
[ "$boot" -gt 2 ] || sleep infinity
${SCRIPT}${REPORT}
`,
      },
      check(t, outcome) {
        isPlain(t, outcome, /rolled back: failing: did not boot well in 2 boots/, [
          /^hostext-rollback\.service /,
        ])
        for (const number of [1, 2])
          t.match(
            bootOf(outcome, number).console,
            /not marked good: units of extensions have failed \(FailedUnits=bad\): broken\.service of failing/,
          )
      },
    },
    {
      name: 'one extension can be left out on the kernel command line, and is back in the next boot',
      boot: 'container',
      machine: {
        dataRoot: standardDataRoot(),
        boots: [{}, { commandLine: ['hostext.skip=override,gone'] }, {}],
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        script: `${SCRIPT}[ "$boot" = 3 ] || marked\n${REPORT}`,
      },
      check(t, outcome) {
        isTrial(t, outcome, 1, /on trial: boot 1 of 2/)
        t.match(reported(outcome, 'names', 1), /Host extension override /)
        isTrial(
          t,
          outcome,
          2,
          /^left out: override \(override:1, \w{12}\): hostext\.skip= on the kernel command line$/m,
        )
        t.match(reported(outcome, 'log', 2), /^warning: hostext\.skip= .*: no extension has the name gone$/m)
        t.match(reported(outcome, 'names', 2), /Host extension many-layers /)
        t.notMatch(reported(outcome, 'names', 2), /override/)
        t.equal(reported(outcome, 'records', 2).replaceAll('\n', ' '), 'good reduced')
        isKnown(t, outcome, 3)
        t.match(reported(outcome, 'names', 3), /Host extension override /)
      },
    },
  ]
}

/** An extension with a unit that fails. */
function failing(): string {
  return dataRoot('failing', [
    extension('failing', unit('broken', '[Service]\nType=oneshot\nExecStart=/bin/false\n')),
  ])
}
