import t, { type Test } from 'tap'
import { at, readText } from '../../../src/machine/files.js'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import { nextBootRoot, withoutStack } from '../../../src/machine/next-boot.js'
import { makeTree, type Tree } from '../../support/tree.js'

const line = (device: string, mountPoint: string, type: string, source: string, root = '/') =>
  `22 1 ${device} ${root} ${mountPoint} rw shared:1 - ${type} ${source} rw\n`

/**
 * A stacked machine, with its data and /boot on file systems of their own, and its state bound from the base
 * root.
 */
const STACKED = [
  line('0:30', '/', 'overlay', 'hostext'),
  line('254:1', '/usr/lib/hostext/base', 'ext4', '/dev/vda1'),
  line('254:1', '/var', 'ext4', '/dev/vda1', '/var'),
  line('0:31', '/etc', 'overlay', 'hostext-etc'),
  line('0:5', '/proc', 'proc', 'proc'),
  line('0:6', '/run', 'tmpfs', 'tmpfs'),
  line('254:3', '/run/hostext/0', 'ext4', '/dev/vda3'),
  line('254:3', '/mnt/data', 'ext4', '/dev/vda3'),
  line('254:2', '/boot', 'ext4', '/dev/vda2'),
].join('')

function root(t: Test, mountinfo: string, files: Tree = {}) {
  const prefix = makeTree(t, { 'proc/self/mountinfo': mountinfo, ...files })
  return nextBootRoot({ HOSTEXT_ROOT: prefix })
}

t.test('a stacked machine is read from its base root', async (t) => {
  const base = 'usr/lib/hostext/base'
  const next = root(t, STACKED, {
    'etc/hostext.conf': 'of the stack',
    'usr/bin/x': 'of an extension',
    'var/x': 'state',
    'mnt/data/x': 'data',
    [`${base}/etc/hostext.conf`]: 'of the base',
    [`${base}/mnt/data/x`]: 'hidden',
  })
  const read = (path: string) => readText(next, path)
  t.equal(read('/etc/hostext.conf'), 'of the base')
  t.equal(read('/usr/bin/x'), undefined)
  t.equal(read('/var/x'), 'state', 'what is mounted on it is the same')
  t.equal(read('/mnt/data/x'), 'data')
  t.equal(read('/proc/self/mountinfo'), STACKED)
  for (const [path, place] of [
    ['/boot', '/boot'],
    ['/boot/vmlinuz', '/boot/vmlinuz'],
    ['/bootx', `/${base}/bootx`],
    ['/run/hostext/0/usr', '/run/hostext/0/usr'],
    ['/', `/${base}/`],
    [`/${base}/etc`, `/${base}/${base}/etc`],
  ] as const)
    t.equal(at(next, path), next.prefix + place, path)
})

t.test('any other machine is read as it is', async (t) => {
  for (const [what, mountinfo] of [
    ['a plain root', line('254:1', '/', 'ext4', '/dev/vda1')],
    ['another overlay', STACKED.replace('overlay hostext rw', 'overlay other rw')],
    ['no base root to see', STACKED.replace('/usr/lib/hostext/base', '/usr/lib/other')],
    ['nothing', ''],
  ] as const)
    t.equal(root(t, mountinfo).base, undefined, what)
})

t.test('the mounts of the next boot', async (t) => {
  t.same(
    withoutStack(parseMountinfo(STACKED)).map(({ mountPoint, source }) => `${mountPoint} ${source}`),
    ['/ /dev/vda1', '/proc proc', '/run tmpfs', '/mnt/data /dev/vda3', '/boot /dev/vda2'],
  )
  // A root in a subvolume, whose other subvolumes fstab mounts; a /usr of its own.
  const other = [
    line('0:30', '/', 'overlay', 'hostext'),
    line('0:40', '/usr/lib/hostext/base', 'btrfs', '/dev/vda1', '/@'),
    line('254:7', '/usr/lib/hostext/base/usr', 'ext4', '/dev/vda7'),
    line('0:40', '/var', 'btrfs', '/dev/vda1', '/@/var'),
    line('0:40', '/home', 'btrfs', '/dev/vda1', '/@home'),
    line('0:32', '/usr', 'overlay', 'hostext-usr'),
  ].join('')
  t.same(
    withoutStack(parseMountinfo(other)).map(({ mountPoint, root }) => `${mountPoint} ${root}`),
    ['/ /@', '/usr /', '/home /@home'],
  )
  const plain = parseMountinfo(line('254:1', '/', 'ext4', '/dev/vda1'))
  t.same(withoutStack(plain), plain)
})
