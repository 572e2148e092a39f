import t from 'tap'
import { findBlockDevice, findDeviceNumber } from '../../../src/machine/block-device.js'
import { makeTree, type Tree } from '../../support/tree.js'

/** Two disks, the first one with three partitions; on them what device mapper and md make. */
const SYS: Tree = {
  ...Object.fromEntries(
    [1, 2, 3].flatMap((n) => [
      [`sys/devices/pci/block/sda/sda${n}/partition`, `${n}\n`],
      [`sys/devices/pci/block/sda/sda${n}/dev`, `8:${n}\n`],
      [`sys/class/block/sda${n}`, `-> ../../devices/pci/block/sda/sda${n}`],
      [`sys/dev/block/8:${n}`, `-> ../../devices/pci/block/sda/sda${n}`],
    ]),
  ),
  'sys/devices/pci/block/sdb/dev': '8:16\n',
  'sys/devices/pci/block/sdb/sdb1/partition': '1\n',
  'sys/dev/block/8:16': '-> ../../devices/pci/block/sdb',
  'dev/sda2': '',
  'dev/dm-0': '',
  'dev/mapper/luks': '-> ../dm-0',
}
/** A device that is made from others, by their directories below /sys/devices. */
const made = (name: string, number: string, ...slaves: string[]): Tree => ({
  [`sys/devices/virtual/block/${name}/dev`]: `${number}\n`,
  [`sys/dev/block/${number}`]: `-> ../../devices/virtual/block/${name}`,
  [`sys/class/block/${name}`]: `-> ../../devices/virtual/block/${name}`,
  ...Object.fromEntries(
    slaves.map((slave) => [
      `sys/devices/virtual/block/${name}/slaves/${slave.slice(slave.lastIndexOf('/') + 1)}`,
      `-> ../../../../${slave}`,
    ]),
  ),
})

t.test('the partition that a root is on, through all layers', async (t) => {
  const found = (device: string, layers: Tree, source = '') =>
    findDeviceNumber(
      { prefix: makeTree(t, { ...SYS, ...layers }) },
      { device, source, mountPoint: '/', root: '/', type: 'x', superOptions: [] },
    )
  const [first, second, other] = ['pci/block/sda/sda1', 'pci/block/sda/sda2', 'pci/block/sdb/sdb1'] as const
  const luks = made('dm-0', '253:0', second)
  t.equal(found('8:1', {}), '8:1')
  t.equal(found('253:0', luks), '8:2', 'LUKS')
  t.equal(found('253:1', { ...luks, ...made('dm-1', '253:1', 'virtual/block/dm-0') }), '8:2', 'LVM on LUKS')
  t.equal(found('253:0', made('dm-0', '253:0', first, second)), '8:1', 'dm-verity: data and hashes')
  t.equal(found('9:0', made('md0', '9:0', first, other)), '9:0', 'RAID: no disk is that of the root')
  t.equal(
    found('253:0', { ...made('dm-0', '253:0', 'virtual/block/md0'), ...made('md0', '9:0', first, other) }),
    '253:0',
    'LUKS on RAID',
  )
  t.equal(found('8:16', {}), '8:16', 'a disk without partitions')
  t.equal(found('253:0', made('dm-0', '253:0', 'virtual/block/dm-0')), '253:0', 'no loop without an end')
  t.equal(found('0:30', luks, '/dev/sda2'), '8:2', 'btrfs')
  t.equal(found('0:30', luks, '/dev/mapper/luks'), '8:2', 'btrfs on LUKS')
  for (const source of ['overlay', '/dev/root', 'host:/x', ''])
    t.equal(found('0:30', luks, source), undefined, `${source}`)
  t.equal(found('7:0', {}), '7:0', 'not in /sys')
  t.equal(found('UUID=x', {}), undefined, 'what fstab has, of a machine that does not run')
})

t.test('a mount on no block device', async (t) => {
  const mount = {
    device: '0:30',
    source: 'tmpfs',
    mountPoint: '/',
    root: '/',
    type: 'tmpfs',
    superOptions: [],
  }
  t.equal(findBlockDevice({ prefix: makeTree(t, SYS) }, mount), undefined)
})
