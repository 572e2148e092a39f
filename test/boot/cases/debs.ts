import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { installedRoot } from '../../packages/roots.js'
import { BASE_REPORT, bootOf, type Case, isClean, isStacked, MARKED, said } from '../checks.js'
import { debs } from '../debs.js'
import { type Outcome, reported } from '../machine.js'
import { debian, type Release } from '../rootfs.js'

/** Turns hostext off: on the locked root no package can be changed. */
const PLAIN = { commandLine: ['balena.nohostext'] }

/**
 * `apt_get WORD…` and `debs VERSION`, which installs the packages of a version; `create` lets the engine of
 * the device make an extension, and waits until it is prepared. `tree FILE` lists what packages own.
 */
const TOOLS = `${MARKED}
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@" </dev/null; }
create() {
	mkdir -p /var/build && echo extension >/var/build/file || return
	printf 'FROM scratch\\nLABEL io.balena.features.host-extension=1\\nCOPY file /usr/share/extension\\n' >/var/build/Dockerfile
	DOCKER_BUILDKIT=0 docker build -q -t extension /var/build && docker create --name extension extension /none || return
	for try in $(seq 100); do hostext plan | grep -q "not prepared" || break; sleep 0.5; done
	hostext plan
}
# A directory keeps the blocks that its most names have taken.
tree() {
	find /etc /usr /opt /srv -xdev ! -path /etc/ld.so.cache \\( -type d -printf '%p %y %m %u\\n' -o -printf '%p %y %m %u %s %l\\n' \\) |
		sort >"$1"
}
versions() { dpkg-query -W -f '\${Package} \${Version} \${db:Status-Abbrev}\\n' 'hostext*'; }
report extension cat /usr/share/extension
report versions versions
`

const device = (release: Release): string => debian(release, 'device').root

/** A device that has Debian's nodejs, too. */
function withNodejs(release: Release): string {
  const packages = ['docker.io', 'docker-cli', 'docker-buildx', 'nodejs'].map((name) => ({ name }))
  return installedRoot(release, { name: 'nodejs', packages }).root
}

/** A machine with Debian and its docker.io, without hostext, and with the packages in /var/debs. */
function machine(script: string, base = device): Case['machine'] {
  return {
    device: true,
    base,
    files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
    prepare(root) {
      const { current, older } = debs()
      mkdirSync(join(root, 'var/debs'))
      cpSync(current, join(root, 'var/debs/current'), { recursive: true })
      cpSync(older, join(root, 'var/debs/older'), { recursive: true })
      // As every device: addDocker() in rootfs.ts.
      mkdirSync(join(root, 'etc/docker'), { recursive: true })
      writeFileSync(join(root, 'etc/docker/daemon.json'), '{ "iptables": false, "bridge": "none" }\n')
    },
    script: `${BASE_REPORT}${TOOLS}${script}`,
  }
}

function isStackedWithExtension(t: Test, boot: Outcome): void {
  isStacked(t, boot)
  t.equal(reported(boot, 'extension'), 'extension')
  t.notMatch(said(boot), /first: preparing/, 'it was prepared before the boot')
}

/** The machine as it would be without hostext. */
function isWithout(t: Test, boot: Outcome): void {
  t.notMatch(reported(boot, 'root'), /^hostext/, 'the root is the plain one')
  t.equal(reported(boot, 'state'), 'running')
  t.not(boot.reports.get('extension.status'), '0')
}

function succeeded(t: Test, boot: Outcome, ...keys: string[]): void {
  for (const key of keys) t.equal(boot.reports.get(`${key}.status`), '0', reported(boot, key))
}

export function cases(): Case[] {
  return [lifeCase(), upgradeCase('good'), upgradeCase('on trial'), nodejsCase()]
}

