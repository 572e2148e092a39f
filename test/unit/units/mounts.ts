import t from 'tap'
import type { Plan } from '../../../src/stack/plan.js'
import { nextRoot } from '../../../src/units/first-pass.js'
import { mountLists } from '../../../src/units/mounts.js'
import { makePlan, makeStack } from '../../support/plan.js'

/** The lines of a list, without the last two fields. */
function list(name: string, change: Partial<Plan> = {}): string[] {
  const plan = makePlan(change)
  const found = mountLists(plan, nextRoot(plan.softReboot)).find((each) => each.name === `${name}.fstab`)
  return (found?.text ?? '').split(' 0 0\n').filter(Boolean)
}

t.test('the layers are in two lists, the last one apart', async (t) => {
  const plan = { extensions: makeStack(['a', 'b', 'c'], 2) }
  const line = (number: number) =>
    `hostext-${number} /run/hostext/${number} overlay ro,nosuid,nodev,lowerdir=empty:trees/ABCDEFGHIJKLMNOPQRSTUVWXYZ.01234567/tree`
  t.same(list('layers', plan), [line(0), line(1)])
  t.same(list('last', plan), [line(2)])
  t.same(list('layers', { extensions: makeStack(['a'], 1) }), [], 'of one, there is only the last one')
})

t.test('the stack: above, the root, below', async (t) => {
  const lowerdir = (extensions: number, above: number) => {
    const names = Array.from({ length: extensions }, (_, index) => `x${index}`)
    return /lowerdir=(.*)$/.exec(list('root', { extensions: makeStack(names, above) })[0] ?? '')?.[1]
  }
  t.equal(lowerdir(3, 2), '0:1:/:2')
  t.equal(lowerdir(1, 1), '0:/')
  t.equal(lowerdir(1, 0), '/:0')
  t.ok((lowerdir(499, 499) as string).length < 2048, 'the most there are fit')
})

t.test('soft-reboot and switch-root have different places', async (t) => {
  t.same(list('root'), [
    'hostext /run/nextroot overlay X-mount.mkdir,ro,lowerdir=0:/:1',
    '/var /run/nextroot/var none bind',
  ])
  t.match(list('root', { softReboot: false })[1], '/var /usr/lib/hostext/nextroot/var none bind')
})

t.test('the data root comes along where nothing else carries it', async (t) => {
  t.same(list('root', { boundData: ['/opt/docker'], state: [] }).slice(1), [
    '/opt/docker /run/nextroot/opt/docker none bind,ro',
  ])
})

t.test('/etc, /usr and what the initrd has mounted: parents first', async (t) => {
  const change: Partial<Plan> = {
    etc: { mode: 'volatile' },
    separateUsr: { hasUnit: true },
    showsBase: true,
    carried: ['/media/ro disk', '/usr/local', '/etc/kept'],
  }
  t.same(
    list('root', change).map((line) => line.split(' ').slice(0, 2).join(' ')),
    [
      'hostext /run/nextroot',
      'hostext-etc /run/nextroot/etc',
      '/etc/kept /run/nextroot/etc/kept',
      '/media/ro\\040disk /run/nextroot/media/ro\\040disk',
      'hostext-usr /run/nextroot/usr',
      '/ /run/nextroot/usr/lib/hostext/base',
      '/usr /run/nextroot/usr/lib/hostext/base/usr',
      '/usr/local /run/nextroot/usr/local',
      '/var /run/nextroot/var',
    ],
  )
  t.match(list('root', change)[1], 'rw,lowerdir=/etc,upperdir=/run/hostext/etc/upper,')
  t.match(list('root', change)[5], 'none bind,ro,nosuid,nodev')
})

t.test('what fstab has the initrd mount comes along, too', async (t) => {
  t.same(list('root', { fromInitrd: ['/etc'], carried: ['/etc/kept'] }).slice(1, 3), [
    '/etc /run/nextroot/etc none bind',
    '/etc/kept /run/nextroot/etc/kept none bind',
  ])
})

t.test('kept changes to /etc wait for their directories, and what is below /etc for it', async (t) => {
  const change: Partial<Plan> = {
    etc: { mode: 'persistent', state: '/var', kept: true },
    state: ['/var', '/etc/machine'],
  }
  t.same(list('root', change).length, 2)
  const [etc, below] = list('etc', change)
  t.match(etc, 'upperdir=/run/nextroot/var/lib/hostext/etc/upper,')
  t.equal(below, '/etc/machine /run/nextroot/etc/machine none bind')
  t.same(list('etc'), [], 'nothing else waits')
})

t.test('below /mnt, systemd 252 would unmount it', async (t) => {
  const lines = (softReboot: boolean) => list('root', { softReboot, state: ['/mnt/x', '/srv'] }).slice(1)
  t.same(lines(false), [
    '/mnt/x /run/hostext/aside/mnt/x none bind,X-mount.mkdir',
    '/srv /usr/lib/hostext/nextroot/srv none bind',
  ])
  t.same(lines(true)[0], '/mnt/x /run/nextroot/mnt/x none bind')
})
