import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { openSnapshots } from '../../../src/engine/containerd.js'
import { bboltFile } from '../../support/bbolt.js'
import {
  BLOBS,
  CONTAINERD,
  containersIn,
  DAEMON,
  DATABASE,
  type Image,
  link,
  SNAPSHOTTER,
  Store,
  type StoredContainer,
  sha256,
} from '../../support/containerd.js'
import { copyDataRoot, DATA } from '../../support/data-root.js'
import { makeTree } from '../../support/tree.js'

const isRoot = process.getuid?.() === 0

/** The snapshots of a store that is written below a new root. */
function written(t: Test, store: Store, place: { root: string; snapshots?: string } = { root: CONTAINERD }) {
  const prefix = makeTree(t)
  store.write(prefix)
  return {
    prefix,
    open: () => openSnapshots({ prefix }, place) as NonNullable<ReturnType<typeof openSnapshots>>,
  }
}

/** A store with a container of an image with three layers. */
function small(): { store: Store; image: Image; container: StoredContainer } {
  const store = new Store()
  const image = store.addImage(['base', 'middle', 'top'])
  return { store, image, container: store.addContainer('one', image) }
}

t.test('the layers of an image, top first, without what is the container’s', async (t) => {
  const store = new Store()
  const base = store.addImage(['base'])
  const images = [
    base,
    store.addImage(['base', 'middle', 'top']),
    store.addImage(['base', 'middle', 'other'], { isIndex: false }),
    store.addImage(['pulled 1', 'pulled 2'], { isPulled: true }),
    store.addImage(['base', 'step 1', 'step 2'], { isCommitted: true, isIndex: false }),
  ]
  const containers = images.flatMap((image, index) => [
    { image, container: store.addContainer(`first ${index}`, image) },
    { image, container: store.addContainer(`second ${index}`, image) },
    { image, container: store.addContainer(`without ${index}`, image, { hasInit: false }) },
  ])
  store.add('extract-1 sha256:1', 'active')
  store.add('f5urravc05r1ux5a8eh2t41nk', 'view', { parent: store.keyOf(base.layers[0] as string) })
  const { open } = written(t, store)
  const snapshots = open()
  for (const { image, container } of containers) {
    t.ok(snapshots.has(container.id))
    t.same(snapshots.layers(container), store.expected(image))
    // The index alone, or the manifest as ID, says it as well.
    t.same(snapshots.layers({ ...container, manifest: undefined }), store.expected(image))
    t.same(snapshots.layers({ ...container, imageId: undefined }), store.expected(image))
  }
  t.equal(store.expected(images[1] as Image).lower.length, 3)
  t.notOk(snapshots.has('f'.repeat(64)))
  t.notOk(snapshots.has('f5urravc05r1ux5a8eh2t41nk'))
  t.throws(
    () => snapshots.layers({ id: 'f'.repeat(64), manifest: undefined, imageId: undefined }),
    new RegExp(`^${DATABASE}: no snapshot of container ffff`),
  )
})

t.test('what an engine left: the layers that containerd itself mounts, without the -init ones', async (t) => {
  const { root, data } = copyDataRoot(t, 'containerd')
  const mounted: Record<string, string[]> = JSON.parse(readFileSync(join(data, 'layers.json'), 'utf8'))
  const snapshots = openSnapshots(root, { root: `${DATA}/${DAEMON}` })
  const containers = containersIn(data)
  t.same([...containers.keys()].sort(), Object.keys(mounted).sort())
  const store = `${DAEMON}/io.containerd.snapshotter.v1.overlayfs/snapshots`
  let inits = 0
  for (const [name, container] of containers) {
    const image = mounted[name]?.filter((path) => !existsSync(join(data, store, path, '.dockerenv')))
    inits += (mounted[name]?.length ?? 0) - (image?.length ?? 0)
    t.ok(snapshots?.has(container.id))
    const layers = snapshots?.layers(container)
    t.same(layers?.lower, image, name)
    t.equal(layers?.directory, `${DATA}/${store}`)
    t.equal(layers?.chain, `sha256:${layers?.key}`)
    t.same(snapshots?.layers({ ...container, manifest: undefined }), layers)
  }
  t.equal(inits, 9 + 2 + 2, 'one for each container, and those of two steps in an image, and in one upon it')
  const many = containers.get('many-layers') as StoredContainer
  t.equal(snapshots?.layers(many).lower.length, 6, 'four COPY and two RUN')
  const blobs = `${DAEMON}/io.containerd.content.v1.content/blobs/sha256`
  const isThere = (name: string) =>
    existsSync(join(data, blobs, containers.get(name)?.manifest?.slice('sha256:'.length) ?? ''))
  t.notOk(isThere('gone'), 'removed by force, twice')
  t.ok(isThere('replaced'))
})

