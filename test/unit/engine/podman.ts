import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Container } from '../../../src/engine/engine.js'
import { findUnfitPodman, isPodman, readPodman } from '../../../src/engine/podman.js'
import { seeNothing } from '../../../src/machine/seen.js'
import { copyPodman, GRAPHROOT, IMAGES } from '../../support/podman.js'
import { makeTree } from '../../support/tree.js'

const FEATURE = 'io.balena.features.host-extension'

t.test('what a real Podman wrote', async (t) => {
  const podman = copyPodman(t)
  const { home, containers, hostConfig } = podman.read()
  t.equal(home(containers[0] as Container), GRAPHROOT)
  const read = containers.flatMap((container) => ('problem' in container ? [] : container))
  t.same(
    read.map(({ id }) => id),
    read.map(({ id }) => id).sort(),
    'in the order of their IDs',
  )
  t.same(
    Object.fromEntries(
      read.map((container) => [
        container.name,
        [
          container.image.replace('localhost/', ''),
          container.labels.get(FEATURE) ?? '',
          container.start,
          hostConfig(container).isTemporary ? 'temporary' : '',
          container.refused ?? '',
        ].join(' '),
      ]),
    ),
    {
      plain: 'plain:1  never  ',
      labelled: 'plain:1  never  ',
      app: 'app:1 1 never  ',
      layers: 'layers:1 1 never  ',
      renamed: 'app:1 1 never  ',
      base: 'base:1 1 never  ',
      mixed: 'mixed:1 1 never  ',
      mapped: 'app:1 1 never  ',
      'in-pod': 'app:1 1 never  ',
      'no-image': 'no image  never  ',
      once: 'app:1 1 never temporary ',
      started: 'app:1 1 done  ',
      initialized: 'app:1 1 done  ',
      running: 'app:1 1 done  ',
      'running-once': 'app:1 1 done temporary ',
      failed: 'app:1 1 done  ',
      working: `sha256:${podman.record('app').image} 1 never temporary it is a working container of buildah, not one that Podman lists`,
    },
  )
  t.equal(read.length, containers.length, 'and nothing that cannot be read')

  const { id, image } = podman.record('app')
  const app = podman.find('app')
  t.strictSame(
    { ...app, labels: [...app.labels.keys()].sort() },
    {
      id,
      name: 'app',
      image: 'localhost/app:1',
      imageId: `sha256:${image}`,
      labels: [FEATURE, 'io.balena.image.override', 'io.buildah.version'],
      start: 'never',
      isBuildStep: false,
      refused: undefined,
      source: `${GRAPHROOT}/overlay-containers/containers.json`,
    },
  )
  t.equal(hostConfig(app).runtime, undefined)
  t.equal(podman.find('once').source, `${GRAPHROOT}/overlay-containers/volatile-containers.json`)
})

t.test('of containers that nobody asks for no file is looked at', async (t) => {
  const podman = copyPodman(t)
  const directory = (name: string) => `${GRAPHROOT}/overlay-containers/${podman.record(name).id}`
  for (const name of ['plain', 'running'])
    rmSync(join(podman.root.prefix, directory(name)), { recursive: true })
  const seen = seeNothing()
  const { containers } = readPodman({ ...podman.root, seen }, GRAPHROOT, [IMAGES], undefined, (labels) =>
    labels.has(FEATURE),
  )
  t.ok(containers.some((container) => 'name' in container && container.name === 'plain'))
  t.match(
    containers.filter((container) => 'problem' in container),
    [{ problem: `${directory('running')}: no such directory` }],
    'a flagged one may have been started',
  )
  const paths = [...Object.values(seen)].flatMap((kind) =>
    kind instanceof Map ? [...kind.keys()] : [...kind],
  )
  const isSeen = (name: string) => paths.some((path) => `${path}`.includes(directory(name)))
  t.ok(isSeen('running') && isSeen('app'))
  t.notOk(isSeen('plain'), 'so a known boot does not look at it, either')
  t.notOk(isSeen('labelled'))
})

t.test('no Podman', async (t) => {
  const root = { prefix: makeTree(t) }
  t.equal(isPodman(root, GRAPHROOT), false)
  t.same(readPodman(root, GRAPHROOT, []).containers, [])
  t.equal(findUnfitPodman(root, GRAPHROOT), undefined)
  mkdirSync(join(root.prefix, GRAPHROOT), { recursive: true })
  writeFileSync(join(root.prefix, GRAPHROOT, 'overlay-containers'), '')
  t.equal(isPodman(root, GRAPHROOT), true, 'or something else has that name')
  t.equal(findUnfitPodman(root, GRAPHROOT), `${GRAPHROOT}/overlay-containers: not a directory but a file`)
})

