import t from 'tap'
import { parseFstab } from '../../../src/machine/fstab.js'
import type { Extension, Rank } from '../../../src/stack/extension.js'
import { chooseStack, chooseState, isRootWritable } from '../../../src/stack/plan.js'

const extension = (name: string, rank: Rank): Extension => ({
  container: {
    id: name,
    name,
    image: 'i',
    imageId: undefined,
    driver: 'overlay2',
    labels: new Map(),
    start: 'never',
    isBuildStep: false,
    dying: undefined,
    source: '',
  },
  layers: { directory: '', lower: [] },
  contents: { top: new Set(), indexes: new Set(), sysusers: false },
  rank,
  below: undefined,
})
const many = (count: number, rank: Rank) =>
  Array.from({ length: count }, (_, index) => extension(`${rank.kind}${index}`, rank))

t.test('the kernel takes 499: what only adds goes first, then the lowest priority', async (t) => {
  const all = [
    ...many(10, { kind: 'override', priority: 1 }),
    ...many(495, { kind: 'feature' }),
    ...many(15, { kind: 'overlay' }),
  ]
  const { stack, above, leftOut } = chooseStack(all)
  t.equal(stack.length, 499)
  t.equal(above, 499)
  t.equal(leftOut.length, 21)
  t.match(leftOut[0], { who: /^feature489 /, why: /499 extensions at most, and 520 are flagged/ })
  t.match(leftOut.at(-1), { who: /^overlay14 / })
  t.match(chooseStack(all.slice(11)), {
    above: 494,
    leftOut: [...Array(10).keys()].map((n) => ({ who: `overlay${n + 5} ` })),
  })
  t.match(chooseStack(all, 498).leftOut, {
    length: 22,
    0: { why: /498 extensions at most beside the rebuilt indexes/ },
  })
  const [first, ...others] = many(3, { kind: 'feature' })
  t.match(
    chooseStack([...others, { ...(first as Extension), below: '/etc/fstab' }]),
    { above: 2, stack: { length: 3 } },
    'what may not be above the root is not counted there',
  )
  t.same(chooseStack([]), { stack: [], above: 0, leftOut: [] })
})

t.test('State=auto', async (t) => {
  const everything = () => true
  t.same(chooseState('auto', false, [], everything), { state: [], refused: [] })
  t.same(chooseState('auto', true, [], everything).state, ['/var', '/home', '/root', '/srv'])
  t.same(chooseState('auto', true, [], (path) => path === '/var').state, ['/var'], 'real directories')
  t.same(chooseState('auto', true, parseFstab('x /home ext4\nx /srv/data ext4'), everything).state, [
    '/var',
    '/root',
    '/srv',
  ])
})

t.test('State= with a list', async (t) => {
  t.same(
    chooseState(['/data', '/nope'], false, [], (path) => path === '/data'),
    { state: ['/data'], refused: [{ path: '/nope', why: 'is no directory of the root, or behind a link' }] },
  )
  t.same(
    chooseState([], true, [], () => true),
    { state: [], refused: [] },
  )
  t.same(
    chooseState(['/data/x', '/var'], true, parseFstab('x /data ext4\ny /var ext4 noauto'), () => true),
    { state: ['/var'], refused: [{ path: '/data/x', why: 'is on a file system that fstab mounts' }] },
  )
})

t.test('whether the root would be writable', async (t) => {
  const [rw, ro, both] = ['x / ext4 defaults', 'x / ext4 ro', 'x / ext4 ro,rw'].map(
    (line) => parseFstab(line)[0],
  )
  const mount = (option: string) => ({
    device: '',
    mountPoint: '/',
    type: '',
    source: '',
    superOptions: [option],
  })
  const line = { target: 'default.target' }
  t.ok(
    isRootWritable(rw, { ...line, root: 'ro' }, mount('ro')),
    'fstab says so, and systemd-remount-fs does it',
  )
  t.notOk(isRootWritable(ro, { ...line, root: 'rw' }, mount('rw')))
  t.ok(isRootWritable(both, line, undefined))
  t.ok(isRootWritable(undefined, { ...line, root: 'rw' }, mount('ro')))
  t.notOk(isRootWritable(undefined, { ...line, root: 'ro' }, mount('rw')))
  t.ok(isRootWritable(undefined, line, mount('rw')))
  t.notOk(isRootWritable(undefined, line, mount('ro')))
  t.notOk(isRootWritable(undefined, line, undefined))
  for (const type of ['squashfs', 'erofs', 'overlay'])
    t.notOk(isRootWritable(rw, { ...line, root: 'rw' }, { ...mount('rw'), type }), type)
})
