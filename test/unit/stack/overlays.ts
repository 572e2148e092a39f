import t from 'tap'
import { isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { type MountPoint, parseMountinfo } from '../../../src/machine/mountinfo.js'
import { describeLost, findLowers, isDispensable, planOverlays } from '../../../src/stack/overlays.js'
import { makeExtension } from '../../support/plan.js'

const ROOT = '1 0 8:1 / / ro - ext4 /dev/sda1 ro\n'
const machine = (fstab: string, mounts: readonly MountPoint[] = parseMountinfo(ROOT)) => ({
  mounts,
  hasBase: true,
  softReboot: true,
  planned: parseFstab(fstab)
    .filter(isAutomatic)
    .map((entry) => ({ ...entry, from: '/etc/fstab' })),
})
const stack = [
  makeExtension('above', 'a:1', { covered: ['/srv/app'] }),
  makeExtension('none', 'b:1'),
  makeExtension('below', 'c:1', { covered: ['/srv/app'], rank: { kind: 'overlay' } }),
]
const APP = 'overlay /srv/app overlay nofail,lowerdir=/srv/app,upperdir=/var/up,workdir=/var/work,x-a 0 0\n'

t.test('its layers are those of the root, so that it is no deeper than the root', async (t) => {
  const { overlays, lost } = planOverlays(machine(APP), ['/var'], stack, false)
  t.same(lost, [])
  t.same(
    overlays.map(({ options }) => options),
    [
      [
        'lowerdir=/run/hostext/0/srv/app:/usr/lib/hostext/base/srv/app:/run/hostext/2/srv/app',
        'upperdir=/var/up',
        'workdir=/var/work',
      ],
    ],
  )
  t.same(findLowers(machine(APP)), ['/srv/app'])
})

t.test('one that works as it is stays as it is', async (t) => {
  t.same(
    planOverlays(machine(APP), ['/var'], stack, true),
    { overlays: [], lost: [] },
    'the root is one deep',
  )
  const elsewhere = 'overlay /x overlay lowerdir=/data/a\n/dev/sdb /data ext4\n'
  t.same(planOverlays(machine(elsewhere), [], stack, false), { overlays: [], lost: [] })
  const inState = 'overlay /x overlay lowerdir=/var/a:/run/b\n'
  t.same(planOverlays(machine(inState), ['/var'], stack, false), { overlays: [], lost: [] })
})

t.test('one that the initrd has mounted is carried over as it is', async (t) => {
  const options = 'lowerdir=/sysroot/etc,upperdir=/sysroot/x/up,workdir=/sysroot/x/work'
  const fstab = `overlay /etc overlay ${options},x-initrd.mount\n`
  const mounted = parseMountinfo(`${ROOT}2 1 0:40 / /etc rw - overlay overlay rw,${options}\n`)
  t.same(planOverlays(machine(fstab, mounted), ['/var'], stack, false), { overlays: [], lost: [] })
  t.equal(planOverlays(machine(fstab), ['/var'], stack, false).lost.length, 1, 'it is not there')
  const later = fstab.replace(',x-initrd.mount', '')
  t.equal(
    planOverlays(machine(later, mounted), ['/var'], stack, false).lost.length,
    1,
    'its unit mounts it again',
  )
})

t.test('one that cannot be had is named, with the reason', async (t) => {
  const upper = 'overlay /x overlay lowerdir=/x,upperdir=/up,workdir=/work\n'
  const lost = (fstab: string, hasBase = true) =>
    planOverlays({ ...machine(fstab), hasBase }, ['/var'], stack, false).lost.map(describeLost)
  t.same(lost(upper), [
    '/etc/fstab: /x (overlay) cannot be mounted over the stacked root: /up is on the root, which is read-only then',
  ])
  t.same(lost(APP, false), [
    '/etc/fstab: /srv/app (overlay) cannot be mounted over the stacked root: the kernel stacks overlays at most two deep',
  ])
  t.match(lost('overlay /x overlay lowerdir=/a\\134:b\n'), [/at most two deep/])
  t.match(lost('overlay /x overlay lowerdir=/a\\012b\n'), [/no unit can/], 'a line feed')
  t.ok(isDispensable(machine(APP).planned[0] as never), 'nofail')
  t.notOk(isDispensable(machine(upper).planned[0] as never))
})

t.test('on a base root that is an overlay itself', async (t) => {
  const base = parseMountinfo('1 0 0:30 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b\n')
  t.equal(planOverlays(machine(APP, base), ['/var'], stack, true).overlays.length, 1, 'even with bound trees')
})
