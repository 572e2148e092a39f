import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  findChange,
  isTreeName,
  MOUNTED,
  makeBase,
  RULES,
  readIds,
  readTreeFacts,
  readTrees,
  type TreeFacts,
  treePath,
} from '../../../src/image/kept.js'
import { makeTree, type Tree, writeTree } from '../../support/tree.js'

const NAME = 'KEY.0123abcd'

const FACTS: TreeFacts = {
  rules: RULES,
  layers: 'l/A:l/B',
  lookedAt: {
    os: 'debian 12',
    state: ['/home', '/var'],
    places: [
      ['/usr', 'directory 0:0 0755'],
      ['/opt', 'nothing'],
      ['/lib', 'link to /usr/lib'],
      ['/etc/app', 'file'],
    ],
    libraries: [['/usr/lib/libc.so.6', 3]],
    ids: { users: { app: 900 }, groups: { app: 901 } },
  },
  notes: ['a note'],
  ...{ files: 1, directories: 1, bytes: 1, copied: 0 },
}

const ROOT: Tree = {
  'usr/lib/libc.so.6': 'abc',
  lib: '-> usr/lib',
  'etc/app': 'x',
  'etc/passwd': 'root:x:0:0::/:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
}

/** A root, and what has changed on it since the facts were found, after a change. */
function changed(t: Test, change: (root: string) => void, os = 'debian 12', state = ['/home', '/var']) {
  const root = makeTree(t, ROOT)
  chmodSync(join(root, 'usr'), 0o755)
  change(root)
  return findChange(FACTS, makeBase({ prefix: root }, os, state))
}

t.test('everything that is looked at', async (t) => {
  const nothing = () => {}
  t.equal(changed(t, nothing), undefined)
  t.equal(
    findChange({ ...FACTS, rules: 0 }, makeBase({ prefix: '/' }, '', [])),
    'the rules of images have changed with hostext',
  )
  t.equal(changed(t, nothing, 'debian 13'), 'the system was debian 12 and is debian 13')
  t.equal(changed(t, nothing, ''), 'the system was debian 12 and is unnamed')
  t.equal(changed(t, nothing, 'debian 12', ['/var']), 'the state was /home /var and is /var')
  t.equal(changed(t, nothing, 'debian 12', []), 'the state was /home /var and is nothing')
  for (const [what, change, expected] of [
    [
      'a mode',
      (root) => chmodSync(join(root, 'usr'), 0o711),
      '/usr was directory 0:0 0755 and is directory 0:0 0711',
    ],
    [
      'a sticky bit',
      (root) => chmodSync(join(root, 'usr'), 0o1755),
      '/usr was directory 0:0 0755 and is directory 0:0 1755',
    ],
    [
      'a new directory',
      (root) => mkdirSync(join(root, 'opt')),
      /^\/opt was nothing and is directory \d+:\d+ 0\d+$/,
    ],
    [
      'a link',
      (root) => symlinkSync('var/opt', join(root, 'opt')),
      '/opt was nothing and is link to /var/opt',
    ],
    [
      'where a link leads',
      (root) => {
        rmSync(join(root, 'lib'))
        symlinkSync('lib64', join(root, 'lib'))
      },
      '/lib was link to /usr/lib and is link to /lib64',
    ],
    [
      'where a link leads, by another one',
      (root) => {
        renameSync(join(root, 'usr'), join(root, 'system'))
        symlinkSync('system', join(root, 'usr'))
      },
      '/usr was directory 0:0 0755 and is link to /system',
    ],
    ['a file that is gone', (root) => rmSync(join(root, 'etc/app')), '/etc/app was file and is nothing'],
    [
      'a library',
      (root) => writeFileSync(join(root, 'usr/lib/libc.so.6'), 'abcd'),
      '/usr/lib/libc.so.6 is another one',
    ],
    [
      'a library that is gone',
      (root) => rmSync(join(root, 'usr/lib/libc.so.6')),
      '/usr/lib/libc.so.6 is another one',
    ],
  ] as [string, (root: string) => void, string | RegExp][])
    t.match(changed(t, change), expected, what)
  t.equal(
    changed(t, (root) => writeFileSync(join(root, 'etc/app'), 'another text')),
    undefined,
    'what is in a file',
  )
  t.equal(
    changed(t, (root) => writeTree(root, { 'etc/more/x': '', 'usr/lib/y': '' })),
    undefined,
    'elsewhere',
  )
})

