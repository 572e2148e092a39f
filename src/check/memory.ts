import type { Entry, EntryStat, ImageFiles, Owner, Result } from '../image/files.js'
import { followLinks } from '../machine/files.js'

const [TYPE, DIRECTORY, FILE, LINK, CHARACTER, FIFO, SOCKET] = [
  0o170000, 0o040000, 0o100000, 0o120000, 0o020000, 0o010000, 0o140000,
]

/** What stat(2) has in `st_mode` for each kind of entry. */
export const KINDS = {
  ...{ directory: DIRECTORY, file: FILE, link: LINK, FIFO, socket: SOCKET },
  ...{ 'character device': CHARACTER, 'block device': 0o060000 },
}

/** A file that is known by what an archive or lstat(2) says about it. Several names may have it. */
export class Node implements EntryStat {
  /** The entries of a directory. */
  children: Map<string, Node> | undefined
  /** Where a link leads. */
  target: string | undefined
  /** What few files have. */
  more: More | undefined

  constructor(
    public mode: number,
    public uid: number,
    public gid: number,
    public size: number,
  ) {
    if ((mode & TYPE) === DIRECTORY) this.children = new Map()
  }

  get rdev(): number {
    return this.more?.rdev ?? 0
  }
  /** As if it had contents: what an archive has is whole. */
  get blocks(): number {
    return this.size > 0 ? 1 : 0
  }
  isDirectory(): boolean {
    return (this.mode & TYPE) === DIRECTORY
  }
  isFile(): boolean {
    return (this.mode & TYPE) === FILE
  }
  isSymbolicLink(): boolean {
    return (this.mode & TYPE) === LINK
  }
  isCharacterDevice(): boolean {
    return (this.mode & TYPE) === CHARACTER
  }
  isFIFO(): boolean {
    return (this.mode & TYPE) === FIFO
  }
  isSocket(): boolean {
    return (this.mode & TYPE) === SOCKET
  }
}

export type More = {
  rdev?: number
  /** What is in the file, if it is one that is read. */
  text?: Buffer
  sha256?: string
  /** The value of security.capability, as Latin-1. */
  capability?: string
  /** What it means, if something else has read it. */
  capabilities?: string[]
  /** Whether the author of the image has copied it there, after the system that the image is made from. */
  isOwn?: boolean
  /** A directory of a layer that only has to be there, because something is in it. */
  isImplied?: boolean
  /** A directory of a layer that hides everything that layers below have there. */
  isOpaque?: boolean
  /** The names that a layer deletes in this directory. */
  deleted?: Set<string>
}

/** A new directory with the usual owner and mode. */
export function newDirectory(): Node {
  return new Node(DIRECTORY | 0o755, 0, 0, 0)
}

export function addMore(node: Node, more: More): void {
  node.more = { ...node.more, ...more }
}

/** What is at a path below a directory; links are not followed. */
export function findNode(top: Node, path: string): Node | undefined {
  let node: Node | undefined = top
  // Most paths are looked up once. Not split(): it makes a list of each.
  for (let at = path.startsWith('/') ? 1 : 0; node && at < path.length; ) {
    const slash = path.indexOf('/', at)
    const end = slash < 0 ? path.length : slash
    if (end > at) node = node.children?.get(path.slice(at, end))
    at = end + 1
  }
  return node
}

/** What is at a path below a directory, with all links followed below it. */
export function findFile(top: Node, path: string): Node | undefined {
  return findNode(
    top,
    followLinks(path, (place) => findNode(top, place)?.target),
  )
}

type Found = { directory: string; node: Node }

