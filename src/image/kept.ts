import type { Layers } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import { findOtherWriter, findUnfitDirectory } from '../engine/trust.js'
import { listDirectory, type Root, readText, statLink, statTimes, unseen } from '../machine/files.js'
import { isObject, parseObject } from '../text/json.js'
import { once } from '../text/once.js'
import { printable } from '../text/printable.js'
import type { Ids } from './accounts.js'
import type { Mismatch } from './architecture.js'
import { describePlace, type RootAccounts, readAccounts } from './base.js'

/**
 * Kept trees: what images became when they were prepared (image/prepare.ts). Each is a directory in
 * `<data root>/hostext/trees/`, on the file system of the layers, because its files are hard links to theirs:
 *
 *     <key>.<hash>/tree     the files, as they will be in the root
 *     <key>.<hash>/facts    what was learned on the way: {@link TreeFacts}, JSON
 *
 * The key says which image it is, the hash what of the base root the rules looked at: a base that has changed
 * gets another tree. A directory with such a name is whole: it gets the name when it is, and loses it before
 * it is removed.
 */
export const TREES = `${OWN_DIRECTORY}/trees`

/** `<key>.<hash>`; the key of an image is the engine's name for its uppermost layer. */
const TREE_NAME = /^[0-9A-Za-z]{1,64}\.[0-9a-f]{8}$/
const keyOf = (name: string): string => name.slice(0, name.indexOf('.'))

/** Where the files of a kept tree are. */
export function treePath(dataRoot: string, name: string): string {
  return `${dataRoot}/${TREES}/${name}/tree`
}

export function isTreeName(value: unknown): value is string {
  return typeof value === 'string' && TREE_NAME.test(value)
}

/** Raised whenever the rules of images make another tree of the same image. */
export const RULES = 4

/** What of the base root a tree depends on. */
export type LookedAt = {
  /** ID and VERSION_ID of os-release(5). */
  os: string
  /** The directories of state. */
  state: string[]
  /** Paths, and what the base root has there. */
  places: [path: string, what: string][]
  /** The libraries that the base root needs, with their sizes; none if the image has no libraries. */
  libraries: [path: string, size: number][]
  /** The IDs in the root of the image's users and groups. */
  ids: Ids
}

export type TreeFacts = {
  rules: number
  /** The image's layers: what the engine calls the whole chain. */
  layers: string
  /** The image that they were when the tree was made, `sha256:…`: others may have the same. */
  image?: string
  lookedAt: LookedAt
  /** The library of the root that the image would replace. */
  replaced?: string
  /** The system that the image is, if it is a whole one and another than the base root's. */
  foreign?: string
  /** The processors that its programs and the base root's are for, if they are others. */
  mismatch?: Mismatch
  /** Set if it has libraries where only the root's index leads: {@link hasIndexed} in fill.ts. */
  indexed?: true
  /** A line for each thing that was dropped, moved or not taken. */
  notes: string[]
  files: number
  directories: number
  /** The bytes in its files; those that are copies and not links. */
  bytes: number
  copied: number
}

/** The most notes that are kept; more are only counted. */
export const MOST_NOTES = 500

/** What kept trees are compared with: the base root as it is now. Looks at everything once at most. */
export type Base = {
  os: string
  state: readonly string[]
  /** {@link describePlace}, or {@link MOUNTED} for what is on another file system than the root. */
  place: (path: string) => string
  size: (path: string) => number | undefined
  accounts: () => RootAccounts
}

/**
 * What a mount point is, and everything below it. Some of these file systems are mounted on a running machine
 * and not in the first pass, and their files hide what a tree has there.
 */
export const MOUNTED = 'mount point'

/** `mountPoints`: those over the root that are, or will be, mounted: stack/mounts.ts, findOver(). */
export function makeBase(
  root: Root,
  os: string,
  state: readonly string[],
  mountPoints: readonly string[] = [],
): Base {
  let accounts: RootAccounts | undefined
  const over = new Set(mountPoints)
  const isOver = (path: string): boolean =>
    path !== '' && (over.has(path) || isOver(path.slice(0, path.lastIndexOf('/'))))
  return {
    os,
    state,
    place: once((path) => (isOver(path) ? MOUNTED : describePlace(root, path))),
    size: once((path) => statTimes(root, path)?.size),
    accounts() {
      accounts ??= readAccounts(root)
      return accounts
    },
  }
}

