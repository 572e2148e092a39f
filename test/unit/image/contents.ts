import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeList, readContents } from '../../../src/image/contents.js'
import { makeTree, type Tree } from '../../support/tree.js'

const RELEASE = '6.1.0-1-amd64'
/** What is found in an image of these layers, top first. */
function contents(t: Parameters<typeof makeTree>[0], ...layers: Tree[]) {
  const files = layers.flatMap((layer, index) =>
    Object.entries(layer).map(([path, text]) => [`data/l/${index}/${path}`, text] as const),
  )
  const prefix = makeTree(t, Object.fromEntries(files))
  const { top, indexes, sysusers } = readContents(
    { prefix },
    { directory: '/data', lower: layers.map((_, index) => `l/${index}`) },
    RELEASE,
  )
  return { top: [...top].sort(), indexes: [...indexes].sort(), sysusers }
}

t.test('an image that needs no index', async (t) => {
  t.same(contents(t, { 'usr/share/x': '', 'usr/lib/udev/rules.d/x': '', 'etc/x.conf': '', file: '' }), {
    top: ['etc', 'usr'],
    indexes: [],
    sysusers: false,
  })
})

t.test('files that an index has to know, and indexes that must not stand for that of the root', async (t) => {
  for (const [path, index] of [
    [`usr/lib/modules/${RELEASE}/extra/x.ko`, 'modules'],
    [`lib/modules/${RELEASE}/modules.dep.bin`, 'modules'],
    ['etc/ld.so.conf.d/x.conf', 'libraries'],
    ['etc/ld.so.conf', 'libraries'],
    ['etc/ld.so.cache', 'libraries'],
    ['usr/local/lib/libx.so', 'libraries'],
    ['usr/lib/udev/hwdb.d/x.hwdb', 'hardware'],
    ['lib/udev/hwdb.d/x.hwdb', 'hardware'],
    ['usr/lib/udev/hwdb.bin', 'hardware'],
    ['etc/udev/hwdb.bin', 'hardware'],
  ] as const)
    t.same(contents(t, { [path]: '' }).indexes, [index], path)
  t.same(
    contents(t, { 'usr/lib/modules/5.0.0/extra/x.ko': '' }).indexes,
    [],
    'modules of another kernel are nothing to this boot',
  )
  t.same(contents(t, { x: '' }, { 'etc/ld.so.cache': '' }).indexes, ['libraries'], 'in a lower layer')
})

t.test('users', async (t) => {
  for (const path of ['usr/lib/sysusers.d/x.conf', 'etc/sysusers.d/x.conf'])
    t.ok(contents(t, { [path]: '' }).sysusers, path)
})

t.test('the uppermost layer says what a name is', async (t) => {
  t.same(contents(t, { usr: 'a file' }, { 'usr/share/x': '' }).top, [])
  t.same(contents(t, { 'usr/share/x': '' }, { usr: 'a file' }).top, ['usr'])
})

t.test(
  'a whiteout is no directory',
  { skip: process.getuid?.() === 0 ? false : 'mknod needs root' },
  async (t) => {
    const prefix = makeTree(t, { 'data/l/1/etc/x': '' })
    mkdirSync(join(prefix, 'data/l/0'))
    execFileSync('mknod', [join(prefix, 'data/l/0/etc'), 'c', '0', '0'])
    t.same([...readContents({ prefix }, { directory: '/data', lower: ['l/0', 'l/1'] }, RELEASE).top], [])
  },
)

t.test('links are not followed, odd names and kinds mean nothing', async (t) => {
  const outside = makeTree(t, { 'lib/udev/hwdb.d/x': '', 'sysusers.d/x': '' })
  t.same(contents(t, { usr: `-> ${outside}`, lib: `-> ${outside}/lib`, etc: `-> ${outside}` }), {
    top: [],
    indexes: [],
    sysusers: false,
  })
  t.same(contents(t, { 'usr/lib': 'a file', 'usr/local': 'a file', 'etc/udev': `-> ${outside}/lib/udev` }), {
    top: ['etc', 'usr'],
    indexes: [],
    sysusers: false,
  })
  t.same(contents(t, { '__proto__/x': '', 'usr/constructor/x': '' }).top, ['__proto__', 'usr'])
  t.same(contents(t, {}).top, [], 'a layer that is not there')
})

t.test('a directory that cannot be read is not an empty one', async (t) => {
  const prefix = makeTree(t, { 'data/l/0/file': '' })
  const list = makeList()
  t.same(list(`${prefix}/nowhere`), [], 'what is not there has nothing in it')
  t.same(list(`${prefix}/data/l/0/file`), [], 'nor has a file')
  // The only error that a directory can be had to give without a disk that fails.
  const tooLong = `${prefix}/${'x/'.repeat(3000)}`
  t.throws(() => list(tooLong), { message: /x: name too long$|x\/: name too long$/ })
  const failing = (path: string) => {
    if (path.endsWith('/usr')) throw new Error('/data/l/0/usr: i/o error')
    return list(path)
  }
  const layers = { directory: '/data', lower: ['l/0'] }
  const usr = makeTree(t, { 'data/l/0/usr/lib/x': '' })
  t.throws(() => readContents({ prefix: usr }, layers, RELEASE, failing), /usr: i\/o error/)
})
