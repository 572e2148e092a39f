import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  BASE_REPORT,
  bootOf,
  type Case,
  COMPLETE,
  isClean,
  isPlain,
  isStacked,
  otherMounts,
  said,
} from '../checks.js'
import { type Disk, ROOT_PARTUUID, ROOT_UUID } from '../disks.js'
import { standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'

/** Each machine boots plain first, then extended. Except for ours, its mounts must be the same. */
export const PLAIN_THEN_EXTENDED = [{ commandLine: ['balena.nohostext'] }, {}]
export const SCRIPT = `${BASE_REPORT}
report mounts findmnt -rno TARGET,SOURCE,FSTYPE,OPTIONS
report swap sh -c 'sed 1d /proc/swaps | sed "s/[[:space:]].*//" | sort'
report one cat /usr/share/one-layer/one.txt
report replaced cat /usr/share/base/replaced
report kept cat /usr/share/base/kept
report fsck sh -c 'journalctl -b --no-pager -o cat -u "systemd-fsck@*"'
`

/** In its third boot the machine soft-reboots once, if its systemd can, and reports the result. */
const SOFT_REBOOT_ONCE = `
if [ "$boot" = 3 ] && [ -e /usr/lib/systemd/system/soft-reboot.target ] && mkdir /run/once 2>/dev/null; then
	${COMPLETE}
	systemctl soft-reboot
	exit 0
fi
`

export const disk = (label: string, from?: string, more: Partial<Disk> = {}): Disk => ({
  filesystem: 'ext4',
  label,
  uuid: `00000000-0000-4000-8000-${Buffer.from(label.padEnd(6, '-')).toString('hex')}`,
  size: '400M',
  ...(from === undefined ? {} : { from }),
  ...more,
})

/** Moves the engine's data to its place on balenaOS, with the file that says that it must not be wiped. */
export function moveToDataPartition(root: string): void {
  mkdirSync(join(root, 'mnt/data'), { recursive: true })
  renameSync(join(root, 'var/lib/docker'), join(root, 'mnt/data/docker'))
  writeFileSync(join(root, 'mnt/data/remove_me_to_reset'), '')
}

/** For a root that cannot be written to: /var is on the data partition, too. */
export function moveVarToDataPartition(root: string): void {
  moveToDataPartition(root)
  renameSync(join(root, 'var'), join(root, 'mnt/data/var'))
  mkdirSync(join(root, 'var'))
}

/** A read-only root with /var and the engine's data on a partition: the layout of immutable images. */
export function immutableRoot(rootFilesystem: 'squashfs' | 'erofs'): Partial<Case['machine']> {
  return {
    rootFilesystem,
    initrd: true,
    prepare: moveVarToDataPartition,
    disks: [disk('data', 'mnt/data')],
    fstab: (root) => `${root} / ${rootFilesystem} ro 0 0\n${VAR_ON_DATA}tmpfs /tmp tmpfs size=32M 0 0\n`,
  }
}
export const VAR_ON_DATA =
  'LABEL=data /mnt/data ext4 defaults 0 2\n/mnt/data/var /var none bind,x-systemd.requires-mounts-for=/mnt/data 0 0\n'

export function isExtendedAsPlain(t: Test, outcome: Outcome, ours: string[]): void {
  isClean(t, outcome)
  const [plain, extended] = [bootOf(outcome, 1), bootOf(outcome, 2)]
  t.notMatch(reported(plain, 'root'), /^hostext/)
  t.match(said(plain), /plain root: balena\.nohostext on the kernel command line/)
  t.equal(reported(plain, 'failed'), '', 'the plain boot is a healthy one')
  isStacked(t, extended)
  t.equal(reported(extended, 'one'), 'from one-layer')
  t.equal(reported(extended, 'replaced'), 'from override')
  t.equal(reported(extended, 'kept'), 'root')
  t.equal(reported(extended, 'layers').match(/loaded active mounted/g)?.length, 4, 'every layer is mounted')
  const all = [...ours, '/usr/lib/hostext/base', '/usr/lib/hostext/base/usr']
  t.same(otherMounts(reported(extended, 'mounts'), all), otherMounts(reported(plain, 'mounts'), all))
  t.equal(reported(extended, 'swap'), reported(plain, 'swap'))
}

/** A timeout for emulated machines, which take half a minute to find their disks. */
export const PATIENT = { 'etc/hostext.conf': '[Boot]\nTimeout=3min\n' }

/** The mounts of hostext on a machine with a writable ext4 root. */
export const WRITABLE = ['/etc', '/tmp', '/var', '/home', '/root', '/srv']

/** The machine with the standard extensions that {@link isExtendedAsPlain} compares with itself. */
export const comparedMachine = () => ({
  dataRoot: standardDataRoot(),
  boots: PLAIN_THEN_EXTENDED,
  script: SCRIPT,
  files: PATIENT,
})

/** Common layouts of disks. A container has no disks. */
export function cases(): Case[] {
  const base = comparedMachine()
  const { dataRoot } = base
  return [
    {
      name: 'layout: a data partition',
      boot: 'uml',
      machine: {
        ...base,
        boots: [...PLAIN_THEN_EXTENDED, {}],
        script: `${SOFT_REBOOT_ONCE}${SCRIPT}report write sh -c 'echo x >/mnt/data/x && cat /mnt/data/x'\n`,
        prepare: moveToDataPartition,
        disks: [disk('data', 'mnt/data')],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 defaults 0 2\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, WRITABLE)
        const again = bootOf(outcome, 3)
        isStacked(t, again)
        t.equal(reported(again, 'write'), 'x', 'after a soft-reboot the data partition is writable')
        t.notMatch(reported(bootOf(outcome, 2), 'fsck'), /in use/, 'the disk is not checked twice')
      },
    },
    {
      name: 'layout: a system extension and an overlay of fstab over the stacked root',
      boot: 'uml',
      machine: {
        dataRoot,
        files: {
          ...PATIENT,
          'var/lib/extensions/tool/usr/lib/extension-release.d/extension-release.tool': 'ID=_any\n',
          'var/lib/extensions/tool/usr/share/tool': 'from the system extension\n',
          'srv/over/over': 'from the overlay\n',
        },
        // A merged /usr hides what is mounted below it.
        script: `${SCRIPT}report over cat /usr/share/base/over
report mount systemctl is-active usr-share-base.mount
report merge systemd-sysext merge
report tool cat /usr/share/tool
report kind findmnt -no FSTYPE /run/hostext/0
`,
        prepare: moveToDataPartition,
        disks: [disk('data', 'mnt/data')],
        fstab: (root) =>
          `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 defaults 0 2\noverlay /usr/share/base overlay ro,lowerdir=/srv/over:/usr/share/base 0 0\n`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'one'), 'from one-layer')
        t.equal(outcome.reports.get('merge.status'), '0', reported(outcome, 'merge'))
        t.equal(reported(outcome, 'tool'), 'from the system extension')
        t.equal(reported(outcome, 'over'), 'from the overlay')
        t.equal(reported(outcome, 'replaced'), 'from override', 'and what is below it')
        t.equal(reported(outcome, 'mount'), 'active')
        t.equal(reported(outcome, 'kind'), 'ext4', 'trees are bound: the root is one overlay deep')
      },
    },
    {
      name: 'layout: a data partition that is not there',
      boot: 'uml',
      machine: {
        dataRoot,
        script: SCRIPT,
        prepare: moveToDataPartition,
        files: { 'etc/hostext.conf': '[Boot]\nTimeout=20s\n' },
        disks: [disk('data', 'mnt/data', { absent: true })],
        fstab: (root) =>
          `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 nofail,x-systemd.device-timeout=1s 0 2\n`,
      },
      check: (t, outcome) =>
        isPlain(t, outcome, /\/mnt\/data is not mounted: whatever an engine keeps in .* is left out/),
    },
    {
      name: 'layout: a data partition that is to be wiped',
      boot: 'uml',
      machine: {
        dataRoot,
        script: SCRIPT,
        files: PATIENT,
        prepare(root) {
          moveToDataPartition(root)
          rmSync(join(root, 'mnt/data/remove_me_to_reset'))
        },
        disks: [disk('data', 'mnt/data')],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 defaults 0 2\n`,
      },
      check: (t, outcome) => isPlain(t, outcome, /plain root: \/mnt\/data\/remove_me_to_reset is missing/),
    },
    {
      name: 'layout: /var with the data, /home, /boot, swap, binds, an automount',
      boot: 'uml',
      machine: {
        ...base,
        partitioned: true,
        root: `PARTUUID=${ROOT_PARTUUID}`,
        disks: [
          disk('var', 'var'),
          disk('home', 'home', { size: '50M' }),
          disk('boot', 'boot', { size: '50M' }),
          disk('swap', undefined, { filesystem: 'swap', size: '50M' }),
          disk('more', undefined, { size: '50M' }),
        ],
        files: {
          ...PATIENT,
          'home/user/file': 'x',
          'var/spool/file': 'x',
          'mnt/more/.keep': '',
          'srv/spool/.keep': '',
        },
        fstab: [
          `UUID=${ROOT_UUID} / ext4 rw,errors=remount-ro 0 1`,
          'LABEL=var /var ext4 noatime 0 2',
          `UUID=${disk('home').uuid} /home ext4 nodev,nosuid 0 2`,
          'LABEL=boot /boot ext4 ro 0 2',
          'LABEL=swap none swap sw 0 0',
          'LABEL=more /mnt/more ext4 noauto,x-systemd.automount 0 0',
          '/var/spool /srv/spool none bind 0 0',
          'tmpfs /tmp tmpfs size=32M 0 0',
          '',
        ].join('\n'),
        script: `ls /mnt/more\n${SCRIPT}`,
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, ['/etc', '/root', '/srv']),
    },
    {
      name: 'layout: a separate /usr',
      boot: 'uml',
      machine: {
        ...base,
        initrd: true,
        disks: [disk('usr', 'usr', { size: '900M' })],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=usr /usr ext4 defaults 0 2\n`,
        script: `${SCRIPT}report usr findmnt -no SOURCE,FSTYPE,OPTIONS /usr\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, [...WRITABLE, '/usr'])
        t.match(reported(outcome, 'usr'), /^hostext-usr +overlay +ro,/)
      },
    },
    {
      name: 'layout: a btrfs subvolume',
      boot: 'uml',
      machine: {
        ...base,
        rootFilesystem: 'btrfs',
        fstab: 'LABEL=root / btrfs subvol=@,noatime 0 0\n',
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, WRITABLE),
    },
    ...(['squashfs', 'erofs'] as const).map(
      (rootFilesystem): Case => ({
        name: `layout: a ${rootFilesystem} root with a data partition`,
        boot: 'uml',
        fullOnly: rootFilesystem === 'erofs',
        machine: { ...base, ...immutableRoot(rootFilesystem) },
        check: (t, outcome) => isExtendedAsPlain(t, outcome, []),
      }),
    ),
    {
      name: 'layout: a machine that has no ID yet',
      boot: 'uml',
      machine: {
        dataRoot,
        files: PATIENT,
        boots: [{}, {}],
        script: `${BASE_REPORT}
report id cat /etc/machine-id
report mounted sh -c 'grep machine-id /proc/self/mountinfo'
`,
        prepare(root) {
          writeFileSync(join(root, 'etc/machine-id'), '')
          rmSync(join(root, 'var/lib/dbus/machine-id'), { force: true })
        },
      },
      check(t, outcome) {
        const [first, second] = [bootOf(outcome, 1), bootOf(outcome, 2)]
        for (const boot of [first, second]) {
          isStacked(t, boot)
          t.match(reported(boot, 'id'), /^[0-9a-f]{32}$/)
          t.equal(reported(boot, 'mounted'), '', 'it is a file')
        }
        t.equal(reported(second, 'id'), reported(first, 'id'), 'the ID that it was given, on the disk')
      },
    },
    {
      name: 'layout: a root that is an overlay',
      boot: 'uml',
      machine: {
        ...base,
        initrd: true,
        prepare: moveVarToDataPartition,
        disks: [disk('data', 'mnt/data')],
        fstab: `${VAR_ON_DATA}tmpfs /tmp tmpfs size=32M 0 0\n`,
        boots: [
          { commandLine: ['test.overlay=1', 'balena.nohostext'] },
          { commandLine: ['test.overlay=1'] },
          { commandLine: ['test.overlay=2'] },
        ],
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, [])
        t.match(
          reported(bootOf(outcome, 2), 'mounts'),
          /^\/media\/root-ro \/dev\/(?:vd|ubd)a ext4 /m,
          'what is below comes along',
        )
        const refused = bootOf(outcome, 3)
        t.equal(reported(refused, 'state'), 'running', 'two overlays deep: a complete boot')
        t.match(reported(refused, 'root'), /^overlay +overlay +rw,/, 'on the plain root')
        t.match(said(refused), /plain root: the root is already an overlay on an overlay/)
      },
    },
  ]
}