t.test('what is mounted over the root is not looked at', async (t) => {
  const prefix = makeTree(t, ROOT)
  chmodSync(join(prefix, 'usr'), 0o755)
  const change = (places: [string, string][], over: string[]): string | undefined => {
    const lookedAt = { ...FACTS.lookedAt, places }
    return findChange({ ...FACTS, lookedAt }, makeBase({ prefix }, 'debian 12', ['/home', '/var'], over))
  }
  const other: [string, string][] = [
    ['/usr', 'directory 0:0 0700'],
    ['/usr/lib', 'nothing'],
  ]
  t.equal(change(other, ['/usr']), undefined, 'whatever it was, and below it')
  t.equal(change(other, ['/us', '/usr/lib']), '/usr was directory 0:0 0700 and is directory 0:0 0755')
  t.equal(
    change(
      [
        ['/usr', MOUNTED],
        ['/opt', MOUNTED],
      ],
      [],
    ),
    undefined,
    'not mounted yet, or any more',
  )
  t.equal(change([['/lib', MOUNTED]], []), '/lib was mount point and is link to /usr/lib')
  t.equal(change([['/etc/app', MOUNTED]], []), '/etc/app was mount point and is file')
})

t.test('an owner', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  t.equal(
    changed(t, (root) => chownSync(join(root, 'usr'), 5, 6)),
    '/usr was directory 0:0 0755 and is directory 5:6 0755',
  )
})

t.test('users and groups', async (t) => {
  const passwd =
    (...lines: string[]) =>
    (root: string) =>
      writeFileSync(join(root, 'etc/passwd'), `${lines.map((line) => `${line}::/:/bin/sh`).join('\n')}\n`)
  const group =
    (...lines: string[]) =>
    (root: string) =>
      writeFileSync(join(root, 'etc/group'), `${lines.join(':\n')}:\n`)
  const expected = "app has another ID, or its ID is another one's"
  t.equal(changed(t, passwd('app:x:900:1')), undefined, 'it was created as it was given')
  t.equal(changed(t, passwd('app:x:899:1')), expected)
  t.equal(changed(t, passwd('other:x:900:1')), expected)
  t.equal(changed(t, passwd('other:x:901:1')), undefined, 'users are no groups')
  t.equal(changed(t, group('app:x:901')), undefined)
  t.equal(changed(t, group('app:x:900')), expected)
  t.equal(changed(t, group('other:x:901')), expected)
  t.equal(
    changed(t, (root) =>
      writeTree(root, { 'var/lib/hostext/etc/upper/passwd': 'other:x:900:1::/:/bin/sh\n' }),
    ),
    expected,
    'one that an earlier boot has created in a persistent /etc',
  )
})

t.test('names of trees', async (t) => {
  for (const name of [NAME, 'a.00000000', `${'9'.repeat(64)}.ffffffff`]) t.ok(isTreeName(name), name)
  for (const name of [
    ...[
      'KEY',
      'KEY.0123abc',
      'KEY.0123abcde',
      'KEY.0123ABCD',
      '.0123abcd',
      '../KEY.0123abcd',
      'K-Y.0123abcd',
    ],
    ...[
      'KEY.0123abcd/',
      'KEY.0123abcd\n',
      `${'9'.repeat(65)}.ffffffff`,
      'new0',
      undefined,
      1,
      ['KEY.0123abcd'],
    ],
  ])
    t.notOk(isTreeName(name), JSON.stringify(name))
  t.equal(treePath('/data', NAME), `/data/hostext/trees/${NAME}/tree`)
})

