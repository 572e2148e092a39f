import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { readDocker } from '../../../src/engine/docker.js'
import type { Engine } from '../../../src/engine/engine.js'
import { readExtensions } from '../../../src/image/extensions.js'
import type { Look } from '../../../src/image/image.js'
import { TREES, treePath } from '../../../src/image/kept.js'
import {
  copyDataRoot,
  DATA,
  find,
  HOST,
  makeLook,
  onlyPlaces,
  placeAt,
  prepareAll,
  found as readAll,
} from '../../support/data-root.js'

t.test('the extensions of an engine', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const { extensions, leftOut, messages } = readAll(root)
  t.same(extensions.map(({ container }) => container.name).sort(), [
    'additive',
    'many-layers',
    'one-layer',
    'override',
  ])
  t.same([leftOut, messages], [[], []])
})

t.test('a fault leaves out one, with its name and why', async (t) => {
  for (const [damage, leftOut] of [
    [(text: string) => text.slice(0, 500), { who: 'a container', why: /config\.v2\.json: not valid JSON/ }],
    [
      (text: string) => text.replace('"Dead":false', '"Dead":true'),
      { who: /^one-layer /, why: 'the engine is removing it (State.Dead)' },
    ],
    [
      (text: string) => text.replace('"RemovalInProgress":false', '"RemovalInProgress":true'),
      { who: /^one-layer /, why: 'the engine is removing it (State.RemovalInProgress)' },
    ],
    [
      (text: string) => text.replace('"Driver":"overlay2"', '"Driver":"btr\\nfs"'),
      {
        who: /^one-layer /,
        why: 'its storage driver is "btr\\x0afs", not overlay2 or overlayfs (containerd\'s store)',
      },
    ],
  ] as const) {
    const { root, data } = copyDataRoot(t)
    await prepareAll(root)
    const { config } = find(data, 'one-layer')
    writeFileSync(config, damage(readFileSync(config, 'utf8')))
    const found = readAll(root)
    t.equal(found.extensions.length, 3)
    t.match(found.leftOut, [leftOut])
    t.equal(found.leftOut.length, 1)
  }
})

