import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { enable } from '../assemble.js'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked, MARKED } from '../checks.js'
import { setAside, settingsDataRoot, standardDataRoot, update } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'

/** Files in /etc/settings: the extension's, the base root's, and those that only the machine makes. */
const FILES = [
  'shipped',
  'shipped-and-edited',
  'base',
  'base-and-edited',
  'base-and-deleted',
  'new',
  'directory/new',
]

/**
 * An edit, a new file, a deletion; then, after the first boot, an update of the extension as the engine would
 * do it.
 */
const SCRIPT = `${BASE_REPORT}${update('/var/lib/docker')}
report etc findmnt -no SOURCE,FSTYPE /etc
for file in ${FILES.join(' ')}; do
	report $(echo $file | tr / -) cat /etc/settings/$file
done
report changes hostext changes
report etc-left find /etc -maxdepth 1 -name upper -o -maxdepth 1 -name work
if [ "$boot" = 1 ]; then
	report edit sh -c 'cd /etc/settings && echo edited >shipped-and-edited && echo edited >base-and-edited &&
		rm base-and-deleted && echo new >new && mkdir directory && echo new >directory/new'
	update settings-1 settings-2
fi
`

function etcCase(mode: string, check: (t: Test, outcome: Outcome) => void): Case {
  return {
    name: `Etc=${mode}`,
    boot: 'container',
    machine: {
      dataRoot: settingsDataRoot(),
      boots: [{}, {}],
      files: {
        'etc/hostext.conf': `[Root]\nEtc=${mode}\n`,
        'etc/settings/base': 'root\n',
        'etc/settings/base-and-edited': 'root\n',
        'etc/settings/base-and-deleted': 'root\n',
      },
      prepare: (root) => setAside(root, ['settings-1'], ['settings-2']),
      script: SCRIPT,
    },
    check(t, outcome) {
      for (const boot of [1, 2]) {
        isStacked(t, bootOf(outcome, boot))
        t.equal(
          reported(outcome, 'etc-left', boot),
          '',
          'the directories of the overlay are where it keeps them',
        )
      }
      t.same(look(outcome, 1), {
        shipped: 'version 1',
        'shipped-and-edited': 'version 1',
        base: 'root',
        'base-and-edited': 'root',
        'base-and-deleted': 'root',
      })
      check(t, outcome)
    },
  }
}

/** The files that existed in a boot, with their contents. */
function look(outcome: Outcome, boot: number): Record<string, string> {
  const key = (file: string): string => file.replace('/', '-')
  const there = FILES.filter((file) => outcome.boots[boot - 1]?.reports.get(`${key(file)}.status`) === '0')
  return Object.fromEntries(there.map((file) => [file, reported(outcome, key(file), boot)]))
}

/** What a boot shows if no change was kept. */
const UPDATED = {
  shipped: 'version 2',
  'shipped-and-edited': 'version 2',
  base: 'root',
  'base-and-edited': 'root',
  'base-and-deleted': 'root',
}

/** A service that sets the machine up at its first boot, as cloud-init does, and remembers it in /var. */
const PROVISION = `[Unit]
ConditionPathExists=!/var/lib/provisioned
Before=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -ec "useradd -m alice; echo key >/etc/host_key; echo box >/etc/hostname; echo x >/var/lib/provisioned"
`

/** What the vendor has for the first boot of a machine: systemd.unit(5), ConditionFirstBoot=. */
const FIRST_BOOT = `[Unit]
ConditionFirstBoot=yes
Before=first-boot-complete.target
Wants=first-boot-complete.target
[Service]
Type=oneshot
ExecStart=/bin/sh -ec "echo x >>/var/lib/first-boot"
`

/** A machine whose image has the mark of a first boot, and an extension from the beginning. */
function realFirstBootCase(): Case {
  return {
    name: 'the first boot of a machine is plain, and has what belongs into it',
    boot: 'container',
    machine: {
      dataRoot: standardDataRoot(),
      boots: [{}, {}, {}],
      files: { 'etc/systemd/system/vendor-first.service': FIRST_BOOT },
      prepare(root) {
        writeFileSync(join(root, 'etc/machine-id'), 'uninitialized\n')
        enable(root, 'vendor-first.service', 'multi-user.target')
      },
      script: `${BASE_REPORT}
report first cat /var/lib/first-boot
report id cat /etc/machine-id
`,
    },
    check(t, outcome) {
      isPlain(t, bootOf(outcome, 1), /plain root: .*first boot/)
      for (const boot of [2, 3]) isStacked(t, bootOf(outcome, boot))
      for (const boot of [1, 2, 3]) {
        t.equal(reported(outcome, 'first', boot), 'x', 'once')
        t.equal(reported(outcome, 'id', boot), reported(outcome, 'id', 1))
      }
      t.match(reported(outcome, 'id', 1), /^[0-9a-f]{32}$/)
    },
  }
}

