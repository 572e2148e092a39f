import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { writeTree } from '../../support/tree.js'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked } from '../checks.js'
import { dataRoot } from '../engine.js'
import { FEATURE } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'

/** Puts a package with a file in /usr and one in /etc into /var/cache of `root`, as dpkg-deb builds it. */
function addPackage(root: string, name: string, version: number): void {
  const tree = join(root, 'var/cache/packages', `${name}-${version}`)
  writeTree(tree, {
    'DEBIAN/control': `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a test\n`,
    [`usr/share/${name}/version`]: `${version}\n`,
    [`etc/${name}.conf`]: `${version}\n`,
  })
  execFileSync('dpkg-deb', ['-Znone', '--root-owner-group', '--build', tree, `${tree}.deb`])
}

/** What is tried on the locked root, by key; on the plain root the first and the last one. */
const ATTEMPTS = {
  upgrade: 'dpkg --install one-2.deb',
  'apt-upgrade': 'apt-get -y install ./one-2.deb',
  'apt-install': 'apt-get -y install ./two-1.deb',
  'apt-remove': 'apt-get -y remove one',
  'apt-purge': 'apt-get -y purge one',
  install: 'dpkg --install two-1.deb',
  unpack: 'dpkg --unpack two-1.deb',
  configure: 'dpkg --configure --pending',
  remove: 'dpkg --remove one',
  purge: 'dpkg --purge one',
} as const
const KEYS = Object.keys(ATTEMPTS) as (keyof typeof ATTEMPTS)[]

const SCRIPT = `${BASE_REPORT}
cd /var/cache/packages
# The contents of every file that says what is installed.
database() {
	find /var/lib/dpkg /var/lib/apt/extended_states -type f ! -name lock\\* ! -name Lock -exec sha256sum {} + | sort | sha256sum
}
attempt() { key=$1; shift; report "$key" "$@"; report "$key-database" database; }
if [ "$boot" = 1 ]; then report first dpkg --install one-1.deb; report mark apt-mark auto one; fi
report database database
if [ "$boot" = 2 ]; then
${KEYS.map((key) => `	attempt ${key} ${ATTEMPTS[key]}`).join('\n')}
	for name in rpm opkg; do report $name-write touch /var/lib/$name/x; done
	report rpm-read cat /var/lib/rpm/rpmdb.sqlite
	mkdir -p /var/cache/other/var/lib/dpkg && true >/var/cache/other/var/lib/dpkg/status
	report other dpkg --root=/var/cache/other --unpack two-1.deb
fi
if [ "$boot" = 3 ]; then report rpm-write touch /var/lib/rpm/x; report last dpkg --install one-2.deb; fi
report packages dpkg-query -W -f '\${Package} \${Version} \${Status}\\n' one two
report audit dpkg --audit
report files cat /usr/share/one/version /etc/one.conf
report automatic systemctl show -P ConditionResult apt-daily.timer apt-daily-upgrade.timer
report timers systemctl is-active apt-daily.timer apt-daily-upgrade.timer
`

function isRefused(t: Test, boot: Outcome, before: string): void {
  for (const key of KEYS) {
    t.not(boot.reports.get(`${key}.status`), '0', `${ATTEMPTS[key]}: refused`)
    t.match(
      reported(boot, key),
      /hostext: the root is locked: .* boot with balena\.nohostext on the kernel command line/,
      `${ATTEMPTS[key]}: it says what to do`,
    )
    t.equal(reported(boot, `${key}-database`), before, `${ATTEMPTS[key]}: nothing is recorded`)
  }
}

/** Package managers on the locked root, with /var writable. */
export function cases(): Case[] {
  return [
    {
      name: 'packages: a package manager on the locked root is refused before it changes anything',
      boot: 'container',
      machine: {
        // An image of Debian has settings for dpkg and apt.
        dataRoot: dataRoot('packages', [
          {
            name: 'settings',
            dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`,
            files: {
              'tree/etc/dpkg/dpkg.cfg': 'no-debsig\n',
              'tree/etc/dpkg/dpkg.cfg.d/docker': 'force-unsafe-io\n',
              'tree/etc/apt/apt.conf.d/docker': 'Acquire::Languages "none";\n',
            },
          },
        ]),
        boots: [{ commandLine: ['balena.nohostext'] }, {}, { commandLine: ['balena.nohostext'] }],
        files: {
          'usr/bin/rpm': '',
          'usr/bin/opkg': '',
          'var/lib/rpm/rpmdb.sqlite': 'packages\n',
          'usr/share/opkg/status': 'packages\n',
        },
        prepare(root) {
          for (const [name, version] of [
            ['one', 1],
            ['one', 2],
            ['two', 1],
          ] as const)
            addPackage(root, name, version)
          symlinkSync('../../usr/share/opkg', join(root, 'var/lib/opkg'))
        },
        script: SCRIPT,
      },
      check(t, outcome) {
        const [first, locked, last] = [1, 2, 3].map((number) => bootOf(outcome, number)) as [
          Outcome,
          Outcome,
          Outcome,
        ]
        isPlain(t, first, /balena\.nohostext/)
        t.equal(first.reports.get('first.status'), '0', reported(first, 'first'))
        t.equal(first.reports.get('mark.status'), '0', reported(first, 'mark'))
        isStacked(t, locked)
        const before = reported(first, 'database')
        t.match(before, /^[0-9a-f]{64} /)
        t.equal(reported(locked, 'database'), before)
        isRefused(t, locked, before)
        for (const name of ['rpm', 'opkg'])
          t.match(reported(locked, `${name}-write`), /Read-only file system/, `the database of ${name}`)
        t.equal(reported(locked, 'rpm-read'), 'packages', 'can be read')
        t.equal(locked.reports.get('other.status'), '0', 'another root is another matter')
        t.equal(reported(locked, 'automatic').replaceAll('\n', ' ').trim(), 'no  no')
        t.notMatch(reported(locked, 'timers'), /^active/m)
        isPlain(t, last, /balena\.nohostext/)
        t.equal(last.reports.get('last.status'), '0', reported(last, 'last'))
        t.equal(last.reports.get('rpm-write.status'), '0')
        t.match(reported(last, 'timers'), /^active\nactive$/)
        for (const [boot, version] of [
          [first, 1],
          [locked, 1],
          [last, 2],
        ] as const) {
          t.match(reported(boot, 'packages'), new RegExp(`^one ${version} install ok installed$`, 'm'))
          t.match(reported(boot, 'packages'), /no packages found matching two/)
          t.equal(reported(boot, 'audit'), '')
          t.equal(reported(boot, 'files'), `${version}\n${version}`)
        }
      },
    },
  ]
}