t.test('an image that is gone: the database alone is believed', async (t) => {
  for (const gone of ['the manifest and the index', 'the configuration', 'everything', 'the directories']) {
    const { store, image, container } = small()
    const { prefix, open } = written(t, store)
    if (gone === 'the manifest and the index')
      for (const digest of [image.manifest, image.imageId]) rmSync(join(prefix, BLOBS, digest.slice(7)))
    else if (gone === 'the configuration') rmSync(join(prefix, BLOBS, image.config.slice(7)))
    else {
      rmSync(prefix + BLOBS, { recursive: true })
      if (gone === 'everything') mkdirSync(prefix + BLOBS)
    }
    t.same(open().layers(container), store.expected(image), gone)
    for (const none of [undefined, 'sha256:1', `sha512:${'1'.repeat(128)}`, '../../../etc/passwd'])
      t.same(
        open().layers({ id: container.id, manifest: none, imageId: none }),
        store.expected(image),
        `${gone}: ${none}`,
      )
  }
})

t.test('an index with several platforms that are there', async (t) => {
  const store = new Store()
  const images = ['one', 'two'].map((name) => store.addImage([name, `${name} more`], { isIndex: false }))
  const [one, two] = images as [Image, Image]
  const imageId = store.addBlob({ manifests: images.map(({ manifest }) => ({ digest: manifest })) })
  const containers = images.map((image) => ({ ...store.addContainer(image.manifest, image), imageId }))
  const [of1, of2] = containers as [StoredContainer, StoredContainer]
  const { open } = written(t, store)
  for (const manifest of [undefined, one.manifest])
    t.same(open().layers({ ...of1, manifest }), store.expected(one))
  for (const manifest of [undefined, two.manifest])
    t.same(open().layers({ ...of2, manifest }), store.expected(two))
  t.throws(
    () => open().layers({ ...of1, manifest: two.manifest }),
    new RegExp(
      `^${DATABASE}: layer 1 is ${one.layers[1]}, not ${two.layers[1]} of the image ${two.manifest}$`,
    ),
  )
  t.same(
    open().layers({ ...of1, manifest: two.manifest }, () => true),
    store.expected(one),
    'what is known is not looked up in the image',
  )
})

t.test('a damaged manifest that leads to nothing is not an image that is gone', async (t) => {
  const { store, image, container } = small()
  const { prefix, open } = written(t, store)
  const file = join(prefix, BLOBS, image.manifest.slice(7))
  rmSync(file)
  writeFileSync(file, JSON.stringify({ config: { digest: sha256('none') } }), { mode: 0o444 })
  t.throws(
    () => open().layers(container),
    new RegExp(`^${BLOBS}/${image.manifest.slice(7)}: damaged: it does not have this hash$`),
  )
})

t.test('a snapshotter in a directory of its own', async (t) => {
  const { store, image, container } = small()
  const prefix = makeTree(t, { 'mnt/x': '' })
  store.write(prefix)
  renameSync(prefix + SNAPSHOTTER, `${prefix}/mnt/layers`)
  t.equal(openSnapshots({ prefix }, { root: CONTAINERD }), undefined)
  const snapshots = openSnapshots({ prefix }, { root: CONTAINERD, snapshots: '/mnt/layers' })
  t.same(snapshots?.layers(container), { ...store.expected(image), directory: '/mnt/layers/snapshots' })
  // The image is below containerd's root nevertheless.
  writeFileSync(join(prefix, BLOBS, image.config.slice(7)), '{}')
  t.throws(
    () => openSnapshots({ prefix }, { root: CONTAINERD, snapshots: '/mnt/layers' })?.layers(container),
    new RegExp(`^${BLOBS}/${image.config.slice(7)}: damaged`),
  )
})

