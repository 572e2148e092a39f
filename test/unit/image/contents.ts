import t from 'tap'
import { makeList, readContents } from '../../../src/image/contents.js'
import { makeTree, type Tree } from '../../support/tree.js'

const RELEASE = '6.1.0-1-amd64'
/** What is found in a tree of these files. */
function contents(t: Parameters<typeof makeTree>[0], files: Tree) {
  const { top, indexes, sysusers } = readContents(makeTree(t, files), RELEASE)
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
})

t.test('users', async (t) => {
  for (const path of ['usr/lib/sysusers.d/x.conf', 'etc/sysusers.d/x.conf'])
    t.ok(contents(t, { [path]: '' }).sysusers, path)
})

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
  t.same(contents(t, {}).top, [], 'an empty tree')
  t.same(readContents('/nonexistent/tree', RELEASE).top, [], 'a tree that is not there')
})

t.test('a directory that cannot be read is not an empty one', async (t) => {
  const tree = makeTree(t, { 'usr/lib/x': '', file: '' })
  const list = makeList()
  t.same(list(`${tree}/nowhere`), [], 'what is not there has nothing in it')
  t.same(list(`${tree}/file`), [], 'nor has a file')
  // The only error that a directory can be had to give without a disk that fails.
  const tooLong = `${tree}/${'x/'.repeat(3000)}`
  t.throws(() => list(tooLong), { message: /x: name too long$|x\/: name too long$/ })
  const failing = (path: string) => {
    if (path.endsWith('/usr')) throw new Error(`${path}: i/o error`)
    return list(path)
  }
  t.throws(() => readContents(tree, RELEASE, failing), /usr: i\/o error/)
})
