import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keepIndexes, readIndexes } from '../../../src/trial/indexes.js'
import { cutRemovals } from '../../support/cut.js'
import { makeTree, type Tree, writeTree } from '../../support/tree.js'

const KEY = 'trees: A.01234567 B.01234567\nindexes: libraries\n'
/** What the first pass has built. */
const BUILT: Tree = {
  'run/hostext/index.key': KEY,
  'run/hostext/index.made': '',
  'run/hostext/index/root/etc/ld.so.cache': 'cache',
}
const needed = new Set(['A.01234567', 'B.01234567'])
const DIRECTORY = '/data/hostext/indexes'

t.test('the indexes that a boot has built are kept, once', async (t) => {
  const prefix = makeTree(t, { ...BUILT, 'data/x': '' })
  t.same(keepIndexes({ prefix }, '/data', needed), [
    `kept: the rebuilt indexes of this boot, as ${DIRECTORY}/1`,
  ])
  t.equal(readFileSync(join(prefix, DIRECTORY, '1/root/etc/ld.so.cache'), 'utf8'), 'cache')
  t.match(readIndexes({ prefix }, '/data', '6.1.0'), { kept: [{ name: '1', key: KEY }] })
  t.same(keepIndexes({ prefix }, '/data', needed), [])
  writeTree(prefix, { 'run/hostext/index.key': KEY.replace('libraries', 'hardware') })
  t.same(keepIndexes({ prefix }, '/data', needed), [
    `kept: the rebuilt indexes of this boot, as ${DIRECTORY}/2`,
  ])
  t.equal(readIndexes({ prefix }, '/data', '6.1.0').kept.length, 2)
})

t.test('what is half made is not kept', async (t) => {
  const { 'run/hostext/index.made': _, ...unfinished } = BUILT
  const prefix = makeTree(t, { ...unfinished, 'data/x': '' })
  t.same(keepIndexes({ prefix }, '/data', needed), [])
  // The power went before it had its name: its files may be empty.
  writeTree(prefix, { 'data/hostext/indexes/new/key': KEY })
  t.same(readIndexes({ prefix }, '/data', '6.1.0').kept, [])
  writeTree(prefix, { 'data/hostext/indexes/new/root/left': '', 'run/hostext/index.made': '' })
  keepIndexes({ prefix }, '/data', needed)
  t.same(readIndexes({ prefix }, '/data', '6.1.0').kept, [{ name: '1', key: KEY }])
  t.notOk(existsSync(join(prefix, DIRECTORY, '1/root/left')))
})

t.test('indexes go with their trees', async (t) => {
  const prefix = makeTree(t, {
    'data/hostext/indexes/1/key': KEY,
    'data/hostext/indexes/2/key': KEY.replace('B.', 'C.'),
    'data/hostext/indexes/3/key': 'no trees',
    'data/hostext/indexes/4/x': '',
  })
  t.same(
    keepIndexes({ prefix }, '/data', needed),
    ['2', '3', '4'].map((name) => `removed: ${DIRECTORY}/${name}: nothing needs these indexes`),
  )
  t.equal(readIndexes({ prefix }, '/data', '').kept.length, 1)
})

t.test('half of the indexes do not count, even if they are needed again', async (t) => {
  const prefix = makeTree(t, {
    'data/hostext/indexes/1/key': KEY,
    'data/hostext/indexes/1/a/ld.so.cache': '',
  })
  const keep = (trees: ReadonlySet<string>) => keepIndexes({ prefix }, '/data', trees)
  cutRemovals(() => t.throws(() => keep(new Set()), { message: 'the power is cut' }))
  t.same(readIndexes({ prefix }, '/data', '').kept, [])
  t.same(keep(needed), [`removed: ${DIRECTORY}/old0-1: nothing needs these indexes`])
})

t.test('what others can write to is not kept; the base root’s own count', async (t) => {
  const prefix = makeTree(t, { 'data/hostext/indexes/1/key': KEY, 'etc/ld.so.cache': 'abc' })
  chmodSync(join(prefix, DIRECTORY, '1/key'), 0o666)
  t.same(readIndexes({ prefix }, '/data', '').kept, [])
  const before = readIndexes({ prefix }, '/data', '6.1.0').sources
  t.match(before, /^none, none, 3 \d+, none, none$/)
  writeTree(prefix, { 'etc/ld.so.cache': 'abcd', 'usr/lib/modules/6.1.0/modules.dep': '' })
  t.match(readIndexes({ prefix }, '/data', '6.1.0').sources, /^0 \d+, none, 4 \d+, none, none$/)
})