/** Files below one directory, in memory. Nothing of it is on a disk. */
export function inMemory(top: Node): ImageFiles {
  // Most paths are in the directory of one of the two before: files are put from one directory into another.
  let last: Found = { directory: '', node: top }
  let before = last
  const directoryAt = (directory: string): Node | undefined => {
    if (last.directory === directory) return last.node
    if (before.directory === directory) {
      ;[last, before] = [before, last]
      return last.node
    }
    const node = findNode(top, directory)
    // One that is not there may be made later.
    if (node) [last, before] = [{ directory, node }, last]
    return node
  }
  const find = (path: string): Node | undefined => {
    const slash = path.lastIndexOf('/')
    if (slash <= 0) return findNode(top, path)
    return directoryAt(path.slice(0, slash))?.children?.get(path.slice(slash + 1))
  }
  const get = (path: string): Node => {
    const node = find(path)
    if (!node) throw new Error(`${path}: no such file`)
    return node
  }
  const split = (path: string): [Map<string, Node>, string] => {
    const slash = path.lastIndexOf('/')
    const { children } = directoryAt(path.slice(0, slash)) ?? get(path.slice(0, slash))
    if (!children) throw new Error(`${path.slice(0, slash)}: not a directory`)
    return [children, path.slice(slash + 1)]
  }
  const add = (path: string, node: Node): Result => {
    const [children, name] = split(path)
    if (children.has(name)) return 'exists'
    children.set(name, node)
    return 'made'
  }
  return {
    entries: (path) => entriesOf(find(path)),
    names: (path) => [...(find(path)?.children?.keys() ?? [])],
    stat: get,
    find,
    readLink: (path) => get(path).target ?? '',
    readText(directory, path, largest) {
      const text = findFile(get(directory), path)?.more?.text
      return text && text.length <= largest ? text.toString('utf8') : undefined
    },
    makeDirectory(path, mode, [uid, gid]) {
      if (add(path, new Node(DIRECTORY | mode, uid, gid, 0)) === 'exists')
        throw new Error(`${path}: file exists`)
    },
    link: (from, to) => add(to, get(from)),
    copy(from, to, _, owner) {
      const node = get(from)
      return add(to, copyOf(node, owner))
    },
    // The copies have them.
    restoreCapabilities() {},
    write(path, text) {
      const node = new Node(FILE | 0o644, 0, 0, Buffer.byteLength(text))
      addMore(node, { text: Buffer.from(text) })
      if (add(path, node) === 'exists') throw new Error(`${path}: file exists`)
    },
    makeLink(target, path) {
      const node = new Node(LINK | 0o777, 0, 0, target.length)
      node.target = target
      if (add(path, node) === 'exists') throw new Error(`${path}: file exists`)
    },
    remove(path) {
      const [children, name] = split(path)
      children.delete(name)
      last = { directory: '', node: top }
      before = last
    },
  }
}

function copyOf(node: Node, [uid, gid]: Owner): Node {
  const copy = new Node(node.mode, uid, gid, node.size)
  copy.target = node.target
  copy.more = node.more
  return copy
}

/** An entry of a directory, which has the name that a node has there. */
class Named implements Entry {
  constructor(
    readonly name: string,
    private readonly node: Node,
  ) {}
  isDirectory(): boolean {
    return this.node.isDirectory()
  }
  isFile(): boolean {
    return this.node.isFile()
  }
  isSymbolicLink(): boolean {
    return this.node.isSymbolicLink()
  }
  isCharacterDevice(): boolean {
    return this.node.isCharacterDevice()
  }
  isFIFO(): boolean {
    return this.node.isFIFO()
  }
  isSocket(): boolean {
    return this.node.isSocket()
  }
}

function entriesOf(node: Node | undefined): Entry[] {
  const entries = [...(node?.children ?? [])].map(([name, child]) => new Named(name, child))
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Calls `visit` for everything below a directory, parents first; `path` is below that directory. */
export function walk(top: Node, visit: (path: string, node: Node) => void, path = ''): void {
  for (const [name, node] of top.children ?? []) {
    visit(`${path}/${name}`, node)
    if (node.children) walk(node, visit, `${path}/${name}`)
  }
}
