import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { enable } from '../assemble.js'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked, said } from '../checks.js'
import { dataRoot as makeDataRoot } from '../engine.js'
import { FEATURE, standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'
import {
  comparedMachine,
  disk,
  isExtendedAsPlain,
  moveToDataPartition,
  PATIENT,
  PLAIN_THEN_EXTENDED,
  SCRIPT,
  WRITABLE,
} from './layout.js'

/**
 * What a machine did before, it does with extensions. Each machine is like one that somebody has reported.
 */

const ROOT = '/dev/root / ext4 rw 0 0\n'

/** Creates files and directories (a path that ends in a slash) of a tree. */
function make(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    const place = join(root, path)
    if (path.endsWith('/')) mkdirSync(place, { recursive: true })
    else {
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, text)
    }
  }
}

/**
 * What is there before systemd starts, as an initrd or an init script makes it. nspawn starts this in the
 * place of systemd.
 */
const preinit = (commands: string): Record<string, string> => ({
  'usr/lib/test/preinit*': `#!/bin/sh
# PID 1 starts itself again at the switch, and no child of its may be reaped then.
[ ! -d /run/preinit ] || exec /usr/lib/systemd/systemd.real "$@"
mkdir -p /run/preinit
${commands}
exec /usr/lib/systemd/systemd.real "$@"
`,
})
function startsPreinit(root: string): void {
  const init = join(root, 'usr/lib/systemd/systemd')
  renameSync(init, `${init}.real`)
  symlinkSync('/usr/lib/test/preinit', init)
}

/** An extension with a user and a file in /run, which only the normal boot makes. */
const workingDataRoot = () =>
  makeDataRoot('works', [
    {
      name: 'works',
      dockerfile: `FROM scratch\n${FEATURE}\nCOPY user.conf /usr/lib/sysusers.d/works.conf\nCOPY made.conf /usr/lib/tmpfiles.d/works.conf\nCOPY made.conf /usr/share/base/works\n`,
      files: {
        'user.conf': 'u worksuser - "works"\n',
        'made.conf': 'f /run/works-made 0644 root root - made\n',
      },
    },
  ])

/** Notes on which root, and how often, something of the system has started. */
const NOTE = '#!/bin/sh\nfindmnt -no SOURCE / >>/var/log/started\n'
const STARTED = `
report started cat /var/log/started
report user id worksuser
report made cat /run/works-made
`
function startsOnce(t: Test, outcome: Outcome): void {
  isStacked(t, outcome)
  t.match(
    reported(outcome, 'started'),
    /^hostext$|No such file/,
    'once, after the switch; 262 knows no rc.local',
  )
  t.match(reported(outcome, 'user'), 'worksuser', 'users are made')
  t.equal(reported(outcome, 'made'), 'made', 'so are files')
}

/** Writes to a file in every boot, and shows all of it. */
const writes = (file: string): string => `${SCRIPT}
report write sh -c "echo $boot >>${file} && cat ${file}"
`
function writesInBothBoots(t: Test, outcome: Outcome): void {
  for (const boot of [1, 2]) isStacked(t, bootOf(outcome, boot))
  t.equal(reported(outcome, 'write'), '1\n2', 'in both boots')
}

