import { FileProblem, type Root, readText } from '../machine/files.js'
import { isObject, parseObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import { sha256 } from '../text/sha256.js'
import { findOtherWriter, findUnfitDirectory } from './trust.js'

/**
 * What containerd's content store says about the layers of images: OCI's index, manifest and configuration
 * (opencontainers/image-spec), and Docker's, which have the same fields here.
 */
export type Content = {
  /**
   * The layers of the image `digest` (a manifest or an index) as the digests of what each changes, the lowest
   * first: one list for each of its manifests whose blobs are there. None if they are gone: `docker rmi -f`
   * leaves a container behind whose image has none. Throws an Error that names the file.
   */
  diffsOf: (digest: string) => string[][]
  /** The configurations of the same manifests. */
  configsOf: (digest: string) => Record<string, unknown>[]
  /**
   * Throws an Error that names the file if a blob of this image does not have the hash that is its name.
   * Blobs that say what the snapshotter says, too, need no such check.
   */
  verify: (digest: string) => void
}

/** Where content is, in containerd's root. */
const DIRECTORIES = [
  'io.containerd.content.v1.content',
  'io.containerd.content.v1.content/blobs',
  'io.containerd.content.v1.content/blobs/sha256',
]
const DIGEST = /^sha256:[0-9a-f]{64}$/
/** What everybody has to support for manifests: opencontainers/distribution-spec, "Pushing Manifests". */
const LARGEST_BLOB = 4 << 20
/** An image for every platform that Go knows has 40, and as many attestations. */
const MOST_MANIFESTS = 200
/** More than any store can mount. */
const MOST_DIFFS = 1000

/** What is known of an image; `blobs`: their texts by their paths. */
type Image = { diffs: string[][]; configs: Record<string, unknown>[]; blobs: Map<string, string> }

/** The content store below containerd's root. Nothing is read yet. */
export function openContent(root: Root, containerdRoot: string): Content {
  const images = new Map<string, Image>()
  let isChecked = false
  const imageOf = (digest: string): Image => {
    if (!isChecked) checkDirectories(root, containerdRoot)
    isChecked = true
    const image = images.get(digest) ?? readImage(root, `${containerdRoot}/${DIRECTORIES.at(-1)}`, digest)
    images.set(digest, image)
    return image
  }
  return {
    diffsOf: (digest) => imageOf(digest).diffs,
    configsOf: (digest) => imageOf(digest).configs,
    verify: (digest) => checkHashes(imageOf(digest).blobs),
  }
}

export function isDigest(value: unknown): value is string {
  return typeof value === 'string' && DIGEST.test(value)
}

/**
 * What names a layer and all below it: opencontainers/image-spec, config.md, "Layer ChainID". `below`: the
 * same of the layer below it.
 */
export function chainId(below: string | undefined, diff: string): string {
  return below === undefined ? diff : `sha256:${sha256(`${below} ${diff}`)}`
}

function checkDirectories(root: Root, containerdRoot: string): void {
  for (const name of DIRECTORIES) {
    const unfit = findUnfitDirectory(root, `${containerdRoot}/${name}`)
    if (unfit) throw new Error(`${containerdRoot}/${name}: ${unfit}`)
  }
}

function readImage(root: Root, directory: string, digest: string): Image {
  const image: Image = { diffs: [], configs: [], blobs: new Map() }
  const wanted = [digest]
  try {
    // The list grows: an index may name other ones.
    for (const [index, next] of wanted.entries()) {
      const path = blobPath(directory, next)
      if (index > MOST_MANIFESTS) throw new Error(`${path}: one of more than ${MOST_MANIFESTS} manifests`)
      const json = readBlob(root, path, image.blobs)
      if (!json) continue
      if (Array.isArray(json.manifests)) wanted.push(...json.manifests.flatMap(manifestDigest))
      else if (isObject(json.config) && isDigest(json.config.digest)) {
        const config = blobPath(directory, json.config.digest)
        const configuration = readBlob(root, config, image.blobs)
        if (!configuration) continue
        image.diffs.push(diffIds(configuration, config))
        image.configs.push(configuration)
      } else throw new Error(`${path}: neither a manifest nor an index`)
    }
  } catch (error) {
    // Damage is the better reason.
    checkHashes(image.blobs)
    throw error
  }
  return image
}

/** The digest of a manifest in an index, unless it is of an attestation, which is beside the image. */
function manifestDigest(entry: unknown): string[] {
  if (!isObject(entry) || !isDigest(entry.digest)) return []
  const isAttestation =
    isObject(entry.annotations) && entry.annotations['vnd.docker.reference.type'] === 'attestation-manifest'
  return isAttestation ? [] : [entry.digest]
}

function diffIds(image: Record<string, unknown>, path: string): string[] {
  const ids = isObject(image.rootfs) ? (image.rootfs.diff_ids ?? []) : []
  if (!Array.isArray(ids) || ids.length > MOST_DIFFS || !ids.every(isDigest))
    throw new Error(`${path}: rootfs.diff_ids are not digests of layers`)
  return ids
}

function blobPath(directory: string, digest: string): string {
  return `${directory}/${digest.slice('sha256:'.length)}`
}

/** A blob that is a JSON object; undefined if it is gone. */
function readBlob(root: Root, path: string, blobs: Map<string, string>): Record<string, unknown> | undefined {
  const text = readText(root, path, LARGEST_BLOB, findOtherWriter)
  if (text === undefined) return undefined
  if (text instanceof FileProblem) throw text
  blobs.set(path, text)
  const json = parseObject(text)
  if (!json) throw new Error(`${path}: not a JSON object: ${printable(text, 40)}`)
  return json
}

function checkHashes(blobs: ReadonlyMap<string, string>): void {
  for (const [path, text] of blobs) {
    const sum = process.getBuiltinModule('node:crypto').createHash('sha256')
    if (sum.update(text).digest('hex') !== path.slice(-64))
      throw new Error(`${path}: damaged: it does not have this hash`)
  }
}