t.test('no store, and an empty one', async (t) => {
  const prefix = makeTree(t, { file: '' })
  t.equal(openSnapshots({ prefix }, { root: CONTAINERD }), undefined)
  t.equal(openSnapshots({ prefix }, { root: '/file' }), undefined)
  for (const contents of [new Map(), new Map([['v1', new Map()]]), new Store().contents()]) {
    mkdirSync(`${prefix}${SNAPSHOTTER}/snapshots`, { recursive: true, mode: 0o700 })
    writeFileSync(prefix + DATABASE, bboltFile(contents), { mode: 0o600 })
    const snapshots = openSnapshots({ prefix }, { root: CONTAINERD })
    t.equal(snapshots?.has('f'.repeat(64)), false)
    t.throws(
      () => snapshots?.layers({ id: 'f'.repeat(64), manifest: undefined, imageId: undefined }),
      /no snapshot of container f{64}$/,
    )
  }
})

t.test('other namespaces', async (t) => {
  const { store, image, container } = small()
  const other = store.addContainer('other', image, { namespace: 'default' })
  const twice = store.addContainer('twice', image)
  store.addContainer('twice', image, { namespace: 'k8s.io' })
  const { open } = written(t, store)
  const snapshots = open()
  for (const { id, manifest, imageId } of [container, other]) {
    t.ok(snapshots.has(id))
    t.same(snapshots.layers({ id, manifest, imageId }), store.expected(image))
  }
  t.ok(snapshots.has(twice.id))
  t.throws(() => snapshots.layers(twice), new RegExp(`^${DATABASE}: two snapshots of container ${twice.id}$`))
})

t.test('layers that the classic builder has made with RUN are on top of what is no layer', async (t) => {
  const store = new Store()
  const image = store.addImage(['one', 'two', 'three'])
  const container = store.addContainer('classic', image)
  for (const [index, step] of ['a', 'b'].entries()) {
    const [upper = '', lower = ''] = image.layers.slice(index)
    const init = store.add(`${step.repeat(64)}-init`, 'committed', { parent: store.keyOf(lower) })
    store.parents.delete(link(store.get(lower).id, store.get(upper).id))
    Object.assign(store.get(upper), { parent: init })
    store.parents.set(link(store.get(init).id, store.get(upper).id), store.keyOf(upper) as string)
  }
  const { open } = written(t, store)
  t.same(open().layers(container), store.expected(image))
  t.equal(store.expected(image).lower.length, 3)
})

t.test('as many layers as can be mounted, and one more', async (t) => {
  const diffs = Array.from({ length: 129 }, (_, index) => `layer ${index}`)
  for (const isCommitted of [false, true]) {
    const store = new Store()
    const most = store.addImage(diffs.slice(0, 128), { isCommitted })
    const tooMany = store.addImage(diffs, { isCommitted })
    for (const hasInit of [true, false]) {
      const fits = store.addContainer(`fits ${hasInit}`, most, { hasInit })
      const doesNot = store.addContainer(`does not ${hasInit}`, tooMany, { hasInit })
      const { open } = written(t, store)
      t.same(open().layers(fits), store.expected(most))
      t.throws(
        () => open().layers(doesNot),
        new RegExp(
          `^${DATABASE}: (?:the image of container ${doesNot.id} has 129 layers, more than the 128 that can be mounted|"moby/\\d+/${doesNot.id}" has more than 256 layers below it)$`,
        ),
      )
    }
  }
})

