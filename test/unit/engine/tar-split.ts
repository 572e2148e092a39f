import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { readSizes } from '../../../src/engine/tar-split.js'
import { makeTree } from '../../support/tree.js'

const LINES = [
  '{"type":2,"payload":"AAAA","position":0}',
  '{"type":1,"name":"./usr/","payload":null,"position":1}',
  '{"type":1,"name":"usr/one","size":8,"payload":"AAAAAAAA","position":2}',
  '{"type":1,"name":"./usr/two","size":9,"payload":"AAAAAAAA","position":3}',
  '{"type":1,"name":"usr/empty","payload":null,"position":4}',
]
const packed = gzipSync(LINES.join('\n'))
const found = (layer: string) =>
  readSizes(layer) && Object.fromEntries(readSizes(layer) as Map<string, number>)
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
  const podman = makeTree(t, { 'overlay/abc/diff/x': '' })
  t.equal(readSizes(join(podman, 'overlay/abc/diff')), undefined, 'a layer without a record')
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
    t.equal(readSizes(docker(t, record)), undefined, what)
  t.same(found(docker(t, gzipSync('{"type":1,"name":7,"size":"x"}\n'))), {}, 'other types')
  t.equal(readSizes('/nonexistent/snapshots/1/fs'), undefined, "containerd's store")
})
