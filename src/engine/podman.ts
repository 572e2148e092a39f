import { listDirectory, type Root, statLink } from '../machine/files.js'
import { parseObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import type { Container, Engine, UnreadableContainer } from './engine.js'
import { OWN_DIRECTORY, PODMAN } from './places.js'
import { type Digest, imageReader, type PodmanImage } from './podman-images.js'
import { layerReader } from './podman-layers.js'
import {
  checkDirectory,
  findUnfitStore,
  isStoreId,
  openStore,
  readRecords,
  STORE_DIRECTORIES,
  type StoreRecord,
} from './podman-store.js'

/**
 * What Podman keeps in the graph root of containers-storage, with the overlay driver. Of libpod's own
 * database nothing is read: names, images and layers are all in files of containers-storage. The labels that
 * are given to `podman create` are only in the database, so those of images alone count.
 */

const CONTAINERS = 'overlay-containers'
/** Containers that need not outlast the machine's run have a list of their own since Podman 4.4. */
const LISTS = ['containers.json', 'volatile-containers.json']
/** A container has about 500 bytes. */
const LARGEST_CONTAINERS = 16 << 20
/** Far more than Podman can handle. A line for each of a million would take an hour on a serial console. */
const MOST_CONTAINERS = 10_000

/** Whether there are, or were, containers of Podman, or something else has the name of their directory. */
export function isPodman(root: Root, graphroot: string): boolean {
  return statLink(root, `${graphroot}/${CONTAINERS}`) !== undefined
}

/** Why nothing below a graph root can be trusted; undefined if it can: {@link findUnfitStore}. */
export function findUnfitPodman(root: Root, graphroot: string): string | undefined {
  const own = [OWN_DIRECTORY, `${OWN_DIRECTORY}/trees`]
  return findUnfitStore(root, graphroot, [...own, CONTAINERS, ...STORE_DIRECTORIES])
}

/**
 * Reads the containers below `graphroot`. `others`: more stores in which images are searched (`imagestore`,
 * `additionalimagestores`). `digest`: if it is given, the texts of images must have their digests;
 * otherwise only their sizes are compared. (Loading node:crypto takes longer than everything else here.)
 * `asks`: by its labels, whether somebody asks if a container was started. Of any other this is not looked
 * at: a machine may have thousands. It counts as never started then.
 *
 * A container that cannot be read comes back as unreadable, and the others are still read. Throws an Error
 * that names the file if the list of containers cannot be read, or is too long.
 */
export function readPodman(
  root: Root,
  graphroot: string,
  others: readonly string[],
  digest?: Digest,
  asks: (labels: Container['labels']) => boolean = () => true,
): Engine {
  const home = openStore(root, graphroot, false)
  const stores: [typeof home, ...(typeof home)[]] = [
    home,
    ...others.filter((path) => path !== graphroot).map((path) => openStore(root, path, true)),
  ]
  const imageOf = imageReader(root, stores, digest)
  const layersOf = layerReader(root, stores)

  const read = new Map<string, Read>()
  const unreadable: UnreadableContainer[] = []
  const entries = readLists(root, graphroot)
  const listed = new Set<unknown>()
  const twice = new Set(
    entries.map(({ record }) => record.id).filter((id) => listed.size === listed.add(id).size),
  )
  for (const entry of entries) {
    const { id } = entry.record
    try {
      const found = readContainer(root, graphroot, entry, imageOf, asks)
      // Nobody knows which of them it is.
      if (twice.has(id)) throw new Error('it is listed twice')
      read.set(found.container.id, found)
    } catch (error) {
      const who = isStoreId(id) ? `container ${id.slice(0, 12)}: ` : ''
      unreadable.push({ source: printable(entry.source), problem: who + (error as Error).message })
    }
  }
  const own = ({ id }: Container): Read => {
    const found = read.get(id)
    if (!found) throw new Error(`${graphroot}: no container ${id}`)
    return found
  }
  return {
    name: PODMAN,
    home: () => graphroot,
    homes: [graphroot],
    containers: [
      ...[...read.values()].map(({ container }) => container).sort((a, b) => (a.id < b.id ? -1 : 1)),
      ...unreadable,
    ],
    hostConfig: (container) => ({
      runtime: undefined,
      isTemporary: own(container).isTemporary,
      isUnlogged: false,
    }),
    // A container with a user namespace has layers of its own.
    hasLayers: () => false,
    layers(container) {
      const { layer, image } = own(container)
      if (image === '') throw new Error('it has no image (--rootfs)')
      return layersOf(layer, imageOf(image))
    },
  }
}

/** A container, its own layer, and its image. */
type Read = { container: Container; layer: string; image: string; isTemporary: boolean }

type Entry = { source: string; isVolatile: boolean; record: StoreRecord }

function readLists(root: Root, graphroot: string): Entry[] {
  const entries = LISTS.flatMap((name, index) => {
    const source = `${graphroot}/${CONTAINERS}/${name}`
    const records = readRecords(root, source, LARGEST_CONTAINERS) ?? []
    return records.map((record) => ({ source, isVolatile: index > 0, record }))
  })
  if (entries.length > MOST_CONTAINERS)
    throw new Error(`${graphroot}/${CONTAINERS}: ${entries.length} containers, more than ${MOST_CONTAINERS}`)
  return entries
}

/** Reads one container. Throws an Error that says what is wrong with it, without the name of the list. */
function readContainer(
  root: Root,
  graphroot: string,
  { source, isVolatile, record }: Entry,
  imageOf: (id: string) => PodmanImage,
  asks: (labels: Container['labels']) => boolean,
): Read {
  const { id, names = [], image = '', layer, metadata = '', flags } = record
  if (!isStoreId(id)) throw new Error('id is not a container ID')
  if (!isStoreId(layer)) throw new Error('layer is not a layer ID')
  if (image !== '' && !isStoreId(image)) throw new Error('image is not an image ID')
  const about = metadata === '' ? {} : typeof metadata === 'string' ? parseObject(metadata) : undefined
  if (!about) throw new Error('metadata is not the text of a JSON object')
  const imageId = image === '' ? undefined : `sha256:${image}`
  const container: Container = {
    id,
    // What `podman rename` changes is the first one.
    name: [Array.isArray(names) ? names[0] : undefined, about.name].find(isFilled) ?? '',
    image: [about['image-name'], imageId].find(isFilled) ?? 'no image',
    imageId,
    labels: new Map(),
    start: 'never',
    isBuildStep: false,
    refused: findForeign(about),
    source,
  }
  const isTemporary = isVolatile || (flags as StoreRecord | undefined)?.Volatile === true
  const read = { container, layer, image, isTemporary }
  if (container.refused !== undefined) {
    // If nobody can tell whether it was meant to be an extension, there is no need to speak of it.
    try {
      if (image !== '') container.labels = imageOf(image).labels
    } catch {}
    return read
  }
  if ((about['image-id'] ?? '') !== image) throw new Error('image is not the one in its metadata')
  // One with `--rootfs` has none.
  if (image !== '') container.labels = imageOf(image).labels
  if (asks(container.labels) && wasStarted(root, `${graphroot}/${CONTAINERS}/${id}`)) container.start = 'done'
  return read
}

function isFilled(text: unknown): text is string {
  return typeof text === 'string' && text !== ''
}

/** Whose container it is, if it is not Podman's: libpod/storage.go, internal/storage/runtime.go of CRI-O. */
function findForeign(about: StoreRecord): string | undefined {
  if (about['pod-id'] !== undefined || about['pod-name'] !== undefined) return 'it belongs to CRI-O'
  if (!isFilled(about.name)) return 'it is a working container of buildah, not one that Podman lists'
  return undefined
}

/**
 * Whether a container was started, or an attempt to start it failed, or it was initialized (podman-init(1)).
 * Each time Podman writes config.json, the specification for the OCI runtime, to `userdata`, and mostly more
 * files; it never removes config.json. What is only created has nothing but directories there. Tried with
 * Podman 4.3 and 5.8, reboots included, after which Podman itself no longer knows of failed starts. Throws an
 * Error if this cannot be told.
 */
function wasStarted(root: Root, directory: string): boolean {
  const userdata = `${directory}/userdata`
  for (const path of [directory, userdata]) checkDirectory(root, path)
  return listDirectory(root, userdata).some((name) => !statLink(root, `${userdata}/${name}`)?.isDirectory())
}
