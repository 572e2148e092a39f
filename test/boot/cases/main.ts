import { cpSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { BASE_REPORT, type Case, isPlain, isStacked, MARKED, said } from '../checks.js'
import { containerDirectory, editContainer, featuresDataRoot, standardDataRoot } from '../extensions.js'
import { reported } from '../machine.js'

const STEPS = join(import.meta.dirname, '../../../generators/steps')

/** Drop-ins for the units of the root overlay and the switch, with both ways to switch. */
function dropIn(units: string[], text: string): Record<string, string> {
  return Object.fromEntries(units.map((unit) => [`etc/systemd/system/${unit}.d/test.conf`, text]))
}

/** Changes the lines of a list of mounts that begin with a word, so that they do not mount. */
function unmountable(list: string, word: string): Record<string, string> {
  const edit = `s,^(${word} .*lowerdir=)[^ ]*,\\\\1/nowhere:/neither,`
  return dropIn(
    ['hostext-stack.service'],
    `[Service]\nExecStartPre=/bin/sed -i -E "${edit}" /run/hostext/${list}.fstab\n`,
  )
}

/** A case on the standard data root with a change to one of its containers. */
function withoutOne(name: string, damage: (data: string) => void, why: RegExp): Case {
  return {
    name: `leaves out one: ${name}`,
    boot: 'container',
    machine: {
      dataRoot: standardDataRoot(),
      script: BASE_REPORT,
      prepare: (root) => damage(join(root, 'var/lib/docker')),
    },
    check(t, outcome) {
      isStacked(t, outcome)
      const layers = reported(outcome, 'layers')
      t.notMatch(layers, /one-layer/, 'the damaged extension is not stacked')
      for (const other of ['override', 'many-layers', 'additive']) t.match(layers, other, `${other} is`)
      t.match(reported(outcome, 'decision'), why, 'it says which one and why')
    },
  }
}

/** One boot of a machine with the engine's data on the root, and how it copes with faults. */
export function cases(): Case[] {
  const standard = standardDataRoot()
  return [
    {
      name: 'stacks and locks',
      boot: ['container', 'uml'],
      machine: {
        dataRoot: standard,
        script: `${BASE_REPORT}
report remount mount -o remount,rw /
report write sh -c 'echo x > /usr/share/x'
report one cat /usr/share/one-layer/one.txt
report new cat /usr/share/layers/directory/new.txt
report directory ls /usr/share/layers/directory /usr/share/layers
report deleted cat /usr/share/base/deleted
report replaced cat /usr/share/base/replaced
report kept cat /usr/share/base/kept
report added cat /usr/share/additive/added
report service ls /usr/share/service
report dockerenv ls /.dockerenv
report var sh -c 'echo x > /var/test && cat /var/test'
report tmp sh -c 'echo x > /tmp/test && cat /tmp/test'
report source systemctl show -P SourcePath run-hostext-0.mount
report description systemctl show -P Description run-hostext-0.mount run-hostext-1.mount run-hostext-2.mount run-hostext-3.mount
report status systemctl status -- -.mount
report status-target systemctl status hostext.target
report remount-fs systemctl is-failed systemd-remount-fs.service
# Debian 12 has no unit for /tmp, so we write one.
report verify sh -c 'systemd-analyze verify --man=no /run/systemd/generator/hostext.target /run/systemd/generator/*.mount $(find /run/systemd/generator.late -name "*.mount" 2>/dev/null) /run/systemd/generator.early/*.service /run/systemd/generator.early/*.timer'
report verify-first sh -c 'systemd-analyze verify --man=no /run/hostext/first/normal/* /run/hostext/first/early/*.service /run/hostext/layers/normal/*'
report mounted findmnt -rno TARGET,SOURCE,FSTYPE
report etc-left find /etc -maxdepth 1 -name upper -o -maxdepth 1 -name work
report writable find /usr/lib/hostext /etc/hostext.conf.d /usr/share/man/man7 /usr/bin/hostext -xdev -perm /022 ! -type l
report user-command setpriv --reuid=1000 --regid=1000 --clear-groups hostext status
report status-command hostext status
report plan-command hostext plan
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(
          reported(outcome, 'root'),
          /lowerdir=0:1:2:\/:3\b/,
          'override, feature by name, the root, additive',
        )
        t.equal(
          outcome.reports.get('remount.status'),
          '32',
          'the kernel refuses to remount the root writable',
        )
        t.match(reported(outcome, 'remount'), /write-protected|No changes allowed in reconfigure/)
        t.match(reported(outcome, 'write'), /Read-only file system/)
        t.equal(reported(outcome, 'one'), 'from one-layer')
        t.equal(reported(outcome, 'new'), 'from many-layers')
        t.notMatch(reported(outcome, 'directory'), /old\.txt|deleted/, 'what the image deleted is not there')
        t.equal(reported(outcome, 'deleted'), 'root', "the root's own is")
        t.equal(reported(outcome, 'replaced'), 'from override')
        t.equal(reported(outcome, 'kept'), 'root', 'class=overlay without override only adds')
        t.equal(reported(outcome, 'added'), 'from additive')
        t.not(outcome.reports.get('service.status'), '0', 'a service is no extension')
        t.not(outcome.reports.get('dockerenv.status'), '0', 'the -init layer takes no part')
        t.equal(reported(outcome, 'var'), 'x')
        t.equal(reported(outcome, 'tmp'), 'x')
        t.match(
          reported(outcome, 'source'),
          /^\/var\/lib\/docker\/containers\/[0-9a-f]{64}\/config\.v2\.json$/,
        )
        t.same(reported(outcome, 'description').split('\n').filter(Boolean), [
          'Host extension override (override:1)',
          'Host extension many-layers (many-layers:1)',
          'Host extension one-layer (one-layer:1)',
          'Host extension additive (additive:1)',
        ])
        t.equal(
          reported(outcome, 'layers').match(/loaded active mounted/g)?.length,
          4,
          'every layer is mounted',
        )
        t.match(reported(outcome, 'status'), /locked by hostext.*override, many-layers, one-layer, additive/)
        t.match(reported(outcome, 'status-target'), /override, many-layers, one-layer, additive/)
        t.equal(reported(outcome, 'remount-fs'), 'active')
        t.equal(reported(outcome, 'verify'), '', 'systemd-analyze verify has nothing to say')
        t.equal(reported(outcome, 'verify-first'), '', 'nor on the units of the first pass')
        t.notMatch(reported(outcome, 'mounted'), /nextroot/, 'nothing of the switch is left')
        t.equal(
          reported(outcome, 'etc-left'),
          '',
          'PID 1 makes no directories of an overlay in the base root',
        )
        t.equal(reported(outcome, 'writable'), '', 'whatever umask it was installed with')
        t.match(
          reported(outcome, 'user-command'),
          '4 host extensions are stacked: override, many-layers, one-layer',
        )
        t.match(
          reported(outcome, 'status-command'),
          '4 host extensions are stacked: override, many-layers, one-layer',
        )
        t.match(
          reported(outcome, 'plan-command'),
          /^ +0 {2}override .*\n(?:.*\n)* +\/ {2}the root\n +3 {2}additive /m,
        )
      },
    },
    {
      name: 'what extensions ship works in that boot',
      boot: ['uml', 'vm'],
      machine: {
        dataRoot: featuresDataRoot(),
        script: `${BASE_REPORT}
report service cat /run/feature-service
report udev readlink /dev/feature-null
report tmpfiles cat /run/feature-tmpfiles
report sysctl cat /proc/sys/kernel/panic_on_oops
report module ls -d /sys/module/dummy
report directory cat /feature/file
report program feature
report var touch /var/test
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'service'), 'ran', 'an enabled service')
        t.equal(reported(outcome, 'udev'), 'null', 'a udev rule')
        t.equal(reported(outcome, 'tmpfiles'), 'made', 'a tmpfiles file')
        t.equal(reported(outcome, 'sysctl'), '1', 'a sysctl')
        t.equal(reported(outcome, 'module'), '/sys/module/dummy', 'a modules-load entry')
        t.equal(reported(outcome, 'directory'), 'from has-directory', 'a new top-level directory')
        t.equal(reported(outcome, 'program'), 'from the library', 'a program with its shared library')
        t.equal(outcome.reports.get('var.status'), '0', '/var is writable')
      },
    },
    {
      name: 'nothing changes a locked root',
      boot: 'container',
      machine: {
        dataRoot: standard,
        prepare: hideContainer,
        script: `${BASE_REPORT}
report before sh -c 'findmnt -rno SOURCE,OPTIONS /; find /run/systemd/generator* | sort'
mv /var/hidden/* /var/lib/docker/containers/
systemctl daemon-reload
systemctl isolate multi-user.target
systemctl default
systemctl start hostext-switch.service
systemctl start hostext.target
report after sh -c 'findmnt -rno SOURCE,OPTIONS /; find /run/systemd/generator* | sort'
report failed-after systemctl --failed --plain --no-legend
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(reported(outcome, 'before'), /hostext/)
        t.equal(reported(outcome, 'after'), reported(outcome, 'before'))
        t.equal(reported(outcome, 'failed-after'), '')
      },
    },
    {
      name: 'nothing stacks a running plain root',
      boot: 'container',
      machine: {
        dataRoot: standard,
        prepare: (root) => {
          rmSync(join(root, 'var/lib/docker/containers'), { recursive: true })
          cpSync(join(standard, 'containers'), join(root, 'var/hidden'), { recursive: true })
        },
        script: `${BASE_REPORT}
report before sh -c 'findmnt -rno SOURCE,OPTIONS /; find /run/systemd/generator* | sort'
mv /var/hidden /var/lib/docker/containers
systemctl daemon-reload
systemctl isolate multi-user.target
systemctl default
rm /run/hostext.decision
systemctl daemon-reload
systemctl default
report after sh -c 'findmnt -rno SOURCE,OPTIONS /; find /run/systemd/generator* | sort'
`,
      },
      check(t, outcome) {
        isPlain(t, outcome, /no container is a host extension/)
        t.equal(reported(outcome, 'after'), reported(outcome, 'before'))
      },
    },
    {
      name: 'State=none with the data on the root',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: { 'etc/hostext.conf': '[Root]\nState=none\n' },
        // If Debian cannot write to /var, some services take a minute to fail. That is not our concern
        // here.
        script: `
report root findmnt -no SOURCE,FSTYPE,OPTIONS /
# PID 1 mounts nothing while it looks away from a busy mount table, for a second, and the boot need not wait.
while systemctl list-jobs --no-legend | grep -q run-hostext-; do sleep 0.1; done
report layers systemctl list-units --plain --no-legend 'run-hostext-*.mount'
report decision cat /run/hostext.decision
report generated sh -c 'ls /run/systemd/generator; journalctl -b --no-pager -t systemd -t hostext-generator | grep -i generator'
report var sh -c 'echo x > /var/lib/test'
report data sh -c 'echo x > /var/lib/docker/test'
`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/)
        t.notMatch(reported(outcome, 'decision'), /^error/m)
        t.match(reported(outcome, 'generated'), /^run-hostext-0\.mount$/m, 'the second pass has its units')
        t.equal(
          reported(outcome, 'layers').match(/loaded active mounted/g)?.length,
          4,
          'every layer is mounted',
        )
        t.match(reported(outcome, 'var'), /Read-only file system/)
        t.match(reported(outcome, 'data'), /Read-only file system/)
      },
    },
    {
      name: 'an extension whose layers do not mount is left out',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          'etc/hostext.conf': '[Safety]\nSettle=1s\n',
          ...unmountable('layers', 'hostext-2'),
          ...dropIn(['run-hostext-2.mount'], '[Mount]\nOptions=\nOptions=lowerdir=/nowhere:/neither\n'),
        },
        script: `${BASE_REPORT}
for try in $(seq 600); do systemctl -q is-active hostext-watch.service || break; sleep 0.1; done
report log cat /run/hostext.decision
report records sh -c 'ls /var/lib/docker/hostext | grep -v trees; true'
report one cat /usr/share/one-layer/one.txt
report replaced cat /usr/share/base/replaced
`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/)
        t.match(
          reported(outcome, 'decision'),
          'left out: Host extension one-layer (one-layer:1): its layers did not mount (exit-code)',
        )
        t.not(outcome.reports.get('one.status'), '0')
        t.equal(reported(outcome, 'replaced'), 'from override')
        t.match(reported(outcome, 'log'), /not marked good: an extension was left out/, 'nor is it good')
        t.equal(reported(outcome, 'records'), '', 'and the next boot tries it as if it were the first')
        t.match(
          reported(outcome, 'failed'),
          /^run-hostext-2\.mount [^\n]*$/,
          'nothing but its layer has failed',
        )
      },
    },
    {
      name: 'a switch that ends its own command',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          'usr/lib/test/slow-switch*': `#!/bin/sh
if mountpoint -q /run/nextroot; then
	/usr/lib/hostext/switch soft-reboot /run/nextroot
else
	/usr/lib/hostext/switch switch-root /usr/lib/hostext/nextroot
fi
exec sleep 1000
`,
          ...dropIn(
            ['hostext-switch.service'],
            '[Service]\nExecStart=\nExecStart=/usr/lib/test/slow-switch\n',
          ),
        },
        script: BASE_REPORT,
      },
      check: isStacked,
    },
    {
      name: 'plain: balena.nohostext',
      boot: 'container',
      machine: { dataRoot: standard, commandLine: ['balena.nohostext'], script: BASE_REPORT },
      check: (t, outcome) => isPlain(t, outcome, /plain root: balena\.nohostext on the kernel command line/),
    },
    {
      name: 'plain: emergency',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        commandLine: ['emergency'],
        script:
          'report root findmnt -no SOURCE,FSTYPE /\nreport emergency systemctl is-active emergency.target\nreport kmsg dmesg\n',
      },
      dialogue: [
        ['Press Enter for', '\n'],
        ['# ', '/usr/lib/test/report\n'],
      ],
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /(?:vd|ubd)a +ext4/)
        t.equal(reported(outcome, 'emergency'), 'active', 'the emergency shell is reached')
        t.match(reported(outcome, 'kmsg'), /hostext: plain root: emergency on the kernel command line/)
      },
    },
    {
      name: 'plain: no containers',
      boot: 'container',
      machine: { script: BASE_REPORT },
      check: (t, outcome) => isPlain(t, outcome, /plain root: no container is a host extension/),
    },
    ...(
      [
        ['missing', undefined, /node is missing: extensions are left out/],
        ['that exits 1', '#!/bin/sh\nexit 1\n', /the runtime ended with status 1: extensions are left out/],
        [
          'that hangs',
          '#!/bin/sh\nexec sleep 1000\n',
          /the runtime was stopped after 20 s: extensions are left out/,
        ],
        [
          'that is no program',
          'garbage',
          /the runtime cannot be run.*: extensions are left out|ended with status/,
        ],
      ] as const
    ).map(
      ([name, text, why]): Case => ({
        name: `plain: a runtime ${name}`,
        boot: 'container',
        machine: {
          dataRoot: standard,
          script: BASE_REPORT,
          files: text === undefined ? {} : { 'usr/lib/hostext/node*': text },
          prepare: (root) => text === undefined && rmSync(join(root, 'usr/lib/hostext/node')),
        },
        check: (t, outcome) => isPlain(t, outcome, why),
      }),
    ),
    {
      name: "plain: every container's metadata truncated",
      boot: 'container',
      machine: {
        dataRoot: standard,
        script: BASE_REPORT,
        prepare: (root) => {
          const containers = join(root, 'var/lib/docker/containers')
          for (const [index, id] of readdirSync(containers).sort().entries()) {
            const file = join(containers, id, 'config.v2.json')
            truncateSync(file, Math.floor((statSync(file).size * index) / 5))
          }
        },
      },
      check: (t, outcome) =>
        isPlain(
          t,
          outcome,
          /left out: a container: \S*config\.v2\.json: not valid JSON[\s\S]*plain root: every extension is left out/,
        ),
    },
    {
      name: 'plain: the root overlay does not mount',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: unmountable('root', 'hostext'),
        script: BASE_REPORT,
      },
      check: (t, outcome) =>
        isPlain(t, outcome, /stacking failed or took too long: plain root/, [/hostext-stack/]),
    },
    {
      name: 'plain: the switch fails',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: dropIn(['hostext-switch.service'], '[Service]\nExecStart=\nExecStart=/bin/false\n'),
        script: BASE_REPORT,
      },
      check: (t, outcome) =>
        isPlain(t, outcome, /stacking failed or took too long: plain root/, [/hostext-switch/]),
    },
    {
      name: 'plain: the switch hangs',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          'etc/hostext.conf': '[Boot]\nTimeout=10s\n',
          ...dropIn(['hostext-switch.service'], '[Service]\nExecStart=\nExecStart=/bin/sleep 1000\n'),
        },
        script: BASE_REPORT,
      },
      check: (t, outcome) =>
        isPlain(t, outcome, /stacking failed or took too long: plain root/, [/hostext-switch/]),
    },
    ...timeoutCases(standard),
    {
      name: 'plain: the switch lands in the old root',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          'usr/lib/test/wrong-switch*': `#!/bin/sh
mkdir /run/hostext/attempted || exit 1
echo tried >>/run/switches
if mountpoint -q /run/nextroot; then
	umount -R /run/nextroot
	exec systemctl --no-block soft-reboot
fi
umount -R /usr/lib/hostext/nextroot
mount --rbind / /usr/lib/hostext/nextroot
exec systemctl --no-block switch-root /usr/lib/hostext/nextroot
`,
          ...dropIn(
            ['hostext-switch.service'],
            '[Service]\nExecStart=\nExecStart=/usr/lib/test/wrong-switch\n',
          ),
        },
        script: `${BASE_REPORT}report switches cat /run/switches\n`,
      },
      check(t, outcome) {
        t.notMatch(reported(outcome, 'root'), /^hostext/, 'the root is the plain one')
        t.equal(reported(outcome, 'target'), 'active', 'multi-user.target is reached')
        t.match(said(outcome), /the switch ended in the old root/)
        t.equal(reported(outcome, 'switches'), 'tried', 'one switch, no loop')
      },
    },
    withoutOne(
      'its metadata truncated',
      (data) => editContainer(data, 'one-layer', (text) => text.slice(0, text.length / 2)),
      /left out: a container: \S*config\.v2\.json: not valid JSON/,
    ),
    withoutOne(
      'a layer missing',
      removeLayer,
      /left out: one-layer \(one-layer:1, [0-9a-f]{12}\): \S*\/diff: no such directory/,
    ),
    withoutOne(
      'another storage driver',
      (data) =>
        editContainer(data, 'one-layer', (text) => text.replace('"Driver":"overlay2"', '"Driver":"vfs"')),
      /left out: one-layer \(.*\): its storage driver is "vfs", not overlay2/,
    ),
    withoutOne(
      'dead',
      (data) => editContainer(data, 'one-layer', (text) => text.replace('"Dead":false', '"Dead":true')),
      /left out: one-layer \(.*\): the engine is removing it \(State\.Dead\)/,
    ),
  ]
}

/** Puts a command in the way of one unit that takes some more seconds if its words match `pattern`. */
function slow(unit: string, command: string, pattern: string, seconds: number): Record<string, string> {
  return {
    [`usr/lib/test/slow/${command}*`]: `#!/bin/sh
/bin/${command} "$@"
status=$?
case "$*" in ${pattern}) sleep ${seconds} ;; esac
exit "$status"
`,
    // The scripts have a search path of their own.
    'usr/lib/hostext/log.sh': `${readFileSync(join(STEPS, 'log.sh'), 'utf8')}PATH=$SLOW$PATH\n`,
    ...dropIn([unit], '[Service]\nEnvironment=SLOW=/usr/lib/test/slow:\n'),
  }
}

/**
 * The timeout of hostext.target fires just before the switch starts, or while it is under way. The other side
 * is made slow, so that each has the time to do what it must not do.
 */
function timeoutCases(standard: string): Case[] {
  const machine = (delay: number, files: Record<string, string>): Case['machine'] => ({
    dataRoot: standard,
    files: {
      'etc/hostext.conf': '[Boot]\nTimeout=10s\n[Safety]\nSettle=1s\n',
      'etc/systemd/system/slow.service': `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sleep ${delay}
`,
      'etc/systemd/system/hostext-switch.service.d/slow.conf':
        '[Unit]\nWants=slow.service\nAfter=slow.service\n',
      ...files,
    },
    script: `${BASE_REPORT}${MARKED}
[ ! -d /run/hostext/locked ] || [ -e /run/hostext/fallback ] || marked
report decision-after cat /run/hostext.decision
report records ls /var/lib/docker/hostext
report etc-writable touch /etc/written
`,
  })
  return [
    {
      name: 'the time is over while the switch is under way',
      boot: 'container',
      // It starts two seconds before the timeout, and takes five.
      machine: machine(8, slow('hostext-switch.service', 'mkdir', '*/attempted', 5)),
      check(t, outcome) {
        isStacked(t, outcome)
        t.notMatch(said(outcome), /plain root/)
        t.match(reported(outcome, 'decision-after'), /marked good/)
        t.equal(outcome.reports.get('etc-writable.status'), '0', reported(outcome, 'etc-writable'))
      },
    },
    {
      name: 'plain: the time is over before the switch has its turn',
      boot: 'container',
      machine: machine(12, slow('hostext-fallback.service', 'cat', '*mountinfo*', 6)),
      check(t, outcome) {
        isPlain(t, outcome, /stacking failed or took too long: plain root/)
        t.notMatch(reported(outcome, 'records'), /good/)
        t.notMatch(reported(outcome, 'decision-after'), /marked good/)
      },
    },
  ]
}

function hideContainer(root: string): void {
  const directory = containerDirectory(join(root, 'var/lib/docker'), 'one-layer')
  const hidden = join(root, 'var/hidden')
  cpSync(directory, join(hidden, directory.split('/').at(-1) as string), { recursive: true })
  rmSync(directory, { recursive: true })
}

function removeLayer(data: string): void {
  const id = containerDirectory(data, 'one-layer').split('/').at(-1) as string
  const mountId = readFileSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id'), 'utf8')
  const [, layer] = readFileSync(join(data, 'overlay2', mountId, 'lower'), 'utf8').split(':')
  rmSync(join(data, 'overlay2', readlinkSync(join(data, 'overlay2', layer as string)).slice(3)), {
    recursive: true,
  })
}
