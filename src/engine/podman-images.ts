import { type Root, readText } from '../machine/files.js'
import { isObject, parseObject } from '../text/json.js'
import { checkDirectory, isStoreId, type PodmanStore, type StoreRecord } from './podman-store.js'
import { findOtherWriter } from './trust.js'

/** What a store says about an image, and the image's own configuration about itself. */
export type PodmanImage = {
  labels: ReadonlyMap<string, string>
  /** The ID of its uppermost layer; undefined if it has none. */
  layer: string | undefined
  /** Copies of that layer for other users (`--userns`). */
  mapped: readonly string[]
  /** The digests of its layers, the lowest one first: rootfs.diff_ids of the image configuration. */
  diffIds: readonly string[]
  /** The processor that it is for, as Go calls it. */
  architecture: string | undefined
}

/** `sha256:` and the digest of a text. */
export type Digest = (text: string) => string

const DIGEST = /^sha256:[0-9a-f]{64}$/
/** Podman itself takes no larger manifest or configuration: internal/iolimits in its image library. */
const LARGEST_TEXT = 4 << 20

/**
 * Finds images by ID, in the first of the stores that has them. `digest`: if it is given, the texts of images
 * are checked against their digests, and always against their sizes. The result throws an Error that names
 * the file.
 */
export function imageReader(
  root: Root,
  stores: readonly PodmanStore[],
  digest: Digest | undefined,
): (id: string) => PodmanImage {
  const known = new Map<string, PodmanImage>()
  return (id) => {
    const image = known.get(id) ?? readImage(root, stores, id, digest)
    known.set(id, image)
    return image
  }
}

function readImage(
  root: Root,
  stores: readonly PodmanStore[],
  id: string,
  digest: Digest | undefined,
): PodmanImage {
  const store = stores.find((store) => store.images().has(id))
  if (!store)
    throw new Error(`its image ${id.slice(0, 12)} is not in ${stores.map(({ path }) => path).join(' or ')}`)
  const record = store.images().get(id) as StoreRecord
  const list = `${store.path}/overlay-images/images.json`
  const { layer = '', 'mapped-layers': mapped = [] } = record
  if (layer !== '' && !isStoreId(layer))
    throw new Error(`${list}: the layer of image ${id.slice(0, 12)} is not a layer ID`)
  const { file, json } = readConfiguration(root, `${store.path}/overlay-images/${id}`, id, record, digest)

  const { config = {}, rootfs, architecture } = json
  if (config !== null && !isObject(config)) throw new Error(`${file}: config is not an object`)
  const labels = config?.Labels ?? {}
  if (!isObject(labels)) throw new Error(`${file}: Labels is not an object`)
  const pairs = Object.entries(labels)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string'))
    throw new Error(`${file}: a label is not a string`)
  const diffIds = isObject(rootfs) ? (rootfs.diff_ids ?? []) : undefined
  if (!Array.isArray(diffIds) || !diffIds.every((diffId) => typeof diffId === 'string'))
    throw new Error(`${file}: no rootfs.diff_ids`)
  return {
    labels: new Map(pairs),
    layer: layer === '' ? undefined : layer,
    mapped: Array.isArray(mapped) ? mapped : [],
    diffIds,
    architecture: typeof architecture === 'string' && architecture !== '' ? architecture : undefined,
  }
}

/**
 * Reads the configuration of an image. Mostly its digest is the image's ID; that of an image with layers in
 * zstd:chunked is named in the manifest.
 */
function readConfiguration(
  root: Root,
  directory: string,
  id: string,
  record: StoreRecord,
  digest: Digest | undefined,
): { file: string; json: Record<string, unknown> } {
  checkDirectory(root, directory)
  const names = record['big-data-names']
  const sizes = isObject(record['big-data-sizes']) ? record['big-data-sizes'] : {}
  const digests = isObject(record['big-data-digests']) ? record['big-data-digests'] : {}
  const read = (key: string, expected: unknown): { file: string; json: Record<string, unknown> } => {
    const file = `${directory}/${fileNameOf(key)}`
    const text = readText(root, file, LARGEST_TEXT, findOtherWriter)
    if (text === undefined) throw new Error(`${file}: no such file`)
    if (text instanceof Error) throw text
    const size = sizes[key]
    if (size !== undefined && size !== Buffer.byteLength(text))
      throw new Error(`${file}: it does not have the size that images.json says: truncated or damaged`)
    if (digest && expected !== undefined && digest(text) !== expected)
      throw new Error(`${file}: it does not have the digest that its name says: damaged`)
    const json = parseObject(text)
    if (!json) throw new Error(`${file}: not a JSON object: truncated or damaged`)
    return { file, json }
  }

  const own = `sha256:${id}`
  if (Array.isArray(names) && names.includes(own)) return read(own, own)
  const { file, json } = read('manifest', digests.manifest)
  const named = isObject(json.config) ? json.config.digest : undefined
  if (typeof named !== 'string' || !DIGEST.test(named)) throw new Error(`${file}: no config.digest`)
  return read(named, named)
}

/** The name of the file that has the data of a key: makeBigDataBaseName() in containers-storage. */
function fileNameOf(key: string): string {
  return /^[.0-9a-z]*$/.test(key) ? key : `=${Buffer.from(key).toString('base64')}`
}