function lifeCase(): Case {
  return {
    name: 'Debian packages: installed, stacked, purged, installed again',
    boot: 'container',
    machine: {
      ...machine(
        `
case $boot in
1)
	tree /var/before
	report install apt_get install /var/debs/current/*.deb
	report watched systemctl is-active hostext-prepare.path
	report create create
	;;
2)
	marked
	report refused apt_get purge hostext
	;;
3)
	report purge apt_get purge hostext hostext-runtime
	tree /var/after
	report difference diff /var/before /var/after
	report left find / -xdev ! -path '/var/debs/*' -name 'hostext*' -print
	report units systemctl list-units --all --plain --no-legend 'hostext*'
	;;
4)
	report install apt_get install /var/debs/current/*.deb
	for try in $(seq 100); do hostext plan | grep -q "not prepared" || break; sleep 0.5; done
	;;
esac
`,
      ),
      boots: [{}, {}, PLAIN, {}, {}],
    },
    check(t, outcome) {
      isClean(t, outcome)
      const [first, second, third, fourth, fifth] = [1, 2, 3, 4, 5].map((number) =>
        bootOf(outcome, number),
      ) as [Outcome, Outcome, Outcome, Outcome, Outcome]
      isWithout(t, first)
      succeeded(t, first, 'install', 'watched', 'create')
      isStackedWithExtension(t, second)
      t.match(said(second), /on trial: boot 1 of 2/)
      t.match(reported(second, 'refused'), /hostext: the root is locked: no package can be/)
      t.match(reported(second, 'versions'), /^hostext .* ii $/m)
      isWithout(t, third)
      succeeded(t, third, 'purge', 'difference', 'left')
      t.equal(reported(third, 'units'), '', 'no unit of ours runs')
      t.same(
        reported(third, 'left').split('\n'),
        // Settings that are no files of the packages, and what was changed in a persistent /etc.
        ['/etc/hostext.conf', '/etc/hostext.conf.d', '/var/lib/hostext'],
        'what the manual names',
      )
      isWithout(t, fourth)
      t.not(fourth.reports.get('decision.status'), '0', 'there is no generator that decides')
      succeeded(t, fourth, 'install')
      isStackedWithExtension(t, fifth)
    },
  }
}

/** A stack of the version before, marked good or still on trial, boots with the new version. */
function upgradeCase(state: 'good' | 'on trial'): Case {
  const settle = state === 'good' ? '1s' : '1h'
  return {
    name: `Debian packages: upgraded with a stack that is ${state}`,
    boot: 'container',
    fullOnly: state === 'on trial',
    machine: {
      ...machine(
        `
case $boot in
1)
	report install apt_get install /var/debs/older/*.deb
	report create create
	echo '[Safety]' >/etc/hostext.conf
	echo Settle=${settle} >>/etc/hostext.conf
	;;
2) ${state === 'good' ? 'marked' : 'true'} ;;
3)
	report upgrade apt_get install /var/debs/current/*.deb
	printf '[Safety]\\nSettle=1s\\n' >/etc/hostext.conf
	;;
4) marked ;;
esac
report records ls /var/lib/docker/hostext
report after cat /run/hostext.decision
`,
      ),
      boots: [{}, {}, PLAIN, {}],
    },
    check(t, outcome) {
      isClean(t, outcome)
      const [first, second, third, fourth] = fourBoots(outcome)
      succeeded(t, first, 'install', 'create')
      isStackedWithExtension(t, second)
      const records = reported(second, 'records').split('\n')
      t.equal(records.includes('good'), state === 'good')
      t.equal(records.includes('trial.1'), state !== 'good')
      succeeded(t, third, 'upgrade')
      isWithout(t, third)
      isStackedWithExtension(t, fourth)
      t.match(reported(fourth, 'after'), /on trial: boot 1 of 2[\s\S]*marked good/)
      t.not(reported(fourth, 'versions'), reported(second, 'versions'), 'it is the new version')
    },
  }
}

function fourBoots(outcome: Outcome): [Outcome, Outcome, Outcome, Outcome] {
  const boot = (number: number): Outcome => bootOf(outcome, number)
  return [boot(1), boot(2), boot(3), boot(4)]
}

/** Debian's nodejs is the runtime where the one of hostext is not installed, or no longer. */
function nodejsCase(): Case {
  return {
    name: 'Debian packages: with the nodejs of Debian',
    boot: 'container',
    // Debian 12 has version 18.
    releases: ['trixie', 'forky'],
    fullOnly: true,
    machine: {
      ...machine(
        `
case $boot in
1)
	report install apt_get install /var/debs/current/hostext_*.deb
	report create create
	;;
3)
	report install apt_get install /var/debs/current/hostext-runtime_*.deb
	report own test -f /usr/lib/hostext/node -a ! -h /usr/lib/hostext/node
	report remove apt_get remove hostext-runtime
	report version hostext --version
	;;
esac
report linked readlink /usr/lib/hostext/node
report nodejs node --version
`,
        withNodejs,
      ),
      boots: [{}, {}, PLAIN, {}],
    },
    check(t, outcome) {
      isClean(t, outcome)
      const [first, second, third, fourth] = fourBoots(outcome)
      succeeded(t, first, 'install', 'create')
      succeeded(t, third, 'install', 'own', 'remove', 'version')
      for (const boot of [first, second, third, fourth])
        t.equal(reported(boot, 'linked'), '../../bin/node', 'the runtime is that of Debian')
      for (const boot of [second, fourth]) isStackedWithExtension(t, boot)
      t.notMatch(reported(second, 'versions'), /hostext-runtime .* ii/)
    },
  }
}
