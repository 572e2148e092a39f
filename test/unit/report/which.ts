import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Layer } from '../../../src/report/layers.js'
import { find, withoutLinks } from '../../../src/report/which.js'
import { makeTree, type Tree } from '../../support/tree.js'

/** Layers of these files, top first; the last one is the base root. */
function layersOf(t: Test, ...trees: Tree[]): Layer[] {
  return trees.map((files, index) => ({
    kind: index === trees.length - 1 ? 'base' : 'extension',
    extension: undefined,
    directory: makeTree(t, files),
    isEtc: false,
    directories: new Map(),
  }))
}
const seen = (layers: readonly Layer[], path: string): string[] =>
  find(layers, path).map(
    ({ layer, kind, isSeen }) => `${layers.indexOf(layer)} ${kind}${isSeen ? '' : ', hidden'}`,
  )

t.test('the uppermost one provides a file, and hides the others', async (t) => {
  const layers = layersOf(t, { 'usr/a': '' }, { 'usr/a': '', 'usr/b': '' }, { 'usr/b': '', 'usr/c': '' })
  t.same(seen(layers, '/usr/a'), ['0 file', '1 file, hidden'])
  t.same(seen(layers, '/usr/b'), ['1 file', '2 file, hidden'])
  t.same(seen(layers, '/usr/c'), ['2 file'])
  t.same(seen(layers, '/usr/d'), [])
})

t.test('a directory is made of all down to a file', async (t) => {
  const layers = layersOf(t, { 'usr/x/a': '' }, { 'usr/x/b': '' }, { 'usr/x': '' }, { 'usr/x/c': '' })
  t.same(seen(layers, '/usr/x'), ['0 directory', '1 directory', '2 file, hidden', '3 directory, hidden'])
  t.same(seen(layers, '/usr/x/c'), ['3 file, hidden'], 'the file in its place hides it')
})

t.test('deleted files', { skip: process.getuid?.() !== 0 && 'a device needs root' }, async (t) => {
  const layers = layersOf(t, { 'usr/.keep': '' }, { 'usr/a': '' })
  t.equal(spawnSync('mknod', [join(layers[0]?.directory as string, 'usr/a'), 'c', '0', '0']).status, 0)
  t.same(seen(layers, '/usr/a'), ['0 deleted', '1 file, hidden'])
})

t.test('changes to /etc have nothing else', async (t) => {
  const [changes, base] = layersOf(t, { hosts: '', usr: '' }, { 'etc/hosts': '', usr: '' })
  const layers = [{ ...(changes as Layer), kind: 'changes' as const, isEtc: true }, base as Layer]
  t.same(seen(layers, '/etc/hosts'), ['0 file', '1 file, hidden'])
  t.same(seen(layers, '/usr'), ['1 file'])
})

t.test('links on the way are followed in the layers', async (t) => {
  const layers = layersOf(
    t,
    { 'usr/lib/x': '-> ../share/y', 'usr/share/z': '-> nowhere' },
    { bin: '-> usr/bin', 'usr/bin/ls': '', 'usr/share/y/file': '', 'opt/up': '-> /bin/..' },
  )
  t.equal(withoutLinks(layers, '/bin/ls'), '/usr/bin/ls')
  t.equal(withoutLinks(layers, '/usr/lib/x/file'), '/usr/share/y/file', 'a link of one, a file of the other')
  t.equal(withoutLinks(layers, '/opt/up/bin/./ls'), '/usr/bin/ls')
  t.equal(withoutLinks(layers, '/usr/share/z'), '/usr/share/z', 'not the last name')
  t.equal(withoutLinks(layers, '/../../usr//bin'), '/usr/bin')
  t.equal(withoutLinks(layers, '/none/of/it'), '/none/of/it')
  t.throws(() => withoutLinks(layersOf(t, { a: '-> b', b: '-> a' }), '/a/file'), /too many levels/)
})
