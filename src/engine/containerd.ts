import { kindOf, type Root, statLink } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { type Bucket, type Database, type Entry, openDatabase } from './bbolt.js'
import { type Content, chainId, isDigest, openContent } from './content.js'
import type { Layers } from './engine.js'
import { findUnfitDirectory, isOpen } from './trust.js'

/**
 * The layers of Docker's containers in containerd's store: the snapshots of its overlayfs snapshotter
 * (core/snapshots/storage/bolt.go in containerd). The database has a bucket for each, named
 * `NAMESPACE/NUMBER/NAME`; the number is not known from outside. From the container down, the names are
 *
 *     <container ID>         its writable layer
 *     <container ID>-init    what the engine adds: /.dockerenv and others; not in every version
 *     sha256:<chain ID>      the image's layers, the uppermost first
 *
 * The first two do not take part, as in Docker's own store (engine/overlay2.ts). An image that was committed
 * from a container, like those of the classic builder after a RUN, also has the -init layer of that container
 * among its own. It is not of the image: neither its configuration nor the chain IDs above it have it.
 */
export type Snapshots = {
  /** Whether it has the writable layer of the container with this ID. */
  has: (id: string) => boolean
  /**
   * The layers of a container's image. `manifest`: the digest of the image's manifest; `imageId`: of that or
   * of its index; both as the engine's metadata have them. That these are its layers is looked up in the
   * image itself, unless it `isKnown`. Throws an Error that names the file.
   */
  layers: (
    container: { id: string; manifest: string | undefined; imageId: string | undefined },
    isKnown?: (layers: Layers) => boolean,
  ) => Layers
  /**
   * The layers of an image, by the digests of what each changes, the lowest first; undefined without them.
   */
  layersOf: (diffs: readonly string[]) => Layers | undefined
}

/** Where containerd keeps what belongs to this snapshotter, in its root. */
const SNAPSHOTTER = 'io.containerd.snapshotter.v1.overlayfs'
/** The limit of Docker's own store, so that the mount options fit in one page. containerd has none. */
const MOST_LAYERS = 128
/** snapshots.Kind in containerd. */
const [ACTIVE, COMMITTED] = ['\x02', '\x03']
const KEY = /^[^/]+\/\d+\/(.+)$/s
const CONTAINER_ID = /^[0-9a-f]{64}$/
const INIT = /^[0-9a-f]{64}-init$/

/** A snapshot. `number`: of its directory. `link`: the same as the bytes by which others refer to it. */
type Snapshot = {
  key: string
  name: string
  kind: string
  number: number
  link: string
  parent: string | undefined
}

/**
 * Opens the overlayfs snapshotter below containerd's root, or in the directory `snapshots`, if it has one of
 * its own (`root_path` in containerd's configuration). Both are without symbolic links. Undefined if it has
 * no database: nothing was ever kept there. Throws an Error that names the file.
 */
export function openSnapshots(
  root: Root,
  place: { root: string; snapshots?: string },
): Snapshots | undefined {
  const directory = place.snapshots ?? `${place.root}/${SNAPSHOTTER}`
  const database = openDatabase(root, `${directory}/metadata.db`)
  if (!database) return undefined
  const layers = `${directory}/snapshots`
  for (const path of [place.root, directory, layers]) checkDirectory(root, path)
  if (isOpen(root, layers))
    throw new Error(
      `${layers}: users other than root can enter it, and change what they own in the images; "chmod go-x ${layers}" keeps them out`,
    )
  const index = new Index(database)
  const content = openContent(root, place.root)
  const checked = new Set<number>()
  // Read now, so that a database that cannot be read is noticed.
  index.read()
  const describe = (chain: readonly Snapshot[]): Layers => {
    const uppermost = (chain[0] as Snapshot).name
    return {
      directory: layers,
      lower: chain.map(({ number }) => `${number}/fs`),
      key: uppermost.slice('sha256:'.length),
      chain: uppermost,
    }
  }
  const check = (chain: readonly Snapshot[]): void => {
    for (const { number } of chain) {
      if (checked.has(number)) continue
      checkLayer(root, `${layers}/${number}`)
      checked.add(number)
    }
  }
  return {
    has: (id) => index.read().has(id),
    layers({ id, manifest, imageId }, isKnown = () => false) {
      const chain = index.chainOf(id)
      const found = describe(chain)
      if (!isKnown(found)) {
        const names = chain.map(({ name }) => name)
        checkImage(database.path, content, names, [manifest, imageId])
      }
      check(chain)
      return found
    },
    layersOf(diffs) {
      let name: string | undefined
      for (const diff of diffs) name = chainId(name, diff)
      const chain = name === undefined ? undefined : index.chainNamed(name)
      if (!chain) return undefined
      check(chain)
      return describe(chain)
    },
  }
}

