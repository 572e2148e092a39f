import t from 'tap'
import type { MountPoint } from '../../../src/machine/mountinfo.js'
import type { PlannedMount } from '../../../src/machine/planned.js'
import { findMissing } from '../../../src/stack/mounts.js'

const plan = (mountPoint: string): PlannedMount => ({
  ...{ mountPoint, source: 'LABEL=d', type: 'ext4', options: [], passno: 0, from: '/etc/fstab' },
})
const mount = (mountPoint: string): MountPoint => ({
  ...{ mountPoint, device: '8:1', root: '/', type: 'ext4', source: '/dev/sda1', superOptions: ['rw'] },
})
const missing = (place: { path: string; snapshots?: string }, planned: string[], mounted: string[] = []) =>
  findMissing({ planned: planned.map(plan), mounts: mounted.map(mount) }, place).map(
    ({ mountPoint }) => mountPoint,
  )

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
