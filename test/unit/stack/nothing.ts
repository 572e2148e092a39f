import t from 'tap'
import { describeNothing } from '../../../src/stack/nothing.js'

const places = [{ path: '/a' }, { path: '/b' }, { path: '/c\n' }]
const engine = (place: string, count: number, name = 'Docker') => ({ place, count, name })

t.test('where was looked, and what was there', async (t) => {
  const start = 'no container is a host extension: '
  t.equal(describeNothing(places, [], []), `${start}no engine in /a /b /c\\x0a`)
  t.equal(
    describeNothing(places, [engine('/b', 3), engine('/a', 0)], []),
    `${start}3 in /b, 0 in /a, no engine in /c\\x0a`,
  )
  t.equal(describeNothing([], [engine('/b', 3)], []), `${start}3 in /b`)
})

t.test('what is there and is not read', async (t) => {
  const alone = { name: 'containerd', path: '/x' }
  const k3s = { name: 'k3s', path: '/k' }
  const said = (...args: Parameters<typeof describeNothing>) => describeNothing(...args).split('; ')[1]
  t.equal(said(places, [], [alone, k3s]), 'not read: containerd in /x, k3s in /k')
  t.equal(said(places, [engine('/a', 0, 'Podman')], [alone]), 'not read: containerd in /x')
  t.equal(said(places, [engine('/a', 0)], [alone]), undefined, "it may be Docker's")
})

t.test('generators that may mount an engine’s data', async (t) => {
  const generators = ['ostree-system-generator', 'zfs\nx']
  t.equal(
    describeNothing(places, [], [{ name: 'k3s', path: '/k' }], generators)
      .split('; ')
      .at(-1),
    'not known yet: the mounts of ostree-system-generator, zfs\\x0ax',
  )
  const everywhere = places.map(({ path }) => engine(path, 0))
  t.notMatch(describeNothing(places, everywhere, [], generators), 'not known yet', 'all data is there')
  t.notMatch(describeNothing(places, [engine('/b', 3)], [], generators), 'not known yet', 'an engine is')
  t.notMatch(describeNothing(places, [], [], []), 'not known yet')
})