/** What has changed on the base root since a tree was made; undefined if the tree would be the same. */
export function findChange(facts: TreeFacts, base: Base): string | undefined {
  const { os } = facts.lookedAt
  if (facts.rules !== RULES) return NEW_RULES
  if (os !== base.os) return `the system was ${os || 'unnamed'} and is ${base.os || 'unnamed'}`
  return findMisfit(facts, base)
}

const NEW_RULES = 'the rules of images have changed with hostext'

/**
 * Why a tree that has booted well on another base cannot be tried on this one; undefined if it can. Earlier
 * rules were good enough then. The name of the system is only for what is said about the image.
 */
export function findMisfit({ rules, lookedAt }: TreeFacts, base: Base): string | undefined {
  const { state, places, libraries, ids } = lookedAt
  if (!(rules <= RULES)) return NEW_RULES
  if (state.join(':') !== base.state.join(':'))
    return `the state was ${state.join(' ') || 'nothing'} and is ${base.state.join(' ') || 'nothing'}`
  const place = places.find(([path, what]) => !isSame(what, base.place(path)))
  if (place) return `${place[0]} was ${place[1]} and is ${base.place(place[0])}`
  const library = libraries.find(([path, size]) => base.size(path) !== size)
  if (library) return `${library[0]} is another one`
  const [taken] = findTaken(ids, base)
  return taken && `${printable(taken, 60)} has another ID, or its ID is another one's`
}

/**
 * Whether what was at a place is there still, as far as anybody sees it. Where nothing is mounted any more, a
 * directory in the tree must not hide a link.
 */
function isSame(was: string, is: string): boolean {
  return was === is || is === MOUNTED || (was === MOUNTED && /^(?:directory|nothing)/.test(is))
}

/** The names that cannot have these IDs, because the base root has others for them, or them for others. */
export function findTaken({ users, groups }: Ids, base: Pick<Base, 'accounts'>): string[] {
  const known = (): { name: string; id: number }[] =>
    base.accounts().all.users.map(({ name, uid }) => ({ name, id: uid }))
  const knownGroups = (): { name: string; id: number }[] =>
    base.accounts().all.groups.map(({ name, gid }) => ({ name, id: gid }))
  return [...takenOf(users, known), ...takenOf(groups, knownGroups)]
}

function takenOf(ids: Ids['users'], list: () => { name: string; id: number }[]): string[] {
  const wanted = Object.entries(ids)
  if (wanted.length === 0) return []
  const known = list()
  const byName = new Map(known.map(({ name, id }) => [name, id]))
  const byId = new Map(known.map(({ name, id }) => [id, name]))
  return wanted
    .filter(([name, id]) => (byName.get(name) ?? id) !== id || (byId.get(id) ?? name) !== name)
    .map(([name]) => name)
}

/** A kept tree: its name in {@link TREES}, and its facts. */
export type KeptTree = { name: string; facts: TreeFacts }

/** Finds kept trees. */
export type Trees = {
  /**
   * The tree of an image for this base, by its ID; undefined if there is none that was made of this image.
   * `isThere`: whether the engine still has the layers with this key, of which a tree was made.
   */
  findImage: (imageId: string | undefined, isThere: (key: string) => boolean) => KeptTree | undefined
  /** The tree of these layers for this base; or what has changed since the one there is was made, if any. */
  find: (layers: Layers) => KeptTree | { change: string | undefined }
  /** The names of those that have been found. */
  found: string[]
}

