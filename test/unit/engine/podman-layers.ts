import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Layers } from '../../../src/engine/engine.js'
import { readPodman } from '../../../src/engine/podman.js'
import type { StoreRecord } from '../../../src/engine/podman-store.js'
import { copyPodman, GRAPHROOT, IMAGES, type Podman, sha256 } from '../../support/podman.js'

/** The chain as a plain reader has it, the uppermost layer first. */
function parents(store: string, top: string): string[] {
  const records: StoreRecord[] = JSON.parse(readFileSync(join(store, 'overlay-layers/layers.json'), 'utf8'))
  const { parent } = records.find(({ id }) => id === top) ?? {}
  return typeof parent === 'string' ? [parent, ...parents(store, parent)] : []
}

const layersOf = (podman: Podman, name: string, others?: string[]): Layers =>
  podman.read(others).layers(podman.find(name))

/** What Podman 4.3 writes: only links to the layers. */
function makeOlder({ data }: Podman): void {
  for (const layer of readdirSync(join(data, 'overlay')))
    rmSync(join(data, 'overlay', layer, 'lower-layers'), { force: true })
}

t.test('the layers of an image, top first, without the container’s own', async (t) => {
  const podman = copyPodman(t)
  const chain = parents(podman.data, podman.record('layers').layer)
  t.equal(chain.length, 4)
  const directory = `${GRAPHROOT}/overlay`
  const found = { directory, key: chain[0], chain: chain.join(':') }
  t.strictSame(layersOf(podman, 'layers'), { ...found, lower: chain.map((id) => `${id}/diff`) })
  for (const file of ['busybox', 'old/file', 'cleared/new'])
    t.ok(
      chain.some((id) => existsSync(join(podman.data, 'overlay', id, 'diff/usr/share/app', file))),
      `${file} is in one of them`,
    )

  makeOlder(podman)
  const older = layersOf(podman, 'layers')
  t.match(older, found, 'the same from the links of an older Podman')
  t.same(
    older.lower.map((name) => readlinkSync(join(podman.data, 'overlay', name))),
    chain.map((id) => `../${id}/diff`),
  )
  t.equal(layersOf(podman, 'app').chain, chain.at(-1), 'the image below it')
  t.equal(layersOf(podman, 'renamed').chain, layersOf(podman, 'app').chain)
})

t.test('layers in another store, and upon those', async (t) => {
  const podman = copyPodman(t)
  const [top, base] = parents(podman.images, parents(podman.data, podman.record('base').layer)[0] as string)
  t.equal(base, undefined, 'two layers')
  const upper = parents(podman.data, podman.record('base').layer)[0] as string
  t.strictSame(layersOf(podman, 'base'), {
    directory: `${IMAGES}/overlay`,
    lower: [`${upper}/diff`, `${top}/diff`],
    key: upper,
    chain: `${upper}:${top}`,
  })
  const mixed = parents(podman.data, podman.record('mixed').layer)[0] as string
  t.strictSame(layersOf(podman, 'mixed'), {
    directory: `${GRAPHROOT}/overlay`,
    lower: [`${mixed}/diff`, `${IMAGES}/overlay/${upper}/diff`, `${IMAGES}/overlay/${top}/diff`],
    key: mixed,
    chain: `${mixed}:${upper}:${top}`,
  })
  makeOlder(podman)
  const { lower } = layersOf(podman, 'mixed')
  t.match(lower[0], /^l\/[A-Z0-9]{26}$/)
  t.same(
    lower.slice(1).map((path) => readlinkSync(podman.root.prefix + path)),
    [`../${upper}/diff`, `../${top}/diff`],
  )

  t.strictSame(
    layersOf(podman, 'base', ['/nowhere', IMAGES, GRAPHROOT]).directory,
    `${IMAGES}/overlay`,
    'the first one that has them',
  )
  const { containers, layers } = podman.read([])
  const unreadable = containers.flatMap((container) => ('problem' in container ? container.problem : []))
  t.equal(unreadable.length, 1)
  t.match(
    unreadable[0],
    /^container [0-9a-f]{12}: its image [0-9a-f]{12} is not in \/var\/lib\/containers\/storage$/,
  )
  t.throws(() => layers(podman.find('mixed')), {
    message: `${GRAPHROOT}/overlay-layers/layers.json: no layer ${upper}`,
  })
})

