import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bboltFile, type Contents, type Format } from './bbolt.js'

/** Where containerd keeps its data. */
export const CONTAINERD = '/var/lib/containerd'
export const SNAPSHOTTER = `${CONTAINERD}/io.containerd.snapshotter.v1.overlayfs`
export const DATABASE = `${SNAPSHOTTER}/metadata.db`
export const BLOBS = `${CONTAINERD}/io.containerd.content.v1.content/blobs/sha256`

const KINDS = { view: 1, active: 2, committed: 3 }
export type Snapshot = {
  id: number
  kind: keyof typeof KINDS
  parent?: string
  labels?: Record<string, string>
}
export type Image = { manifest: string; imageId: string; config: string; layers: string[] }
export type StoredContainer = { id: string; manifest: string | undefined; imageId: string | undefined }

export function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/**
 * A containerd store as Docker fills it. What it has is public, so that a test can make it wrong before it is
 * written.
 */
export class Store {
  readonly snapshots = new Map<string, Snapshot>()
  /** The children of each snapshot. */
  readonly parents = new Map<string, string>()
  /** Texts by their digests. */
  readonly blobs = new Map<string, string>()
  private sequence = 0
  private number = 0

  /** Adds a snapshot; returns its key. */
  add(
    name: string,
    kind: Snapshot['kind'],
    {
      parent,
      namespace = 'moby',
      labels,
    }: { parent?: string | undefined; namespace?: string; labels?: Record<string, string> } = {},
  ): string {
    // containerd counts leases and others, too.
    this.sequence += 1 + (this.number % 3)
    const key = `${namespace}/${this.sequence}/${name}`
    const snapshot: Snapshot = {
      id: ++this.number,
      kind,
      ...(parent && { parent }),
      ...(labels && { labels }),
    }
    this.snapshots.set(key, snapshot)
    const above = parent === undefined ? undefined : this.snapshots.get(parent)
    if (above) this.parents.set(link(above.id, snapshot.id), key)
    return key
  }