/** The trees that are kept in a data root. Throws an Error if they cannot be listed. */
export function readTrees(root: Root, dataRoot: string, base: Base): Trees {
  const byKey = new Map<string, string[]>()
  for (const name of listDirectory(root, `${dataRoot}/${TREES}`).filter(isTreeName))
    byKey.set(keyOf(name), [...(byKey.get(keyOf(name)) ?? []), name])
  const factsOf = once((name) => readTreeFacts(root, dataRoot, name))
  let images: Map<string, string[]> | undefined
  /** All trees by the images of which they were made. */
  const byImage = (): Map<string, string[]> => {
    if (images) return images
    images = new Map()
    for (const name of [...byKey.values()].flat()) {
      const image = factsOf(name)?.image
      if (image !== undefined) images.set(image, [...(images.get(image) ?? []), name])
    }
    return images
  }
  const found: string[] = []
  const choose = (
    names: readonly string[],
    isRight: (facts: TreeFacts, name: string) => boolean,
  ): KeptTree | { change: string | undefined } => {
    let change: string | undefined
    for (const name of names) {
      const facts = factsOf(name)
      if (!facts || !isRight(facts, name)) continue
      change = findChange(facts, base)
      if (change !== undefined) continue
      // Another image with the same layers has the same tree.
      if (!found.includes(name)) found.push(name)
      return { name, facts }
    }
    return { change }
  }
  const known = new Map<string, KeptTree | { change: string | undefined }>()
  return {
    found,
    findImage(imageId, isThere) {
      const names = imageId === undefined ? [] : (byImage().get(imageId) ?? [])
      const kept = choose(names, (_, name) => isThere(keyOf(name)))
      return 'facts' in kept ? kept : undefined
    },
    find({ key, chain }) {
      const kept = known.get(chain) ?? choose(byKey.get(key) ?? [], ({ layers }) => layers === chain)
      known.set(chain, kept)
      return kept
    },
  }
}

/** 500 notes of a thousand characters, and 20,000 users. */
const LARGEST = 4 << 20

/** Reads the facts of a tree; undefined if there is no such tree, or if its facts are damaged. */
export function readTreeFacts(root: Root, dataRoot: string, name: string): TreeFacts | undefined {
  const directory = `${dataRoot}/${TREES}/${name}`
  if (findUnfitDirectory(root, directory) !== undefined) return undefined
  if (!statLink(root, `${directory}/tree`)?.isDirectory()) return undefined
  // The name has a hash of them. They are written once, so a damage has another size or time.
  root.seen?.stats.add(`${directory}/facts`)
  root.seen?.times.add(`${directory}/facts`)
  const text = readText(unseen(root), `${directory}/facts`, LARGEST, findOtherWriter)
  const facts = typeof text === 'string' ? parseObject(text) : undefined
  return facts && isTreeFacts(facts) ? facts : undefined
}

/**
 * Whether this is what {@link TreeFacts} says. Only root can have written it, so only a damage is looked for.
 */
function isTreeFacts(facts: Record<string, unknown>): facts is TreeFacts {
  const { layers, image, lookedAt, notes, replaced, foreign, indexed, mismatch } = facts
  const isMaybeText = (value: unknown): boolean => value === undefined || typeof value === 'string'
  const isTexts = (value: unknown): boolean =>
    Array.isArray(value) && value.every((text) => typeof text === 'string')
  const isPairs = (value: unknown, second: 'string' | 'number'): boolean =>
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === second)
  const isIds = (ids: unknown): boolean => isObject(ids) && Object.values(ids).every(Number.isSafeInteger)
  if (!isObject(lookedAt) || !isObject(lookedAt.ids)) return false
  return (
    typeof layers === 'string' &&
    isMaybeText(image) &&
    typeof lookedAt.os === 'string' &&
    isTexts(lookedAt.state) &&
    isPairs(lookedAt.places, 'string') &&
    isPairs(lookedAt.libraries, 'number') &&
    isIds(lookedAt.ids.users) &&
    isIds(lookedAt.ids.groups) &&
    isTexts(notes) &&
    isMaybeText(replaced) &&
    isMaybeText(foreign) &&
    (indexed === undefined || indexed === true) &&
    (mismatch === undefined ||
      (isObject(mismatch) && typeof mismatch.image === 'string' && typeof mismatch.root === 'string'))
  )
}

/** The IDs that preparations have given out, so that an update of an extension keeps them. */
const IDS = `${OWN_DIRECTORY}/ids`

export function idsFile(dataRoot: string): string {
  return `${dataRoot}/${IDS}`
}

/** Reads them; none if there are none, or if they are damaged. */
export function readIds(root: Root, dataRoot: string): Ids {
  const text = readText(root, idsFile(dataRoot), LARGEST, findOtherWriter)
  const json = typeof text === 'string' ? parseObject(text) : undefined
  const ids = (value: unknown): Record<string, number> =>
    Object.fromEntries(
      Object.entries(isObject(value) ? value : {}).filter(
        (entry): entry is [string, number] => Number.isSafeInteger(entry[1]) && (entry[1] as number) > 0,
      ),
    )
  return { users: ids(json?.users), groups: ids(json?.groups) }
}
