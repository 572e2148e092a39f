import {
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs'
import { reason } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { addMore, Node, newDirectory } from './memory.js'
import { wantedFiles } from './wanted.js'

/** More than any image has. */
const MOST_ENTRIES = 1_000_000

/** Files that were read from a directory. `hasCapabilities`: whether file capabilities could be read. */
export type ReadDirectory = { top: Node; hasCapabilities: boolean }

/**
 * Reads what is below a directory: what lstat(2) says, and the few texts that matter. No link is followed.
 * Throws an Error that names what cannot be read.
 */
export function readDirectory(directory: string, hashKernels: boolean): ReadDirectory {
  const wanted = wantedFiles(hashKernels)
  /** Files with several names. */
  const linked = new Map<string, Node>()
  let entries = 0
  const read = (path: string, node: Node): void => {
    let list: Dirent[]
    try {
      list = readdirSync(`${directory}/${path}`, { withFileTypes: true })
    } catch (error) {
      throw new Error(`${printable(`${directory}/${path}`, 200)} cannot be read: ${reason(error)}`)
    }
    for (const { name } of list) {
      if (++entries > MOST_ENTRIES)
        throw new Error(`${printable(directory, 200)} has more than ${MOST_ENTRIES} entries`)
      const below = path === '' ? name : `${path}/${name}`
      const place = `${directory}/${below}`
      const stat = lstatSync(place, { throwIfNoEntry: false })
      if (!stat) continue
      const key = stat.nlink > 1 && !stat.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined
      const known = key === undefined ? undefined : linked.get(key)
      const child = known ?? new Node(stat.mode, stat.uid, stat.gid, stat.isDirectory() ? 0 : stat.size)
      node.children?.set(name, child)
      if (known) continue
      if (key !== undefined) linked.set(key, child)
      if (stat.isSymbolicLink()) child.target = readlinkSync(place)
      if (stat.rdev !== 0) addMore(child, { rdev: stat.rdev })
      if (stat.isDirectory()) read(below, child)
      else if (stat.isFile()) readContents(place, child, wanted(below, stat.size))
    }
  }
  const top = newDirectory()
  const own = lstatSync(directory)
  Object.assign(top, { mode: own.mode, uid: own.uid, gid: own.gid })
  read('', top)
  return { top, hasCapabilities: readCapabilities(directory, top) }
}

function readContents(place: string, node: Node, wanted: ReturnType<ReturnType<typeof wantedFiles>>): void {
  if (wanted === undefined) return
  const descriptor = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const bytes = readFileSync(descriptor)
    if (wanted === 'text') addMore(node, { text: bytes })
    else
      addMore(node, {
        sha256: process.getBuiltinModule('node:crypto').createHash('sha256').update(bytes).digest('hex'),
      })
  } finally {
    closeSync(descriptor)
  }
}

/** Has getcap(8) read file capabilities, which Node cannot. Returns whether there is a getcap(8). */
function readCapabilities(directory: string, top: Node): boolean {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { stdout, error } = spawnSync('getcap', ['-r', '--', directory], {
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 16 << 20,
    encoding: 'utf8',
  })
  if (error) return false
  for (const line of stdout.split('\n')) {
    // `PATH cap_net_raw=ep`, and in older versions `PATH = cap_net_raw+ep`.
    const [, place, names] = /^(.+?)(?: =)? ((?:cap_|[=+])\S*)$/.exec(line) ?? []
    if (place === undefined || !place.startsWith(`${directory}/`)) continue
    let node: Node | undefined = top
    for (const name of place.slice(directory.length + 1).split('/')) node = node?.children?.get(name)
    if (node)
      addMore(node, { capabilities: [...(names as string).matchAll(/cap_\w+/g)].map(([name]) => name) })
  }
  return true
}
