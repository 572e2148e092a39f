import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { copyDataRoot, DATA, enginesAt, find, prepareAll } from '../../support/data-root.js'

t.test('each data root that an engine has', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const engines = enginesAt(root, ['/nowhere', DATA])
  t.match(engines, { length: 1, 0: { dataRoot: DATA } })
  t.equal(engines[0]?.extensions.length, 4)
  t.same([engines[0]?.leftOut, engines[0]?.messages], [[], []])
})

t.test('a fault leaves out what it belongs to', async (t) => {
  const { root, data } = copyDataRoot(t)
  await prepareAll(root)
  for (const name of ['override', 'many-layers']) writeFileSync(find(data, name).config, '{')
  const [engine] = enginesAt(root, [DATA])
  t.equal(engine?.extensions.length, 2)
  t.equal(engine?.leftOut.length, 2)
})

t.test('a data root that cannot be trusted is left out as a whole', async (t) => {
  const { root, data } = copyDataRoot(t)
  const who = `everything the engine keeps in ${DATA}`
  t.same(enginesAt(root, [DATA], { exposed: { [DATA]: 'because' } }), [
    {
      name: 'Docker',
      place: DATA,
      dataRoot: DATA,
      homes: [],
      count: 0,
      extensions: [],
      unprepared: [],
      leftOut: [{ who, why: 'because' }],
      trees: [],
      messages: [],
      isRefused: true,
    },
  ])
  chmodSync(join(data, 'image'), 0o777)
  const [engine] = enginesAt(root, [DATA])
  t.match(engine?.leftOut, [{ who, why: /image: can be written by users other than root/ }])
  t.equal(engine?.extensions.length, 0)
  mkdirSync(join(root.prefix, 'other/containers'), { recursive: true })
  t.equal(enginesAt(root, ['/other']).length, 1)
})