t.test('what an earlier version has made to hold an image is named in one line', async (t) => {
  const { root, data } = copyDataRoot(t, 'holders')
  const [id = ''] = readdirSync(join(data, 'containers'))
  const text = readFileSync(join(data, 'containers', id, 'config.v2.json'), 'utf8')
  const found = () => readAll(root)
  const [name, image] = ['hostext-hold-001c5f1bce98', /"Image":"sha256:001c5f1bce98/g]
  const notice = (text: string, count: number) => ({
    ...{ dataRoot: undefined, count, extensions: [], unprepared: [], leftOut: [], trees: [] },
    messages: [{ level: 'notice', text }],
  })
  t.same(found(), notice(`container ${name} is no longer needed: "docker rm" may remove it`, 1))

  const add = (digit: string, change: (text: string) => string) => {
    const other = digit.repeat(64)
    mkdirSync(join(data, 'containers', other))
    writeFileSync(join(data, 'containers', other, 'config.v2.json'), change(text.replaceAll(id, other)))
  }
  add('1', (text) => text.replace(name, 'mine'))
  add('2', (text) => text.replaceAll(image, '"Image":"sha256:001c5f1bce99'))
  add('3', (text) => text.replace('"io.hostext.hold"', '"io.hostext.held"'))
  add('4', (text) => text.replace('"Dead":false', '"Dead":true'))
  t.same(
    found(),
    notice(`container ${name} is no longer needed: "docker rm" may remove it`, 5),
    'no other one',
  )
  add('5', (text) =>
    text.replace(name, 'hostext-hold-001c5f1bce99').replaceAll(image, '"Image":"sha256:001c5f1bce99'),
  )
  const names = `hostext-hold-001c5f1bce99, ${name}`
  t.same(found(), notice(`containers ${names} are no longer needed: "docker rm" may remove them`, 6))
})

t.test('what is wrong with a container that is no extension is nobody’s business', async (t) => {
  const { root, data } = copyDataRoot(t)
  const { config, mountId } = find(data, 'service')
  writeFileSync(config, readFileSync(config, 'utf8').replace('"Driver":"overlay2"', '"Driver":"vfs"'))
  rmSync(join(data, 'overlay2', mountId), { recursive: true })
  t.same(readAll(root).leftOut, [])
})

t.test('what is known to be the image of a container is not looked up again', async (t) => {
  const { root, data } = copyDataRoot(t)
  /** What is known of the layers of each extension, by its name. */
  const known = (look: Partial<Look> = {}, isTold = true) => {
    const engine = readDocker(root, placeAt(DATA), onlyPlaces([]))
    const hasLayers = isTold ? engine.hasLayers : () => false
    const answers = new Map<string, boolean | undefined>()
    const layers: Engine['layers'] = (container, isKnown) => {
      const layers = engine.layers(container)
      answers.set(container.name, isKnown?.(layers))
      return layers
    }
    readExtensions(root, { ...engine, hasLayers, layers }, makeLook(root, look))
    return answers
  }
  const all = (answer: boolean) =>
    ['additive', 'many-layers', 'one-layer', 'override'].map((name) => [name, answer])
  t.same([...known()].sort(), all(false))
  t.same([...known({ isFirst: true })].sort(), all(true), 'whoever prepares them will')
  await prepareAll(root)
  t.same([...known()], [], 'it was, when the trees were made')
  t.same([...known({}, false)].sort(), all(true), 'and so it was if an ID may stand for several images')
  // The image was pulled once more: its files are others, even if they should be the same.
  const { mountId } = find(data, 'one-layer')
  const lower = join(data, 'overlay2', mountId, 'lower')
  const [init, top = ''] = readFileSync(lower, 'utf8').split(':')
  const again = `l/${'Z'.repeat(26)}`
  renameSync(join(data, 'overlay2', top), join(data, 'overlay2', again))
  writeFileSync(lower, `${init}:${again}`)
  t.same(known().get('one-layer'), false)
  const { unprepared } = readExtensions(root, readDocker(root, placeAt(DATA), onlyPlaces([])), makeLook(root))
  t.match(unprepared, [{ container: { name: 'one-layer' }, layers: { key: 'Z'.repeat(26) } }])
  renameSync(join(data, 'overlay2', again), join(data, 'overlay2', top))
  writeFileSync(lower, `${init}:${top}`)
  const mount = join(data, 'image/overlay2/layerdb/mounts', find(data, 'one-layer').id)
  renameSync(mount, `${mount}.lost`)
  const lost = readExtensions(root, readDocker(root, placeAt(DATA), onlyPlaces([])), makeLook(root))
  t.match(lost.leftOut, [{ why: /mount-id: no such file/ }], 'the engine does not list it any more')
  renameSync(`${mount}.lost`, mount)
  const { config } = find(data, 'one-layer')
  const text = readFileSync(config, 'utf8')
  writeFileSync(config, text.replace(/"Image":"sha256:[0-9a-f]{4}/, '"Image":"sha256:0000'))
  t.same(known().get('one-layer'), false, 'the same layers of another image')
})

t.test('containers that cannot be listed', async (t) => {
  const { root, data } = copyDataRoot(t)
  rmSync(join(data, 'containers'), { recursive: true })
  writeFileSync(join(data, 'containers'), '')
  t.same(readAll(root).extensions, [])
})

t.test('places that are covered', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const oneLayer = (...places: string[]) => {
    const { extensions } = readAll(root, makeLook(root, { places }))
    const found = extensions.find(({ container }) => container.name === 'one-layer')
    if (!found) throw new Error('no one-layer')
    return found
  }
  t.same(oneLayer('/var', '/usr', '/usr/share/one-layer', '/usr/share/none').covered, [
    '/usr',
    '/usr/share/one-layer',
  ])
  const tree = root.prefix + treePath(DATA, oneLayer().tree)
  mkdirSync(join(tree, 'var'))
  t.same(oneLayer('/var').covered, [], 'an empty directory hides nothing')
  writeFileSync(join(tree, 'var/file'), '')
  t.same(oneLayer('/var').covered, ['/var'])
})

t.test('libraries where only the root’s index leads', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const oneLayer = () => readAll(root).extensions.find(({ container }) => container.name === 'one-layer')
  const tree = oneLayer()?.tree ?? ''
  t.same(oneLayer()?.contents.indexes, [])
  const file = join(dirname(root.prefix + treePath(DATA, tree)), 'facts')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), indexed: true }))
  t.same(oneLayer()?.contents.indexes, ['libraries'])
})

