import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkDirectory, isStoreId, openStore, readRecords } from '../../../src/engine/podman-store.js'
import { copyPodman, GRAPHROOT, IMAGES } from '../../support/podman.js'
import { makeTree } from '../../support/tree.js'

t.test('an ID', async (t) => {
  t.equal(isStoreId('0123456789abcdef'.repeat(4)), true)
  for (const other of ['', 'x', 'A'.repeat(64), 'a'.repeat(65), `${'a'.repeat(64)}\n`, 5, null, undefined])
    t.equal(isStoreId(other), false, `${other}`)
})

t.test('images and layers, read when they are needed', async (t) => {
  const { root, data } = copyPodman(t)
  const store = openStore(root, GRAPHROOT, false)
  const { size } = store.layers()
  t.ok(size > 20)
  t.ok([...store.layers()].every(([id, record]) => record.id === id))
  rmSync(join(data, 'overlay-layers/layers.json'))
  t.equal(store.layers().size, size, 'once')
  t.ok(openStore(root, GRAPHROOT, false).layers().size < size)
  t.ok(openStore(root, GRAPHROOT, false).layers().size > 0, 'those that do not last have a list of their own')
  t.equal(openStore(root, '/nowhere', true).images().size, 0)
})

t.test('a list with damage', async (t) => {
  const { root, data } = copyPodman(t)
  const file = join(data, 'overlay-images/images.json')
  const read = (text: string) => {
    writeFileSync(file, text)
    return openStore(root, GRAPHROOT, false).images()
  }
  const id = 'a'.repeat(64)
  const place = `${GRAPHROOT}/overlay-images/images.json`
  t.throws(() => read('[{}]'), { message: `${place}: an entry has no ID` })
  t.throws(() => read(`[{"id":"${id}"},{"id":"${id}"}]`), { message: `${place}: ${id} is listed twice` })
  t.throws(() => read('['), { message: `${place}: not valid JSON, 1 characters: truncated or damaged` })
  t.equal(read(`[{"id":"${id}"}]`).size, 1)
  chmodSync(file, 0o666)
  t.throws(() => read('[]'), { message: /images\.json: can be written by users other than root/ })
  rmSync(file)
  symlinkSync('/etc/passwd', file)
  t.throws(() => openStore(root, GRAPHROOT, false).images(), {
    message: `${place}: not a regular file but a symbolic link`,
  })
})

t.test('another store is trusted only if nobody else can change it', async (t) => {
  const { root, images } = copyPodman(t)
  const problem = () => {
    try {
      openStore(root, IMAGES, true).images()
    } catch (error) {
      return (error as Error).message
    }
    return undefined
  }
  t.equal(problem(), undefined)
  chmodSync(root.prefix, 0o755)
  chmodSync(images, 0o755)
  t.match(problem(), `${IMAGES}/overlay: users other than root can enter it`)
  chmodSync(images, 0o700)
  for (const name of ['overlay', 'overlay/l', 'overlay-images', 'overlay-layers']) {
    chmodSync(join(images, name), 0o777)
    t.equal(problem(), `${IMAGES}/${name}: can be written by users other than root (mode 0777)`)
    chmodSync(join(images, name), 0o755)
  }
  rmSync(images, { recursive: true })
  t.equal(problem(), undefined, 'one that is not there')
  symlinkSync('/', images)
  t.equal(problem(), `${IMAGES}: not a directory but a symbolic link`)
})

t.test('a directory', async (t) => {
  const root = { prefix: makeTree(t, { 'fit/x': '', file: '', link: '-> fit' }) }
  checkDirectory(root, '/fit')
  t.throws(() => checkDirectory(root, '/none'), { message: '/none: no such directory' })
  t.throws(() => checkDirectory(root, '/file'), { message: '/file: not a directory but a file' })
  t.throws(() => checkDirectory(root, '/link'), { message: '/link: not a directory but a symbolic link' })
  chmodSync(join(root.prefix, 'fit'), 0o1777)
  t.throws(() => checkDirectory(root, '/fit'), {
    message: '/fit: can be written by users other than root (mode 1777)',
  })
})

t.test('a list is bounded, and may be absent', async (t) => {
  const root = { prefix: makeTree(t, { 'list.json': '[{"a":1},{}]' }) }
  t.same(readRecords(root, '/list.json'), [{ a: 1 }, {}])
  t.equal(readRecords(root, '/none.json'), undefined)
  t.throws(() => readRecords(root, '/list.json', 5), { message: '/list.json: 12 bytes, more than 5' })
  mkdirSync(join(root.prefix, 'directory.json'))
  t.throws(() => readRecords(root, '/directory.json'), {
    message: '/directory.json: not a regular file but a directory',
  })
})
