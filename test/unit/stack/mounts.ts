import t from 'tap'
import { isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { type MountPoint, parseMountinfo } from '../../../src/machine/mountinfo.js'
import type { PlannedMount } from '../../../src/machine/planned.js'
import {
  findDataMounts,
  findForeign,
  findMissing,
  findOver,
  findShowing,
  isFromInitrd,
} from '../../../src/stack/mounts.js'

const mounted = (mountPoint: string, device: string): MountPoint => ({
  ...{ mountPoint, device, root: '/', type: 'ext4', source: '/dev/x', superOptions: ['rw'] },
})
const planned = (mountPoint: string, source: string, options: string[] = []): PlannedMount => ({
  ...{ mountPoint, source, options, type: 'auto', passno: 0, from: '/etc/fstab' },
})
const ROOT = [mounted('/', '254:1'), mounted('/dev', '0:5'), mounted('/run', '0:6')]

const missing = (place: { path: string; snapshots?: string }, places: string[], there: string[] = []) =>
  findMissing(
    {
      planned: places.map((path) => planned(path, 'LABEL=d')),
      mounts: there.map((path) => mounted(path, '8:1')),
    },
    place,
  ).map(({ mountPoint }) => mountPoint)

t.test('what an engine’s data will be on', async (t) => {
  const docker = { path: '/var/lib/docker' }
  t.same(missing(docker, ['/var', '/home', '/var/lib/dock']), ['/var'])
  t.same(missing(docker, ['/var'], ['/var']), [])
})

t.test('what is mounted below it counts, if hostext reads there', async (t) => {
  const docker = { path: '/var/lib/docker' }
  const below = ['/var/lib/docker/containers', '/var/lib/docker/overlay2', '/var/lib/docker/image/overlay2']
  t.same(missing(docker, below), below)
  t.same(missing(docker, below, below.slice(1)), below.slice(0, 1))
  t.same(missing(docker, ['/var', ...below]), ['/var', ...below], 'all at once')
  t.same(missing(docker, ['/var/lib/docker/volumes', '/var/lib/docker/volumes/nas/_data']), [])
  t.same(missing({ path: '/data' }, ['/data/photos', '/data/overlay']), ['/data/overlay'])
  t.same(missing({ path: '/var/lib/containers/storage' }, ['/var/lib/containers/storage/overlay']), [
    '/var/lib/containers/storage/overlay',
  ])
})

t.test('snapshots that containerd keeps elsewhere', async (t) => {
  const containerd = { path: '/var/lib/containerd', snapshots: '/fast/snapshots' }
  t.same(missing(containerd, ['/fast']), ['/fast'])
  t.same(missing(containerd, ['/fast/snapshots']), ['/fast/snapshots'], 'once')
  t.same(missing(containerd, ['/fast/snapshots/snapshots']), ['/fast/snapshots/snapshots'])
  t.same(missing({ path: '/var/lib/containerd' }, ['/fast']), [])
})

const machine = (fstab: string, softReboot = true) => ({
  mounts: parseMountinfo(
    ['/', '/proc', '/usr', '/etc', '/opt/vendor', '/mnt/data', '/home']
      .map((path, index) => `${index + 2} 1 8:${index + 1} / ${path} rw - ext4 /dev/sda rw\n`)
      .join(''),
  ),
  softReboot,
  planned: parseFstab(fstab)
    .filter(isAutomatic)
    .map((entry) => ({ ...entry, from: '/etc/fstab' })),
})

t.test('what the initrd has mounted, and no unit mounts again', async (t) => {
  t.same(findForeign(machine('')), ['/etc', '/opt/vendor', '/mnt/data', '/home'])
  t.same(findForeign(machine('x /home ext4\ny /etc ext4 x-initrd.mount\n')), ['/opt/vendor', '/mnt/data'])
  t.same(findForeign(machine('x /mnt ext4\n')), ['/etc', '/opt/vendor', '/home'], 'a unit would hide it')
  t.same(
    findForeign(machine('x /opt ext4\nx /etc ext4 x-initrd.mount\nx / ext4\n')),
    ['/mnt/data', '/home'],
    'the root is no such unit',
  )
})

t.test('what fstab has the initrd mount: its unit would be too late for /etc', async (t) => {
  const found = (softReboot?: boolean) => {
    const places = ['/etc', '/usr', '/proc', '/srv', '/mnt/data', '/mnt']
    const lines = places.map((path) => `x ${path} ext4 defaults,x-initrd.mount\n`)
    const all = machine(`${lines.join('')}y /home ext4\n`, softReboot)
    return all.planned.filter((mount) => isFromInitrd(all, mount)).map(({ mountPoint }) => mountPoint)
  }
  t.same(found(), ['/etc', '/mnt/data'], 'not what is not there, is stacked, or has no such option')
  t.same(found(false), ['/etc'], 'systemd 252 takes away what is below /mnt')
})

t.test('what is mounted over the root, now or later; not what is stacked', async (t) => {
  const planned = parseFstab('a /boot vfat defaults 0 0\nb /etc overlay lowerdir=/etc 0 0\n').map(
    (entry) => ({
      ...entry,
      from: '',
    }),
  )
  const mounts = parseMountinfo(
    ['/', '/usr', '/data'].map((path) => `1 1 8:1 / ${path} rw - ext4 /dev/sda1 rw\n`).join(''),
  )
  t.same(findOver({ mounts, planned }), ['/data', '/boot'])
})

t.test('where the file system of the root can still be reached', async (t) => {
  const places = ['/', '/usr']
  const showing = (mounts: MountPoint[]) => findShowing({ mounts: [...ROOT, ...mounts] }, '/', places)
  t.same(showing([mounted('/usr', '254:1'), mounted('/data', '254:3')]), [])
  t.same(showing([mounted('/var', '254:1'), mounted('/sysroot', '254:1')]), ['/var', '/sysroot'], 'OSTree')
})

t.test('data stays mounted with all that it stands on', async (t) => {
  const data = (mounts: MountPoint[], mounting: PlannedMount[]) =>
    findDataMounts({ mounts: [...ROOT, ...mounts], planned: mounting }, ['/var/lib/docker/overlay2'])
  const docker = mounted('/var/lib/docker', '254:2')
  t.same(
    data(
      [mounted('/data', '254:2'), docker],
      [planned('/data', '/dev/vda2'), planned('/var/lib/docker', '/data/docker', ['bind'])],
    ),
    ['/data', '/var/lib/docker'],
    'a bind',
  )
  t.same(
    data(
      [mounted('/srv', '254:4'), mounted('/srv/disk', '254:3'), mounted('/data', '7:1'), docker],
      [planned('/data', '/srv/disk/image', ['loop']), planned('/var/lib/docker', '/data/docker', ['rbind'])],
    ),
    ['/data', '/srv', '/srv/disk', '/var/lib/docker'],
    'a bind of an image file on another disk',
  )
  t.same(
    data(
      [mounted('/var', '254:3'), mounted('/home', '254:4'), docker],
      [planned('/var/lib/docker', '/dev/vda2')],
    ),
    ['/var', '/var/lib/docker'],
    'below another one',
  )
  t.same(
    data([mounted('/usr', '254:3'), docker], [planned('/var/lib/docker', '/usr/local/docker', ['bind'])]),
    ['/var/lib/docker'],
    '/usr is stacked',
  )
  t.same(data([docker], [planned('/var/lib/docker', '/var/lib/docker', ['bind'])]), ['/var/lib/docker'])
})
