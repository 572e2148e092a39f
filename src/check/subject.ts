import { isObject } from '../text/json.js'
import { type Node, walk } from './memory.js'

/** What is looked at: the files of an image as a container would see them, and what is known about them. */
export type Subject = {
  /** What it is: `docker archive`, `directory`. */
  format: string
  /** The name of the image, or where it is. Unchecked text. */
  name: string
  /** The image's labels; undefined if what it is has none. */
  labels: ReadonlyMap<string, string> | undefined
  /** The processor that the image is for, as Go calls it: `arm64`; undefined if nothing says so. */
  architecture: string | undefined
  layers: number
  top: Node
  /** Whether file capabilities are known. */
  hasCapabilities: boolean
  /** What would keep the engine's container from being an extension, whatever its image; of a container. */
  unmeant?: string
}

/** What the configuration of an image says: opencontainers/image-spec, config.md; Docker's is the same. */
export type ImageConfig = {
  labels: Map<string, string>
  architecture: string | undefined
  /** The digests of its layers. */
  diffs: number
  /** For each layer, the lowest first, whether its author has copied the files; empty if nothing says so. */
  copied: boolean[]
}

/** Reads it. Throws an Error that begins with `what`. */
export function readImageConfig(json: Record<string, unknown>, what: string): ImageConfig {
  const { config, rootfs, architecture, history } = json
  const labels = isObject(config) ? (config.Labels ?? {}) : {}
  if (!isObject(labels)) throw new Error(`${what}: Labels is not an object`)
  const pairs = Object.entries(labels)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string'))
    throw new Error(`${what}: a label is not a string`)
  const diffs = isObject(rootfs) ? (rootfs.diff_ids ?? []) : []
  if (!Array.isArray(diffs)) throw new Error(`${what}: rootfs.diff_ids is not a list`)
  return {
    labels: new Map(pairs),
    architecture: typeof architecture === 'string' && architecture !== '' ? architecture : undefined,
    diffs: diffs.length,
    copied: copiedOf(history, diffs.length),
  }
}

/**
 * What the history of an image says of its layers: the step that made each, in the words of a Dockerfile, as
 * BuildKit and classic builders write them.
 */
function copiedOf(history: unknown, count: number): boolean[] {
  const steps = Array.isArray(history) ? history.filter(isObject) : []
  const made = steps.filter((step) => step.empty_layer !== true)
  if (made.length !== count) return []
  return made.map(({ created_by: by }) => /^(?:\/bin\/sh -c #\(nop\) )?(?:COPY|ADD) /.test(String(by)))
}

/** How many files an image has, and the bytes in them; several names of one file count once. */
export function measure(top: Node): { files: number; directories: number; bytes: number } {
  const seen = new Set<Node>()
  const size = { files: 0, directories: 0, bytes: 0 }
  walk(top, (_, node) => {
    if (node.children) {
      size.directories++
      return
    }
    size.files++
    if (node.size === 0 || seen.has(node)) return
    seen.add(node)
    if (node.isFile()) size.bytes += node.size
  })
  return size
}