/** Overlays, binds and swap over the root, and what mounts them. */
function onRootCases(): Case[] {
  const base = { dataRoot: standardDataRoot(), boots: PLAIN_THEN_EXTENDED, script: SCRIPT }
  return [
    {
      name: 'as before: an overlay of fstab over a directory of the root',
      boot: 'container',
      machine: {
        ...base,
        script: `${SCRIPT}
report over cat /usr/share/base/replaced /usr/share/base/kept /usr/share/base/kept-change
report write sh -c 'echo change >>/usr/share/base/kept-change && cat /usr/share/base/kept-change'
`,
        prepare: (root) => make(root, { 'var/ov/up/kept-change': 'before\n', 'var/ov/work/': '' }),
        fstab: `${ROOT}overlay /usr/share/base overlay lowerdir=/usr/share/base,upperdir=/var/ov/up,workdir=/var/ov/work 0 0\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'over'), 'from override\nroot\nbefore\nchange')
        t.equal(reported(outcome, 'write'), 'before\nchange\nchange', 'its changes are kept')
      },
    },
    {
      name: 'as before: an overlay of a unit that cannot be written to on the locked root',
      boot: 'container',
      machine: {
        ...base,
        boots: [{}],
        prepare(root) {
          make(root, {
            'opt/app/file': 'app\n',
            'usr/up/': '',
            'usr/work/': '',
            'etc/systemd/system/opt-app.mount':
              '[Mount]\nWhat=overlay\nWhere=/opt/app\nType=overlay\nOptions=lowerdir=/opt/app,upperdir=/usr/up,workdir=/usr/work\n',
          })
          enable(root, 'opt-app.mount')
        },
        fstab: ROOT,
      },
      check: (t, outcome) =>
        isPlain(
          t,
          outcome,
          /plain root: \/etc\/systemd\/system\/opt-app\.mount: \/opt\/app \(overlay\) cannot be mounted over the stacked root: \/usr\/up is on the root/,
        ),
    },
    {
      name: 'as before: /etc that fstab mounts',
      boot: 'container',
      machine: {
        ...base,
        script: `${SCRIPT}
report etc findmnt -no SOURCE,FSTYPE /etc
report change cat /etc/kept-change
report write sh -c 'echo change >>/etc/kept-change'
`,
        prepare: (root) => make(root, { 'var/ov/up/kept-change': 'before\n', 'var/ov/work/': '' }),
        fstab: `${ROOT}overlay /etc overlay lowerdir=/etc,upperdir=/var/ov/up,workdir=/var/ov/work,x-systemd.requires-mounts-for=/var 0 0\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(reported(outcome, 'etc'), /^overlay +overlay$/)
        t.equal(reported(outcome, 'change'), 'before\nchange')
        t.equal(outcome.reports.get('write.status'), '0')
      },
    },
    {
      name: 'as before: binds from directories of the root, to places that do not exist yet',
      boot: 'container',
      machine: {
        ...base,
        script: `${SCRIPT}
report write sh -c "echo $boot >>/mnt/places/new/deep/file && cat /data/file"
`,
        prepare: (root) => make(root, { 'data/file': '' }),
        fstab: `${ROOT}/data /mnt/places/new/deep none bind 0 0\n`,
        boots: [{}, {}],
      },
      check(t, outcome) {
        writesInBothBoots(t, outcome)
        t.match(reported(outcome, 'decision'), /; writable: .*\/data/)
      },
    },
    {
      name: 'as before: a swap file and a disk image on the root',
      boot: 'uml',
      machine: {
        ...base,
        files: PATIENT,
        prepare(root) {
          make(root, {
            'media/image/': '',
            'etc/systemd/system/opt-swap.swap': '[Swap]\nWhat=/opt/swap\n',
          })
          enable(root, 'opt-swap.swap', 'swap.target')
          for (const [name, size] of [
            ['swapfile', '8M'],
            ['opt/swap', '8M'],
            ['image', '4M'],
          ] as const)
            execFileSync(
              'dd',
              // mke2fs makes holes of zeros, and swap has none.
              ['if=/dev/urandom', `of=${join(root, name)}`, 'bs=1M', `count=${Number.parseInt(size, 10)}`],
              { stdio: 'ignore' },
            )
          for (const name of ['swapfile', 'opt/swap']) {
            chmodSync(join(root, name), 0o600)
            execFileSync('mkswap', ['-q', join(root, name)], { stdio: 'ignore' })
          }
          execFileSync('mke2fs', ['-q', '-t', 'ext4', join(root, 'image')], { stdio: 'ignore' })
        },
        script: writes('/media/image/file'),
        fstab: (root) =>
          `${root} / ext4 rw,errors=remount-ro 0 1\n/swapfile none swap sw 0 0\n/image /media/image ext4 loop 0 0\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, [...WRITABLE, '/swapfile', '/image', '/opt/swap'])
        t.equal(reported(outcome, 'swap'), '/opt/swap\n/swapfile', 'that of fstab, and that of a unit')
        t.equal(reported(outcome, 'write'), '1\n2')
      },
    },
    {
      name: 'as before: /etc that is an overlay before systemd starts',
      boot: 'container',
      machine: {
        ...base,
        boots: [{}],
        // As overlayfs-etc does.
        files: preinit(`mkdir -p /var/ov/up /var/ov/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/var/ov/up,workdir=/var/ov/work /etc`),
        prepare(root) {
          make(root, { 'var/ov/up/kept-change': 'before\n' })
          startsPreinit(root)
        },
        script: `${SCRIPT}
report etc findmnt -no SOURCE,FSTYPE /etc
report change cat /etc/kept-change
report write sh -c 'echo change >>/etc/kept-change'
`,
        fstab: ROOT,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(reported(outcome, 'etc'), /^overlay +overlay$/)
        t.equal(reported(outcome, 'change'), 'before')
        t.equal(outcome.reports.get('write.status'), '0')
      },
    },
    {
      name: 'as before: /var that something before systemd mounts, on a writable root',
      boot: 'container',
      machine: {
        ...base,
        boots: [{}, {}],
        // As the initrd of some OSTree systems does.
        files: preinit('mount --bind /deployed/var /var'),
        prepare(root) {
          make(root, { 'deployed/': '' })
          renameSync(join(root, 'var'), join(root, 'deployed/var'))
          make(root, { 'var/': '' })
          startsPreinit(root)
        },
        script: writes('/var/lib/file'),
        fstab: ROOT,
      },
      check: writesInBothBoots,
    },
    {
      name: 'as before: tmp.mount is masked, binds and swap files are behind links',
      boot: 'uml',
      machine: {
        ...base,
        files: PATIENT,
        prepare(root) {
          make(root, { 'opt/things/x/': '', 'opt/bound/': '' })
          symlinkSync('opt/things', join(root, 'linked'))
          symlinkSync('/dev/null', join(root, 'etc/systemd/system/tmp.mount'))
          const swap = join(root, 'opt/things/swap')
          // mke2fs makes holes of zeros, and swap has none.
          execFileSync('dd', ['if=/dev/urandom', `of=${swap}`, 'bs=1M', 'count=8'], { stdio: 'ignore' })
          chmodSync(swap, 0o600)
          execFileSync('mkswap', ['-q', swap], { stdio: 'ignore' })
        },
        script: `${writes('/opt/bound/file')}
report tmp sh -c 'echo x >/tmp/file && findmnt -T /tmp -no FSTYPE'
report trim systemctl start fstrim.service
report trims systemctl show -P ExecStartPost fstrim.service
`,
        fstab: (root) =>
          `${root} / ext4 rw,errors=remount-ro 0 1\n/linked/swap none swap sw 0 0\n/linked/x /opt/bound none bind 0 0\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        for (const boot of [1, 2]) {
          t.equal(reported(outcome, 'tmp', boot), 'ext4', '/tmp is on the disk, as it was')
          t.equal(reported(outcome, 'swap', boot), '/opt/things/swap')
          t.equal(outcome.boots[boot - 1]?.reports.get('trim.status'), '0')
        }
        t.match(
          reported(outcome, 'trims'),
          /fstrim --quiet-unsupported \/var /,
          'the disk is reached by the state',
        )
        t.equal(reported(outcome, 'write'), '1\n2')
      },
    },
    {
      name: 'as before: an engine whose data is elsewhere on the root',
      boot: 'container',
      machine: {
        ...base,
        files: { 'etc/docker/daemon.json': '{ "data-root": "/data/docker" }\n' },
        prepare(root) {
          mkdirSync(join(root, 'data'))
          renameSync(join(root, 'var/lib/docker'), join(root, 'data/docker'))
        },
        boots: [{}, {}],
        script: writes('/data/docker/file'),
        fstab: ROOT,
      },
      check(t, outcome) {
        writesInBothBoots(t, outcome)
        t.match(reported(outcome, 'decision'), /on trial: .*; writable: .*\/data\/docker/s)
      },
    },
    {
      name: 'as before: state below /mnt',
      boot: 'container',
      machine: {
        ...base,
        files: { 'etc/hostext.conf': '[Root]\nState=/var /home /mnt/persist\n', 'mnt/persist/file': '' },
        boots: [{}, {}],
        script: writes('/mnt/persist/file'),
        fstab: ROOT,
      },
      check: writesInBothBoots,
    },
  ]
}

