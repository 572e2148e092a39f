import t from 'tap'
import {
  devicePath,
  isAutomatic,
  isReadOnly,
  parseFstab,
  remountOptions,
  unescapeOctal,
} from '../../../src/machine/fstab.js'

t.same(
  parseFstab(`# comment
UUID=1 / ext4 rw,errors=remount-ro 0 1

/dev/sdb1\t/mnt/my\\040data/  ext4
LABEL=x none swap sw
  proc /proc proc hidepid=2 0 0
broken
`),
  [
    { source: 'UUID=1', mountPoint: '/', type: 'ext4', options: ['rw', 'errors=remount-ro'], passno: 1 },
    { source: '/dev/sdb1', mountPoint: '/mnt/my data', type: 'ext4', options: ['defaults'], passno: 0 },
    { source: 'LABEL=x', mountPoint: 'none', type: 'swap', options: ['sw'], passno: 0 },
    { source: 'proc', mountPoint: '/proc', type: 'proc', options: ['hidepid=2'], passno: 0 },
  ],
)
t.same(parseFstab(''), [])
t.equal(unescapeOctal('a\\040b\\134c\\011'), 'a b\\c\t')
t.equal(unescapeOctal('gr\\303\\266ße'), 'größe', 'escaped bytes of UTF-8')
t.equal(unescapeOctal('\\999 \\04'), '\\999 \\04', 'what is no escape stays')

t.test('what the boot mounts by itself', async (t) => {
  const automatic = (line: string) => parseFstab(line).map(isAutomatic)
  t.same(automatic('x /a ext4\nx /b ext4 noauto\nx /c ext4 noauto,x-systemd.automount\nx none swap'), [
    true,
    false,
    true,
    false,
  ])
})

t.test('the device of an entry, as udev links it', async (t) => {
  t.equal(devicePath('/dev/vda1'), '/dev/vda1')
  t.equal(devicePath('LABEL=my data'), '/dev/disk/by-label/my\\x20data')
  t.equal(devicePath('UUID="1-2"'), '/dev/disk/by-uuid/1-2')
  t.equal(devicePath('PARTLABEL=a/b'), '/dev/disk/by-partlabel/a\\x2fb')
  t.equal(devicePath('PARTUUID=x'), '/dev/disk/by-partuuid/x')
  for (const source of ['tmpfs', '/home/x', 'host:/x', 'ID=x']) t.equal(devicePath(source), undefined, source)
})

t.test('read-only, as mount(8) has it, also for the mount or the file system only', async (t) => {
  for (const text of ['ro', 'rw,ro', 'subvol=/x,ro=vfs', 'ro=fs', 'ro=recursive', 'rw=vfs,ro=vfs'])
    t.ok(isReadOnly(text.split(',')), text)
  for (const text of [
    'defaults',
    'ro,rw',
    'ro=vfs,rw=vfs',
    'ro=vfs,rw',
    'errors=remount-ro',
    'rootcontext=x',
  ])
    t.notOk(isReadOnly(text.split(',')), text)
  t.equal(
    remountOptions(['ro=vfs', 'noatime', 'rw', 'errors=remount-ro']),
    'remount,noatime,errors=remount-ro,rw',
  )
})
