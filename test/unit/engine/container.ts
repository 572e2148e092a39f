import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readContainers } from '../../../src/engine/container.js'
import { copyDataRoot, DATA, find } from '../../support/data-root.js'

t.test('what an engine wrote', async (t) => {
  const { root, data } = copyDataRoot(t)
  const containers = readContainers(root, DATA)
  t.same(containers.map((container) => ('name' in container ? container.name : '')).sort(), [
    'additive',
    'many-layers',
    'one-layer',
    'override',
    'service',
  ])
  const { id } = find(data, 'override')
  t.match(
    containers.find((container) => 'id' in container && container.id === id),
    {
      name: 'override',
      image: 'override:1',
      imageId: /^sha256:[0-9a-f]{64}$/,
      driver: 'overlay2',
      dying: undefined,
      source: `${DATA}/containers/${id}/config.v2.json`,
      labels: new Map([
        ['io.balena.image.class', 'overlay'],
        ['io.balena.image.override', '10'],
      ]),
    },
  )
})

t.test('no engine', async (t) => t.same(readContainers({ prefix: '/nonexistent' }, DATA), []))

t.test('a container that cannot be read does not touch the others', async (t) => {
  const edit = (change: (json: Record<string, unknown>) => void) => (file: string) => {
    const json = JSON.parse(readFileSync(file, 'utf8'))
    change(json)
    writeFileSync(file, JSON.stringify(json))
  }
  for (const [name, damage, problem] of [
    [
      'truncated',
      (file: string) => truncateSync(file, 300),
      /not valid JSON, 300 characters: truncated or damaged/,
    ],
    ['empty', (file: string) => writeFileSync(file, ''), /not valid JSON, 0 characters/],
    ['missing', (file: string) => rmSync(file), /no such file/],
    [
      'huge',
      (file: string) => writeFileSync(file, ' '.repeat((4 << 20) + 1)),
      /4194305 bytes, more than 4194304/,
    ],
    [
      'a directory',
      (file: string) => {
        rmSync(file)
        mkdirSync(file)
      },
      /not a regular file but a directory/,
    ],
    ['an array', (file: string) => writeFileSync(file, '[]'), /not a JSON object/],
    ['null', (file: string) => writeFileSync(file, 'null'), /not a JSON object/],
    [
      'another ID',
      edit((json) => {
        json.ID = 'x\ny'
      }),
      /ID is x\\x0ay/,
    ],
    [
      'no name',
      edit((json) => {
        json.Name = 5
      }),
      /no Name/,
    ],
    [
      'no driver',
      edit((json) => {
        json.Driver = null
      }),
      /no Driver/,
    ],
    [
      'no config',
      edit((json) => {
        json.Config = []
      }),
      /no Config/,
    ],
    [
      'no state',
      edit((json) => {
        json.State = 'Dead'
      }),
      /no State/,
    ],
    [
      'labels of another type',
      edit((json) => {
        json.Config = { Labels: 'x' }
      }),
      /Labels is not an object/,
    ],
    [
      'a label of another type',
      edit((json) => {
        json.Config = { Labels: { a: 1 } }
      }),
      /a label is not a string/,
    ],
  ] as const) {
    const { root, data } = copyDataRoot(t)
    const { config } = find(data, 'one-layer')
    damage(config)
    const containers = readContainers(root, DATA)
    t.equal(containers.filter((container) => 'name' in container).length, 4, `${name}: the others are read`)
    const unreadable = containers.filter((container) => 'problem' in container)
    t.match(unreadable, [{ source: config.slice(root.prefix.length), problem }], name)
  }
})

t.test('a directory that is named after no container', async (t) => {
  const { root, data } = copyDataRoot(t)
  mkdirSync(join(data, 'containers/evil\nname'))
  t.match(
    readContainers(root, DATA).find((container) => 'problem' in container),
    {
      source: `${DATA}/containers/evil\\x0aname/config.v2.json`,
      problem: 'the directory is not named after a container',
    },
  )
})

t.test('an image ID that is none', async (t) => {
  for (const image of [
    '',
    'wifi:1',
    'sha256:abc',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(64)}\n`,
    5,
    null,
  ]) {
    const { root, data } = copyDataRoot(t)
    const { config, id } = find(data, 'one-layer')
    const json = JSON.parse(readFileSync(config, 'utf8'))
    json.Image = image
    writeFileSync(config, JSON.stringify(json))
    const container = readContainers(root, DATA).find((container) => 'id' in container && container.id === id)
    t.match(container, { name: 'one-layer', imageId: undefined }, JSON.stringify(image))
  }
})

t.test('no labels, and an image that was given by digest', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, id } = find(data, 'one-layer')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  json.Config.Labels = null
  json.Config.Image = ''
  json.State.RemovalInProgress = true
  writeFileSync(config, JSON.stringify(json))
  const container = readContainers(root, DATA).find((container) => 'id' in container && container.id === id)
  t.match(container, { image: /^sha256:/, dying: 'RemovalInProgress', labels: new Map() })
})

t.test('a value that cannot be made a string', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, id } = find(data, 'override')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  const read = (change: object) => {
    writeFileSync(config, JSON.stringify({ ...json, ...change }))
    return readContainers(root, DATA).find(({ source }) => source.includes(id))
  }
  const none = { toString: 1, valueOf: 1 }
  t.match(read({ ID: none }), { problem: 'ID is no text' })
  t.match(read({ Image: none }), { image: 'override:1', imageId: undefined })
  t.match(read({ Image: none, Config: {} }), { image: 'no image' })
})
