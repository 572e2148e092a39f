import t from 'tap'
import { allCases } from '../boot/cases.js'
import { RELEASES } from '../boot/rootfs.js'
import { releasesOf } from '../boot/ways.js'

t.test('where a case is booted', async (t) => {
  const [first, second, third] = RELEASES
  const turns = (boot: 'container' | 'uml' | 'vm') =>
    [0, 1, 2, 3].map((number) => releasesOf({ boot }, boot, number, false))
  for (const way of ['container', 'uml', 'vm'] as const) {
    t.same(turns(way), [[first], [second], [third], [first]], `${way}: on one release, in turn`)
    t.same(releasesOf({ boot: way }, way, 1, true), RELEASES, `${way}: on each in the full run`)
  }
  for (const full of [false, true])
    t.same(releasesOf({ boot: 'container' }, 'uml', 0, full), [], 'in no dearer way')
  const rare: Parameters<typeof releasesOf>[0] = { boot: 'uml', releases: ['forky'], fullOnly: true }
  t.same(releasesOf(rare, 'uml', 0, false), [])
  t.same(releasesOf(rare, 'uml', 0, true), ['forky'], 'only in the full run')
  t.same(releasesOf({ boot: 'container' }, 'vm', 0, true), [])
  t.same(releasesOf({ boot: 'vm' }, 'uml', 0, true), [], 'nor in one that cannot show it')
  t.same(releasesOf({ boot: ['uml', 'vm'] }, 'vm', 1, false), RELEASES, 'a main case: on each in every run')
  t.same(releasesOf({ boot: ['uml', 'vm'] }, 'container', 1, true), [])
})

t.test(
  'the cases of all files',
  { skip: process.getuid?.() !== 0 && 'their data roots need root' },
  async (t) => {
    const cases = await allCases()
    const names = cases.map(({ name }) => name)
    t.same(names.toSorted(), [...new Set(names)].sort(), 'each has a name of its own')
    for (const way of ['container', 'uml', 'vm'] as const)
      for (const release of RELEASES)
        t.ok(
          cases.some(({ boot }, number) => releasesOf({ boot }, way, number, false).includes(release)),
          `${release} is booted as a ${way}`,
        )
  },
)
