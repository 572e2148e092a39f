import { createHmac } from 'node:crypto'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { enable } from '../assemble.js'
import { bootOf, type Case, COMPLETE, isClean, otherMounts, said } from '../checks.js'
import { type Partition, ROOT_PARTUUID } from '../disks.js'
import { reported } from '../machine.js'
import {
  comparedMachine,
  disk,
  isExtendedAsPlain,
  moveToDataPartition,
  moveVarToDataPartition,
  PATIENT,
  PLAIN_THEN_EXTENDED,
  SCRIPT,
  VAR_ON_DATA,
  WRITABLE,
} from './layout.js'

/**
 * Where data and swap are: each machine boots plain, then extended, and has the same mounts and swap. These
 * are the rows of the table in docs/machines.md that other files of this directory do not have.
 */

const PASSPHRASE = 'correct horse'

/** The types of partitions that systemd mounts. */
const VAR = '4d21b016-b534-45c2-a9fb-5c16e091fd2d'
const HOME = '933ac7e1-2eb4-4f13-b844-0e14e2aef915'
const SWAP = '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f'

/**
 * A partition of this type, with the ID that belongs to the machine's: The Discoverable Partitions
 * Specification. Test machines all have the same ID (rootfs.ts).
 */
function ownPartition(type: string): Partition {
  const bytes = (text: string) => Buffer.from(text.replaceAll('-', ''), 'hex')
  const id = createHmac('sha256', bytes('0123456789abcdef0123456789abcdef')).update(bytes(type)).digest()
  id[6] = ((id[6] as number) & 0x0f) | 0x40
  id[8] = ((id[8] as number) & 0x3f) | 0x80
  const hex = id.toString('hex', 0, 16)
  return { type, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') }
}

/** In its first boot the machine puts what is at /mnt/data on a logical volume. */
const MAKE_VOLUME = `
if [ "$boot" = 1 ]; then
	${COMPLETE}
	report made sh -ec 'vgcreate -q group /dev/ubdb; lvcreate -q -y -l 100%FREE -n data group; udevadm settle
		mkfs.ext4 -q -L data /dev/group/data; mount /dev/group/data /media; cp -a /mnt/data/. /media
		rm -r /mnt/data/*; umount /media; echo "/dev/group/data /mnt/data ext4 defaults 0 2" >>/etc/fstab'
fi
`

const SHARE = `${SCRIPT}
report share cat /mnt/data/file
report options findmnt -no FSTYPE /mnt/data
report nas systemctl is-failed mnt-data.mount
`

export function cases(): Case[] {
  const base = comparedMachine()
  return [
    {
      name: 'storage: /var, /home and swap on partitions that systemd finds by their types',
      boot: 'uml',
      machine: {
        ...base,
        partitioned: true,
        root: `PARTUUID=${ROOT_PARTUUID}`,
        disks: [
          disk('var', 'var', { partition: ownPartition(VAR) }),
          disk('home', 'home', { size: '20M', partition: { type: HOME, uuid: disk('home').uuid } }),
          disk('swap', undefined, {
            filesystem: 'swap',
            size: '20M',
            partition: { type: SWAP, uuid: disk('swap').uuid },
          }),
        ],
        fstab: '',
        prepare: (root) => mkdirSync(join(root, 'home/alice'), { recursive: true }),
        script: `ls /home /var\n${SCRIPT}report home ls /home\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, ['/etc', '/root', '/srv', '/tmp'])
        t.match(reported(outcome, 'swap'), /^\/dev\/ubda4/)
        t.match(reported(outcome, 'mounts'), /^\/var \/dev\/ubda2 ext4/m)
        t.match(reported(outcome, 'home'), 'alice')
      },
    },
    {
      name: 'storage: a root that is writable because of the type of its partition',
      boot: 'uml',
      machine: { ...base, partitioned: 'root', root: `PARTUUID=${ROOT_PARTUUID}`, fstab: '' },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, WRITABLE)
        t.match(reported(bootOf(outcome, 1), 'root'), / rw,/, 'systemd makes it writable')
      },
    },
    {
      name: 'storage: data by a bind from another disk, and a part of it on a third one',
      boot: 'uml',
      machine: {
        ...base,
        prepare(root) {
          mkdirSync(join(root, 'data'))
          renameSync(join(root, 'var/lib/docker'), join(root, 'data/docker'))
          mkdirSync(join(root, 'var/lib/docker'))
          renameSync(join(root, 'data/docker/containers'), join(root, 'lists'))
          mkdirSync(join(root, 'data/docker/containers'))
        },
        disks: [disk('data', 'data'), disk('lists', 'lists', { size: '20M' })],
        fstab: (root) =>
          `${root} / ext4 rw 0 1\nLABEL=data /data ext4 defaults 0 2\n/data/docker /var/lib/docker none bind 0 0\nLABEL=lists /var/lib/docker/containers ext4 defaults 0 2\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, WRITABLE)
        t.notMatch(reported(outcome, 'fsck'), /in use/, 'no disk is checked twice')
      },
    },
    {
      name: 'storage: data on a disk that only the unit of the engine asks for',
      boot: 'uml',
      machine: {
        ...base,
        files: {
          ...PATIENT,
          'etc/systemd/system/docker.service':
            '[Unit]\nRequiresMountsFor=/var/lib/docker\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n',
        },
        prepare: (root) => enable(root, 'docker.service', 'multi-user.target'),
        disks: [disk('data', 'var/lib/docker')],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /var/lib/docker ext4 noauto 0 2\n`,
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, WRITABLE),
    },
    {
      name: 'storage: data on a disk that needs the network, as fstab says',
      boot: 'uml',
      machine: {
        ...base,
        files: { ...PATIENT, 'etc/docker/daemon.json': '{"data-root": "/data/docker"}\n' },
        prepare(root) {
          mkdirSync(join(root, 'data'))
          renameSync(join(root, 'var/lib/docker'), join(root, 'data/docker'))
        },
        disks: [disk('data', 'data')],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /data ext4 _netdev 0 2\n`,
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, WRITABLE),
    },
    {
      name: 'storage: data on an encrypted disk, whose passphrase is typed on the console',
      boot: 'uml',
      // Longer than the timeout, which is for the disk.
      dialogue: [['passphrase for disk', `${PASSPHRASE}\n`, 20]],
      machine: {
        ...base,
        storage: true,
        prepare: moveToDataPartition,
        disks: [disk('data', 'mnt/data', { passphrase: PASSPHRASE })],
        files: {
          'etc/hostext.conf': '[Boot]\nTimeout=15s\n',
          'etc/crypttab': 'secret /dev/ubdb none luks\n',
        },
        fstab: (root) => `${root} / ext4 rw 0 1\n/dev/mapper/secret /mnt/data ext4 defaults 0 2\n`,
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, WRITABLE),
    },
    {
      name: 'storage: data on a logical volume',
      boot: 'uml',
      machine: {
        ...base,
        storage: true,
        boots: [{ commandLine: ['balena.nohostext'] }, ...PLAIN_THEN_EXTENDED],
        prepare: moveToDataPartition,
        disks: [disk('empty', undefined, { filesystem: 'none' })],
        script: `${MAKE_VOLUME}${SCRIPT}`,
        fstab: (root) => `${root} / ext4 rw 0 1\n`,
      },
      check(t, outcome) {
        t.equal(bootOf(outcome, 1).reports.get('made.status'), '0', reported(outcome, 'made', 1))
        const [, ...boots] = outcome.boots
        isExtendedAsPlain(t, { ...outcome, boots }, WRITABLE)
        t.match(reported(outcome, 'mounts'), /^\/mnt\/data \/dev\/mapper\/group-data ext4/m)
      },
    },
    {
      name: 'storage: a root that is an overlay, whose layers only the initrd has seen',
      boot: 'uml',
      machine: {
        ...base,
        initrd: true,
        commandLine: ['test.overlay=hidden'],
        prepare: moveVarToDataPartition,
        disks: [disk('data', 'mnt/data')],
        fstab: `${VAR_ON_DATA}tmpfs /tmp tmpfs size=32M 0 0\n`,
      },
      check: (t, outcome) => isExtendedAsPlain(t, outcome, []),
    },
    {
      name: 'storage: a read-only root whose file system has a writable /var, as with OSTree',
      boot: 'uml',
      machine: {
        ...base,
        initrd: true,
        commandLine: ['test.overlay=ostree'],
        prepare(root) {
          renameSync(join(root, 'var'), join(root, 'srv/var'))
          mkdirSync(join(root, 'var'))
        },
        fstab: 'tmpfs /tmp tmpfs size=32M 0 0\n',
        script: `${SCRIPT}report write sh -c 'echo x >/var/x && cat /var/x'\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, [])
        t.equal(reported(outcome, 'write'), 'x')
      },
    },
    {
      name: 'storage: a share of another machine where an engine might have data',
      boot: 'uml',
      machine: {
        ...base,
        storage: true,
        files: {
          ...PATIENT,
          // A machine with others beside it takes longer for its own server than people's do.
          'etc/systemd/system.conf.d/slow.conf': '[Manager]\nDefaultTimeoutStartSec=5min\n',
          'etc/exports': '/srv/share 127.0.0.1(rw,fsid=0,no_root_squash,no_subtree_check)\n',
          'srv/share/file': 'from the share\n',
          'mnt/data/.keep': '',
        },
        script: SHARE,
        fstab: (root) =>
          `${root} / ext4 rw 0 1\n127.0.0.1:/ /mnt/data nfs4 _netdev,x-systemd.requires=nfs-server.service,x-systemd.after=nfs-server.service 0 0\n`,
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, WRITABLE)
        t.equal(reported(outcome, 'share'), 'from the share')
        t.equal(reported(outcome, 'options'), 'nfs4')
      },
    },
    {
      name: 'storage: a share of another machine that does not answer',
      boot: 'uml',
      machine: {
        ...base,
        storage: true,
        files: { ...PATIENT, 'mnt/data/.keep': '' },
        script: SHARE,
        fstab: (root) => `${root} / ext4 rw 0 1\n127.0.0.2:/ /mnt/data nfs4 _netdev,nofail,retry=0 0 0\n`,
      },
      check(t, outcome) {
        isClean(t, outcome)
        const [plain, extended] = [bootOf(outcome, 1), bootOf(outcome, 2)]
        t.match(reported(plain, 'failed'), /^mnt-data\.mount/, 'it fails on the plain root, too')
        t.match(reported(extended, 'root'), /^hostext +overlay +ro,/)
        t.equal(reported(extended, 'one'), 'from one-layer')
        t.equal(reported(extended, 'failed'), reported(plain, 'failed'))
        t.notMatch(said(extended), /did not appear/, 'nothing waits for it')
        t.equal(reported(extended, 'nas'), reported(plain, 'nas'))
        const ours = [...WRITABLE, '/usr/lib/hostext/base']
        t.same(otherMounts(reported(extended, 'mounts'), ours), otherMounts(reported(plain, 'mounts'), ours))
      },
    },
    {
      name: 'storage: compressed memory as swap',
      boot: 'uml',
      machine: {
        ...base,
        storage: true,
        files: { ...PATIENT, 'etc/systemd/zram-generator.conf': '[zram0]\nzram-size = 32\n' },
      },
      check(t, outcome) {
        isExtendedAsPlain(t, outcome, WRITABLE)
        t.equal(reported(outcome, 'swap'), '/dev/zram0')
      },
    },
  ]
}
