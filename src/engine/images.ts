import { listDirectory, type Root, readText, statLink } from '../machine/files.js'
import { isObject, parseObject } from '../text/json.js'
import { openDatabase } from './bbolt.js'
import { openSnapshots } from './containerd.js'
import { chainId, isDigest, openContent } from './content.js'
import { isDocker } from './docker.js'
import { isImageId, type Layers } from './engine.js'
import type { DataRoots, Place } from './places.js'
import { isPodman } from './podman.js'
import { imageReader } from './podman-images.js'
import { imageLayers } from './podman-layers.js'
import { openStore } from './podman-store.js'
import { findOtherWriter, findUnfitDirectory } from './trust.js'

/**
 * Images that stores have, whether or not a container has been made of them. No boot asks for them: only
 * whoever looks at an image before that.
 */
export type StoredImage = {
  /** As the engine has it. Unchecked text. */
  name: string
  labels: ReadonlyMap<string, string>
  architecture: string | undefined
  layers: () => Layers
}

const LARGEST = 4 << 20
const HEX = /^(?:sha256:)?([0-9a-f]{4,64})$/

/**
 * Whether an image's name is the one that somebody has typed: `wifi` is `docker.io/library/wifi:latest`.
 */
export function isNamed(name: string, typed: string): boolean {
  const full = /[:@][^/]*$/.test(typed) ? typed : `${typed}:latest`
  return [
    typed,
    full,
    ...['docker.io', 'docker.io/library', 'localhost'].map((at) => `${at}/${full}`),
  ].includes(name)
}

/**
 * Finds the image that is called `typed`, by its name or by the beginning of its ID, in the stores of the
 * engine at `place`; undefined if there is none. Throws an Error that names a file that cannot be read.
 */
export function findImage(
  root: Root,
  place: Place,
  dataRoots: DataRoots,
  typed: string,
): StoredImage | undefined {
  if (isDocker(root, place.path))
    return findInOverlay2(root, place.path, typed) ?? findInContainerd(root, dataRoots, typed)
  if (isPodman(root, place.path))
    return findInPodman(
      root,
      place.path,
      dataRoots.images.map(({ path }) => path),
      typed,
    )
  return undefined
}

function isId(id: string, typed: string): boolean {
  const hex = HEX.exec(typed)?.[1]
  return hex !== undefined && id.replace(/^sha256:/, '').startsWith(hex)
}

/** A file of an engine that is a JSON object; undefined if it does not exist. */
function readJson(root: Root, path: string): Record<string, unknown> | undefined {
  const text = readText(root, path, LARGEST, findOtherWriter)
  if (text === undefined) return undefined
  if (text instanceof Error) throw text
  const json = parseObject(text)
  if (!json) throw new Error(`${path}: not a JSON object: truncated or damaged`)
  return json
}

/** What the configuration of an image says: opencontainers/image-spec, config.md. */
function readConfig(
  json: Record<string, unknown>,
  path: string,
): { labels: ReadonlyMap<string, string>; architecture: string | undefined; diffs: string[] } {
  const { config, rootfs, architecture } = json
  const labels = isObject(config) && isObject(config.Labels) ? Object.entries(config.Labels) : []
  if (!labels.every((pair): pair is [string, string] => typeof pair[1] === 'string'))
    throw new Error(`${path}: a label is not a string`)
  const diffs = isObject(rootfs) ? (rootfs.diff_ids ?? []) : []
  if (!Array.isArray(diffs) || !diffs.every(isDigest))
    throw new Error(`${path}: rootfs.diff_ids are not digests of layers`)
  return {
    labels: new Map(labels),
    architecture: typeof architecture === 'string' && architecture !== '' ? architecture : undefined,
    diffs,
  }
}

