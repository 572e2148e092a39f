import { dirname, join } from 'node:path/posix'
import type { Sink } from '../engine/decoder.js'
import { isNamed } from '../engine/images.js'
import { systemOf } from '../image/fill.js'
import { isObject } from '../text/json.js'
import { printable, printableList } from '../text/printable.js'
import { feed, Unpacked } from './input.js'
import { Layer, stackLayer } from './layer.js'
import { addMore, inMemory, Node, newDirectory, walk } from './memory.js'
import { type ImageConfig, readImageConfig, type Subject } from './subject.js'
import { type TarEntry, TarReader } from './tar.js'
import { wantedFiles } from './wanted.js'

/**
 * Archives of images: what `docker save` writes (with a directory for each layer, or since Docker 25 as an
 * OCI layout that also has Docker's manifest), `podman save` in both of its formats, `skopeo copy` to
 * `docker-archive:` and `oci-archive:`; and the file system that `docker export` writes. Which of them it is
 * is known only at its end, and so is the order of its layers: what has their names is read as it comes.
 *
 * The layers are not unpacked to a directory. To write them takes several times as long as to read them, and
 * only root can give files their owners. What is kept is an entry for each file, and the few texts that
 * matter (check/wanted.ts).
 */

/** What may be a layer or the text of an image, by its name in the archive. */
const BLOB =
  /^(?:blobs\/sha256\/[0-9a-f]{64}|[0-9a-f]{64}(?:\/layer\.tar|\/json|\.tar|\.json)|manifest\.json|index\.json|oci-layout|repositories)$/
const DIGEST = /^sha256:[0-9a-f]{64}$/
/** What engines take: opencontainers/distribution-spec, "Pushing Manifests". */
const LONGEST_TEXT = 4 << 20
const MOST_TEXT = 16 << 20
/** An image for every platform that Go knows has 40, and as many attestations. */
const MOST_IMAGES = 200

/** A file of the archive: a text, a layer, or neither, which matters only if the image needs it. */
type Blob = { size: number; text?: string; layer?: Layer; problem?: Error }

/** What is wanted of an archive, if it has several images. */
export type Choice = {
  /** The name of an image. */
  image: string | undefined
  /** A processor, as Go calls it. */
  architecture: string | undefined
}

/**
 * Reads an archive: a file, or `-` for standard input. Throws an Error with one line that says what is wrong
 * with it.
 */
export async function readArchive(path: string, choice: Choice, hashKernels: boolean): Promise<Subject> {
  const what = path === '-' ? 'standard input' : printable(path, 200)
  const archive = new Archive(what, hashKernels)
  await feed(path, new Unpacked(what, () => archive.reader))
  return { name: what, hasCapabilities: true, ...archive.finish(choice) }
}

type Found = Omit<Subject, 'name' | 'hasCapabilities'> & { name?: string }

class Archive {
  readonly reader: TarReader
  private readonly blobs = new Map<string, Blob>()
  /** Names of a layer that is there under another one. */
  private readonly aliases = new Map<string, string>()
  /** The archive, as if it were a file system. */
  private readonly plain: Layer
  private readonly wanted: ReturnType<typeof wantedFiles>
  private textLeft = MOST_TEXT

  constructor(
    private readonly what: string,
    hashKernels: boolean,
  ) {
    this.wanted = wantedFiles(hashKernels)
    this.plain = new Layer(what, this.wanted, false)
    this.reader = new TarReader(what, (entry) => this.take(entry))
  }

