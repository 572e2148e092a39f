import type { Sink } from '../engine/decoder.js'
import { followLinks } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { addMore, findNode, KINDS, Node, newDirectory } from './memory.js'
import type { TarEntry } from './tar.js'
import { keepContents, type Wanted } from './wanted.js'

/**
 * How layers say what they delete: opencontainers/image-spec, layer.md, "Whiteouts". Other names with the
 * first two prefixes are of aufs, and mean nothing.
 */
const WHITEOUT = '.wh.'
const META = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'

/** path_resolution(7), limits.h(0P). */
const LONGEST_NAME = 255
const LONGEST_PATH = 4096

/** The files of a layer, as its archive has them. */
export class Layer {
  readonly top = newDirectory()
  /** How many entries it has, and the bytes in its files. */
  entries = 0
  bytes = 0
  private last: { directory: string; node: Node } | undefined

  /** `what`: what the layer is called in errors. */
  constructor(
    private readonly what: string,
    private readonly wanted: (path: string, size: number) => Wanted,
    /** Whether entries may say that something is deleted: a layer, not a whole file system. */
    private readonly hasWhiteouts = true,
  ) {
    addMore(this.top, { isImplied: true })
  }

  /**
   * Takes an entry of the archive; returns what takes its contents. Throws an Error if no engine would unpack
   * it: a name that leads out, or is too long, something below a file.
   */
  take(entry: TarEntry): Sink | undefined {
    const path = this.pathOf(entry.name)
    if (path === '') {
      if (entry.type === 'directory') this.describe(this.top, entry)
      return undefined
    }
    this.entries++
    const slash = path.lastIndexOf('/')
    const name = path.slice(slash + 1)
    const directory = this.directoryAt(path.slice(0, Math.max(slash, 0)))
    const children = directory.children as Map<string, Node>
    if (this.hasWhiteouts && name.startsWith(WHITEOUT)) {
      if (name === OPAQUE) addMore(directory, { isOpaque: true })
      else if (!name.startsWith(META))
        addMore(directory, {
          deleted: (directory.more?.deleted ?? new Set()).add(name.slice(WHITEOUT.length)),
        })
      return undefined
    }
    if (entry.type === 'hard link') {
      children.set(name, this.linked(entry))
      return undefined
    }
    const known = children.get(name)
    if (entry.type === 'directory' && known?.children) {
      this.describe(known, entry)
      return undefined
    }
    // Of two entries with one name the last one counts.
    const node = new Node(KINDS[entry.type] | entry.mode, entry.uid, entry.gid, entry.size)
    if (entry.type === 'link') node.target = entry.target
    if (entry.type.endsWith('device')) addMore(node, { rdev: entry.major * 256 + entry.minor })
    if (entry.capability !== undefined) addMore(node, { capability: entry.capability })
    children.set(name, node)
    this.last = undefined
    if (entry.type !== 'file') return undefined
    this.bytes += entry.size
    const wanted = this.wanted(path, entry.size)
    return wanted && keepContents(node, wanted)
  }

  private describe(node: Node, { mode, uid, gid }: TarEntry): void {
    Object.assign(node, { mode: KINDS.directory | mode, uid, gid })
    if (node.more?.isImplied) addMore(node, { isImplied: false })
  }

  /** A name as a path below the layer, without a slash at its beginning. */
  private pathOf(name: string): string {
    if (name.length > LONGEST_PATH)
      this.refuse(name, `its name has ${name.length} characters, more than ${LONGEST_PATH}`)
    // Nearly all names are as they should be.
    if (!/(?:^|\/)\.{0,2}(?:\/|$)|[^/]{64}|\0/.test(name)) return name
    const parts = name.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..')) this.refuse(name, 'its name leads out of the image')
    if (name.includes('\0')) this.refuse(name, 'its name has a NUL')
    if (parts.some((part) => Buffer.byteLength(part) > LONGEST_NAME))
      this.refuse(name, `a part of its name has more than ${LONGEST_NAME} bytes`)
    return parts.join('/')
  }

  /** The directory at a path, which is made if it is not there. Links of this layer are followed. */
  private directoryAt(path: string): Node {
    if (this.last?.directory === path) return this.last.node
    let node = this.top
    const parts = path === '' ? [] : path.split('/')
    for (const [index, part] of parts.entries()) {
      let next = node.children?.get(part)
      if (next?.target !== undefined) {
        const place = followLinks(
          `/${parts.slice(0, index + 1).join('/')}`,
          (link) => findNode(this.top, link)?.target,
        )
        next = place === '/' ? this.top : (findNode(this.top, place) ?? this.make(place))
      }
      if (!next) {
        next = newDirectory()
        addMore(next, { isImplied: true })
        node.children?.set(part, next)
      }
      if (!next.children)
        this.refuse(path, `${printable(parts.slice(0, index + 1).join('/'), 200)} is not a directory`)
      node = next
    }
    this.last = { directory: path, node }
    return node
  }

  private make(place: string): Node {
    const slash = place.lastIndexOf('/')
    const above =
      slash <= 0 ? this.top : (findNode(this.top, place.slice(0, slash)) ?? this.make(place.slice(0, slash)))
    const made = newDirectory()
    addMore(made, { isImplied: true })
    if (!above.children) this.refuse(place, 'it is below a file')
    above.children.set(place.slice(slash + 1), made)
    return made
  }

  /** The file that a hard link is another name of. */
  private linked({ name, target }: TarEntry): Node {
    const path = this.pathOf(target)
    const slash = path.lastIndexOf('/')
    const node =
      path === ''
        ? undefined
        : this.directoryAt(path.slice(0, Math.max(slash, 0))).children?.get(path.slice(slash + 1))
    if (!node || node.children)
      this.refuse(
        name,
        `it is a hard link to ${printable(target, 200)}, which is not a file before it in the layer`,
      )
    return node
  }

  private refuse(name: string, why: string): never {
    throw new Error(`${this.what} has an entry ${printable(name, 200)}, which no engine unpacks: ${why}`)
  }
}

/** Puts a layer upon what layers below it have. What it deletes is deleted there; nothing in itself is. */
export function stackLayer(below: Node, layer: Node): void {
  const { deleted, isOpaque, isImplied } = layer.more ?? {}
  const children = below.children as Map<string, Node>
  if (isOpaque) children.clear()
  else for (const name of deleted ?? []) children.delete(name)
  if (!isImplied) Object.assign(below, { mode: layer.mode, uid: layer.uid, gid: layer.gid })
  for (const [name, node] of layer.children ?? []) {
    const known = children.get(name)
    if (node.children && known?.children) stackLayer(known, node)
    else children.set(name, settled(node))
  }
}

/** A directory without what it says about layers below: a name deleted there has no meaning any more. */
function settled(node: Node): Node {
  if (node.children) {
    if (node.more) node.more = undefined
    for (const child of node.children.values()) if (child.children) settled(child)
  }
  return node
}