/** A data root with one tree. */
function withTree(t: Test, facts: unknown = FACTS, name = NAME) {
  const prefix = makeTree(t, {
    ...Object.fromEntries(Object.entries(ROOT).map(([path, text]) => [path, text])),
    [`data/hostext/trees/${name}/facts`]: typeof facts === 'string' ? facts : JSON.stringify(facts),
  })
  const directory = join(prefix, 'data/hostext/trees', name)
  mkdirSync(join(directory, 'tree'))
  chmodSync(join(prefix, 'usr'), 0o755)
  const read = () => readTreeFacts({ prefix }, '/data', name)
  const find = (lower = ['l/A', 'l/B'], key = 'KEY') =>
    readTrees({ prefix }, '/data', makeBase({ prefix }, 'debian 12', ['/home', '/var'])).find({
      directory: '/',
      lower,
      key,
      chain: lower.join(':'),
    })
  return { prefix, directory, read, find }
}

t.test('trees are found by the image, all of it', async (t) => {
  const { prefix, directory, find } = withTree(t)
  t.match(find(), { name: NAME, facts: { layers: 'l/A:l/B' } })
  t.same(find(['l/A', 'l/C']), { change: undefined }, 'the key is that of another chain')
  t.same(find(['l/A']), { change: undefined })
  t.same(find(['l/A', 'l/B'], 'OTHER'), { change: undefined })
  writeFileSync(join(directory, 'facts'), JSON.stringify({ ...FACTS, rules: 0 }))
  t.same(find(), { change: 'the rules of images have changed with hostext' })
  // Another one that fits, whichever comes first.
  for (const name of ['KEY.00000000', 'KEY.ffffffff']) {
    writeTree(prefix, {
      [`data/hostext/trees/${name}/facts`]: JSON.stringify(FACTS),
      [`data/hostext/trees/${name}/tree/x`]: '',
    })
    t.match(find(), { name })
    rmSync(join(prefix, 'data/hostext/trees', name), { recursive: true })
  }
  const trees = readTrees({ prefix: makeTree(t) }, '/data', makeBase({ prefix }, '', []))
  t.same(
    trees.find({ directory: '/', lower: ['l/A'], key: 'KEY', chain: 'l/A' }),
    { change: undefined },
    'no trees at all',
  )
  t.same(trees.found, [])
})

t.test('trees are found by the ID of their image', async (t) => {
  const of = (image?: string, rules = RULES) => JSON.stringify({ ...FACTS, rules, image })
  const { prefix } = withTree(t, of('sha256:a'))
  const add = (name: string, facts: string) =>
    writeTree(prefix, {
      [`data/hostext/trees/${name}/facts`]: facts,
      [`data/hostext/trees/${name}/tree/x`]: '',
    })
  const all = () => true
  const trees = () => readTrees({ prefix }, '/data', makeBase({ prefix }, 'debian 12', ['/home', '/var']))
  t.match(trees().findImage('sha256:a', all), { name: NAME, facts: { image: 'sha256:a' } })
  t.equal(trees().findImage('sha256:b', all), undefined)
  t.equal(trees().findImage(undefined, all), undefined)
  const others = (key: string) => key !== 'KEY'
  t.equal(trees().findImage('sha256:a', others), undefined, 'the engine has pulled it again')
  add('OTHER.00000000', of('sha256:b', 0))
  t.equal(trees().findImage('sha256:b', all), undefined, 'made for another base')
  add('OTHER.ffffffff', of('sha256:b'))
  add('ANY.00000000', of())
  add('DAMAGED.00000000', '{')
  const found = trees()
  t.match(found.findImage('sha256:b', all), { name: 'OTHER.ffffffff' })
  found.findImage('sha256:b', all)
  found.findImage('sha256:a', all)
  found.find({ directory: '/', lower: ['l/A', 'l/B'], key: 'KEY', chain: 'l/A:l/B' })
  t.same(found.found, ['OTHER.ffffffff', NAME], 'once')
})

