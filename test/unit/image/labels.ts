import t from 'tap'
import { readRank } from '../../../src/image/labels.js'

const rank = (labels: Record<string, string>) => readRank(new Map(Object.entries(labels)))
const FEATURE = 'io.balena.features.host-extension'
const CLASS = 'io.balena.image.class'
const OVERRIDE = 'io.balena.image.override'

t.test('who is an extension', async (t) => {
  t.same(rank({ [FEATURE]: '1' }), { rank: { kind: 'feature' } })
  t.same(rank({ 'balena.io.features.host-extension': 'yes' }), { rank: { kind: 'feature' } })
  for (const value of ['', '0', 'false', 'no', 'off', 'False', ' 0 ']) {
    t.equal(rank({ [FEATURE]: value }), undefined, JSON.stringify(value))
  }
  t.same(rank({ [CLASS]: 'overlay' }), { rank: { kind: 'overlay' } })
  t.equal(rank({ [CLASS]: 'service' }), undefined)
  t.equal(rank({ [CLASS]: 'Overlay' }), undefined)
  t.equal(rank({ [OVERRIDE]: '1' }), undefined, 'a priority alone makes no extension')
  t.same(
    rank({ [CLASS]: 'overlay', [FEATURE]: '1' }),
    { rank: { kind: 'overlay' } },
    'only the label alone may replace',
  )
  t.same(rank({ [CLASS]: 'service', [FEATURE]: '1' }), {
    why: 'io.balena.image.class=service is not an extension',
  })
  t.equal(rank({}), undefined)
})

t.test('priorities', async (t) => {
  const override = (value: string) => rank({ [CLASS]: 'overlay', [OVERRIDE]: value })
  for (const [value, priority] of [
    ['0', 0],
    ['10', 10],
    ['-3', -3],
    ['+7', 7],
    ['007', 7],
  ] as const) {
    t.same(override(value), { rank: { kind: 'override', priority } }, value)
  }
  for (const value of ['', 'high', '1.5', '0x10', '1e3', ' 1', '9'.repeat(30)]) {
    t.match(
      override(value),
      { rank: { priority: 'lowest' }, warning: 'not an integer: lowest priority' },
      value,
    )
  }
})

t.test('a holder of an earlier version is no extension, whatever it inherits from the image', async (t) => {
  const holder = {
    'io.hostext.hold': '1',
    'io.balena.features.host-extension': '',
    'balena.io.features.host-extension': '',
    'io.balena.image.class': 'hold',
  }
  for (const labels of [
    { [FEATURE]: '1' },
    { 'balena.io.features.host-extension': 'true' },
    { [CLASS]: 'overlay', 'io.balena.image.override': '1' },
  ]) {
    t.ok(rank(labels))
    t.equal(rank({ ...labels, ...holder }), undefined)
  }
})