t.test('of the labels those that later boots have to ask for', async (t) => {
  const { root, data } = copyDataRoot(t)
  await prepareAll(root)
  const { config } = find(data, 'one-layer')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  json.Config.Labels['io.balena.image.kernel-version'] = '6.1.0'
  json.Config.Labels.another = 'x'
  writeFileSync(config, JSON.stringify(json))
  const { extensions } = readAll(root)
  const one = extensions.find(({ container }) => container.name === 'one-layer')
  t.same(one?.labels, [['io.balena.image.kernel-version', '6.1.0']])
})

t.test('an image has to be prepared, once', async (t) => {
  const { root, data } = copyDataRoot(t)
  const names = () => readAll(root).unprepared.map(({ container }) => container.name)
  t.same(names().sort(), ['additive', 'many-layers', 'one-layer', 'override'])
  t.same(readAll(root).extensions, [])
  await prepareAll(root)
  t.same(names(), [])
  const { config } = find(data, 'one-layer')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  json.Config.Labels['io.balena.image.kernel-version'] = '5.0.0'
  writeFileSync(config, JSON.stringify(json))
  const found = readAll(root)
  t.equal(found.trees.length, 4, 'one that is left out keeps its tree')
  t.match(found.leftOut, [{ who: /^one-layer /, why: /it is for kernel 5\.0\.0/ }])
  rmSync(join(data, 'hostext/trees'), { recursive: true })
  t.same(names().sort(), ['additive', 'many-layers', 'override'], 'what does not fit is not prepared')
})

t.test('a mount point that the root lacks, and the image has something else there', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const first = readAll(root).extensions[0]
  const tree = join(root.prefix, DATA, TREES, first?.tree ?? '', 'tree')
  mkdirSync(join(tree, 'srv/app'), { recursive: true })
  symlinkSync('srv', join(tree, 'data'))
  writeFileSync(join(tree, 'srv/file'), '')
  for (const absent of [['/srv/app'], ['/srv/none'], ['/none', '/srv/app/deeper']])
    t.equal(readAll(root, makeLook(root, { absent })).extensions.length, 4, absent.join())
  for (const place of ['/data', '/data/deeper', '/srv/file']) {
    const { extensions, leftOut } = readAll(root, makeLook(root, { absent: ['/none', place] }))
    t.equal(extensions.length, 3)
    t.match(leftOut, [{ who: first?.container.name, why: `a file system is to be mounted on ${place}, and` }])
  }
})

t.test('programs for another processor', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const facts = join(root.prefix, DATA, TREES, readAll(root).extensions[0]?.tree ?? '', 'facts')
  const mismatch = { image: 'arm64', root: 'amd64' }
  writeFileSync(facts, JSON.stringify({ ...JSON.parse(readFileSync(facts, 'utf8')), mismatch }))
  for (const boot of [1, 2]) {
    const { extensions, messages } = readAll(root)
    t.equal(extensions.length, 4, `boot ${boot}`)
    t.match(messages, [
      {
        level: 'warning',
        text: /: its programs are for arm64, and this machine's for amd64: they do not run/,
      },
    ])
  }
})

t.test('a whole system of another release', async (t) => {
  const { root } = copyDataRoot(t)
  await prepareAll(root)
  const first = readAll(root).extensions[0]
  const facts = join(root.prefix, DATA, TREES, first?.tree ?? '', 'facts')
  writeFileSync(facts, JSON.stringify({ ...JSON.parse(readFileSync(facts, 'utf8')), foreign: 'alpine 3\n' }))
  const warned = readAll(root)
  t.equal(warned.extensions.length, 4)
  t.match(warned.messages, [
    {
      level: 'warning',
      text: /: it is a whole system \(alpine 3\\x0a\), and this one is unnamed: its programs/,
    },
  ])
  const skipped = readAll(root, makeLook(root, { host: { ...HOST, skipsForeign: true } }))
  t.equal(skipped.extensions.length, 3)
  t.match(skipped.leftOut, [{ why: /^it is a whole system \(alpine 3\\x0a\), .*: ForeignSystem=skip$/ }])
  t.equal(skipped.trees.length, 4, 'it is not prepared in each boot')
})