/** Something wrong in a store with a container of an image with three layers. */
type Damage = (store: Store, keys: { own: string; init: string; image: [string, string, string] }) => void
/** Puts `other` in place of what `store` has under `key`, in both buckets. */
function rename(store: Store, key: string, other: string): void {
  const snapshot = store.snapshots.get(key)
  if (!snapshot) throw new Error(key)
  store.snapshots.delete(key)
  store.snapshots.set(other, snapshot)
  for (const [place, child] of store.parents) if (child === key) store.parents.set(place, other)
  for (const child of store.snapshots.values()) if (child.parent === key) child.parent = other
}

const DAMAGE: [what: string, damage: Damage, message: RegExp][] = [
  [
    'a parent that is not there',
    (store, { image: [top] }) => Object.assign(store.get(top), { parent: 'moby/9/sha256:none' }),
    /damaged: no snapshot "moby\/9\/sha256:none"$/,
  ],
  [
    'no parent',
    (store, { image: [top] }) => delete store.get(top).parent,
    /damaged: "moby\/\d+\/sha256:[0-9a-f]{64}" has lost its parent$/,
  ],
  [
    'another number',
    (store, { image: [, middle] }) => Object.assign(store.get(middle), { id: 77 }),
    /damaged: "moby\/\d+\/sha256:[0-9a-f]{64}" is not among the children of "moby\/\d+\/sha256:[0-9a-f]{64}"$/,
  ],
  [
    'another number at the bottom',
    (store, { image: [, , bottom] }) => Object.assign(store.get(bottom), { id: 77 }),
    /is not among the children of/,
  ],
  [
    'another number of the container’s own',
    (store, { own }) => Object.assign(store.get(own), { id: 77 }),
    /is not among the children of/,
  ],
  [
    'two that have each other’s number',
    (store, { image: [top, middle] }) => {
      const [a, b] = [store.get(top), store.get(middle)]
      ;[a.id, b.id] = [b.id, a.id]
    },
    /is not among the children of/,
  ],
  [
    'a parent that is above',
    (store, { image: [top, middle] }) => Object.assign(store.get(middle), { parent: top }),
    /is not among the children of/,
  ],
  [
    'a loop in both buckets',
    (store, { image: [top, , bottom] }) => {
      Object.assign(store.get(bottom), { parent: top })
      store.parents.set(link(store.get(top).id, store.get(bottom).id), bottom)
    },
    /has more than 256 layers below it$/,
  ],
  [
    'a layer that is left out, in both buckets',
    (store, { image: [top, , bottom] }) => {
      Object.assign(store.get(top), { parent: bottom })
      store.parents.set(link(store.get(bottom).id, store.get(top).id), top)
    },
    /layer 2 is sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64} of the image sha256:[0-9a-f]{64}$/,
  ],
  [
    'a layer that is left out at the top',
    (store, { init, image: [, middle] }) => {
      Object.assign(store.get(init), { parent: middle })
      store.parents.set(link(store.get(middle).id, store.get(init).id), init)
    },
    /layer 3 is missing, not sha256:[0-9a-f]{64} of the image sha256:[0-9a-f]{64}$/,
  ],
  [
    'another image, in both buckets',
    (store, { init }) => {
      const [other] = store.addImage(['an', 'other']).layers
      const key = store.keyOf(other as string) as string
      Object.assign(store.get(init), { parent: key })
      store.parents.set(link(store.get(key).id, store.get(init).id), init)
    },
    /layer 1 is sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64} of the image sha256:[0-9a-f]{64}$/,
  ],
  [
    'a layer of another name, in both buckets',
    (store, { image: [top] }) => rename(store, top, `moby/7/${sha256('x')}`),
    /layer 3 is sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64} of the image/,
  ],
  [
    'one more layer, in both buckets',
    (store, { init, image: [top] }) => {
      const key = store.add(sha256('x'), 'committed', { parent: top })
      Object.assign(store.get(init), { parent: key })
      store.parents.set(link(store.get(key).id, store.get(init).id), init)
    },
    /layer 4 is sha256:[0-9a-f]{64}, not one of the image sha256:[0-9a-f]{64}$/,
  ],
  [
    'a layer that no image has',
    (store, { image: [, middle] }) => rename(store, middle, 'moby/7/f5urravc05r1ux5a8eh2t41nk'),
    /"moby\/7\/f5urravc05r1ux5a8eh2t41nk", below container [0-9a-f]{64}, is not a layer of an image$/,
  ],
  [
    'an -init in place of a layer',
    (store, { init, image: [, middle] }) => {
      rename(store, init, `moby/7/${'e'.repeat(64)}-init`)
      rename(store, middle, `moby/8/${init.split('/')[2]}`)
    },
    /layer 2 is sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64} of the image sha256:[0-9a-f]{64}$/,
  ],
  ...['', 'f', 'F'.repeat(64), 'f'.repeat(63), 'sha256:ff'].map((id): [string, Damage, RegExp] => [
    `the name ${id}-init`,
    (store, { init }) => rename(store, init, `moby/7/${id}-init`),
    /"moby\/7\/\S*-init", below container [0-9a-f]{64}, is not a layer of an image$/,
  ]),
  [
    'a container’s own layer that is committed',
    (store, { own }) => Object.assign(store.get(own), { kind: 'committed' }),
    /"moby\/\d+\/[0-9a-f]{64}" is not a container's own layer$/,
  ],
  [
    'a container’s own layer that is a view',
    (store, { own }) => Object.assign(store.get(own), { kind: 'view' }),
    /is not a container's own layer$/,
  ],
  ...(['active', 'view'] as const).flatMap((kind): [string, Damage, RegExp][] => [
    [
      `an -init that is ${kind}`,
      (store, { init }) => Object.assign(store.get(init), { kind }),
      /"moby\/\d+\/[0-9a-f]{64}-init" is not committed$/,
    ],
    [
      `a layer that is ${kind}`,
      (store, { image: [top] }) => Object.assign(store.get(top), { kind }),
      /"moby\/\d+\/sha256:[0-9a-f]{64}" is not committed$/,
    ],
  ]),
  [
    'no layers',
    (store, { init, image: [top] }) => {
      store.parents.delete(link(store.get(top).id, store.get(init).id))
      delete store.get(init).parent
    },
    /the image of container [0-9a-f]{64} has no layers$/,
  ],
  [
    'not a link in the other bucket',
    (store, { image: [top] }) => {
      for (const [place, child] of store.parents) if (child === top) store.parents.delete(place)
    },
    /is not among the children of/,
  ],
  [
    'another child in the other bucket',
    (store, { init, image: [top] }) => {
      for (const [place, child] of store.parents) if (child === top) store.parents.set(place, init)
    },
    /is not among the children of/,
  ],
]

