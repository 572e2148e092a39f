import t from 'tap'
import { findDataRoots } from '../../src/engine/data-root.js'
import { makeTree } from '../support/tree.js'

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
  t.same(find(t, all), { dataRoots: ['/data/docker', '/mnt/data/docker', '/var/lib/docker'], messages: [] })
  t.same(find(t, all, '/var/lib/docker').dataRoots, ['/var/lib/docker'], 'DataRoot= is the only one')
  t.same(find(t, {}).dataRoots, [])
})

t.test('a DataRoot= without an engine is named', async (t) => {
  t.match(find(t, engine('var/lib/docker'), '/data'), {
    dataRoots: [],
    messages: [{ level: 'warning', text: 'DataRoot=/data holds no engine data' }],
  })
})

t.test('a daemon.json that says nothing usable', async (t) => {
  for (const [text, problem] of [
    ['{', 'not valid JSON'],
    ['{"data-root": "relative"}', 'data-root is no absolute path: relative'],
    ['{"data-root": ["/x"]}', 'data-root is no absolute path: /x'],
  ] as const) {
    t.match(find(t, { 'etc/docker/daemon.json': text, ...engine('var/lib/docker') }), {
      dataRoots: ['/var/lib/docker'],
      messages: [{ level: 'warning', text: `/etc/docker/daemon.json: ${problem}; ignored` }],
    })
  }
  for (const text of ['{}', 'null', '[]', '{"data-root": ""}']) {
    t.same(find(t, { 'etc/docker/daemon.json': text }).messages, [], text)
  }
})