/** What is mounted by others, what is waited for, and what starts. */
function startCases(): Case[] {
  const dataRoot = standardDataRoot()
  return [
    {
      name: 'as before: /home by a mount unit, /srv by another generator',
      boot: 'container',
      machine: {
        dataRoot,
        boots: PLAIN_THEN_EXTENDED,
        prepare(root) {
          make(root, {
            'disk/home/alice/file': 'precious\n',
            'disk/srv/file': 'precious, too\n',
            'etc/systemd/system/home.mount':
              '[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=/disk/home\nWhere=/home\nType=none\nOptions=bind\n',
            'usr/lib/systemd/system-generators/other-generator': `#!/bin/sh
printf '[Unit]\\nBefore=local-fs.target\\n[Mount]\\nWhat=/disk/srv\\nWhere=/srv\\nType=none\\nOptions=bind\\n' >$1/srv.mount
mkdir -p $1/local-fs.target.wants
ln -s ../srv.mount $1/local-fs.target.wants/srv.mount
`,
          })
          chmodSync(join(root, 'usr/lib/systemd/system-generators/other-generator'), 0o755)
          enable(root, 'home.mount')
        },
        script: `${SCRIPT}
report home cat /home/alice/file /srv/file
report write sh -c 'echo x >/home/alice/new && echo x >/srv/new'
`,
        fstab: ROOT,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'home'), 'precious\nprecious, too')
        t.equal(outcome.reports.get('write.status'), '0')
        t.notMatch(reported(outcome, 'decision'), /writable:.* \/(?:home|srv),/, 'they are no state')
      },
    },
    {
      name: 'as before: a mount unit that nobody has enabled, and a share that has nothing to do with it',
      boot: 'container',
      machine: {
        dataRoot,
        prepare(root) {
          make(root, {
            'srv/nas/': '',
            'mnt/data/': '',
            'var/lib/balena-engine/': '',
            'etc/systemd/system/var-lib-balena\\x2dengine.mount':
              '[Mount]\nWhat=/dev/disk/by-label/backup\nWhere=/var/lib/balena-engine\n',
            'etc/systemd/system/wait-online.service':
              '[Unit]\nDefaultDependencies=no\nBefore=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/sh -c "findmnt -no SOURCE / >>/var/log/started"\n',
          })
          enable(root, 'wait-online.service', 'network-online.target')
        },
        script: `${SCRIPT}
report started cat /var/log/started
report data findmnt -no FSTYPE /mnt/data
`,
        fstab: `${ROOT}/srv/nas /mnt/data none bind,_netdev,nofail 0 0\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'started'), 'hostext', 'the network is not started before the switch')
        t.match(reported(outcome, 'data'), /./, 'and the share is there')
        t.notMatch(said(outcome), /balena.engine is not mounted/)
      },
    },
    {
      name: 'as before: a check of the disk that takes longer than the timeout',
      boot: 'container',
      machine: {
        dataRoot,
        files: {
          'etc/hostext.conf': '[Boot]\nTimeout=5s\n',
          'etc/systemd/system/check.service':
            '[Unit]\nDefaultDependencies=no\nBefore=mnt-data.mount\n[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 12\n',
        },
        prepare(root) {
          make(root, { 'disk/': '', 'mnt/data/': '' })
          renameSync(join(root, 'var/lib/docker'), join(root, 'disk/docker'))
          writeFileSync(join(root, 'disk/remove_me_to_reset'), '')
        },
        script: SCRIPT,
        fstab: `${ROOT}/disk /mnt/data none bind,x-systemd.requires=check.service 0 2\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'one'), 'from one-layer')
      },
    },
    {
      name: 'as before: systemd.unit=, rc.local and a SysV script',
      boot: 'container',
      machine: {
        dataRoot: workingDataRoot(),
        commandLine: ['systemd.unit=multi-user.target'],
        files: {
          'etc/rc.local*': NOTE,
          'etc/init.d/old*': `#!/bin/sh
### BEGIN INIT INFO
# Provides: old
# Required-Start: $remote_fs
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
findmnt -no SOURCE / >>/var/log/old
`,
        },
        prepare(root) {
          for (const level of [2, 3, 4, 5]) {
            const directory = join(root, `etc/rc${level}.d`)
            mkdirSync(directory, { recursive: true })
            symlinkSync('../init.d/old', join(directory, 'S01old'))
          }
        },
        script: `${SCRIPT}${STARTED}
report old sh -c 'cat /var/log/old || systemctl cat old.service'
`,
        fstab: ROOT,
      },
      check(t, outcome) {
        startsOnce(t, outcome)
        t.match(
          reported(outcome, 'old'),
          /^hostext$|No files found/,
          'from 259 on, systemd has no SysV scripts',
        )
      },
    },
    {
      name: 'as before: another generator that takes the default target',
      boot: 'container',
      machine: {
        dataRoot,
        files: {
          // After all others.
          'usr/lib/systemd/system-generators/taker*':
            '#!/bin/sh\nsleep 3\nln -sf /usr/lib/systemd/system/multi-user.target $2/default.target\n',
        },
        script: SCRIPT,
        fstab: ROOT,
      },
      check: (t, outcome) =>
        isPlain(
          t,
          outcome,
          /another generator boots into multi-user\.target in the place of default\.target: plain root/,
        ),
    },
  ]
}