t.test('damaged facts are none', async (t) => {
  const { lookedAt } = FACTS
  for (const facts of [
    ...['', '{', 'null', '[]', '"x"', '{}', JSON.stringify(FACTS).slice(0, -1)],
    ...['layers', 'lookedAt', 'notes'].map((key) => ({ ...FACTS, [key]: undefined })),
    ...['os', 'state', 'places', 'libraries', 'ids'].map((key) => ({
      ...FACTS,
      lookedAt: { ...lookedAt, [key]: undefined },
    })),
    { ...FACTS, layers: ['l/A'] },
    { ...FACTS, notes: [1] },
    { ...FACTS, replaced: 1 },
    { ...FACTS, foreign: {} },
    { ...FACTS, indexed: 'yes' },
    { ...FACTS, mismatch: 'arm64' },
    { ...FACTS, mismatch: { image: 'arm64' } },
    { ...FACTS, lookedAt: { ...lookedAt, places: [1] } },
    { ...FACTS, lookedAt: { ...lookedAt, places: [['/usr']] } },
    { ...FACTS, lookedAt: { ...lookedAt, places: [[{}, 'file']] } },
    { ...FACTS, lookedAt: { ...lookedAt, libraries: [['/x', 'y']] } },
    { ...FACTS, lookedAt: { ...lookedAt, state: [1] } },
    { ...FACTS, lookedAt: { ...lookedAt, ids: { users: { a: 'b' }, groups: {} } } },
    { ...FACTS, lookedAt: { ...lookedAt, ids: { users: {} } } },
  ])
    t.equal(withTree(t, facts).read(), undefined, JSON.stringify(facts).slice(0, 300))
  t.same(withTree(t).read(), FACTS)
})

t.test('a tree of which something is missing, or that is not root’s alone', async (t) => {
  for (const [what, damage] of [
    ['no files', (directory) => rmSync(join(directory, 'tree'), { recursive: true })],
    [
      'a link to files',
      (directory) => {
        rmSync(join(directory, 'tree'), { recursive: true })
        symlinkSync('/etc', join(directory, 'tree'))
      },
    ],
    [
      'a file',
      (directory) => {
        rmSync(join(directory, 'tree'), { recursive: true })
        writeFileSync(join(directory, 'tree'), '')
      },
    ],
    ['no facts', (directory) => rmSync(join(directory, 'facts'))],
    [
      'a link to facts',
      (directory) => {
        renameSync(join(directory, 'facts'), join(directory, 'x'))
        symlinkSync('x', join(directory, 'facts'))
      },
    ],
    ['facts of others', (directory) => chmodSync(join(directory, 'facts'), 0o666)],
    ['a directory of others', (directory) => chmodSync(directory, 0o777)],
    [
      'a link',
      (directory) => {
        renameSync(directory, `${directory}.moved`)
        symlinkSync(`${directory}.moved`, directory)
      },
    ],
  ] as [string, (directory: string) => void][]) {
    const { directory, read } = withTree(t)
    t.ok(read(), what)
    damage(directory)
    t.equal(read(), undefined, what)
  }
})

t.test('the IDs that were given out', async (t) => {
  const ids = (text?: string) =>
    readIds({ prefix: makeTree(t, text === undefined ? {} : { 'data/hostext/ids': text }) }, '/data')
  t.same(ids(), { users: {}, groups: {} })
  t.same(ids('{"users":{"app":900},"groups":{"app":901,"x":0,"y":-1,"z":"1","w":1.5}}'), {
    users: { app: 900 },
    groups: { app: 901 },
  })
  for (const text of ['', '{', '[]', '{"users":1}', '{"users":["a"],"groups":null}'])
    t.same(ids(text), { users: {}, groups: {} }, text)
  t.same(Object.keys(ids('{"users":{"__proto__":5,"constructor":6}}').users).sort(), [
    '__proto__',
    'constructor',
  ])
})
