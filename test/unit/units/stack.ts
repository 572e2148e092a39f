import t from 'tap'
import { changesBeforeSwitch, stackDirectories, stackOptions, stacks } from '../../../src/units/stack.js'
import { makeExtension, makePlan } from '../../support/plan.js'

const extension = (kind: 'feature' | 'overlay', ...top: string[]) =>
  makeExtension('x', 'image:1', { rank: { kind }, contents: { top, indexes: [], sysusers: false } })
const extensions = [
  extension('feature', 'usr'),
  extension('feature', 'etc'),
  extension('overlay', 'usr', 'etc'),
]
const options = (change: Parameters<typeof makePlan>[0]) =>
  Object.fromEntries(
    stacks(makePlan({ extensions, ...change }), '/new').map((stack) => [stack.path, stackOptions(stack)]),
  )

t.test('the root alone', async (t) => {
  t.same(options({}), { '/': 'ro,lowerdir=0:1:/:2' })
})

t.test('a separate /usr is stacked from those that have one', async (t) => {
  t.same(options({ separateUsr: { hasUnit: true } }), {
    '/': 'ro,lowerdir=0:1:/:2',
    '/usr': 'ro,lowerdir=0/usr:/usr:2/usr',
  })
  t.equal(
    options({ separateUsr: { hasUnit: true }, extensions: [extension('feature', 'etc')] })['/usr'],
    'ro,lowerdir=empty:/usr',
    'an overlay that nobody can write to has two layers',
  )
})

t.test('a volatile /etc', async (t) => {
  t.equal(
    options({ etc: { mode: 'volatile' } })['/etc'],
    'rw,lowerdir=1/etc:/etc:2/etc,upperdir=/run/hostext/etc/upper,workdir=/run/hostext/etc/work',
  )
})

t.test('a persistent /etc: through the state bind, or where a file system is mounted', async (t) => {
  const kept = (state: string | undefined) =>
    options({ etc: { mode: 'persistent', state, kept: false } })['/etc']
  const off = 'redirect_dir=off,metacopy=off,index=off,xino=off'
  t.equal(
    kept('/var'),
    `rw,lowerdir=1/etc:/etc:2/etc,upperdir=/new/var/lib/hostext/etc/upper,workdir=/new/var/lib/hostext/etc/work,${off}`,
  )
  t.equal(
    kept(undefined),
    `rw,lowerdir=1/etc:/etc:2/etc,upperdir=/var/lib/hostext/etc/upper,workdir=/var/lib/hostext/etc/work,${off}`,
  )
  t.equal(changesBeforeSwitch(makePlan(), '/new'), '/var/lib/hostext/etc')
})

t.test('rebuilt indexes are the uppermost layer of each', async (t) => {
  const plan = {
    indexes: ['modules' as const],
    separateUsr: { hasUnit: false },
    etc: { mode: 'volatile' as const },
  }
  t.same(options(plan), {
    '/': 'ro,lowerdir=index/root:0:1:/:2',
    '/usr': 'ro,lowerdir=index/usr:0/usr:/usr:2/usr',
    '/etc':
      'rw,lowerdir=index/etc:1/etc:/etc:2/etc,upperdir=/run/hostext/etc/upper,workdir=/run/hostext/etc/work',
  })
  t.same(stackDirectories(makePlan(plan)), [
    'index/root',
    'index.work/root',
    'index/usr',
    'index.work/usr',
    'index/etc',
    'index.work/etc',
    'merged',
    'etc/upper',
    'etc/work',
  ])
  t.same(stackDirectories(makePlan()), [], 'and a boot without pays nothing')
})

t.test('the most there are fit into one page of options', async (t) => {
  const many = Array.from({ length: 499 }, () => extension('feature', 'etc', 'usr'))
  for (const change of [
    { etc: { mode: 'volatile' as const } },
    { separateUsr: { hasUnit: true } },
    {
      extensions: many.slice(1),
      indexes: ['libraries' as const],
      etc: { mode: 'volatile' as const },
    },
  ])
    for (const [path, text] of Object.entries(options({ extensions: many, ...change })))
      t.ok(text.length < 4080, `${path}: ${text.length}`)
})