t.test('what the parts of the database do not agree about', async (t) => {
  for (const [what, damage, message] of DAMAGE) {
    const { store, container } = small()
    const [bottom, middle, top, init, own] = [...store.snapshots.keys()] as [
      string,
      string,
      string,
      string,
      string,
    ]
    damage(store, { own, init, image: [top, middle, bottom] })
    const { open } = written(t, store)
    const snapshots = open()
    t.ok(snapshots.has(container.id), what)
    t.throws(() => snapshots.layers(container), new RegExp(`^${DATABASE}: (?:.* )?${message.source}`), what)
  }
})

t.test('a snapshot without a number', async (t) => {
  for (const id of ['', '\0', '\x80', '\x01\x01', '\xff\xff\xff\xff\xff\xff\xff\xff\x7f']) {
    const { store, container } = small()
    const prefix = makeTree(t)
    store.write(prefix)
    const contents = store.contents()
    const snapshots = (contents.get('v1') as Map<string, unknown>).get('snapshots') as Map<
      string,
      Map<string, string>
    >
    snapshots.get(store.keyOf(container.id) as string)?.set('id', id)
    writeFileSync(prefix + DATABASE, bboltFile(contents))
    t.throws(
      () => openSnapshots({ prefix }, { root: CONTAINERD })?.layers(container),
      /damaged: the snapshot "moby\/\d+\/[0-9a-f]{64}" has no name or number$/,
      JSON.stringify(id),
    )
  }
})

