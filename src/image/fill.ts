import { readlinkSync } from 'node:fs'
import { at, followLinks, kindOf, type Root, resolveLinks, statLink } from '../machine/files.js'
import { nameOf, parseOsRelease } from '../machine/os-release.js'
import { printableList } from '../text/printable.js'
import { type Accounts, type Assignment, assignIds, type Ids, parseAccounts } from './accounts.js'
import { findMismatch } from './architecture.js'
import { makeList } from './contents.js'
import { onDisk } from './disk.js'
import { readElf } from './elf.js'
import type { ImageFiles } from './files.js'
import { makeKeyUnits } from './host-keys.js'
import { type Base, findTaken, MOST_NOTES, MOUNTED, RULES, type TreeFacts } from './kept.js'
import { fits, type Libraries, libraryPaths, loaderDirectories, onRoot } from './libraries.js'
import { type Note, noteLine } from './note.js'
import { replacedFinder, shadowFinder } from './replaced.js'
import { findUnsafe, stateLines } from './state-copy.js'
import { LIBRARY, type MadeTree, makeTree, type TreeInput } from './tree.js'

/** An image that becomes a tree. */
export type Filling = Pick<TreeInput, 'view' | 'layers' | 'out' | 'sizes' | 'progress'> & {
  root: Root
  base: Base
  /** The libraries that the base root needs. */
  libraries: () => Libraries
  /** What names the files that are added to the tree. */
  key: string
  /** What the facts record as the image. */
  chain: string
  /** The IDs that earlier preparations have given out. */
  remembered: Ids
  /** Where the image and the tree are; on the disk, if it is not given. */
  files?: ImageFiles
}

/** What was made, and what was learned about the image. */
export type Filled = {
  facts: TreeFacts
  /** The same notes as in the facts, all of them. */
  notes: Note[]
  /** The IDs to be remembered. */
  given: Ids
  made: MadeTree
  /** The users and groups of the image, and what becomes of them. */
  accounts: Accounts
  assignment: Assignment
}

/**
 * Makes the tree of the image that `view` shows in the directory `out`: its files (image/tree.ts), and those
 * that create its users and copy its state. Throws an Error that says what could not be made.
 */
export function fillTree(filling: Filling): Filled {
  const { root, base, view, layers, out, key, chain, remembered, sizes, progress, files = onDisk } = filling
  const accounts = readImageAccounts(files, view)
  // Whoever is only in a persistent /etc has an ID, but is not in the base root: /etc may be another one.
  const { own, all } = base.accounts()
  const assignment = assignIds(accounts, own, remembered, namedIds(all))
  const { uids, gids, given, sysusers, leftOut } = assignment
  const made = makeTree({
    view,
    layers,
    out,
    base: root,
    state: base.state,
    owners: { users: new Map(uids), groups: new Map(gids) },
    isWhole: systemOf(files, view) !== undefined,
    files,
    ...(sizes && { sizes }),
    ...(progress && { progress }),
  })
  const add = (path: string, text: string): void => {
    if (text === '') return
    const slash = path.lastIndexOf('/')
    const directory = addDirectory(root, files, out, path.slice(0, slash))
    files.write(out + directory + path.slice(slash), text)
  }
  // First in the order of sysusers.d(5): of several lines for a name, the first one counts.
  add(`/usr/lib/sysusers.d/00-hostext-${key}.conf`, sysusers)
  // Last in the order of tmpfiles.d(5): the lines of packages for the same paths count.
  add(`/usr/lib/tmpfiles.d/zz-hostext-${key}.conf`, stateLines(made.state))
  addHostKeys(root, files, out, add, made.hostKeys)

  const libraries = made.hasLibraries ? filling.libraries() : undefined
  const list = (): ReturnType<typeof makeList> => makeList(files.entries)
  const replaced = libraries && replacedFinder(root, libraryPaths(libraries))(out, list(), files)
  const shadows = libraries
    ? [...removeShadows(root, files, out, list, libraries), ...removeConfigured(root, files, out, libraries)]
    : []
  const foreign = findForeign(files, view, base.os)
  const mismatch = findMismatch(root, files, view)
  const unsafe = findUnsafe(made.state)
  const users = [
    ...leftOut.users.map((name) => `user ${name}`),
    ...leftOut.groups.map((name) => `group ${name}`),
  ]
  const notes: Note[] = [
    ...made.notes,
    ...(unsafe.length > 0
      ? [
          {
            kind: 'not taken' as const,
            text: `single files below ${printableList(unsafe)}: systemd-tmpfiles copies them only with all of it, because the directory above it has another owner`,
          },
        ]
      : []),
    ...shadows.map(
      (path): Note => ({
        kind: 'not taken',
        path,
        text: "the root's own programs would find it before their own library",
      }),
    ),
    ...users.map(
      (who): Note => ({ kind: 'not taken', text: `${who}: it cannot be created on this machine` }),
    ),
  ]
  const lines = notes.slice(0, MOST_NOTES).map(noteLine)
  const facts: TreeFacts = {
    rules: RULES,
    layers: chain,
    lookedAt: {
      os: base.os,
      state: [...base.state],
      places: made.looked.map(([path, what]) => [path, base.place(path) === MOUNTED ? MOUNTED : what]),
      libraries: libraries?.files ?? [],
      ids: idsOf(accounts, assignment, base),
    },
    ...(replaced !== undefined && { replaced }),
    ...(foreign !== undefined && { foreign }),
    ...(mismatch && { mismatch }),
    ...(made.hasLibraries && hasIndexed(root, files, out) && { indexed: true }),
    notes: notes.length > MOST_NOTES ? [...lines, `${notes.length - MOST_NOTES} more`] : lines,
    files: made.files,
    directories: made.directories,
    bytes: made.bytes,
    copied: made.copied,
  }
  return { facts, notes, given, made, accounts, assignment }
}