t.test('another store that cannot be trusted, or that a mount cannot name', async (t) => {
  const podman = copyPodman(t)
  chmodSync(join(podman.images, 'overlay-layers'), 0o777)
  const problems = podman
    .read()
    .containers.flatMap((container) => ('problem' in container ? [container] : []))
  t.match(problems, [{ problem: `${IMAGES}/overlay-layers: can be written by users other than root` }])
  chmodSync(join(podman.images, 'overlay-layers'), 0o700)
  t.equal(podman.problem('base'), undefined)

  for (const name of ['/a:b', '/a,b', '/a\\b']) {
    renameSync(podman.images, podman.root.prefix + name)
    const engine = readPodman(podman.root, GRAPHROOT, [name], sha256)
    const layers = (wanted: string) => {
      for (const container of engine.containers)
        if ('name' in container && container.name === wanted) return engine.layers(container)
      throw new Error(wanted)
    }
    t.equal(layers('base').directory, `${name}/overlay`, 'if all are there, none is named in full')
    t.throws(() => layers('mixed'), {
      message: /: a mount cannot name a layer with ":", "," or "\\" in its path$/,
    })
    renameSync(podman.root.prefix + name, podman.images)
  }
})

t.test('an image without layers', async (t) => {
  const podman = copyPodman(t)
  const { layer, image } = podman.record('app')
  t.equal(podman.problem('no-image'), 'it has no image (--rootfs)')
  podman.edit('overlay-layers/layers.json', (records) => {
    for (const record of records) if (record.id === layer) delete record.parent
  })
  t.match(podman.problem('app'), `layer ${layer} is not upon the uppermost layer of its image`)
  podman.edit('overlay-images/images.json', (records) => {
    for (const record of records) if (record.id === image) delete record.layer
  })
  t.equal(podman.problem('app'), 'its image has no layers')
})

t.test('an image with more layers than whole names fit', async (t) => {
  const podman = copyPodman(t)
  const { layer, image } = podman.record('app')
  const lowest = parents(podman.data, layer)[0] as string
  const hex = (number: number): string => number.toString(16).padStart(64, '0')
  /** Gives the image so many layers. */
  const grow = (count: number) => {
    const ids = Array.from({ length: count }, (_, index) => hex(index + 1))
    for (const [index, id] of ids.entries()) {
      mkdirSync(join(podman.data, 'overlay', id, 'diff'), { recursive: true })
      const link = join(podman.data, 'overlay/l', `${index}`.padStart(26, 'A'))
      rmSync(link, { force: true })
      symlinkSync(`../${id}/diff`, link)
    }
    const own = join(podman.data, 'overlay', layer)
    writeFileSync(join(own, 'lower-layers'), ids.join(':'))
    writeFileSync(join(own, 'lower'), ids.map((_, index) => `l/${`${index}`.padStart(26, 'A')}`).join(':'))
    podman.edit('overlay-layers/layers.json', (records) => {
      const rest = records.filter(({ id, parent }) => !ids.includes(id as string) && parent !== lowest)
      records.length = 0
      const more = ids.map((id, index) => ({ id, ...(ids[index + 1] && { parent: ids[index + 1] }) }))
      records.push(...rest, ...more, ...(rest.some(({ id }) => id === layer) ? [] : [{ id: layer }]))
      for (const record of records) if (record.id === layer) record.parent = ids[0]
    })
    podman.edit('overlay-images/images.json', (records) => {
      for (const record of records) {
        delete record['big-data-sizes']
        if (record.id === image) record.layer = ids[0]
      }
    })
    const file = join(
      podman.data,
      `overlay-images/${image}/=${Buffer.from(`sha256:${image}`).toString('base64')}`,
    )
    const json = JSON.parse(readFileSync(file, 'utf8'))
    json.rootfs.diff_ids = ids.map(() => 'sha256:x')
    writeFileSync(file, JSON.stringify(json))
    const engine = readPodman(podman.root, GRAPHROOT, [IMAGES])
    return () => engine.layers(podman.find('app'))
  }
  podman.find = ((find) => {
    const app = find('app')
    return () => app
  })(podman.find)
  t.match(grow(50)().lower[49], /^[0-9a-f]{64}\/diff$/)
  const { lower, chain } = grow(130)()
  t.equal(lower.length, 130)
  t.match(lower[129], /^l\/[A-Z0-9]{26}$/)
  t.ok(lower.join(':').length < 4000)
  t.equal(chain.split(':').length, 130)
  t.throws(grow(140), { message: 'its image has 140 layers, too many for the options of a mount' })
  t.throws(grow(501), { message: /layers\.json: an image has more than 500 layers$/ })
})

