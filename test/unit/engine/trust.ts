import { chmodSync, chownSync, mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { findUnfitDocker } from '../../../src/engine/docker.js'
import { findDataRoots } from '../../../src/engine/places.js'
import { findOtherWriter, findUnfitDirectory } from '../../../src/engine/trust.js'
import { statLink } from '../../../src/machine/files.js'
import { copyDataRoot, DATA, enginesAt, find, prepareAll } from '../../support/data-root.js'
import { makeTree } from '../../support/tree.js'

const isRoot = process.getuid?.() === 0
const read = (root: { prefix: string }, exposed: Record<string, string> = {}) => {
  const [engine] = enginesAt(root, [DATA], { exposed })
  if (!engine) throw new Error('no engine')
  return engine
}

t.test('who else could write', async (t) => {
  const root = { prefix: makeTree(t, { file: '', 'directory/x': '', link: '-> directory' }) }
  const ask = (path: string, mode: number) => {
    chmodSync(root.prefix + path, mode)
    const stat = statLink(root, path)
    return stat && findOtherWriter(stat)
  }
  for (const mode of [0o400, 0o600, 0o644, 0o755, 0o4755]) t.equal(ask('/file', mode), undefined)
  t.equal(ask('/file', 0o646), 'can be written by users other than root (mode 0646)')
  t.equal(ask('/directory', 0o1777), 'can be written by users other than root (mode 1777)')
  t.equal(
    ask('/directory', 0o775),
    isRoot ? 'can be written by users other than root (mode 0775)' : undefined,
    'the group of a user who makes a dry run is his own',
  )
  t.equal(findUnfitDirectory(root, '/link'), 'not a directory but a symbolic link')
  t.equal(findUnfitDirectory(root, '/file'), 'not a directory but a file')
  t.equal(findUnfitDirectory(root, '/none'), undefined)
})

t.test('what belongs to somebody else', { skip: !isRoot && 'only root gives files away' }, async (t) => {
  const root = { prefix: makeTree(t, { file: '' }) }
  chownSync(join(root.prefix, 'file'), 1000, 0)
  t.equal(findUnfitDirectory(root, '/file'), 'not a directory but a file')
  t.match(findOtherWriter(statLink(root, '/file') as never), 'belongs to user 1000, not to root')

  const { root: machine, data } = copyDataRoot(t)
  chownSync(data, 1000, 0)
  const { exposed } = findDataRoots(machine, DATA)
  t.equal(exposed[DATA], `${DATA} belongs to user 1000, not to root`)
  t.match(read(machine, exposed), {
    extensions: { length: 0 },
    leftOut: [{ who: `everything the engine keeps in ${DATA}`, why: 'belongs to user 1000' }],
  })
})

t.test('one container that others can write to is left out, and no more', async (t) => {
  for (const [what, damage, why] of [
    ['its directory', (config: string) => chmodSync(dirname(config), 0o777), 'its directory: can be written'],
    ['its metadata', (config: string) => chmodSync(config, 0o666), 'can be written by users other than root'],
    [
      'its metadata elsewhere',
      (config: string) => {
        renameSync(config, `${dirname(config)}/x`)
        symlinkSync('x', config)
      },
      'not a regular file but a symbolic link',
    ],
  ] as const) {
    const { root, data } = copyDataRoot(t)
    await prepareAll(root)
    const before = read(root).extensions.length
    const { config, id } = find(data, 'one-layer')
    damage(config)
    const { extensions, leftOut } = read(root)
    t.equal(extensions.length, before - 1, what)
    t.match(leftOut, [{ who: 'a container', why: `${DATA}/containers/${id}/config.v2.json: ${why}` }], what)
  }
})

t.test('a layer that others can write to leaves its extensions out', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { mountId } = find(data, 'one-layer')
  const before = read(root).unprepared.length
  chmodSync(join(data, 'overlay2', mountId, 'lower'), 0o666)
  const { unprepared, leftOut } = read(root)
  t.equal(unprepared.length, before - 1)
  t.match(leftOut, [{ why: /\/lower: can be written by users other than root \(mode 0666\)/ }])
})

t.test('of an image that is prepared, nobody asks for the layers', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { mountId } = find(data, 'one-layer')
  await prepareAll(root)
  const before = read(root)
  chmodSync(join(data, 'overlay2', mountId, 'lower'), 0o666)
  t.same(read(root), before)
})

t.test('the directories of the engine and of the records', async (t) => {
  for (const name of [
    'containers',
    'overlay2',
    'overlay2/l',
    'image/overlay2/layerdb/mounts',
    'hostext',
    'hostext/trees',
  ]) {
    const { root, data } = copyDataRoot(t)
    mkdirSync(join(data, 'hostext/trees'), { recursive: true, mode: 0o700 })
    t.equal(findUnfitDocker(root, DATA), undefined)
    chmodSync(join(data, name), 0o777)
    t.equal(
      findUnfitDocker(root, DATA),
      `${DATA}/${name}: can be written by users other than root (mode 0777)`,
    )
    chmodSync(join(data, name), 0o755)
    renameSync(join(data, name), join(data, 'moved'))
    symlinkSync(join(data, 'moved'), join(data, name))
    t.equal(findUnfitDocker(root, DATA), `${DATA}/${name}: not a directory but a symbolic link`)
    t.match(read(root), {
      extensions: { length: 0 },
      leftOut: [{ who: `everything the engine keeps in ${DATA}` }],
    })
  }
})

t.test('a store of layers that others can enter', async (t) => {
  const { root, data } = copyDataRoot(t)
  const store = join(data, 'overlay2')
  const why = `${DATA}/overlay2: users other than root can enter it, and change what they own in the images; "chmod go-x ${DATA}/overlay2" keeps them out`
  // As engines make them: before 20.10, 20.10.9 and later, 20.10.0; and what a group may enter.
  for (const mode of [0o700, 0o710, 0o750]) {
    chmodSync(store, mode)
    t.equal(findUnfitDocker(root, DATA), undefined, mode.toString(8))
  }
  for (const mode of [0o701, 0o711, 0o755, 0o751]) {
    chmodSync(store, mode)
    t.equal(findUnfitDocker(root, DATA), why, mode.toString(8))
  }
  t.same(read(root).leftOut, [{ who: `everything the engine keeps in ${DATA}`, why }])
  t.same(read(root).extensions, [])
  for (const place of [data, dirname(data)]) {
    chmodSync(place, 0o710)
    t.equal(findUnfitDocker(root, DATA), undefined, 'a directory above it keeps them out as well')
    chmodSync(place, 0o755)
  }
  if (isRoot) {
    chmodSync(store, 0o710)
    chownSync(store, 0, 1000)
    t.equal(findUnfitDocker(root, DATA), why, 'a group of users')
  }
})

t.test('a directory on the way that others can write to', async (t) => {
  const root = { prefix: makeTree(t, { 'shared/docker/containers/x': '', 'own/link': '-> /shared/docker' }) }
  chmodSync(join(root.prefix, 'shared'), 0o1777)
  const { exposed } = findDataRoots(root, '/own/link')
  t.equal(exposed['/shared/docker'], '/shared can be written by users other than root (mode 1777)')
})