/**
 * The users and groups of the image. Their files may be links, which lead nowhere else than into the image.
 */
function readImageAccounts(files: ImageFiles, view: string): Accounts {
  const read = (path: string): string => files.readText(view, path, 4 << 20) ?? ''
  return parseAccounts(read('/etc/passwd'), read('/etc/group'))
}

/**
 * The IDs that the users and groups of the image have in the root. Those that cannot have theirs, or cannot
 * be created, are not among them: nothing would come of looking at them in each boot.
 */
function idsOf(
  { users, groups }: Accounts,
  { uids, gids, leftOut }: Assignment,
  base: Base,
): TreeFacts['lookedAt']['ids'] {
  const [uidOf, gidOf] = [new Map(uids), new Map(gids)]
  const all = {
    users: Object.fromEntries(users.map(({ name, uid }) => [name, uidOf.get(uid) ?? uid])),
    groups: Object.fromEntries(groups.map(({ name, gid }) => [name, gidOf.get(gid) ?? gid])),
  }
  const taken = new Set(findTaken(all, base))
  const free = (ids: Ids['users'], leftOut: readonly string[]): Ids['users'] =>
    Object.fromEntries(Object.entries(ids).filter(([name]) => !taken.has(name) && !leftOut.includes(name)))
  return { users: free(all.users, leftOut.users), groups: free(all.groups, leftOut.groups) }
}

function namedIds({ users, groups }: Accounts): Ids {
  return {
    users: Object.fromEntries(users.map(({ name, uid }) => [name, uid])),
    groups: Object.fromEntries(groups.map(({ name, gid }) => [name, gid])),
  }
}

/** Where both have a name, the second one counts. */
export function mergeIds(one: Ids, other: Ids): Ids {
  return { users: { ...one.users, ...other.users }, groups: { ...one.groups, ...other.groups } }
}

/**
 * Removes files that the loader would find before the libraries that the root's own programs need. It makes
 * no difference whether the tree is above or below the root, because the root has nothing there.
 */
function removeShadows(
  root: Root,
  files: ImageFiles,
  out: string,
  list: () => ReturnType<typeof makeList>,
  { shadows }: Libraries,
): string[] {
  const find = shadowFinder(root, shadows)
  const removed: string[] = []
  const next = (): string | undefined => find(out, list(), files)
  for (let path = next(); path !== undefined; path = next()) {
    files.remove(out + path)
    removed.push(path)
  }
  return removed
}

/**
 * The same in the directories that the image adds to ld.so.conf(5), which ldconfig(8) may put before the
 * root's. Not libraries of another architecture, if that can be seen: the loader passes over them.
 */
