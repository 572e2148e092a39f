import t from 'tap'
import { Layer, stackLayer } from '../../../src/check/layer.js'
import { type Node, newDirectory, walk } from '../../../src/check/memory.js'
import { TarReader } from '../../../src/check/tar.js'
import { type TarItem, tarOf } from '../../support/tar.js'

function layerOf(items: TarItem[], hasWhiteouts = true): Layer {
  const layer = new Layer('it', () => undefined, hasWhiteouts)
  const reader = new TarReader('it', (entry) => layer.take(entry))
  reader.push(tarOf(items))
  reader.end()
  return layer
}

/** Everything below a directory: what it is, and its size or its owner. */
function list(top: Node): Record<string, string> {
  const found: Record<string, string> = {}
  walk(top, (path, node) => {
    const mode = (node.mode & 0o7777).toString(8)
    if (node.children) found[path] = `directory ${node.uid} ${mode}`
    else
      found[path] =
        node.target === undefined ? `${node.isFile() ? 'file' : 'other'} ${node.size}` : `-> ${node.target}`
  })
  return found
}

/** What layers show, the lowest first. */
function shown(...layers: TarItem[][]): Record<string, string> {
  const top = newDirectory()
  for (const items of layers) stackLayer(top, layerOf(items).top)
  return list(top)
}

t.test('directories that have no entry', async (t) => {
  t.same(shown([{ name: 'a/b/c', text: 'x' }]), {
    '/a': 'directory 0 755',
    '/a/b': 'directory 0 755',
    '/a/b/c': 'file 1',
  })
  t.same(
    shown([{ name: 'a/', type: '5', uid: 7, mode: 0o700 }], [{ name: 'a/x' }]),
    { '/a': 'directory 7 700', '/a/x': 'file 0' },
    'those that are only implied change nothing below',
  )
  t.same(shown([{ name: 'a/x' }], [{ name: 'a', type: '5', uid: 7 }]), {
    '/a': 'directory 7 644',
    '/a/x': 'file 0',
  })
})

t.test('a layer deletes, replaces and adds', async (t) => {
  const below = [{ name: 'd/a' }, { name: 'd/b' }, { name: 'e/x' }, { name: 'f' }]
  t.same(shown(below, [{ name: 'd/.wh.a' }]), {
    ...{
      '/d': 'directory 0 755',
      '/d/b': 'file 0',
      '/e': 'directory 0 755',
      '/e/x': 'file 0',
      '/f': 'file 0',
    },
  })
  t.same(shown(below, [{ name: '.wh.d' }, { name: '.wh.f' }]), { '/e': 'directory 0 755', '/e/x': 'file 0' })
  t.same(
    shown(below, [{ name: 'd/new' }, { name: 'd/.wh..wh..opq' }, { name: '.wh.e' }, { name: '.wh.f' }]),
    { '/d': 'directory 0 755', '/d/new': 'file 0' },
    'an opaque directory hides nothing of its own layer',
  )
  t.same(
    shown(below, [
      { name: 'd', text: 'xy' },
      { name: 'f/', type: '5' },
      { name: 'e', type: '2', target: 'f' },
    ]),
    { '/d': 'file 2', '/e': '-> f', '/f': 'directory 0 644' },
  )
  t.same(
    shown([{ name: 'a', text: 'x' }], [{ name: '.wh.a' }, { name: 'a' }])['/a'],
    'file 0',
    'deleted and made anew',
  )
  t.same(shown([{ name: 'a' }], [{ name: '.wh.a' }], [{ name: 'a', text: 'xyz' }])['/a'], 'file 3')
  t.same(shown([{ name: 'd/.wh.x' }], [{ name: 'y' }]), { '/d': 'directory 0 755', '/y': 'file 0' })
  t.same(
    shown([], [{ name: '.wh..wh.plnk/', type: '5' }, { name: '.wh..wh.aufs' }]),
    {},
    'what aufs has left behind means nothing',
  )
})

