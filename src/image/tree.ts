import { type Dirent, readdirSync, readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { at, isWhiteout, type Root, resolveLinks, statLink } from '../machine/files.js'
import { USR_MERGED } from '../machine/machine.js'
import { isBelow } from '../machine/mountinfo.js'
import { printable, printableList } from '../text/printable.js'
import { describePlace, octal } from './base.js'
import { onDisk } from './disk.js'
import type { Entry, EntryStat, ImageFiles } from './files.js'
import { DEFAULT_TARGET, findUnwantedMask } from './masks.js'
import type { Note } from './note.js'
import {
  type Dropped,
  findDropped,
  findDroppedAbove,
  hasDropped,
  isHostKey,
  LINGER,
  stateOf,
  WHY_DROPPED,
} from './rules.js'
import type { StateEntry } from './state-copy.js'

/**
 * Where an image's state is kept in its tree. systemd-tmpfiles copies it from there to the place of the same
 * name: tmpfiles.d(5), `C` and `L` without an argument.
 */
export const FACTORY = '/usr/share/factory'

/** Directories that are links to another one on systems that have merged them: file-hierarchy(7). */
const MERGED = [...USR_MERGED.map((name) => `/${name}`), '/usr/sbin']

/** Far more than an image has; a tree of them would take minutes to make. */
const MOST_ENTRIES = 2_000_000

/** A table of cron(8), which runs none that has another name, as hard links have. */
const CRON_TABLE = /^\/etc\/(?:crontab$|cron\.d\/)/

/**
 * The name of a file that stands for a deletion, as AUFS and archives have them. fuse-overlayfs, which Podman
 * uses where the kernel's overlay does not work, unpacks layers with them. (AUFS had other names for itself.)
 */
const AUFS_WHITEOUT = /^\.wh\.(?!\.wh\.(?!\.opq$))/

/** The name of a shared library: ldconfig(8). */
export const LIBRARY = /(?:^|[^/])\.so(?:\.|$)/

/** Owners of the image that have another ID in the root: from the image's ID to the root's. */
export type Owners = { users: ReadonlyMap<number, number>; groups: ReadonlyMap<number, number> }

export type TreeInput = {
  /** A directory that shows the image: image/merged.ts. */
  view: string
  /** The directories of its layers, the uppermost first. */
  layers: readonly string[]
  /** An empty directory that becomes the tree. */
  out: string
  /** The root that the image is for, as it is without extensions. */
  base: Root
  /** The directories of state. */
  state: readonly string[]
  owners: Owners
  /** Whether the image is a whole system. */
  isWhole?: boolean
  /** The sizes that files of a layer had when it was unpacked, if that is known: engine/tar-split.ts. */
  sizes?: (layer: string, paths: ReadonlySet<string>) => ReadonlyMap<string, number> | undefined
  /** Where all these files are, except those of the base root. On the disk, if it is not given. */
  files?: ImageFiles
  /** Called now and then with the number of entries so far. */
  progress?: (entries: number) => void
}

/** What was made, and what was learned on the way. */
export type MadeTree = {
  files: number
  directories: number
  /** The bytes in its files, and in those that are copies and not links. */
  bytes: number
  copied: number
  /** What of the base root was looked at and would make another tree: a path and what is there. */
  looked: [path: string, what: string][]
  /** Each thing that was dropped, moved or not taken. */
  notes: Note[]
  /** The state that it brings, parents first. */
  state: StateEntry[]
  /** The SSH host keys and the like that were dropped: {@link isHostKey}. */
  hostKeys: string[]
  /** Whether it has shared libraries. */
  hasLibraries: boolean
}

type Directory = {
  /** Below the view and the layers; empty at the top. */
  image: string
  /** Its place in the root. */
  place: string
  layers: readonly string[]
  /** Whether the root has a directory there. */
  isInRoot: boolean
}

/**
 * Makes a tree of an image: its files as they will be in the root, as hard links to the files in its layers,
 * with directories of its own. The rules of images (image/rules.ts) are applied on the way. Owners and modes
 * of directories that the root has are the root's. Throws an Error that says what could not be made.
 */
export function makeTree(input: TreeInput): MadeTree {
  const { view, out, base, state, owners, progress, files = onDisk } = input
  const made: MadeTree = {
    ...{ files: 0, directories: 0, bytes: 0, copied: 0 },
    ...{ looked: [], notes: [], state: [], hostKeys: [], hasLibraries: false },
  }
  const existing = new Set([''])
  const looked = new Map<string, string>()
  /** The names of programs that were copied, by the directories they were copied to and from. */
  const executables = new Map<string, string[]>()
  /** Directories whose files go behind a link of the root, after those that the image has there itself. */
  const moved: Directory[] = []
  let entries = 0
  /** Files of the state that are left behind. */
  let notCopied = 0
  /** Masks by which a whole system turns off for itself what the root has. */
  const masks: string[] = []

  /** The empty files, by their layers. */
  const empty = new Map<string, Set<string>>()
  const note = (kind: Note['kind'], path: string | undefined, text: string): void =>
    void made.notes.push(path === undefined ? { kind, text } : { kind, path, text })
  const drop = (path: string, why: Dropped): void => {
    if (isHostKey(path)) made.hostKeys.push(path)
    note('dropped', path, WHY_DROPPED[why])
  }
  const uidOf = ({ uid }: EntryStat): number => owners.users.get(uid) ?? uid
  const gidOf = ({ gid }: EntryStat): number => owners.groups.get(gid) ?? gid
  const stateFor = (place: string): string | undefined => state.find((path) => isBelow(place, path))
  /** Where something of the root's path `place` is in the tree. */
  const inTree = (place: string): string => (stateFor(place) ? FACTORY + place : place)

  /** Makes a directory of the tree and those above it: as they are in the root, otherwise as `like`. */
  const ensure = (path: string, like?: EntryStat): void => {
    if (existing.has(path)) return
    ensure(path.slice(0, path.lastIndexOf('/')))
    existing.add(path)
    made.directories++
    const own = path.startsWith(`${FACTORY}/`) ? undefined : statLink(base, path)
    const stat = own?.isDirectory() ? own : like
    const isRoots = stat !== undefined && stat === own
    const [uid, gid] = stat ? (isRoots ? [stat.uid, stat.gid] : [uidOf(stat), gidOf(stat)]) : [0, 0]
    files.makeDirectory(out + path, stat ? stat.mode & 0o7777 : 0o755, [uid, gid])
    if (isRoots && like && (like.uid !== uid || like.gid !== gid || (like.mode ^ stat.mode) & 0o7777)) {
      looked.set(path, describePlace(base, path))
      note(
        'as in the root',
        path,
        `owner and mode are the root's, not ${like.uid}:${like.gid} ${octal(like)}`,
      )
    }
  }

  /** Whether something else than a directory of the tree is at a place, or on the way to it. */
  const isTaken = (path: string): boolean => {
    for (let at = path; !existing.has(at); at = at.slice(0, at.lastIndexOf('/')))
      if (files.find(out + at)) return true
    return false
  }

  /**
   * What a link has to say at `path` to lead where it leads in the image, at `image`: the same, unless it is
   * relative and is moved elsewhere.
   */
  const targetAt = (target: string, image: string, path: string): string => {
    if (image === path || target.startsWith('/')) return target
    const meant = resolve(image, '..', target)
    const isSame = resolveLinks(base, meant) === resolveLinks(base, resolve(path, '..', target))
    return isSame ? target : meant
  }

  /**
   * Whether a link leads to its own place, because the root has links where the image has directories:
   * `/usr/bin/x -> /bin/x`. What the image has there is moved to this place, and is what is meant.
   */
  const leadsTo = (target: string, path: string): boolean => {
    const name = path.slice(path.lastIndexOf('/'))
    if (!target.endsWith(name)) return false
    const meant = resolve(path, '..', target)
    return join(resolveLinks(base, dirname(meant)), name) === path
  }

  const rootHas = (path: string): boolean => {
    const slash = path.lastIndexOf('/')
    const place = resolveLinks(base, path.slice(0, slash)) + path.slice(slash)
    looked.set(place, describePlace(base, place))
    return statLink(base, place) !== undefined
  }

  /** Whether an entry turns off something of the root's (image/masks.ts), so that it is not taken. */
  const isUnwanted = (path: string, stat: EntryStat, target: string | undefined): boolean => {
    const isWhole = input.isWhole ?? false
    if (isWhole && path === DEFAULT_TARGET) {
      note('not taken', path, 'what the machine boots into is for the root to say')
      return true
    }
    const isMask =
      target === undefined ? stat.isFile() && stat.size === 0 : resolve(path, '..', target) === '/dev/null'
    const why = isMask ? findUnwantedMask(path, isWhole, rootHas) : undefined
    if (why === 'for itself') masks.push(path)
    if (why === 'needed')
      note('not taken', path, 'it would turn off a unit without which the machine does not work')
    return why !== undefined
  }

  const visit = ({ image, place, layers, isInRoot }: Directory): void => {
    const shown = files.entries(view + image)
    const listed = layers.map((layer) => ({
      layer,
      // An image of one layer is its own view.
      names: new Set(layer === view ? shown.map(({ name }) => name) : files.names(layer + image)),
    }))
    const inRoot = isInRoot ? entriesByName(at(base, place || '/')) : NOTHING
    const kind = stateFor(place) === undefined ? undefined : stateOf(place)
    const mayBeDropped = hasDropped(place)
    const own = inTree(place)
    for (const entry of shown) {
      if (++entries > MOST_ENTRIES) throw new Error(`it has more than ${MOST_ENTRIES} files`)
      if (progress && entries % 1000 === 0) progress(entries)
      const name = entry.name
      const from = `${image}/${name}`
      const path = `${place}/${name}`
      if (name.includes('\ufffd')) {
        note('not taken', path, 'its name is not UTF-8')
        continue
      }
      if (AUFS_WHITEOUT.test(name))
        throw new Error(
          `${printable(from)} stands for a deletion, which the kernel would not see: the engine unpacked the image with fuse-overlayfs ("mount_program" in containers-storage.conf(5)); pull or build it again without`,
        )
      const dropped = mayBeDropped && findDropped(path)
      if (dropped) {
        // Every image has these directories, most of them empty.
        if (dropped !== 'api' || !entry.isDirectory() || files.names(view + from).length > 0)
          drop(path, dropped)
        continue
      }
      const root = inRoot.get(name)
      if (entry.isDirectory()) {
        // Deeper ones count only where they made a difference.
        if (!kind && from.split('/').length <= 3) looked.set(path, describePlace(base, path))
        const below = { image: from, layers: layers.filter((_, at) => listed[at]?.names.has(name)) }
        if (!root?.isSymbolicLink()) {
          enter({ ...below, place: path, isInRoot: root?.isDirectory() ?? false })
          continue
        }
        looked.set(path, describePlace(base, path))
        const target = resolveLinks(base, path)
        const why = findDroppedAbove(target)
        if (why) {
          drop(path, why)
        } else if (target === '/' || !canBeDirectory(base, target)) {
          note('not taken', path, 'the root has a link there that leads to no directory')
        } else {
          // Nothing tells there what the machine has changed from what an earlier image had.
          const once =
            stateFor(target) && !stateFor(path)
              ? ': it is copied there once, and an update of the image does not replace it'
              : ''
          note('moved', path, `to ${printable(target)}, where the root's link leads${once}`)
          const isInRoot = statLink(base, target)?.isDirectory() ?? false
          moved.push({ ...below, place: target, isInRoot })
        }
        continue
      }
      if (root?.isDirectory()) {
        // `/bin -> usr/bin`, in an image of a usr-merged system, hides nothing of it from another one.
        const isMerge = entry.isSymbolicLink() && MERGED.includes(path)
        if (!kind) looked.set(path, describePlace(base, path))
        if (!isMerge) note('not taken', path, 'the root has a directory there')
        continue
      }
      if (root?.isSymbolicLink() && entry.isSymbolicLink()) {
        // The same link twice, as `/bin` in every image of a usr-merged system.
        const target = files.readLink(view + from)
        if (target === readlinkSync(at(base, path))) continue
        if (MERGED.includes(path)) {
          // Where everybody looks for programs and libraries, the root's link counts.
          const own = resolveLinks(base, path)
          looked.set(path, describePlace(base, path))
          if (resolveLinks(base, resolve(path, '..', target)) !== own)
            note('not taken', path, `the root has another link there, to ${printable(own)}`)
          continue
        }
      }
      const layer = listed.find(({ names }) => names.has(name))?.layer
      take(entry, layer === undefined ? undefined : { layer, from }, view + from, own, path, kind)
    }
  }

  /**
   * Takes one entry that is not a directory. `origin`: where its layer has it; undefined if no layer has it
   * there (a renamed directory). `shown`: where the view has it. `kind`: what becomes of the state it is in.
   */
  const take = (
    entry: Entry,
    origin: { layer: string; from: string } | undefined,
    shown: string,
    own: string,
    path: string,
    kind: ReturnType<typeof stateOf> | undefined,
  ): void => {
    if (kind === 'nothing' || kind === 'directories') {
      notCopied++
      return
    }
    const source = origin && origin.layer + origin.from
    let stat = files.stat(source ?? shown)
    if (origin && stat.isFile() && stat.size === 0)
      empty.set(origin.layer, (empty.get(origin.layer) ?? new Set()).add(origin.from))
    // A whiteout, if the image is one layer.
    if (isWhiteout(stat)) return
    // A layer may have the attributes of a file and not its contents (metacopy=on in overlayfs.rst).
    // Where the view has none either, the file is a hole.
    const isEmpty = stat.isFile() && stat.size > 0 && stat.blocks === 0 && files.stat(shown).blocks > 0
    const isWhole = source !== undefined && isSameKind(stat, entry) && !isEmpty
    const from = isWhole ? source : shown
    if (!isWhole) stat = files.stat(shown)
    const read = stat.isSymbolicLink() ? files.readLink(from) : undefined
    const target = read === undefined ? undefined : targetAt(read, shown.slice(view.length), path)
    if (target !== undefined && leadsTo(target, path)) return
    if (kind === 'all') {
      if (target !== undefined) made.state.push({ path, link: target })
      else if (stat.isFile()) made.state.push({ path })
      if (!stat.isFile() && !stat.isSymbolicLink())
        note('not taken', path, 'only files, directories and links are copied to the state')
      if (!stat.isFile()) return
    } else if (isUnwanted(path, stat, target)) return
    ensure(own)
    const name = path.slice(path.lastIndexOf('/') + 1)
    const to = `${out}${own}/${name}`
    made.hasLibraries ||= LIBRARY.test(name)
    const owner = [uidOf(stat), gidOf(stat)] as const
    const isOwners = owner[0] === stat.uid && owner[1] === stat.gid
    if (target !== read && !files.find(to)) {
      files.makeLink(target as string, to)
      made.files++
      return
    }
    let result = isWhole && isOwners && !CRON_TABLE.test(path) ? files.link(from, to) : 'impossible'
    if (result === 'impossible') {
      result = files.copy(from, to, stat, owner)
      made.copied += stat.size
      if (result === 'made' && stat.isFile() && stat.mode & 0o111) {
        const directory = from.slice(0, from.lastIndexOf('/'))
        const key = `${out}${own}\0${directory}`
        executables.set(key, [...(executables.get(key) ?? []), name])
      }
    }
    if (result === 'exists') {
      note('not taken', shown.slice(view.length), `the image has another file at ${printable(path)}`)
      return
    }
    made.files++
    made.bytes += stat.size
  }

  const enter = (directory: Directory): void => {
    const { image, place } = directory
    const kind = stateFor(place) && stateOf(place)
    const hasMore = isBelow(LINGER, place) && files.find(view + image + LINGER.slice(place.length))
    if (kind === 'nothing' && !hasMore) {
      notCopied++
      return
    }
    const stat = files.stat(view + image)
    const own = inTree(place)
    if (isTaken(own)) {
      note('not taken', image, `the image has another file at ${printable(place)}`)
      return
    }
    ensure(own, stat)
    if (kind && !state.includes(place)) {
      const uid = uidOf(stat)
      made.state.push({ path: place, directory: { uid } })
    }
    visit(directory)
  }

  visit({ image: '', place: '', layers: input.layers, isInRoot: true })
  for (let next = moved.shift(); next; next = moved.shift()) enter(next)
  // An engine does not write layers to the disk: a power cut may leave names without contents.
  for (const [layer, paths] of empty)
    for (const [path, size] of input.sizes?.(layer, paths) ?? [])
      throw new Error(
        `${printable(path)} is empty, and had ${size} bytes when the engine unpacked it: remove the image and pull or build it again`,
      )
  for (const [key, names] of executables) {
    const [to, from] = key.split('\0') as [string, string]
    files.restoreCapabilities(to, from, names)
  }
  if (masks.length > 0)
    note(
      'not taken',
      undefined,
      `${masks.length} masks by which it turns off for itself what the root has: ${printableList(masks)}`,
    )
  if (notCopied > 0)
    note(
      'not taken',
      undefined,
      `${notCopied} logs, caches and databases of packages below ${state.join(', ')}`,
    )
  made.looked = [...looked]
  made.state.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  return made
}

const NOTHING: ReadonlyMap<string, Dirent> = new Map()

/** What a directory of the root has; nothing if it cannot be read. */
function entriesByName(path: string): ReadonlyMap<string, Dirent> {
  try {
    return new Map(readdirSync(path, { withFileTypes: true }).map((entry) => [entry.name, entry]))
  } catch {
    return NOTHING
  }
}

function isSameKind(stat: EntryStat, entry: Entry): boolean {
  return (
    stat.isFile() === entry.isFile() &&
    stat.isSymbolicLink() === entry.isSymbolicLink() &&
    stat.isCharacterDevice() === entry.isCharacterDevice()
  )
}

/** Whether the root has a directory there, or nothing that is in the way of one: a link may lead ahead. */
function canBeDirectory(base: Root, path: string): boolean {
  for (let place = path; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const stat = statLink(base, place)
    if (stat) return stat.isDirectory()
  }
  return true
}
