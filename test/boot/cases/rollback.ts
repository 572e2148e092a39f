import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isStacked, MARKED, said } from '../checks.js'
import { dataRoot, type ExtensionSource } from '../engine.js'
import { containerDirectory, FEATURE, setAside, standardDataRoot, update } from '../extensions.js'
import { type BootOptions, type Outcome, reported } from '../machine.js'
import { immutableRoot } from './layout.js'

const RECORDS = '/var/lib/docker/hostext'

const SCRIPT = `${BASE_REPORT}${MARKED}`
const REPORT = `
report records sh -c 'ls ${RECORDS} | grep -vxE "trees|indexes|ids|known"; true'
report watch systemctl show -P ActiveState hostext-watch.service
report rollback hostext rollback
report culprit systemctl status --no-pager --lines=20 hostext-rollback.service
report issue cat /run/issue.d/hostext.issue
report log cat /run/hostext.decision
report verdict hostext status
report login cat /run/motd.d/hostext
report failed-after systemctl --failed --plain --no-legend
`

const service = (name: string, text: string, target = 'multi-user.target'): Record<string, string> => ({
  [`tree/usr/lib/systemd/system/${name}.service`]: text,
  [`tree/usr/lib/systemd/system/${target}.wants/${name}.service`]: `->../${name}.service`,
})
const HANGS = service(
  'hang',
  '[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nTimeoutSec=infinity\nExecStart=/bin/sleep infinity\n',
  'sysinit.target',
)
const POWERS_OFF = service(
  'off',
  '[Service]\nType=oneshot\nExecStart=/bin/systemctl --no-block --job-mode=replace-irreversibly start poweroff.target\n',
)