t.test('a whiteout of a lower layer does not hide what comes later', async (t) => {
  t.same(shown([{ name: 'd/x' }], [{ name: 'd/.wh.x' }], [{ name: 'd/x' }])['/d/x'], 'file 0')
  t.same(shown([{ name: 'n/.wh.x' }, { name: 'n/.wh..wh..opq' }], [{ name: 'n/x' }])['/n/x'], 'file 0')
})

t.test('in a file system such names are files', async (t) => {
  t.same(list(layerOf([{ name: '.wh.a' }], false).top), { '/.wh.a': 'file 0' })
})

t.test('hard links, links on the way, and the last of two entries', async (t) => {
  const { top } = layerOf([
    { name: 'a', text: 'x' },
    { name: 'd/b', type: '1', target: './a' },
  ])
  t.equal(top.children?.get('d')?.children?.get('b'), top.children?.get('a'))
  t.same(shown([{ name: 'l', type: '2', target: '/d/e' }, { name: 'l/x' }]), {
    ...{ '/l': '-> /d/e', '/d': 'directory 0 755', '/d/e': 'directory 0 755', '/d/e/x': 'file 0' },
  })
  t.same(
    shown([{ name: 'd/x' }, { name: 'l', type: '2', target: '../../d' }, { name: 'l/y' }])['/d/y'],
    'file 0',
  )
  t.same(
    shown([
      { name: 'a', text: 'x' },
      { name: 'a', type: '2', target: 'b' },
    ]),
    { '/a': '-> b' },
  )
  t.same(
    shown([{ name: 'l', type: '2', target: '/d' }], [{ name: 'l/x' }]),
    { '/l': 'directory 0 755', '/l/x': 'file 0' },
    'a link of another layer is not followed: engines unpack each into a directory of its own',
  )
})

t.test('names of all kinds', async (t) => {
  const names = ['./a', '/b', 'c//d', './e/./f', '.hidden', '..two', 'g/...']
  t.same(Object.keys(shown(names.map((name) => ({ name })))).sort(), [
    ...['/..two', '/.hidden', '/a', '/b', '/c', '/c/d', '/e', '/e/f', '/g', '/g/...'],
  ])
  t.same(shown([{ name: './', type: '5', mode: 0o700 }]), {})
})

t.test('what no engine unpacks', async (t) => {
  const refused: [TarItem[], string][] = [
    [[{ name: '../x' }], 'it has an entry ../x, which no engine unpacks: its name leads out of the image'],
    [
      [{ name: 'a/../../x' }],
      'it has an entry a/../../x, which no engine unpacks: its name leads out of the image',
    ],
    [[{ name: 'a' }, { name: 'a/b' }], 'it has an entry a, which no engine unpacks: a is not a directory'],
    [
      [{ name: 'x'.repeat(256) }],
      `it has an entry ${'x'.repeat(200)}…, which no engine unpacks: a part of its name has more than 255 bytes`,
    ],
    [
      [{ name: 'ü'.repeat(128) }],
      `it has an entry ${'ü'.repeat(128)}, which no engine unpacks: a part of its name has more than 255 bytes`,
    ],
    [
      [{ name: 'x/'.repeat(2100) }],
      `it has an entry ${'x/'.repeat(100)}…, which no engine unpacks: its name has 4200 characters, more than 4096`,
    ],
    [
      [{ name: 'h', type: '1', target: 'nowhere' }],
      'it has an entry h, which no engine unpacks: it is a hard link to nowhere, which is not a file before it in the layer',
    ],
    [
      [{ name: 'h', type: '1', target: '../../etc/shadow' }],
      'it has an entry ../../etc/shadow, which no engine unpacks: its name leads out of the image',
    ],
    [
      [{ name: 'a\x1b]0;x\x07/../..' }],
      'it has an entry a\\x1b]0;x\\x07/../.., which no engine unpacks: its name leads out of the image',
    ],
    [
      [
        { name: 'l', type: '2', target: 'l' },
        { name: 'l/x', text: '' },
      ],
      'which no engine unpacks',
    ],
  ]
  for (const [items, message] of refused) {
    let said = ''
    try {
      layerOf(items)
    } catch (error) {
      said = (error as Error).message
    }
    t.ok(said.includes(message), `${said} / ${message}`)
  }
})