/** Machines with disks. */
function diskCases(): Case[] {
  const base = comparedMachine()
  const unit = (what: string, where: string) =>
    `[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=${what}\nWhere=${where}\nType=ext4\n`
  return [
    {
      name: 'as before: the data and /home on disks that units mount',
      boot: 'uml',
      machine: {
        ...base,
        prepare(root) {
          moveToDataPartition(root)
          make(root, {
            'home/alice/file': 'precious\n',
            'etc/systemd/system/mnt-data.mount': unit('/dev/disk/by-label/data', '/mnt/data'),
            'etc/systemd/system/home.mount': unit('/dev/disk/by-label/home', '/home'),
          })
          enable(root, 'mnt-data.mount')
          enable(root, 'home.mount')
        },
        script: `${SCRIPT}report home cat /home/alice/file\n`,
        disks: [disk('data', 'mnt/data'), disk('home', 'home', { size: '20M' })],
        fstab: (root) => `${root} / ext4 rw 0 1\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(
          t,
          outcome,
          WRITABLE.filter((path) => path !== '/home'),
        )
        t.equal(reported(outcome, 'home'), 'precious')
      },
    },
    {
      name: 'as before: disks that fstab does not need, and that are not there',
      boot: 'uml',
      machine: {
        // Nothing is an extension here: it might be on the disk.
        files: {
          ...PATIENT,
          'etc/systemd/system.conf.d/device.conf': '[Manager]\nDefaultDeviceTimeoutSec=20s\n',
        },
        boots: PLAIN_THEN_EXTENDED,
        script: `${BASE_REPORT}
report reached systemctl show multi-user.target -P ActiveEnterTimestampMonotonic
report waited sh -c 'journalctl -b -o cat | grep -c "Timed out waiting for device"'
`,
        disks: [disk('data', 'mnt/data', { absent: true })],
        prepare: (root) => make(root, { 'mnt/data/': '' }),
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 nofail 0 2\n`,
      },
      check(t, outcome) {
        const [before = 0, after = 0] = [1, 2].map((boot) => Number(reported(outcome, 'reached', boot)) / 1e6)
        isPlain(t, outcome, /\/mnt\/data is not mounted: whatever an engine keeps in .* is left out/)
        t.equal(reported(outcome, 'waited'), '1', 'the boot waits for it as long as it does without us')
        t.comment(`plain: ${before} s, with hostext: ${after} s`)
        // Two passes on a machine that is slow just now, but no wait of 20 s.
        t.ok(after < 2 * before + 15, `${before} s without hostext, ${after} s with it`)
      },
    },
  ]
}

export function cases(): Case[] {
  return [...onRootCases(), ...startCases(), ...diskCases()]
}