t.test('a storage that cannot be trusted', async (t) => {
  const { root, data } = copyPodman(t)
  t.equal(findUnfitPodman(root, GRAPHROOT), undefined)
  for (const name of [
    'hostext',
    'hostext/trees',
    'overlay',
    'overlay/l',
    'overlay-containers',
    'overlay-images',
    'overlay-layers',
  ]) {
    const place = join(data, name)
    mkdirSync(place, { recursive: true })
    chmodSync(place, 0o777)
    t.equal(
      findUnfitPodman(root, GRAPHROOT),
      `${GRAPHROOT}/${name}: can be written by users other than root (mode 0777)`,
    )
    chmodSync(place, 0o755)
  }
  rmSync(join(data, 'overlay-images'), { recursive: true })
  symlinkSync('/etc', join(data, 'overlay-images'))
  t.equal(
    findUnfitPodman(root, GRAPHROOT),
    `${GRAPHROOT}/overlay-images: not a directory but a symbolic link`,
  )
})

t.test('a storage that others can enter', async (t) => {
  const { root, data } = copyPodman(t)
  const open = `${GRAPHROOT}/overlay: users other than root can enter it, and change what they own in the images; "chmod go-x ${GRAPHROOT}/overlay" keeps them out`
  chmodSync(root.prefix, 0o755)
  chmodSync(data, 0o755)
  t.equal(findUnfitPodman(root, GRAPHROOT), open)
  chmodSync(join(data, 'overlay'), 0o700)
  t.equal(findUnfitPodman(root, GRAPHROOT), undefined)
})

t.test('a container that cannot be read does not touch the others', async (t) => {
  const id = '0'.repeat(64)
  const podman = copyPodman(t)
  const app = podman.record('app')
  const list = join(podman.data, 'overlay-containers/containers.json')
  const sound = readFileSync(list)
  for (const [change, problem] of [
    [{ id: 5 }, 'id is not a container ID'],
    [{ id: '../../etc' }, 'id is not a container ID'],
    [{ id: `${id}\n` }, 'id is not a container ID'],
    [{ id }, `container 000000000000: ${GRAPHROOT}/overlay-containers/${id}: no such directory`],
    [{ layer: undefined }, 'layer is not a layer ID'],
    [{ layer: '../..' }, 'layer is not a layer ID'],
    [{ image: { toString: 1 } }, 'image is not an image ID'],
    [{ image: 'x' }, 'image is not an image ID'],
    [{ image: undefined }, 'image is not the one in its metadata'],
    [{ image: id }, 'image is not the one in its metadata'],
    [{ metadata: 5 }, 'metadata is not the text of a JSON object'],
    [{ metadata: '{"name":"app"' }, 'metadata is not the text of a JSON object'],
    [{ metadata: '[]' }, 'metadata is not the text of a JSON object'],
    [
      { image: id, metadata: `{"name":"app","image-id":"${id}"}` },
      `its image 000000000000 is not in ${GRAPHROOT} or ${IMAGES}`,
    ],
  ] as const) {
    writeFileSync(list, sound)
    podman.edit('overlay-containers/containers.json', (records) => {
      Object.assign(records.find((record) => record.id === app.id) ?? {}, change)
    })
    const { containers } = podman.read()
    t.equal(
      containers.filter((container) => 'name' in container).length,
      16,
      `${problem}: the others are read`,
    )
    const who = 'id' in change ? '' : `container ${app.id.slice(0, 12)}: `
    t.strictSame(
      containers.filter((container) => 'problem' in container),
      [{ source: `${GRAPHROOT}/overlay-containers/containers.json`, problem: who + problem }],
    )
  }
})

t.test('of two that are listed with one ID, nobody knows which it is', async (t) => {
  const podman = copyPodman(t)
  const { id } = podman.record('app')
  const before = podman.read().containers.filter((container) => !('problem' in container))
  // The first one is another container, with another layer.
  podman.edit('overlay-containers/containers.json', (records) => {
    const other = records.find((record) => record.id !== id)
    records.unshift({ ...other, id })
  })
  const { containers } = podman.read()
  const problem = {
    source: `${GRAPHROOT}/overlay-containers/containers.json`,
    problem: `container ${id.slice(0, 12)}: it is listed twice`,
  }
  t.strictSame(
    containers.filter((container) => 'problem' in container),
    [problem, problem],
  )
  t.strictSame(
    containers.filter((container) => !('problem' in container)),
    before.filter((container) => !('problem' in container) && container.id !== id),
  )
})