/** A package of the base root, and its user, after a stacked boot has kept a passwd of its own. */
function laterUserCase(): Case {
  return {
    name: 'users that the base root gets later are there, those that were removed are not',
    boot: 'container',
    machine: {
      dataRoot: standardDataRoot(),
      boots: [{}, { commandLine: ['balena.nohostext'] }, {}, {}],
      files: { 'etc/hostext.conf': '[Safety]\nSettle=1\n' },
      script: `${MARKED}${BASE_REPORT}
[ "$boot" != 1 ] || marked
report users sh -c 'getent passwd early later gone; getent group early later gone; stat -c "%U %a" /etc/passwd /etc/shadow'
case $boot in
1) report add sh -c 'useradd -r early && useradd -r -K SYS_UID_MAX=800 gone && userdel gone' ;;
2) report add sh -c 'useradd -r -K SYS_UID_MAX=700 later && useradd -r -K SYS_UID_MAX=600 gone' ;;
3) report add userdel gone ;;
esac
`,
    },
    check(t, outcome) {
      for (const boot of [1, 3, 4]) isStacked(t, bootOf(outcome, boot))
      for (const boot of [0, 1, 2]) t.equal(outcome.boots[boot]?.reports.get('add.status'), '0')
      const names = (boot: number) =>
        [...reported(outcome, 'users', boot).matchAll(/^(\w+):/gm)].map(([, name]) => name)
      t.same(names(3), ['early', 'later', 'gone', 'early', 'later', 'gone'])
      t.same(names(4), ['early', 'later', 'early', 'later'], 'once removed, it stays away')
      t.match(reported(outcome, 'users', 3), /^root 644\nroot 640$/m, 'the copies are as the files were')
    },
  }
}

/** A disk that the administrator of a stacked machine gets for /srv. */
function mountUnitCase(): Case {
  return {
    name: 'a mount unit that is enabled on the stacked machine is there in the next boot',
    boot: 'container',
    machine: {
      dataRoot: standardDataRoot(),
      boots: [{}, {}],
      script: `${BASE_REPORT}
report srv findmnt -T /srv -no SOURCE,TARGET
if [ "$boot" = 1 ]; then
	report enable sh -c 'printf "[Mount]\nWhat=new-disk\nWhere=/srv\nType=tmpfs\n[Install]\nWantedBy=local-fs.target\n" >/etc/systemd/system/srv.mount && systemctl enable srv.mount'
fi
`,
    },
    check(t, outcome) {
      for (const boot of [1, 2]) isStacked(t, bootOf(outcome, boot))
      t.equal(outcome.boots[0]?.reports.get('enable.status'), '0')
      t.match(reported(outcome, 'srv', 2), /^new-disk +\/srv$/)
    },
  }
}

/** By default a root that used to be writable keeps what its first boot has set up. */
function firstBootCase(): Case {
  return {
    name: 'what the first boot sets up in /etc is there in the second',
    boot: 'container',
    machine: {
      dataRoot: standardDataRoot(),
      boots: [{}, {}],
      files: { 'etc/systemd/system/provision.service': PROVISION },
      prepare(root) {
        writeFileSync(join(root, 'etc/machine-id'), '')
        enable(root, 'provision.service', 'multi-user.target')
      },
      script: `${BASE_REPORT}
report user id -un alice
report home stat -c %U /home/alice
report key cat /etc/host_key
report hostname uname -n
report id cat /etc/machine-id
report provisioned systemctl show -P ConditionResult provision.service
`,
    },
    check(t, outcome) {
      for (const [boot, provisioned] of [
        [1, 'yes'],
        [2, 'no'],
      ] as const) {
        isStacked(t, bootOf(outcome, boot))
        t.equal(reported(outcome, 'provisioned', boot), provisioned)
        t.equal(reported(outcome, 'user', boot), 'alice')
        t.equal(reported(outcome, 'home', boot), 'alice')
        t.equal(reported(outcome, 'key', boot), 'key')
      }
      t.equal(reported(outcome, 'hostname', 2), 'box')
      t.match(reported(outcome, 'id', 1), /^[0-9a-f]{32}$/)
      t.equal(reported(outcome, 'id', 2), reported(outcome, 'id', 1), 'the machine is the same')
    },
  }
}

/** What hostext.conf(5) promises about /etc: each mode, in two boots of one machine. */
export function cases(): Case[] {
  return [
    firstBootCase(),
    realFirstBootCase(),
    mountUnitCase(),
    laterUserCase(),
    etcCase('read-only', (t, outcome) => {
      t.equal(reported(outcome, 'etc', 1), '', '/etc is part of the root')
      t.match(reported(outcome, 'edit', 1), /Read-only file system/)
      t.same(look(outcome, 2), UPDATED)
      t.equal(reported(outcome, 'changes', 2), '')
    }),
    etcCase('volatile', (t, outcome) => {
      t.match(reported(outcome, 'etc', 1), /^hostext-etc +overlay/)
      t.equal(outcome.boots[0]?.reports.get('edit.status'), '0', '/etc is writable')
      t.same(look(outcome, 2), UPDATED, 'changes are gone')
      t.equal(reported(outcome, 'changes', 2), '')
    }),
    etcCase('persistent', (t, outcome) => {
      t.match(reported(outcome, 'etc', 1), /^hostext-etc +overlay/)
      t.equal(outcome.boots[0]?.reports.get('edit.status'), '0', '/etc is writable')
      t.same(
        look(outcome, 2),
        {
          shipped: 'version 2',
          'shipped-and-edited': 'edited',
          base: 'root',
          'base-and-edited': 'edited',
          new: 'new',
          'directory/new': 'new',
        },
        'changes stand, the update shows where nothing was changed',
      )
      const changes = reported(outcome, 'changes', 2).split('\n')
      for (const line of [
        'deleted  /etc/settings/base-and-deleted',
        'written  /etc/settings/base-and-edited',
        'written  /etc/settings/directory/new',
        'written  /etc/settings/new',
        'written  /etc/settings/shipped-and-edited  (hides the one of settings-2)',
      ])
        t.ok(changes.includes(line), `it is listed: ${line}`)
    }),
  ]
}
