import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { readSizes } from '../../../src/engine/tar-split.js'
import { PROJECT } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const LINES = [
  '{"type":2,"payload":"AAAA","position":0}',
  '{"type":1,"name":"./usr/","payload":null,"position":1}',
  '{"type":1,"name":"usr/one","size":8,"payload":"AAAAAAAA","position":2}',
  '{"type":1,"name":"./usr/two","size":9,"payload":"AAAAAAAA","position":3}',
  '{"type":1,"name":"usr/empty","payload":null,"position":4}',
]
const packed = gzipSync(LINES.join('\n'))
const ALL = new Set(['/usr/one', '/usr/two', '/usr/empty', '/a', '/b', '/c'])
const found = (layer: string, paths = ALL) =>
  readSizes(layer, paths) && Object.fromEntries(readSizes(layer, paths) as Map<string, number>)
const FILES = { '/usr/one': 8, '/usr/two': 9 }

/** Docker's own store with one layer. */
function docker(t: Test, record: Buffer): string {
  const home = makeTree(t, {
    'overlay2/random/diff/x': '',
    'image/overlay2/layerdb/sha256/other/cache-id': 'another',
    'image/overlay2/layerdb/sha256/none/diff': '',
    'image/overlay2/layerdb/sha256/chain/cache-id': 'random\n',
  })
  writeFileSync(join(home, 'image/overlay2/layerdb/sha256/chain/tar-split.json.gz'), record)
  return join(home, 'overlay2/random/diff')
}

t.test('the sizes of the files of a layer', async (t) => {
  t.same(found(docker(t, packed)), FILES)
  t.same(found(docker(t, packed), new Set(['/usr/two', '/usr/empty', '/other'])), { '/usr/two': 9 })
  const podman = makeTree(t, { 'overlay/abc/diff/x': '' })
  t.equal(found(join(podman, 'overlay/abc/diff')), undefined, 'a layer without a record')
  mkdirSync(join(podman, 'overlay-layers'))
  writeFileSync(join(podman, 'overlay-layers/abc.tar-split.gz'), packed)
  t.same(found(join(podman, 'overlay/abc/diff')), FILES)
})

t.test('of a name that is there twice, the last one counts', async (t) => {
  const entry = (name: string, size?: number) =>
    JSON.stringify({ type: 1, name, size, payload: 'AA', position: 5 })
  const lines = [entry('a', 5), entry('./a'), entry('b'), entry('b', 6), entry('c', 7), entry('c', 8)]
  t.same(found(docker(t, gzipSync(lines.join('\n')))), { '/b': 6, '/c': 8 })
})

t.test('a damaged record says nothing', async (t) => {
  for (const [what, record] of Object.entries({
    'no archive': Buffer.from('x'),
    'cut off': packed.subarray(0, 40),
    'no JSON': gzipSync('{"type":1,'),
  }))
    t.equal(found(docker(t, record)), undefined, what)
  t.same(found(docker(t, gzipSync('{"type":1,"name":7,"size":"x"}\n'))), {}, 'other types')
  t.equal(found('/nonexistent/snapshots/1/fs'), undefined, "containerd's store")
})

t.test('a record of a big layer takes no more memory than a small one', async (t) => {
  const header = JSON.stringify({ type: 2, payload: 'A'.repeat(1400), position: 0 })
  const entry = (path: string) => JSON.stringify({ type: 1, name: path, size: 9, payload: 'AAAAAAAA' })
  const long = `usr/${'\u00e4'.repeat(100_000)}`
  const lines = Array.from({ length: 40_000 }, (_, index) => `${header}\n${entry(`usr/lib/file${index}`)}`)
  lines.splice(
    20_000,
    0,
    entry(long),
    entry(`usr/${'x'.repeat(2 << 20)}`),
    `{"type":2,${'x'.repeat(2 << 20)}}`,
  )
  const layer = docker(t, gzipSync(`${lines.join('\n')}\n${entry('usr/last')}`, { level: 1 }))
  lines.length = 0
  const file = makeTree(t, {
    'read.mts': `import { readSizes } from '${PROJECT}/src/engine/tar-split.ts'
      const paths = ['/usr/last', '/usr/lib/file39999', ${JSON.stringify(`/${long}`)}]
      const before = process.resourceUsage().maxRSS
      const sizes = readSizes(${JSON.stringify(layer)}, new Set(paths))
      const kibibytes = process.resourceUsage().maxRSS - before
      console.log(JSON.stringify({ found: paths.map((path) => sizes?.get(path)), kibibytes }))`,
  })
  const printed = execFileSync(
    process.execPath,
    ['--import', join(PROJECT, 'node_modules/tsx/dist/esm/index.mjs'), join(file, 'read.mts')],
    { encoding: 'utf8' },
  )
  const { found, kibibytes } = JSON.parse(printed)
  t.same(found, [9, 9, 9])
  t.ok(kibibytes < 40 << 10, `${kibibytes} KiB for 60 MB of text`)
})