t.test('text in the database that a terminal or a log could trip over', async (t) => {
  const { store, image, container } = small()
  rename(store, store.keyOf(image.layers[0] as string) as string, 'moby/7/x\n\x1b[2J<4>')
  const { open } = written(t, store)
  const error = (() => {
    try {
      return String(open().layers(container))
    } catch (error) {
      return (error as Error).message
    }
  })()
  t.match(error, /is not a layer of an image$/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
  t.notMatch(error, /[\0-\x1f\x7f-\x9f]/)
})

t.test('directories that are links, missing, or not root’s alone', async (t) => {
  const { store, image, container } = small()
  const top = `${SNAPSHOTTER}/snapshots/${store.get(image.layers[0] as string).id}`
  const content = dirname(dirname(BLOBS))
  const cases: [what: string, damage: (at: (path: string) => string) => void, message: string][] = [
    ...[CONTAINERD, SNAPSHOTTER, `${SNAPSHOTTER}/snapshots`, top, content, dirname(BLOBS), BLOBS].flatMap(
      (path): [string, (at: (path: string) => string) => void, string][] => [
        [
          `${path} is a link`,
          (at) => {
            renameSync(at(path), at('/elsewhere'))
            symlinkSync(at('/elsewhere'), at(path))
          },
          `${path}: not a directory but a symbolic link`,
        ],
        [
          `${path} can be written`,
          (at) => chmodSync(at(path), 0o777),
          `${path}: can be written by users other than root (mode 0777)`,
        ],
        ...(isRoot
          ? [
              [
                `${path} is somebody’s`,
                (at: (path: string) => string) => chownSync(at(path), 1000, 0),
                `${path}: belongs to user 1000, not to root`,
              ] as [string, (at: (path: string) => string) => void, string],
            ]
          : []),
      ],
    ),
    ['a layer is gone', (at) => rmSync(at(top), { recursive: true }), `${top}/fs: no such directory`],
    [
      'its files are gone',
      (at) => rmSync(at(`${top}/fs`), { recursive: true }),
      `${top}/fs: no such directory`,
    ],
    [
      'its files are elsewhere',
      (at) => {
        rmSync(at(`${top}/fs`), { recursive: true })
        symlinkSync('/etc', at(`${top}/fs`))
      },
      `${top}/fs: not a directory but a symbolic link`,
    ],
    [
      'a file',
      (at) => {
        rmSync(at(`${top}/fs`), { recursive: true })
        writeFileSync(at(`${top}/fs`), '')
      },
      `${top}/fs: not a directory but a file`,
    ],
    [
      'a database that others can write to',
      (at) => chmodSync(at(DATABASE), 0o666),
      `${DATABASE}: can be written by users other than root (mode 0666)`,
    ],
  ]
  for (const [what, damage, message] of cases) {
    const { prefix, open } = written(t, store)
    damage((path) => prefix + path)
    t.throws(() => open().layers(container), { message }, what)
  }
  if (isRoot) {
    const { prefix, open } = written(t, store)
    chownSync(`${prefix}${top}/fs`, 1000, 1000)
    t.same(open().layers(container), store.expected(image), 'the image’s `/` may be anybody’s')
  }
})

t.test('a store of layers that others can enter', async (t) => {
  const { store, image, container } = small()
  const { prefix, open } = written(t, store)
  const path = `${SNAPSHOTTER}/snapshots`
  const places = [CONTAINERD, SNAPSHOTTER, path]
  for (const place of places) chmodSync(prefix + place, 0o711)
  const message = `${path}: users other than root can enter it, and change what they own in the images; "chmod go-x ${path}" keeps them out`
  chmodSync(prefix, 0o755)
  t.throws(open, { message })
  for (const place of places) {
    chmodSync(prefix + place, 0o700)
    t.same(open().layers(container), store.expected(image), `${place} is closed`)
    chmodSync(prefix + place, 0o711)
  }
})