function removeConfigured(
  root: Root,
  files: ImageFiles,
  out: string,
  { names, files: [first] }: Libraries,
): string[] {
  if (!first || files.names(`${out}/etc`).every((name) => !name.startsWith('ld.so.conf'))) return []
  const roots = onRoot(root)
  const directories = loaderDirectories({
    text: (path) => files.readText(out, path, 1 << 20) ?? roots.text(path),
    // In the order of glob(3).
    names: (directory) => [...new Set([...files.names(out + directory), ...roots.names(directory)])].sort(),
  })
  const own = readElf(at(root, first[0]))
  const isOthers = (path: string): boolean =>
    files.readElf !== undefined && own !== undefined && !fits(files.readElf(out, path), own)
  const removed: string[] = []
  for (const directory of new Set(directories.map((path) => resolveLinks(root, path))))
    for (const path of names.map((name) => `${directory}/${name}`)) {
      const stat = files.find(out + path)
      // What the root has at that very place is no shadow; replacedFinder() looks for it.
      if (!stat || stat.isDirectory() || statLink(root, path) || isOthers(path)) continue
      files.remove(out + path)
      removed.push(path)
    }
  return removed
}

/** The directories that the loaders of glibc look through without an index. */
const DEFAULT_DIRECTORY = /^(?:\/usr)?\/lib[^/]*(?:\/[^/]+-linux-gnu[^/]*)?$/

/**
 * Whether a tree has libraries in a directory that the root's ld.so.conf(5) names, and that the loader only
 * looks for in its index.
 */
function hasIndexed(root: Root, files: ImageFiles, out: string): boolean {
  const targetOf = (place: string): string | undefined => {
    const stat = files.find(out + place)
    if (stat) return stat.isSymbolicLink() ? files.readLink(out + place) : undefined
    return statLink(root, place)?.isSymbolicLink() ? readlinkSync(at(root, place)) : undefined
  }
  return loaderDirectories(onRoot(root))
    .map((path) => followLinks(path, targetOf))
    .some(
      (path) => !DEFAULT_DIRECTORY.test(path) && files.names(out + path).some((name) => LIBRARY.test(name)),
    )
}

/** The name of the system that an image is, `debian 12`; undefined if it is not a whole one. */
export function systemOf(files: ImageFiles, view: string): string | undefined {
  const texts = ['/etc/os-release', '/usr/lib/os-release'].map((path) => files.readText(view, path, 64 << 10))
  const text = texts.find((text) => text !== undefined)
  return text === undefined ? undefined : nameOf(parseOsRelease(text))
}

/** The name of the image's system, if it is a whole one and not the base root's. */
function findForeign(files: ImageFiles, view: string, os: string): string | undefined {
  const own = systemOf(files, view)
  if (own === undefined) return undefined
  return own === os ? undefined : own || 'a system without a name'
}

/**
 * Has the machine make SSH host keys and the like of its own, where the image brought some: what needs them
 * does not start without. `dropped`: their paths in the image.
 */
function addHostKeys(
  root: Root,
  files: ImageFiles,
  out: string,
  add: (path: string, text: string) => void,
  dropped: readonly string[],
): void {
  const units = '/usr/lib/systemd/system'
  for (const { name, text, before } of makeKeyUnits(dropped)) {
    add(`${units}/${name}`, text)
    for (const server of before) {
      const wants = addDirectory(root, files, out, `${units}/${server}.wants`)
      const link = `${out}${wants}/${name}`
      if (!files.find(link)) files.makeLink(`../${name}`, link)
    }
  }
}

/**
 * Adds a directory to a tree, where the links of the root lead, and as the root has it. Returns its path.
 * Throws an Error if the image has anything else there: through a link, what is put into it would be put
 * anywhere.
 */
function addDirectory(root: Root, files: ImageFiles, out: string, path: string): string {
  const resolved = resolveLinks(root, path)
  for (let end = 0; end !== resolved.length; ) {
    end = resolved.indexOf('/', end + 1)
    if (end < 0) end = resolved.length
    const place = resolved.slice(0, end)
    const stat = files.find(out + place)
    if (stat && !stat.isDirectory()) throw new Error(`it has ${kindOf(stat)} at ${place}`)
    if (stat) continue
    const own = statLink(root, place)
    files.makeDirectory(out + place, own ? own.mode & 0o7777 : 0o755, own ? [own.uid, own.gid] : [0, 0])
  }
  return resolved
}
