import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readContainers, readHostConfig } from '../../../src/engine/container.js'
import { type Container, describeContainer } from '../../../src/engine/engine.js'
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
      refused: undefined,
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
      problem: 'the name of the directory is not a container ID',
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
  t.match(container, { image: /^sha256:/, refused: 'the engine is removing it (State.RemovalInProgress)' })
  t.same((container as Container).labels, new Map())
})

t.test('values that no engine writes', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, id } = find(data, 'override')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  const read = (change: object) => {
    writeFileSync(config, JSON.stringify({ ...json, ...change }))
    return readContainers(root, DATA).find(({ source }) => source.includes(id))
  }
  const none = { toString: 1, valueOf: 1 }
  t.match(read({ ID: none }), { problem: 'ID is not a string' })
  t.match(read({ Image: none }), { image: 'override:1', imageId: undefined })
  t.match(read({ Image: none, Config: {} }), { image: 'no image' })
  t.match(read({ Name: 'a/b' }), { name: 'a/b' }, 'a name without the slash that engines put before it')
})

t.test('whether it has been started; what is not clearly "never" counts', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, id } = find(data, 'override')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  const start = (change: object, state: object = {}) => {
    writeFileSync(config, JSON.stringify({ ...json, ...change, State: { ...json.State, ...state } }))
    const container = readContainers(root, DATA).find(({ source }) => source.includes(id))
    return container && 'start' in container ? container.start : container
  }
  t.equal(start({}), 'never', 'as docker create leaves it')
  t.equal(start({ HasBeenStartedBefore: undefined }, { StartedAt: undefined }), 'never', 'an old engine')
  t.equal(start({ HasBeenStartedBefore: true }), 'done')
  t.equal(
    start({}, { StartedAt: '2026-11-28T03:08:59.555129259Z' }),
    'done',
    'before the engine knew that field',
  )
  t.equal(start({}, { Running: true }), 'done')
  for (const odd of ['false', 0, 1, [], {}]) t.equal(start({ HasBeenStartedBefore: odd }), 'done', `${odd}`)
  for (const odd of [0, {}, ' ', '0001-01-01T00:00:01Z'])
    t.equal(start({}, { StartedAt: odd }), 'done', `${odd}`)
  t.equal(
    start({}, { ExitCode: 127, Error: 'no such file' }),
    'tried',
    'docker run of a program that is not there',
  )
  t.equal(start({}, { ExitCode: 128 }), 'tried')
  t.equal(start({}, { Error: 'x' }), 'tried')
  t.equal(start({}, { Error: 5 }), 'tried')
})

t.test('a step of a build', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, id } = find(data, 'override')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  const isStep = (Cmd: unknown) => {
    writeFileSync(config, JSON.stringify({ ...json, Config: { ...json.Config, Cmd } }))
    const container = readContainers(root, DATA).find(({ source }) => source.includes(id))
    return container && 'isBuildStep' in container && container.isBuildStep
  }
  t.equal(isStep(['/bin/sh', '-c', '#(nop) ', 'ENV A=c']), true)
  for (const none of [['/none'], null, '#(nop) ', ['echo', '#(nop)'], [5]])
    t.equal(isStep(none), false, `${none}`)
})

const NOTHING = { isTemporary: false, isUnlogged: false }

t.test('hostconfig.json', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { id } = find(data, 'override')
  const file = join(data, 'containers', id, 'hostconfig.json')
  const read = (text: string) => {
    writeFileSync(file, text)
    return readHostConfig(root, DATA, id)
  }
  t.same(readHostConfig(root, DATA, 'none'), { runtime: undefined, ...NOTHING })
  t.same(read('{"Runtime":"runc","AutoRemove":false}'), { runtime: 'runc', ...NOTHING })
  t.same(read('{"Runtime":"extension","AutoRemove":true}'), {
    ...NOTHING,
    runtime: 'extension',
    isTemporary: true,
  })
  t.same(read('{"Runtime":["extension"],"AutoRemove":"yes"}'), { runtime: undefined, ...NOTHING })
  t.same(read('{"LogConfig":{"Type":"none"}}'), { ...NOTHING, runtime: undefined, isUnlogged: true })
  t.same(read('{"LogConfig":["none"]}'), { runtime: undefined, ...NOTHING })
  for (const text of ['', '[]', 'null', '{"Runtime":"exten'])
    t.throws(() => read(text), {
      message: `${DATA}/containers/${id}/hostconfig.json: not a JSON object: truncated or damaged`,
    })
  rmSync(file)
  mkdirSync(file)
  t.throws(() => readHostConfig(root, DATA, id), {
    message: /hostconfig\.json: not a regular file but a directory/,
  })
})

t.test('a container as a person knows it', async (t) => {
  const container = { id: '0123456789abcdef', name: 'a\n', image: 'b%', imageId: undefined, source: '' }
  t.equal(describeContainer(container), 'a\\x0a (b%, 0123456789ab)')
})
