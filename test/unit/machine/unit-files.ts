import t from 'tap'
import {
  readAskers,
  readEnabled,
  readHooked,
  readMerging,
  readPulledIn,
  readUnit,
} from '../../../src/machine/unit-files.js'
import { makeTree, type Tree } from '../../support/tree.js'

t.test('what a target pulls in, from wherever units are', async (t) => {
  const prefix = makeTree(t, {
    'etc/systemd/system/x.target.wants/b.service': '-> /dev/null',
    'usr/lib/systemd/system/x.target.wants/b.service': '-> ../b.service',
    'usr/lib/systemd/system/x.target.wants/a.service': '-> ../a.service',
    'run/systemd/system/x.target.requires/a.service': '-> ../a.service',
    'etc/systemd/system/x.target.upholds/c.service': '-> ../c.service',
    'etc/systemd/system/y.target.wants/d.service': '-> ../d.service',
    'etc/systemd/system/y.target.d/e.conf': '',
  })
  t.same(readPulledIn({ prefix }, 'x.target'), [
    'x.target.requires/a.service',
    'x.target.upholds/c.service',
    'x.target.wants/a.service',
    'x.target.wants/b.service',
  ])
})

t.test('what answers when an encrypted volume asks for a passphrase', async (t) => {
  const prefix = makeTree(t, {
    'etc/systemd/system/cryptsetup.target.wants/clevis-luks-askpass.path': '-> /usr/lib/x.path',
    'etc/systemd/system/cryptsetup.target.wants/a b.path': '-> /usr/lib/x.path',
    'etc/systemd/system/cryptsetup.target.wants/%n.path': '-> /usr/lib/x.path',
    'etc/systemd/system/cryptsetup.target.wants/tang.service': '-> /usr/lib/x.service',
    'usr/lib/systemd/system/cryptsetup.target.wants/ask@1.path': '-> ../ask@.path',
    'usr/lib/systemd/system/cryptsetup.target.wants/clevis-luks-askpass.path': '-> ../x.path',
  })
  t.same(readAskers({ prefix }), ['ask@1.path', 'clevis-luks-askpass.path'])
})

t.test('and its drop-ins, for it alone or for several, as its own', async (t) => {
  const prefix = makeTree(t, {
    'etc/systemd/system/multi-user.target.d/b.conf': '[Unit]\nWants=b.service\n',
    'usr/lib/systemd/system/multi-user.target.d/b.conf': '',
    'usr/lib/systemd/system/multi-user.target.d/README': '',
    'usr/lib/systemd/system/multi-.target.d/c.conf': '',
    'run/systemd/system/target.d/a.conf': '',
    'etc/systemd/system/service.d/d.conf': '',
    'etc/systemd/system/multi-user.target.wants/a.service': '-> ../a.service',
  })
  t.same(readPulledIn({ prefix }, 'multi-user.target'), [
    'multi-user.target.d/a.conf',
    'multi-user.target.d/b.conf',
    'multi-user.target.d/c.conf',
    'multi-user.target.wants/a.service',
  ])
  t.same(readPulledIn({ prefix }, 'default.target'), ['default.target.d/a.conf'])
})

t.test('a unit, its drop-ins, and what masks it', async (t) => {
  const prefix = makeTree(t, {
    'usr/lib/systemd/system/mnt-data.mount': '[Mount]\nWhat=/dev/sda\nOptions=a,\\\nb\n',
    'usr/lib/systemd/system/mnt-data.mount.d/20.conf': 'What=/dev/not-this\n',
    'etc/systemd/system/mnt-data.mount.d/20.conf': 'What=/dev/sdb\n',
    'usr/lib/systemd/system/mnt-data.mount.d/10.conf': 'What=/dev/nor-this\nType=ext4\n',
    'etc/systemd/system/masked.mount': '-> /dev/null',
    'usr/lib/systemd/system/masked.mount': '[Mount]\nWhat=/dev/sda\n',
  })
  t.same(readUnit({ prefix }, 'mnt-data.mount'), {
    path: '/usr/lib/systemd/system/mnt-data.mount',
    assignments: [
      ['What', '/dev/sda'],
      ['Options', 'a, b'],
      ['What', '/dev/nor-this'],
      ['Type', 'ext4'],
      ['What', '/dev/sdb'],
    ],
  })
  t.equal(readUnit({ prefix }, 'masked.mount'), undefined, 'whatever stands behind it')
  t.equal(readUnit({ prefix }, 'none.mount'), undefined)
})

t.test('units that something starts', async (t) => {
  const prefix = makeTree(t, {
    'usr/lib/systemd/system/not-enabled.mount': '',
    'usr/lib/systemd/system/local-fs.target.wants/mnt-data.mount': '-> ../mnt-data.mount',
    'etc/systemd/system/docker.service.requires/my\\x2ddisk.mount': '-> ../x',
    'etc/systemd/system/multi-user.target.wants/usb.automount': '-> ../usb.automount',
    'etc/systemd/system/multi-user.target.wants/ssh.service': '-> ../ssh.service',
    'run/systemd/generator/local-fs.target.wants/var.mount': '-> ../var.mount',
  })
  t.same(readEnabled({ prefix }), ['mnt-data.mount', 'my\\x2ddisk.mount', 'ssh.service', 'usb.automount'])
  t.same(readEnabled({ prefix: '/nonexistent' }), [])
})

t.test('what merges images into the running system', async (t) => {
  const unit = 'systemd-sysext.service'
  const enabled = { [`etc/systemd/system/sysinit.target.wants/${unit}`]: `-> ../${unit}` }
  const merging = (files: Tree) => {
    const root = { prefix: makeTree(t, files) }
    return readMerging(root, readEnabled(root))
  }
  t.same(merging({ ...enabled, 'var/lib/extensions/tool.raw': '' }), [unit])
  t.same(merging(enabled), [], 'it has no images')
  t.same(merging({ 'var/lib/extensions/tool.raw': '' }), [], 'it is not enabled')
  const confext = 'usr/lib/systemd/system/sysinit.target.wants/systemd-confext.service'
  t.same(merging({ [confext]: '', 'run/confexts/x/etc/x': '' }), ['systemd-confext.service'])
})

t.test('what generators link to a target', async (t) => {
  const prefix = makeTree(t, {
    'etc/rc2.d/S01cron': '',
    'etc/rc3.d/S20old.sh': '',
    'etc/rc3.d/S01cron': '',
    'etc/rc5.d/K01off': '',
    'etc/rc1.d/S01single': '',
    'etc/rc4.d/S01odd name': '',
  })
  t.same(readHooked({ prefix }), ['cloud-init.target', 'cron.service', 'old.service', 'rc-local.service'])
})