/** What was read of the database, as long as it has the same state. */
class Index {
  private txid = -1
  private entries = new Map<string, Entry>()
  private buckets: Bucket | undefined
  private links: Bucket | undefined
  /** The keys of containers by their IDs; undefined if there are two. */
  private containers = new Map<string, string | undefined>()
  private snapshots = new Map<string, Snapshot>()
  /** The keys of children, by the links of both; and the links of all children. */
  private parents = new Map<string, Entry>()
  private children = new Set<string>()

  constructor(private readonly database: Database) {}

  /** The keys of containers by their IDs. */
  read(): ReadonlyMap<string, string | undefined> {
    return this.database.read((top, txid) => {
      this.update(top, txid)
      return this.containers
    })
  }

  /** The snapshots of the image of a container, the uppermost first. */
  chainOf(id: string): Snapshot[] {
    return this.database.read((top, txid) => {
      this.update(top, txid)
      if (!this.containers.has(id)) this.fail(`no snapshot of container ${printable(id, 64)}`)
      const key = this.containers.get(id) ?? this.fail(`two snapshots of container ${id}`)
      return this.imageOf(id, this.readChain(key))
    })
  }

  /** The snapshots of the image whose uppermost layer has this name; undefined if it is not there. */
  chainNamed(name: string): Snapshot[] | undefined {
    return this.database.read((top, txid) => {
      this.update(top, txid)
      const key = [...this.entries.keys()].find((key) => nameIn(key) === name)
      return key === undefined ? undefined : this.readChain(key).filter(({ name }) => !INIT.test(name))
    })
  }

  private update(top: Bucket, txid: number): void {
    if (txid === this.txid) return
    const version = top.bucket('v1')
    this.buckets = version?.bucket('snapshots')
    this.entries = this.buckets?.entries() ?? new Map()
    this.links = version?.bucket('parents')
    this.parents = this.links?.entries() ?? new Map()
    this.children = new Set()
    for (const link of this.parents.keys()) this.children.add(link.slice(link.indexOf('\0') + 1))
    this.snapshots = new Map()
    this.containers = new Map()
    for (const key of this.entries.keys()) {
      // Most keys are of layers. This is quicker than a regular expression.
      if (key[key.length - 65] !== '/') continue
      const id = nameIn(key)
      if (id === undefined || !CONTAINER_ID.test(id)) continue
      this.containers.set(id, this.containers.has(id) ? undefined : key)
    }
    this.txid = txid
  }

  /** The snapshot `key`, and all below it. */
  private readChain(key: string): Snapshot[] {
    const chain: Snapshot[] = []
    for (let next: string | undefined = key; next !== undefined; ) {
      // Each may have an -init layer upon it. A loop ends here, too.
      if (chain.length > 2 * MOST_LAYERS + 1)
        this.fail(`${shown(key)} has more than ${2 * MOST_LAYERS} layers below it`)
      const snapshot = this.readSnapshot(next)
      const child = chain.at(-1)
      if (child && this.childOf(`${snapshot.link}\0${child.link}`) !== child.key)
        this.fail(`damaged: ${shown(child.key)} is not among the children of ${shown(next)}`)
      chain.push(snapshot)
      next = snapshot.parent
    }
    const lowest = chain.at(-1) as Snapshot
    if (this.children.has(lowest.link)) this.fail(`damaged: ${shown(lowest.key)} has lost its parent`)
    return chain
  }

  /** The key of a child. */
  private childOf(link: string): string | undefined {
    const entry = this.parents.get(link)
    return entry && this.links?.valueOf(entry)
  }