  private take(entry: TarEntry): Sink | undefined {
    const sink = this.plain.take(entry)
    const name = entry.name.replace(/^\.?\//, '')
    if (!BLOB.test(name)) return sink
    if (entry.type === 'file') return this.readBlob(name, entry.size)
    if (entry.type === 'link') this.aliases.set(name, join(dirname(name), entry.target))
    if (entry.type === 'hard link') this.aliases.set(name, entry.target.replace(/^\.?\//, ''))
    return undefined
  }

  /** A blob that cannot be read is no problem if the image does not need it. */
  private readBlob(name: string, size: number): Sink {
    const blob: Blob = { size }
    this.blobs.set(name, blob)
    const what = `${this.what}: ${name}`
    const sink = new Unpacked(what, (beginning) =>
      /^\s*[[{]/.test(beginning.toString('latin1', 0, 8))
        ? this.readText(blob, what)
        : this.readLayer(blob, what),
    )
    const guarded = (use: () => void): void => {
      if (blob.problem) return
      try {
        use()
      } catch (error) {
        blob.problem = error as Error
      }
    }
    return {
      push: (chunk) => guarded(() => sink.push(chunk)),
      end: () => guarded(() => sink.end()),
      unwanted: () => (blob.problem ? Number.MAX_SAFE_INTEGER : sink.unwanted()),
      skip: (bytes) => guarded(() => sink.skip(bytes)),
    }
  }

  private readText(blob: Blob, what: string): Sink {
    const chunks: Buffer[] = []
    let length = 0
    return {
      push: (chunk) => {
        length += chunk.length
        this.textLeft -= chunk.length
        if (length > LONGEST_TEXT || this.textLeft < 0)
          throw new Error(
            `${what} has more than ${LONGEST_TEXT} bytes, or all texts together more than ${MOST_TEXT}`,
          )
        chunks.push(Buffer.from(chunk))
      },
      end: () => {
        blob.text = Buffer.concat(chunks).toString('utf8')
      },
    }
  }

  private readLayer(blob: Blob, what: string): Sink {
    const layer = new Layer(what, this.wanted)
    const reader = new TarReader(what, (entry) => layer.take(entry))
    return {
      push: (chunk) => reader.push(chunk),
      unwanted: () => reader.unwanted(),
      skip: (bytes) => reader.skip(bytes),
      end: () => {
        reader.end()
        blob.layer = layer
      },
    }
  }

  /** What the archive is, now that it has been read. */
  finish(choice: Choice): Found {
    // A file system may have files of these names, too.
    const isImage = [...this.blobs.keys()].some((name) => /[0-9a-f]{64}/.test(name))
    if (isImage && this.blobs.has('manifest.json')) return this.asDocker(choice)
    if (isImage && this.blobs.has('index.json')) return this.asOci(choice)
    if (isImage) throw new Error(`${this.what} has neither manifest.json nor index.json: incomplete`)
    return {
      format: 'file system archive',
      labels: undefined,
      architecture: undefined,
      layers: 1,
      top: stacked([this.plain]),
    }
  }

  private asDocker({ image }: Choice): Found {
    const list = this.json('manifest.json')
    if (!Array.isArray(list) || list.length === 0 || !list.every(isObject))
      throw new Error(`${this.what}: manifest.json is not a list of images`)
    const images = list.map((entry) => ({ ...entry, names: texts(entry.RepoTags) }))
    const found = choose(
      images.filter(({ names }) => image === undefined || names.some((name) => isNamed(name, image))),
      images.flatMap(({ names }) => names),
      this.what,
      image,
    ) as Record<string, unknown> & { names: string[] }
    const { Config: config, Layers: layers } = found
    if (
      typeof config !== 'string' ||
      !Array.isArray(layers) ||
      !layers.every((name) => typeof name === 'string')
    )
      throw new Error(`${this.what}: manifest.json has an image without Config or Layers`)
    return { ...this.assemble(config, layers), format: 'docker archive', ...nameFrom(found.names) }
  }

  private asOci({ image, architecture }: Choice): Found {
    const index = this.json('index.json')
    const nameOf = ({ annotations }: Record<string, unknown>): string[] => {
      const { 'io.containerd.image.name': full, 'org.opencontainers.image.ref.name': short } = isObject(
        annotations,
      )
        ? annotations
        : {}
      return texts([full, short])
    }
    const listed = manifestsIn(index)
    if (!listed) throw new Error(`${this.what}: index.json is not an index of images`)
    const found = choose(
      listed.filter((entry) => image === undefined || nameOf(entry).some((name) => isNamed(name, image))),
      listed.flatMap(nameOf),
      this.what,
      image,
    )
    // An image for several processors is an index of its own.
    const open = [found]
    const manifests: { config: string; layers: string[]; architecture: unknown }[] = []
    for (let count = 0; open.length > 0; count++) {
      if (count > MOST_IMAGES) throw new Error(`${this.what} has more than ${MOST_IMAGES} manifests`)
      const entry = open.shift() as Record<string, unknown>
      const path = this.blobPath(entry.digest)
      // One that is only listed: the archive has another processor's.
      if (listed.length + open.length > 1 && !this.blobs.has(path)) continue
      const json = this.json(path)
      const more = manifestsIn(json)
      if (more) {
        open.push(...more)
        continue
      }
      const { config, layers } = isObject(json) ? json : {}
      if (!isObject(config) || !Array.isArray(layers) || !layers.every(isObject))
        throw new Error(`${this.what}: ${path} is neither a manifest nor an index`)
      const paths = layers.map((layer) => {
        const place = this.blobPath(layer.digest)
        const blob = this.blobs.get(place)
        if (blob && typeof layer.size === 'number' && blob.size !== layer.size)
          throw new Error(`${this.what}: ${place} has ${blob.size} bytes, not ${layer.size}: damaged`)
        return place
      })
      const platform = isObject(entry.platform) ? entry.platform.architecture : undefined
      manifests.push({ config: this.blobPath(config.digest), layers: paths, architecture: platform })
    }
    const fitting = manifests.find((manifest) => manifest.architecture === architecture) ?? manifests[0]
    if (!fitting) throw new Error(`${this.what} has no image`)
    return {
      ...this.assemble(fitting.config, fitting.layers),
      format: 'OCI archive',
      ...nameFrom(nameOf(found)),
    }
  }

  /** The image with this configuration and these layers, the lowest first. */
  private assemble(config: string, names: readonly string[]): Omit<Found, 'format'> {
    const json = this.json(config)
    if (!isObject(json))
      throw new Error(`${this.what}: ${printable(config)} is not the configuration of an image`)
    const { labels, architecture, diffs, copied }: ImageConfig = readImageConfig(
      json,
      `${this.what}: ${printable(config)}`,
    )
    if (diffs !== names.length)
      throw new Error(`${this.what} has ${names.length} layers of an image with ${diffs}: damaged`)
    const layers = names.map((name) => {
      const path = this.aliases.get(name) ?? name
      const { layer, problem } = this.blobs.get(path) ?? {}
      if (problem) throw problem
      if (!layer) throw new Error(`${this.what}: the layer ${printable(name)} is missing`)
      return layer
    })
    markOwn(layers, copied)
    return { labels, architecture, layers: layers.length, top: stacked(layers) }
  }

  private blobPath(digest: unknown): string {
    if (typeof digest !== 'string' || !DIGEST.test(digest))
      throw new Error(`${this.what}: a manifest has ${printable(String(digest), 80)} in place of a digest`)
    return `blobs/sha256/${digest.slice('sha256:'.length)}`
  }

  /** A text of the archive. If its name is its hash, that is checked. */
  private json(name: string): unknown {
    const { text, problem } = this.blobs.get(name) ?? {}
    if (problem) throw problem
    if (text === undefined) throw new Error(`${this.what}: ${printable(name)} is missing`)
    const hash = /([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1]
    if (hash !== undefined) {
      const sum = process.getBuiltinModule('node:crypto').createHash('sha256')
      if (sum.update(text).digest('hex') !== hash)
        throw new Error(`${this.what}: ${name} does not have the hash that is its name: damaged`)
    }
    try {
      return JSON.parse(text)
    } catch {
      throw new Error(`${this.what}: ${printable(name)} is not valid JSON: damaged`)
    }
  }
}

/** The manifests that an index lists, without those of attestations; undefined if it is not an index. */
function manifestsIn(json: unknown): Record<string, unknown>[] | undefined {
  if (!isObject(json) || !Array.isArray(json.manifests)) return undefined
  return json.manifests.filter(isObject).filter(({ annotations, platform }) => {
    const isAttestation = isObject(annotations) && annotations['vnd.docker.reference.type'] !== undefined
    return !isAttestation && !(isObject(platform) && platform.architecture === 'unknown')
  })
}

/** The only image. Throws an Error if there are several, or none. */
function choose<T>(
  images: readonly T[],
  names: readonly string[],
  what: string,
  wanted: string | undefined,
): T {
  const [image, other] = images
  const list = printableList(names) || 'without names'
  if (!image)
    throw new Error(
      `${what} has no image ${wanted === undefined ? '' : `${printable(wanted)}; it has ${list}`}`.trim(),
    )
  if (other) throw new Error(`${what} has several images (${list}): name one with --image=NAME`)
  return image
}

function nameFrom([name]: readonly string[]): { name?: string } {
  return name === undefined ? {} : { name }
}

function texts(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((text) => typeof text === 'string') : []
}

/** Marks the files that were copied into a system. An image without a system has nobody else's. */
function markOwn(layers: readonly Layer[], copied: readonly boolean[]): void {
  const system = layers.findIndex(({ top }) => systemOf(inMemory(top), '') !== undefined)
  if (system < 0) return
  for (const [index, { top }] of layers.entries())
    if (index > system && copied[index])
      walk(top, (_, node) => {
        if (!node.children) addMore(node, { isOwn: true })
      })
}

/** What layers show, the lowest first. */
function stacked(layers: readonly Layer[]): Node {
  const top = newDirectory()
  for (const [index, layer] of layers.entries())
    stackLayer(
      top,
      layers.indexOf(layer) === index && layers.lastIndexOf(layer) === index ? layer.top : copy(layer.top),
    )
  return top
}

/** A copy of the directories of a layer, which is stacked more than once. */
function copy(node: Node): Node {
  const made = new Node(node.mode, node.uid, node.gid, node.size)
  if (node.more) made.more = node.more
  for (const [name, child] of node.children ?? [])
    made.children?.set(name, child.children ? copy(child) : child)
  return made
}