/** Docker's own store: image/fs_store.go and layer/filestore.go in moby. */
function findInOverlay2(root: Root, dataRoot: string, typed: string): StoredImage | undefined {
  const images = `${dataRoot}/image/overlay2`
  const { Repositories: repositories } = readJson(root, `${images}/repositories.json`) ?? {}
  const named = Object.values(isObject(repositories) ? repositories : {}).flatMap((tags) =>
    isObject(tags) ? Object.entries(tags) : [],
  )
  const [name, id] =
    named.find(([name]) => isNamed(name, typed)) ??
    listDirectory(root, `${images}/imagedb/content/sha256`)
      .filter((hex) => isId(hex, typed))
      .map((hex): [string, unknown] => [
        named.find(([, id]) => id === `sha256:${hex}`)?.[0] ?? typed,
        `sha256:${hex}`,
      ])[0] ??
    []
  if (name === undefined || !isImageId(id)) return undefined
  const path = `${images}/imagedb/content/sha256/${id.slice('sha256:'.length)}`
  const json = readJson(root, path)
  if (!json) throw new Error(`${path}: no such file`)
  const { diffs, ...config } = readConfig(json, path)
  return {
    name,
    ...config,
    layers() {
      const lower: string[] = []
      let chain: string | undefined
      for (const diff of diffs) {
        chain = chainId(chain, diff)
        const file = `${images}/layerdb/sha256/${chain.slice('sha256:'.length)}/cache-id`
        const cache = readText(root, file, 4096, findOtherWriter)
        if (cache instanceof Error) throw cache
        if (cache === undefined || !/^(?:[0-9a-f]{64}|[0-9a-z]{25})$/.test(cache.trim()))
          throw new Error(`${file}: not the name of a layer`)
        lower.unshift(`${cache.trim()}/diff`)
      }
      return checked(root, { directory: `${dataRoot}/overlay2`, lower, key: '', chain: '' })
    },
  }
}

/** Throws an Error if a layer is not there, or if others than root could replace it. */
function checked(root: Root, layers: Layers): Layers {
  if (layers.lower.length === 0) throw new Error('the image has no layers')
  for (const name of layers.lower) {
    const layer = `${layers.directory}/${name}`
    const unfit = findUnfitDirectory(root, layer.slice(0, layer.lastIndexOf('/')))
    if (unfit) throw new Error(`${layer}: ${unfit}`)
    if (!statLink(root, layer)?.isDirectory()) throw new Error(`${layer}: no such directory`)
  }
  return layers
}

/** containerd's metadata: core/metadata/buckets.go in containerd. */
function findInContainerd(root: Root, { containerd }: DataRoots, typed: string): StoredImage | undefined {
  for (const { path, snapshots: own } of containerd) {
    const database = openDatabase(root, `${path}/io.containerd.metadata.v1.bolt/meta.db`)
    const found = database?.read((top) => {
      const version = top.bucket('v1')
      for (const namespace of version?.entries().keys() ?? []) {
        const images = version?.bucket(namespace)?.bucket('images')
        for (const name of images?.entries().keys() ?? []) {
          const digest = images?.bucket(name)?.bucket('target')?.value('digest')
          if (isDigest(digest) && (isNamed(name, typed) || isId(digest, typed))) return { name, digest }
        }
      }
      return undefined
    })
    if (!found) continue
    const { name, digest } = found
    const [json] = openContent(root, path).configsOf(digest)
    if (!json) throw new Error(`${path}: nothing is left of the image ${digest}`)
    const { diffs, ...config } = readConfig(json, `${path}: ${digest}`)
    return {
      name,
      ...config,
      layers() {
        const snapshots = openSnapshots(root, { root: path, ...(own !== undefined && { snapshots: own }) })
        const layers = snapshots?.layersOf(diffs)
        if (!layers)
          throw new Error(`the image ${digest} is not unpacked in ${path}: "docker create" does that`)
        return layers
      },
    }
  }
  return undefined
}

function findInPodman(
  root: Root,
  graphroot: string,
  others: readonly string[],
  typed: string,
): StoredImage | undefined {
  const home = openStore(root, graphroot, false)
  const stores: [typeof home, ...(typeof home)[]] = [
    home,
    ...others.filter((path) => path !== graphroot).map((path) => openStore(root, path, true)),
  ]
  for (const store of stores)
    for (const [id, { names }] of store.images()) {
      const texts = Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
      const name =
        texts.find((text) => isNamed(text, typed)) ?? (isId(id, typed) ? (texts[0] ?? id) : undefined)
      if (name === undefined) continue
      const image = imageReader(root, stores, undefined)(id)
      const { labels, architecture } = image
      return { name, labels, architecture, layers: () => imageLayers(root, stores, image) }
    }
  return undefined
}
