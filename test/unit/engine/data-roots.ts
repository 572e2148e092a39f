import t from 'tap'
import { findDataRoots, isDataRoot } from '../../../src/engine/data-roots.js'
import { makeTree } from '../../support/tree.js'

const engine = (path: string) => ({ [`${path}/containers/x`]: '' })
const find = (t: Parameters<typeof makeTree>[0], files: Record<string, string>, configured?: string) =>
  findDataRoots({ prefix: makeTree(t, files) }, configured)

t.test('in order: daemon.json, balenaOS, Docker', async (t) => {
  const all = {
    'etc/docker/daemon.json': '{"data-root": "/data/docker/"}',
    ...engine('data/docker'),
    ...engine('mnt/data/docker'),
    ...engine('var/lib/docker'),
  }
  t.same(find(t, all), {
    candidates: ['/data/docker', '/mnt/data/docker', '/var/lib/docker'],
    exposed: new Map(),
    messages: [],
  })
  t.same(find(t, all, '/var/lib/docker').candidates, ['/var/lib/docker'], 'DataRoot= is the only one')
  t.same(find(t, {}).candidates, ['/mnt/data/docker', '/var/lib/docker'], 'they may not be mounted yet')
})

t.test('links are followed, and two names of one place count once', async (t) => {
  t.same(find(t, { 'var/lib/docker': '-> /mnt/data/docker' }).candidates, ['/mnt/data/docker'])
  t.same(find(t, { var: '-> disk/var' }, '/var/lib/docker').candidates, ['/disk/var/lib/docker'])
})

t.test('an engine keeps its containers there, or what stands in their place is named', async (t) => {
  const prefix = makeTree(t, { ...engine('a'), 'b/containers': '', 'c/containers': '-> ../a/containers' })
  t.same(
    ['/a', '/b', '/c', '/d'].filter((path) => isDataRoot({ prefix }, path)),
    ['/a', '/b', '/c'],
  )
})

t.test('the data of an engine that maps users is named', async (t) => {
  const { candidates, messages } = find(t, engine('var/lib/docker/100000.100000'))
  t.same(candidates, ['/mnt/data/docker', '/var/lib/docker'], 'and not read')
  t.same(
    messages.map(({ text }) => text),
    [
      '/var/lib/docker/100000.100000: the data of an engine with user namespaces (userns-remap) is not read; its extensions are left out',
    ],
  )
  t.same(find(t, { 'var/lib/docker/1.2/x': '', 'var/lib/docker/x.1/containers/x': '' }).messages, [])
})

t.test('a daemon.json that says nothing usable', async (t) => {
  for (const [text, problem] of [
    ['{', 'not valid JSON'],
    ['{"data-root": "relative"}', 'data-root is not an absolute path: relative'],
    ['{"data-root": ["/x"]}', 'data-root is not a string'],
  ] as const) {
    t.match(find(t, { 'etc/docker/daemon.json': text, ...engine('var/lib/docker') }), {
      candidates: ['/mnt/data/docker', '/var/lib/docker'],
      messages: [{ level: 'warning', text: `/etc/docker/daemon.json: ${problem}; ignored` }],
    })
  }
  for (const text of ['{}', 'null', '[]', '{"data-root": ""}']) {
    t.same(find(t, { 'etc/docker/daemon.json': text }).messages, [], text)
  }
})
