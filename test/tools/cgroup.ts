import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ownCgroup, unitHierarchies } from '../boot/cgroup.js'
import { run } from '../boot/process.js'

const MOUNTS = `31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,xattr,name=systemd
40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

t.test('the hierarchies that systemd keeps its units in', async (t) => {
  t.same(
    unitHierarchies('9:name=systemd:/ci\n1:cpu:/\n0::/ci\n', MOUNTS),
    ['/sys/fs/cgroup/systemd/ci', '/sys/fs/cgroup/unified/ci'],
    'both, but no controller',
  )
  t.same(
    unitHierarchies('0::/system.slice/ci.service\n', '30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'),
    ['/sys/fs/cgroup/system.slice/ci.service'],
    'the one of a system that has no other',
  )
  t.same(
    unitHierarchies('0::/docker/a/b\n', '30 25 0:26 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup rw\n'),
    ['/sys/fs/cgroup/b'],
    'a part of one',
  )
  t.same(unitHierarchies('0::/elsewhere\n', '30 25 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup rw\n'), [])
})

t.test(
  'containers that run at once are in groups of their own',
  { skip: process.getuid?.() !== 0 && 'control groups need root' },
  async (t) => {
    const groups = [ownCgroup(), ownCgroup()]
    const seen = await Promise.all(
      groups.map(async ({ words }) => {
        const command = [...words, 'cat', '/proc/self/cgroup', '/proc/self/mountinfo']
        const { console } = await run(command, { limit: 60 })
        return unitHierarchies(console, console)
      }),
    )
    const [first = [], second = []] = seen
    t.ok(first.length > 0, 'there is one')
    t.equal(first.length, second.length)
    for (const group of first) t.notOk(second.includes(group), `${group} has no other in it`)
    t.equal(new Set(first.map((group) => group.split('/').at(-1))).size, 1, 'it has one name everywhere')
    // What a container that was ended leaves.
    for (const group of first) mkdirSync(join(group, 'payload/system.slice'), { recursive: true })
    for (const { remove } of groups) await remove()
    t.same([...first, ...second].filter(existsSync), [], 'nothing is left of them')
  },
)

t.test(
  'what goes by itself while it is being removed is gone',
  { skip: process.getuid?.() !== 0 && 'control groups need root' },
  async (t) => {
    const group = ownCgroup()
    const { console } = await run([...group.words, 'cat', '/proc/self/cgroup', '/proc/self/mountinfo'], {
      limit: 60,
    })
    const own = unitHierarchies(console, console)
    for (const directory of own)
      for (const name of ['a.slice/x.service', 'a.slice/y.service', 'b.slice'])
        mkdirSync(join(directory, name), { recursive: true })
    // Each takes what the other has seen.
    await Promise.all([group.remove(), group.remove()])
    t.same(own.filter(existsSync), [])
    await group.remove()
  },
)