  private readSnapshot(key: string): Snapshot {
    const known = this.snapshots.get(key)
    if (known) return known
    const entry = this.entries.get(key)
    const bucket = entry && this.buckets?.bucketOf(entry)
    if (!bucket) return this.fail(`damaged: no snapshot ${shown(key)}`)
    const link = bucket.value('id') ?? ''
    const number = parseNumber(link)
    const name = nameIn(key)
    if (number === undefined || name === undefined)
      return this.fail(`damaged: the snapshot ${shown(key)} has no name or number`)
    const kind = bucket.value('kind') ?? ''
    const snapshot = { key, name, kind, number, link, parent: bucket.value('parent') }
    this.snapshots.set(key, snapshot)
    return snapshot
  }

  /** Those of a container's snapshots that are its image. */
  private imageOf(id: string, [own, ...below]: Snapshot[]): Snapshot[] {
    if (own?.kind !== ACTIVE) return this.fail(`${shown(own?.key ?? id)} is not a container's own layer`)
    const image = below.filter(({ name }) => !INIT.test(name))
    for (const { key, name } of image)
      if (!isDigest(name)) this.fail(`${shown(key)}, below container ${id}, is not a layer of an image`)
    for (const { key, kind } of below) if (kind !== COMMITTED) this.fail(`${shown(key)} is not committed`)
    if (image.length === 0) this.fail(`the image of container ${id} has no layers`)
    if (image.length > MOST_LAYERS)
      this.fail(
        `the image of container ${id} has ${image.length} layers, more than the ${MOST_LAYERS} that can be mounted`,
      )
    return image
  }

  private fail(why: string): never {
    return this.database.fail(why)
  }
}

/** `NAME` in `NAMESPACE/NUMBER/NAME`. */
function nameIn(key: string): string | undefined {
  return KEY.exec(key)?.[1]
}

function shown(key: string): string {
  return `"${printable(key, 120)}"`
}

/** A number as Go's encoding/binary has it: seven bits in each byte, the lowest first. */
function parseNumber(bytes: string): number | undefined {
  let number = 0
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes.charCodeAt(index)
    number += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80)
      return index === bytes.length - 1 && number > 0 && Number.isSafeInteger(number) ? number : undefined
  }
  return undefined
}

/**
 * Throws an Error if the layers of an image, the uppermost first, are not those of the first of `images` that
 * is there. If nothing is left of the image, the database has to be believed.
 */
function checkImage(
  path: string,
  content: Content,
  names: readonly string[],
  images: readonly (string | undefined)[],
): void {
  const found = [...names].reverse()
  for (const image of images) {
    if (!isDigest(image)) continue
    const differences = content.diffsOf(image).map((diffs) => findDifference(found, diffs))
    if (differences.includes(undefined)) return
    content.verify(image)
    if (differences[0]) throw new Error(`${path}: ${differences[0]} of the image ${image}`)
  }
}

/** Where the layers of an image are not those that were found, both the lowest first. */
function findDifference(found: readonly string[], diffs: readonly string[]): string | undefined {
  let below: string | undefined
  for (let index = 0; index < Math.max(found.length, diffs.length); index++) {
    const diff = diffs[index]
    const id = diff === undefined ? undefined : chainId(below, diff)
    if (id !== found[index]) return `layer ${index + 1} is ${found[index] ?? 'missing'}, not ${id ?? 'one'}`
    below = id
  }
  return undefined
}

function checkLayer(root: Root, layer: string): void {
  checkDirectory(root, layer)
  // Its owner may be anybody: it is the owner of the image's `/`. The directory above is root's, so nobody
  // can replace it.
  const stat = statLink(root, `${layer}/fs`)
  if (!stat) throw new Error(`${layer}/fs: no such directory`)
  if (!stat.isDirectory()) throw new Error(`${layer}/fs: not a directory but ${kindOf(stat)}`)
}

/**
 * Throws an Error if this is anything but a directory of root's. A missing one is reported by whatever reads
 * it.
 */
function checkDirectory(root: Root, path: string): void {
  const unfit = findUnfitDirectory(root, path)
  if (unfit) throw new Error(`${path}: ${unfit}`)
}