t.test('damage is named by file', async (t) => {
  type Place = { podman: Podman; own: string; ids: string[]; record: (id: string, change: object) => void }
  const hex = '0'.repeat(64)
  for (const [name, damage, message] of [
    [
      'no record of its own layer',
      ({ own, record }: Place) => record(own, { id: hex }),
      /layers\.json: no layer [0-9a-f]{64}$/,
    ],
    [
      'its own layer is unfinished',
      ({ own, record }: Place) => record(own, { flags: { incomplete: true } }),
      /layers\.json: layer [0-9a-f]{64} is flagged incomplete: Podman did not finish it$/,
    ],
    [
      'a layer is unfinished',
      ({ ids, record }: Place) => record(ids[1] as string, { flags: { incomplete: true } }),
      /layers\.json: layer [0-9a-f]{64} is flagged incomplete: Podman did not finish it$/,
    ],
    [
      'nobody knows whether it is finished',
      ({ ids, record }: Place) => record(ids[1] as string, { flags: { incomplete: 'no' } }),
      /is flagged incomplete/,
    ],
    [
      'a layer of other users',
      ({ ids, record }: Place) =>
        record(ids[3] as string, { uidmap: [{ container_id: 0, host_id: 1000, size: 1000 }] }),
      /layers\.json: the files of layer [0-9a-f]{64} belong to the users of a user namespace$/,
    ],
    [
      'a layer of other groups',
      ({ ids, record }: Place) => record(ids[3] as string, { gidmap: 'x' }),
      /belong to the users of a user namespace$/,
    ],
    [
      'an unknown parent',
      ({ ids, record }: Place) => record(ids[2] as string, { parent: hex }),
      /layers\.json: no layer 0{64}$/,
    ],
    [
      'a parent that leads elsewhere',
      ({ ids, record }: Place) => record(ids[2] as string, { parent: '../../../etc' }),
      /layers\.json: the parent of layer [0-9a-f]{64} is not a layer ID$/,
    ],
    [
      'a parent twice',
      ({ ids, record }: Place) => record(ids[3] as string, { parent: ids[1] }),
      /layers\.json: an image has more than 500 layers$/,
    ],
    [
      'a layer left out',
      ({ ids, record }: Place) => record(ids[1] as string, { parent: ids[3] }),
      /layers\.json: 3 layers, but its image's configuration has 4$/,
    ],
    [
      'other files',
      ({ ids, record }: Place) => record(ids[1] as string, { 'diff-digest': `sha256:${hex}` }),
      /layers\.json: layer [0-9a-f]{64} is not the one in its image's configuration$/,
    ],
    [
      'upon another layer',
      ({ own, ids, record }: Place) => record(own, { parent: ids[1] }),
      /layers\.json: layer [0-9a-f]{64} is not upon the uppermost layer of its image$/,
    ],
    [
      'composefs',
      ({ podman, ids }: Place) => mkdirSync(join(podman.data, 'overlay', ids[0] as string, 'composefs-data')),
      /overlay\/[0-9a-f]{64}: a layer in composefs, which has no files of its own$/,
    ],
    [
      'several parts',
      ({ podman, ids }: Place) => mkdirSync(join(podman.data, 'overlay', ids[0] as string, 'diff1')),
      /overlay\/[0-9a-f]{64}: a layer in several parts \(diff1\)$/,
    ],
    [
      'no directory',
      ({ podman, ids }: Place) => rmSync(join(podman.data, 'overlay', ids[0] as string), { recursive: true }),
      /overlay\/[0-9a-f]{64}: no such directory$/,
    ],
    [
      'a directory that others can change',
      ({ podman, ids }: Place) => chmodSync(join(podman.data, 'overlay', ids[0] as string), 0o777),
      /overlay\/[0-9a-f]{64}: can be written by users other than root/,
    ],
    [
      'no files',
      ({ podman, ids }: Place) =>
        rmSync(join(podman.data, 'overlay', ids[0] as string, 'diff'), { recursive: true }),
      /diff: no such directory$/,
    ],
    [
      'files elsewhere, as in an additional layer store',
      ({ podman, ids }: Place) => {
        const diff = join(podman.data, 'overlay', ids[0] as string, 'diff')
        rmSync(diff, { recursive: true })
        symlinkSync('/etc', diff)
      },
      /diff: not a directory but a symbolic link$/,
    ],
    [
      'its own directory elsewhere',
      ({ podman, own }: Place) => {
        renameSync(join(podman.data, 'overlay', own), join(podman.data, 'moved'))
        symlinkSync('../moved', join(podman.data, 'overlay', own))
      },
      /overlay\/[0-9a-f]{64}: not a directory but a symbolic link$/,
    ],
    [
      'another order',
      ({ podman, own, ids }: Place) =>
        writeFileSync(join(podman.data, 'overlay', own, 'lower-layers'), ids.toReversed().join(':')),
      /lower-layers: not the layers of its image$/,
    ],
    [
      'an absolute layer',
      ({ podman, own }: Place) => writeFileSync(join(podman.data, 'overlay', own, 'lower-layers'), '/etc'),
      /lower-layers: "\/etc" is not the name of a layer$/,
    ],
    [
      'lower-layers by others',
      ({ podman, own }: Place) => chmodSync(join(podman.data, 'overlay', own, 'lower-layers'), 0o666),
      /lower-layers: can be written by users other than root/,
    ],
    [
      'older: no lower',
      ({ podman, own }: Place) => {
        makeOlder(podman)
        rmSync(join(podman.data, 'overlay', own, 'lower'))
      },
      /lower: no such file$/,
    ],
    [
      'older: an option for mount',
      ({ podman, own }: Place) => {
        makeOlder(podman)
        writeFileSync(join(podman.data, 'overlay', own, 'lower'), 'l/A,upperdir=/etc')
      },
      /lower: "l\/A,upperdir=\/etc" is not the name of a layer$/,
    ],
    [
      'older: no link',
      ({ podman }: Place) => {
        makeOlder(podman)
        for (const link of readdirSync(join(podman.data, 'overlay/l')))
          rmSync(join(podman.data, 'overlay/l', link))
      },
      /overlay\/l\/[A-Z0-9]{26}: no such file or directory$/,
    ],
    [
      'older: links that lead elsewhere',
      ({ podman }: Place) => {
        makeOlder(podman)
        for (const link of readdirSync(join(podman.data, 'overlay/l'))) {
          rmSync(join(podman.data, 'overlay/l', link))
          symlinkSync('../../../etc\n', join(podman.data, 'overlay/l', link))
        }
      },
      /overlay\/l\/[A-Z0-9]{26}: points to "..\/..\/..\/etc\\x0a", which is not a layer$/,
    ],
    [
      'older: a link to another layer',
      ({ podman, own, ids }: Place) => {
        makeOlder(podman)
        const [first] = readFileSync(join(podman.data, 'overlay', own, 'lower'), 'utf8').split(':')
        rmSync(join(podman.data, 'overlay', first as string))
        symlinkSync(`../${ids[1]}/diff`, join(podman.data, 'overlay', first as string))
      },
      /lower: not the layers of its image$/,
    ],
  ] as const) {
    const podman = copyPodman(t)
    const { layer: own } = podman.record('layers')
    const ids = parents(podman.data, own)
    const record = (id: string, change: object): void =>
      podman.edit('overlay-layers/layers.json', (records) => {
        Object.assign(records.find((record) => record.id === id) ?? {}, change)
      })
    t.equal(podman.problem('layers'), undefined)
    damage({ podman, own, ids, record })
    t.match(podman.problem('layers'), message, name)
  }
})

t.test('layers that are copied for other users', async (t) => {
  const podman = copyPodman(t)
  const { layer, image } = podman.record('mapped')
  t.equal(podman.problem('mapped'), undefined, 'a kernel that maps users needs no copies')
  podman.edit('overlay-images/images.json', (records) => {
    for (const record of records)
      if (record.id === image) {
        record['mapped-layers'] = [record.layer]
        record.layer = '0'.repeat(64)
      }
  })
  t.equal(
    podman.problem('mapped'),
    'its files belong to the users of a user namespace: create it without --userns',
    layer,
  )
})