/** An extension with files below tree/. */
function extension(name: string, files: Record<string, string>): ExtensionSource {
  return { name, dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`, files }
}

/**
 * A machine that cannot boot with an extension: two boots that may end in any way, one plain boot, in which
 * the extension is updated to a harmless version, and one boot with that.
 */
function badCase(
  name: string,
  what: string,
  files: Record<string, string>,
  boot: BootOptions,
  more: Pick<Partial<Case>, 'boot'> & { settings?: string; commandLine?: string[] } = {},
): Case {
  const { settings = '', commandLine = [], ...rest } = more
  return {
    name: `rollback: ${what}`,
    boot: 'container',
    machine: {
      dataRoot: dataRoot(name, [
        extension(name, files),
        extension('fixed', { 'tree/usr/share/fixed': 'fixed\n' }),
      ]),
      boots: [boot, boot, {}, {}],
      commandLine,
      files: { 'etc/hostext.conf': `[Safety]\nSettle=1s\n${settings}` },
      prepare: (root) => setAside(root, [name], ['fixed']),
      // The boots of the trial end without help, even if one gets so far that the reporter runs.
      script: `
[ "$boot" -gt 2 ] || sleep infinity
${SCRIPT}${update('/var/lib/docker')}
report fixed cat /usr/share/fixed
[ "$boot" != 4 ] || marked
${REPORT}
if [ "$boot" = 3 ]; then
	update ${name} fixed
	# A limit that is short enough for a boot that hangs is too short for one that does not.
	sed -i /TrialTimeout=/d /etc/hostext.conf
fi
`,
    },
    check(t, outcome) {
      const back = bootOf(outcome, 3)
      isRolledBack(t, back, name)
      t.notMatch(reported(back, 'root'), /^hostext/, 'the root is the plain one')
      t.equal(reported(back, 'records'), 'trial.2')
      isStacked(t, bootOf(outcome, 4))
      t.equal(reported(outcome, 'fixed'), 'fixed', 'what is fixed is tried')
      t.match(reported(outcome, 'log'), /on trial: boot 1 of 2[\s\S]*marked good/)
      t.equal(reported(outcome, 'records'), 'good')
    },
    ...rest,
  }
}

/** Checks that the machine has recovered without help and says which extension is to blame. */
function isRolledBack(t: Test, outcome: Outcome, culprit: string): void {
  t.equal(reported(outcome, 'target'), 'active', 'multi-user.target is reached')
  const line = new RegExp(`rolled back: ${culprit}: did not boot well in 2 boots`)
  t.match(said(outcome), line)
  t.match(reported(outcome, 'culprit'), line, 'a failed unit names it')
  t.match(reported(outcome, 'issue'), line, 'the console says so')
  t.equal(outcome.reports.get('verdict.status'), '4')
  t.match(reported(outcome, 'verdict'), new RegExp(`^rolled back: because of ${culprit}; booted `))
  t.match(reported(outcome, 'login'), line, 'and so does every login')
  t.match(reported(outcome, 'failed'), /^hostext-rollback\.service [^\n]*$/, 'nothing else has failed')
}

/**
 * What the initrd has written to the root's disk with its check of the file system; it does not count here.
 */
const COUNT_BEFORE = `#!/bin/sh
set -- $(cat /sys/block/*da/stat) || exit 0
[ -e /run/written.before ] || echo "$7" >/run/written.before
`
/**
 * Counts the sectors written to the root's disk before anything of the second pass may have written to the
 * state.
 */
const COUNT_WRITES = `[Unit]
DefaultDependencies=no
Before=systemd-remount-fs.service systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'set -- $$(cat /sys/block/*da/stat); read -r before </run/written.before; echo $$(($$7 - before)) >/run/written'
`

export function cases(): Case[] {
  const isVm = ({ boots }: Outcome): boolean => boots[0]?.clean !== undefined
  return [
    {
      name: 'rollback: a stack that boots well is marked good, once',
      boot: ['container', 'uml'],
      machine: {
        dataRoot: standardDataRoot(),
        boots: [{}, {}],
        files: {
          // To keep changes to /etc, its file system is made writable before the switch, which is a write.
          'etc/hostext.conf': '[Root]\nEtc=volatile\n[Safety]\nSettle=1s\n',
          'etc/systemd/system-generators/count-writes*': COUNT_BEFORE,
          'etc/systemd/system/count-writes.service': COUNT_WRITES,
          'etc/systemd/system/local-fs.target.d/count.conf': '[Unit]\nWants=count-writes.service\n',
        },
        script: `${SCRIPT}
report watched systemctl show -P ActiveState hostext-watch.service
[ "$boot" = 2 ] || marked
report written cat /run/written
${REPORT}
report times sh -c 'cd ${RECORDS} && stat -c "%n %y" good trees'
`,
      },
      check(t, outcome) {
        const [first, second] = [bootOf(outcome, 1), bootOf(outcome, 2)]
        isStacked(t, first)
        t.match(reported(first, 'decision'), /on trial: boot 1 of 2/)
        t.match(reported(first, 'log'), /marked good/)
        t.equal(reported(first, 'records'), 'good')
        t.equal(reported(first, 'watch'), 'inactive', 'nobody reboots a good boot')
        isStacked(t, second)
        t.notMatch(reported(second, 'log'), /trial|marked/)
        t.equal(reported(second, 'watched'), 'inactive')
        t.equal(reported(second, 'times'), reported(first, 'times'), 'a good stack is not recorded again')
        t.match(reported(second, 'rollback'), /^rollback: on: .*\ngood: override \(override:1\), many-layers/)
        t.equal(reported(second, 'failed-after'), '')
        if (isVm(outcome)) {
          t.ok(Number(reported(first, 'written')) > 0, 'a trial is written down before the switch')
          t.equal(reported(second, 'written'), '0', 'a boot of a good stack writes nothing')
        }
      },
    },
    badCase(
      'hangs',
      'a unit that hangs sysinit.target',
      HANGS,
      { expectEnd: 'reboot' },
      {
        settings: 'TrialTimeout=20s\n',
      },
    ),
    {
      // Ordinary files take the place of the kernel's own: a write to them would have reached the host. (A
      // kernel may be built without the magic keys.)
      name: 'rollback: a trial that hangs in a privileged container does nothing to its host',
      boot: 'container',
      machine: {
        dataRoot: dataRoot('hangs', [
          extension('hangs', HANGS),
          extension('fixed', { 'tree/usr/share/fixed': 'fixed\n' }),
        ]),
        boots: [{ expectEnd: 'reboot' }, { expectEnd: 'reboot' }, {}],
        files: {
          'etc/hostext.conf': '[Safety]\nSettle=1s\nTrialTimeout=20s\n',
          'var/kernel/sysrq-trigger': '',
          'var/kernel/panic': '0\n',
          'etc/systemd/system/hostext-watch.service.d/kernel.conf':
            '[Service]\nExecStartPre=-mount --bind /var/kernel/sysrq-trigger /proc/sysrq-trigger\nExecStartPre=mount --bind /var/kernel/panic /proc/sys/kernel/panic\n',
        },
        prepare: (root) => setAside(root, ['hangs'], ['fixed']),
        script: `[ "$boot" -gt 2 ] || sleep infinity
${SCRIPT}
report sysrq cat /var/kernel/sysrq-trigger
report panic cat /var/kernel/panic
${REPORT}
`,
      },
      check(t, outcome) {
        isRolledBack(t, outcome, 'hangs')
        t.equal(reported(outcome, 'panic'), '0')
        t.equal(reported(outcome, 'sysrq'), '')
      },
    },
    {
      name: 'rollback: what sysctl.d says of panics outlives a trial',
      boot: 'uml',
      machine: {
        dataRoot: standardDataRoot(),
        // The usual default: after a panic the kernel waits for ever, until sysctl.d changes that in the
        // middle of the trial.
        commandLine: ['panic=0'],
        files: {
          'etc/hostext.conf': '[Safety]\nSettle=1s\n',
          'etc/sysctl.d/90-panic.conf': 'kernel.panic = 30\n',
        },
        script: `${SCRIPT}
marked
for try in $(seq 100); do systemctl is-active -q hostext-watch.service || break; sleep 0.1; done
report panic cat /proc/sys/kernel/panic
${REPORT}
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(reported(outcome, 'log'), /marked good/)
        t.equal(reported(outcome, 'watch'), 'inactive')
        t.equal(reported(outcome, 'panic'), '30')
      },
    },
    // PID 1 gives up: it freezes, or exits if it is the PID 1 of a container.
    badCase(
      'masks',
      'multi-user.target is masked',
      { 'tree/etc/systemd/system/multi-user.target': '->/dev/null' },
      { expectEnd: 'any' },
      { settings: 'TrialTimeout=20s\n' },
    ),
    badCase('powers-off', 'a unit that powers off', POWERS_OFF, { expectEnd: 'poweroff' }),
    badCase(
      'loops',
      'a udev rule that loops',
      {
        'tree/usr/lib/udev/rules.d/99-loop.rules':
          'KERNEL=="null", SUBSYSTEM=="mem", RUN+="/usr/bin/udevadm trigger --action=change /sys/class/mem/null"\n',
      },
      { expectEnd: 'reboot' },
      { settings: 'TrialTimeout=40s\n', boot: 'uml' },
    ),
    badCase(
      'crashes',
      'a unit that crashes the kernel',
      service('crash', '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo c >/proc/sysrq-trigger"\n'),
      { expectEnd: 'any' },
      // The usual default. The test machines have -1, which would do the watch's work. User-mode Linux
      // ends in any case.
      { boot: 'vm', commandLine: ['panic=0'] },
    ),
    updateCase(),
    updateOnPartitionCase(),
  ]
}

/**
 * Three versions of an extension, one after the other, as the engine leaves them on the disk. The second one
 * turns the machine off.
 */
function updates(data: string): Pick<Case['machine'], 'dataRoot' | 'files' | 'script'> & {
  prepare: (root: string) => void
} {
  const version = (number: number, files: Record<string, string> = {}): ExtensionSource =>
    extension(`wifi-${number}`, { 'tree/usr/share/wifi': `version ${number}\n`, ...files })
  return {
    dataRoot: dataRoot('update', [version(1), version(2, POWERS_OFF), version(3)]),
    files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n[Boot]\nTimeout=3min\n' },
    prepare: (root) => setAside(root, ['wifi-1'], ['wifi-2', 'wifi-3']),
    script: `${SCRIPT}${update(data)}
report version cat /usr/share/wifi
case $boot in
1) marked; report update update wifi-1 wifi-2 ;;
4) report update update wifi-2 wifi-3 ;;
5) marked ;;
6) report update update wifi-3 wifi-1 ;;
7) marked ;;
10) report now hostext rollback --now ;;
esac
${REPORT.replace(RECORDS, `${data}/hostext`)}
`,
  }
}

/** The first version was good, the second was not: in its fourth boot the machine has the first one again. */
function isBackAtFirst(t: Test, outcome: Outcome): void {
  isStacked(t, bootOf(outcome, 1))
  t.equal(reported(outcome, 'version', 1), 'version 1')
  const back = bootOf(outcome, 4)
  isRolledBack(t, back, 'wifi-2')
  t.match(reported(back, 'root'), /^hostext +overlay +ro,/)
  t.equal(reported(back, 'version'), 'version 1', 'without the container that it had')
  t.match(reported(back, 'log'), /; booting the last good stack\n/)
  t.equal(reported(back, 'records').replace('\n', ' '), 'good trial.2')
}

const UPDATED_TO_BAD: BootOptions[] = [{}, { expectEnd: 'poweroff' }, { expectEnd: 'poweroff' }, {}]

/**
 * Records on a file system of their own, which is mounted before the decision; nothing on the root is
 * writable.
 */
function updateOnPartitionCase(): Case {
  const { prepare, ...machine } = updates('/mnt/data/docker')
  const { prepare: move, ...layout } = immutableRoot('squashfs')
  return {
    name: 'rollback: the same on a read-only root with a data partition',
    boot: 'uml',
    machine: {
      ...machine,
      ...layout,
      boots: UPDATED_TO_BAD,
      prepare(root) {
        prepare(root)
        move?.(root)
      },
    },
    check: isBackAtFirst,
  }
}

/**
 * An update that does not boot well, and its fix; then back to the first version, which is given up at last.
 */
function updateCase(): Case {
  const { prepare, ...machine } = updates('/var/lib/docker')
  return {
    name: 'rollback: an update is taken back to the last good stack, and its fix is tried',
    boot: 'container',
    machine: {
      ...machine,
      boots: [...UPDATED_TO_BAD, {}, {}, {}, {}, {}, {}, {}],
      prepare(root) {
        const first = containerDirectory(join(root, 'var/lib/docker'), 'wifi-1')
        prepare(root)
        execFileSync('cp', ['-a', first, join(root, 'var/update')])
      },
    },
    check(t, outcome) {
      isBackAtFirst(t, outcome)
      for (const number of [5, 6]) {
        isStacked(t, bootOf(outcome, number))
        t.equal(reported(outcome, 'version', number), 'version 3')
      }
      t.match(reported(outcome, 'log', 5), /on trial: boot 1 of 2[\s\S]*marked good/)
      t.equal(reported(outcome, 'records', 6).replace('\n', ' '), 'good previous')
      for (const number of [7, 8, 9]) {
        const boot = bootOf(outcome, number)
        isStacked(t, boot)
        t.equal(reported(boot, 'version'), 'version 1')
        t.notMatch(reported(boot, 'log'), 'on trial', 'it has been good before')
        t.equal(reported(boot, 'watch'), 'inactive')
        t.equal(reported(boot, 'records').replace('\n', ' '), 'good previous')
        t.match(reported(boot, 'rollback'), /^good: wifi-1 [\s\S]*^good: wifi-3 /m, 'it is the last good one')
      }
      t.match(reported(outcome, 'log', 7), /marked good again/)
      for (const number of [8, 9]) t.notMatch(reported(outcome, 'log', number), 'marked good', 'once')
      t.match(reported(outcome, 'now', 10), /^given up: wifi-1 .*\nthe next boot stacks wifi-3;/)
      t.equal(reported(outcome, 'version', 11), 'version 3')
    },
  }
}