t.test('lists that cannot be read', async (t) => {
  const { data, read } = copyPodman(t)
  for (const [text, message] of [
    ['', /containers\.json: not valid JSON, 0 characters: truncated or damaged$/],
    ['[{"id":', /containers\.json: not valid JSON, 7 characters/],
    ['{}', /containers\.json: not a JSON array$/],
    ['null', /containers\.json: not a JSON array$/],
    ['[{},5]', /containers\.json: entry 2 is not a JSON object$/],
    [' '.repeat((16 << 20) + 1), /containers\.json: 16777217 bytes, more than 16777216$/],
    [
      JSON.stringify(Array.from({ length: 10_001 }, () => ({}))),
      /overlay-containers: 100\d\d containers, more than 10000$/,
    ],
  ] as const) {
    writeFileSync(join(data, 'overlay-containers/containers.json'), text)
    t.throws(read, { message })
  }
})

t.test('names and images that are none', async (t) => {
  const podman = copyPodman(t)
  const { id, image } = podman.record('app')
  const read = (change: object) => {
    podman.edit('overlay-containers/containers.json', (records) => {
      Object.assign(records.find((record) => record.id === id) ?? {}, change)
    })
    const found = podman.read().containers.find((container) => 'id' in container && container.id === id)
    return found && 'name' in found ? [found.name, found.image, found.refused] : found
  }
  const metadata = (more: object): string => JSON.stringify({ name: 'own', 'image-id': image, ...more })
  t.strictSame(read({ names: ['x\n', 'other'] }), ['x\n', 'localhost/app:1', undefined], 'unchecked text')
  for (const names of [undefined, null, [], [5], 'text'])
    t.strictSame(read({ names, metadata: metadata({}) }), ['own', `sha256:${image}`, undefined], `${names}`)
  const crio = 'it belongs to CRI-O'
  t.strictSame(read({ metadata: metadata({ 'pod-id': '' }) }), ['own', `sha256:${image}`, crio])
  t.strictSame(read({ metadata: metadata({ 'pod-name': 'p' }) }), ['own', `sha256:${image}`, crio])
  t.match(read({ metadata: undefined }), ['', `sha256:${image}`, 'it is a working container of buildah'])
})

t.test('what is not Podman’s is no loss if it cannot be read', async (t) => {
  const podman = copyPodman(t)
  podman.edit('overlay-containers/volatile-containers.json', (records) => {
    for (const record of records) if (!record.metadata) record.image = '0'.repeat(64)
  })
  const { labels, refused } = podman.find('working')
  t.equal(labels.size, 0)
  t.match(refused, 'working container of buildah')
})

t.test('whether it was started: anything but directories in its userdata', async (t) => {
  const podman = copyPodman(t)
  const { id } = podman.record('app')
  const userdata = join(podman.data, 'overlay-containers', id, 'userdata')
  const start = () => podman.find('app').start
  t.equal(start(), 'never')
  for (const name of ['config.json', 'ctl', 'anything']) {
    writeFileSync(join(userdata, name), '')
    t.equal(start(), 'done', name)
    rmSync(join(userdata, name))
  }
  symlinkSync('/', join(userdata, 'link'))
  t.equal(start(), 'done', 'a link is no directory')
  rmSync(join(userdata, 'link'))
  t.equal(start(), 'never')

  const problem = () => podman.read().containers.filter((container) => 'problem' in container)
  const source = `${GRAPHROOT}/overlay-containers/containers.json`
  const who = `container ${id.slice(0, 12)}: ${GRAPHROOT}/overlay-containers/${id}`
  chmodSync(userdata, 0o777)
  t.strictSame(problem(), [
    { source, problem: `${who}/userdata: can be written by users other than root (mode 0777)` },
  ])
  rmSync(userdata, { recursive: true })
  t.strictSame(problem(), [{ source, problem: `${who}/userdata: no such directory` }])
})

t.test('a volatile container in the list of all, as Podman 4.3 has it', async (t) => {
  const podman = copyPodman(t)
  const { id } = podman.record('app')
  podman.edit('overlay-containers/containers.json', (records) => {
    Object.assign(records.find((record) => record.id === id) ?? {}, { flags: { Volatile: true } })
  })
  const { hostConfig } = podman.read()
  t.equal(hostConfig(podman.find('app')).isTemporary, true)
  t.equal(hostConfig(podman.find('layers')).isTemporary, false)
  t.throws(() => hostConfig({ ...podman.find('app'), id: 'x' }), { message: /no container x$/ })
})