  /**
   * Adds an image with a layer for each of these texts, the lowest first. Layers upon the same ones are
   * shared. `isPulled`: its snapshots have a label. `isCommitted`: each but the lowest was a container's,
   * whose -init layer is below it.
   */
  addImage(diffs: readonly string[], { isIndex = true, isPulled = false, isCommitted = false } = {}): Image {
    const ids = diffs.map(sha256)
    const layers: string[] = []
    for (const id of ids) {
      const below = layers.at(-1)
      let parent = below && this.keyOf(below)
      const chain = below ? sha256(`${below} ${id}`) : id
      layers.push(chain)
      if (this.keyOf(chain)) continue
      if (isCommitted && parent)
        parent = this.add(`${sha256(chain).slice('sha256:'.length)}-init`, 'committed', { parent })
      const labels = isPulled ? { labels: { 'containerd.io/snapshot.ref': chain } } : {}
      this.add(chain, 'committed', { parent, ...labels })
    }
    const config = this.addBlob({ architecture: 'amd64', rootfs: { type: 'layers', diff_ids: ids } })
    const manifest = this.addBlob({ schemaVersion: 2, config: { digest: config }, layers: [] })
    const attestation = this.addBlob({ schemaVersion: 2, config: { digest: sha256('provenance') } })
    const imageId = !isIndex
      ? manifest
      : this.addBlob({
          schemaVersion: 2,
          manifests: [
            { digest: sha256('another platform'), platform: { architecture: 'arm64' } },
            { digest: manifest, platform: { architecture: 'amd64' } },
            { digest: attestation, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } },
          ],
        })
    return { manifest, imageId, config, layers: layers.reverse() }
  }

  addBlob(json: unknown): string {
    const text = JSON.stringify(json)
    this.blobs.set(sha256(text), text)
    return sha256(text)
  }

  /** Adds a container of an image; `name` makes its ID. */
  addContainer(name: string, image: Image, { hasInit = true, namespace = 'moby' } = {}): StoredContainer {
    const id = sha256(name).slice('sha256:'.length)
    const uppermost = image.layers[0] && this.keyOf(image.layers[0])
    const parent = hasInit ? this.add(`${id}-init`, 'committed', { parent: uppermost, namespace }) : uppermost
    this.add(id, 'active', { parent, namespace })
    return { id, manifest: image.manifest, imageId: image.imageId }
  }

  keyOf(name: string): string | undefined {
    return [...this.snapshots.keys()].find((key) => key.slice(key.indexOf('/', 5) + 1) === name)
  }

  get(name: string): Snapshot {
    const snapshot = this.snapshots.get(this.keyOf(name) ?? name)
    if (!snapshot) throw new Error(name)
    return snapshot
  }

  /** The layers of an image as they should be found. */
  expected(image: Image): { directory: string; lower: string[]; key: string; chain: string } {
    const [chain = ''] = image.layers
    return {
      directory: `${SNAPSHOTTER}/snapshots`,
      lower: image.layers.map((name) => `${this.get(name).id}/fs`),
      key: chain.slice('sha256:'.length),
      chain,
    }
  }

  contents(): Contents {
    const time = '\x01\0\0\0\x0e\xe2\x9c\x18\x29\x0a\x90\x64\xdc\xff\xff'
    const snapshots: Contents = new Map()
    for (const [key, { id, kind, parent, labels }] of this.snapshots) {
      const bucket: Contents = new Map([
        ['createdat', time],
        ['id', uvarint(id)],
        ['kind', String.fromCharCode(KINDS[kind])],
        ['updatedat', time],
      ])
      if (kind === 'committed') bucket.set('inodes', '\x1a').set('size', '\x80\xc0\x03')
      if (parent) bucket.set('parent', parent)
      if (labels) bucket.set('labels', new Map(Object.entries(labels)))
      snapshots.set(key, bucket)
    }
    return new Map([
      [
        'v1',
        new Map([
          ['snapshots', snapshots],
          ['parents', new Map(this.parents)],
        ]),
      ],
    ])
  }

  /** Writes all of it below `prefix`. */
  write(prefix: string, format?: Format): void {
    mkdirSync(dirname(prefix + CONTAINERD), { recursive: true, mode: 0o755 })
    mkdirSync(prefix + SNAPSHOTTER, { recursive: true, mode: 0o700 })
    mkdirSync(prefix + BLOBS, { recursive: true, mode: 0o755 })
    writeFileSync(prefix + DATABASE, bboltFile(this.contents(), format), { mode: 0o600 })
    for (const { id } of this.snapshots.values())
      mkdirSync(join(prefix, SNAPSHOTTER, 'snapshots', String(id), 'fs'), { recursive: true, mode: 0o700 })
    for (const [digest, text] of this.blobs)
      writeFileSync(join(prefix, BLOBS, digest.slice('sha256:'.length)), text, { mode: 0o444 })
  }
}

/** The root of the containerd that dockerd started for the data root `containerd` in test/data-roots. */
export const DAEMON = 'containerd/daemon'

/** The containers of a data root, by name, as the engine's metadata have them. */
export function containersIn(data: string): Map<string, StoredContainer> {
  return new Map(
    readdirSync(join(data, 'containers')).map((id) => {
      const text = readFileSync(join(data, 'containers', id, 'config.v2.json'), 'utf8')
      const { Name, Image, ImageManifest } = JSON.parse(text)
      return [Name.slice(1), { id, manifest: ImageManifest?.digest, imageId: Image }]
    }),
  )
}

/** A key in the bucket `parents`. */
export function link(parent: number, child: number): string {
  return `${uvarint(parent)}\0${uvarint(child)}`
}

/** A number as Go's encoding/binary writes it. */
function uvarint(number: number): string {
  let text = ''
  let rest = number
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) text += String.fromCharCode((rest % 0x80) | 0x80)
  return text + String.fromCharCode(rest)
}
