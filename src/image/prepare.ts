import {
  chmodSync,
  chownSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { resolve } from 'node:path'
import type { Layers } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import { readSizes } from '../engine/tar-split.js'
import { findUnfitDirectory } from '../engine/trust.js'
import { at, kindOf, type Root, readText, reason, resolveLinks, statLink } from '../machine/files.js'
import { nameOf, parseOsRelease } from '../machine/os-release.js'
import { printable } from '../text/printable.js'
import { type Accounts, assignIds, type Ids, parseAccounts } from './accounts.js'
import { makeList } from './contents.js'
import {
  type Base,
  findTaken,
  idsFile,
  type KeptTree,
  MOST_NOTES,
  RULES,
  readIds,
  TREES,
  type TreeFacts,
} from './kept.js'
import { type Libraries, libraryPaths } from './libraries.js'
import { withMerged } from './merged.js'
import { replacedFinder, shadowFinder } from './replaced.js'
import { stateLines } from './state-copy.js'
import { makeTree } from './tree.js'

export type Preparation = {
  root: Root
  dataRoot: string
  base: Base
  /** The libraries that the base root needs. */
  libraries: () => Libraries
  /** Called now and then with the number of entries of the image so far. */
  progress?: (entries: number) => void
}

/** A tree that is made and not yet kept: a power cut would lose it. */
export type PendingTree = KeptTree & { work: string }

/**
 * Makes the kept tree of an image (image/kept.ts) under another name; {@link keepTrees} keeps it. `image`:
 * the ID of the image that has these layers. `number` tells it from others that are not yet kept. Throws an
 * Error that says why there is none.
 */
export async function makePending(
  preparation: Preparation,
  layers: Layers,
  image: string | undefined,
  number: number,
): Promise<PendingTree> {
  const { root, dataRoot } = preparation
  const work = `${dataRoot}/${TREES}/${NEW}${number}`
  const place = (path: string): string => at(root, path)
  try {
    rmSync(place(work), { recursive: true, force: true })
    makeOwnDirectory(root, dataRoot)
    makeDirectory(place(`${dataRoot}/${TREES}`))
    for (const name of ['', '/tree', '/view']) makeDirectory(place(work + name))
    chmodSync(place(`${work}/tree`), 0o755)
    const facts = await withMerged(root, layers, `${work}/view`, (view) =>
      fill(preparation, layers, view, place(`${work}/tree`)),
    )
    if (image !== undefined) facts.image = image
    rmdirSync(place(`${work}/view`))
    writeFileSync(place(`${work}/facts`), `${JSON.stringify(facts)}\n`, { mode: 0o600 })
    return { name: `${layers.key}.${hash(facts)}`, facts, work }
  } catch (error) {
    rmSync(place(work), { recursive: true, force: true })
    throw error
  }
}

/**
 * Keeps trees. A power cut leaves each absent or whole: they are written to the disk under other names, and
 * renamed. All at once, because writing to a disk takes long, however little it is.
 */
export function keepTrees(root: Root, dataRoot: string, trees: readonly PendingTree[]): void {
  const directory = `${dataRoot}/${TREES}`
  writeToDisk(at(root, directory))
  for (const { work, name } of trees) {
    // One that is there and was not found has damaged facts.
    rmSync(at(root, `${directory}/${name}`), { recursive: true, force: true })
    renameSync(at(root, work), at(root, `${directory}/${name}`))
  }
  writeToDisk(at(root, directory))
}

/** How the names of trees begin that are not yet kept. */
const NEW = 'new'

/** Makes the tree of the image that `view` shows in the directory `out`; returns the facts about it. */
function fill(preparation: Preparation, layers: Layers, view: string, out: string): TreeFacts {
  const { root, dataRoot, base, progress } = preparation
  const image: Root = { prefix: view }
  const accounts = readImageAccounts(image)
  const remembered = readIds(root, dataRoot)
  // Whoever is only in a persistent /etc has an ID, but is not in the base root: /etc may be another one.
  const { own, all } = base.accounts()
  const known = mergeIds(remembered, namedIds(all))
  const { uids, gids, given, sysusers, leftOut } = assignIds(accounts, own, known)
  const made = makeTree({
    view,
    // The names may be links (the engine's adapter has checked where to); no others are followed in a layer.
    layers: layers.lower.map((name) => realpathSync(at(root, resolve(layers.directory, name)))),
    out,
    base: root,
    state: base.state,
    owners: { users: new Map(uids), groups: new Map(gids) },
    sizes: readSizes,
    ...(progress && { progress }),
  })
  const add = (path: string, text: string): void => {
    if (text === '') return
    const slash = path.lastIndexOf('/')
    const directory = addDirectory(root, out, path.slice(0, slash))
    writeFileSync(out + directory + path.slice(slash), text, { flag: 'wx', mode: 0o644 })
  }
  // First in the order of sysusers.d(5): of several lines for a name, the first one counts.
  add(`/usr/lib/sysusers.d/00-hostext-${layers.key}.conf`, sysusers)
  // Last in the order of tmpfiles.d(5): the lines of packages for the same paths count.
  add(`/usr/lib/tmpfiles.d/zz-hostext-${layers.key}.conf`, stateLines(made.state))
  if (made.hadHostKeys) addHostKeys(root, out, add)
  remember(root, dataRoot, remembered, given)

  const libraries = made.hasLibraries ? preparation.libraries() : undefined
  const replaced = libraries && replacedFinder(root, libraryPaths(libraries))(out, makeList())
  const shadows = libraries ? removeShadows(root, out, libraries) : []
  const foreign = findForeign(image, base.os)
  const users = [
    ...leftOut.users.map((name) => `user ${name}`),
    ...leftOut.groups.map((name) => `group ${name}`),
  ]
  const notes = [
    ...made.notes,
    ...shadows.map(
      (path) =>
        `not taken: ${printable(path)}: the root's own programs would find it before their own library`,
    ),
    ...users.map((who) => `not taken: ${who}: it cannot be created on this machine`),
  ]
  return {
    rules: RULES,
    layers: layers.chain,
    lookedAt: {
      os: base.os,
      state: [...base.state],
      places: made.looked,
      libraries: libraries?.files ?? [],
      ids: idsOf(accounts, new Map(uids), new Map(gids), base),
    },
    ...(replaced !== undefined && { replaced }),
    ...(foreign !== undefined && { foreign }),
    notes:
      notes.length > MOST_NOTES
        ? [...notes.slice(0, MOST_NOTES), `${notes.length - MOST_NOTES} more`]
        : notes,
    files: made.files,
    directories: made.directories,
    bytes: made.bytes,
    copied: made.copied,
  }
}

/**
 * The users and groups of the image. Their files may be links, which lead nowhere else than into the image.
 */
function readImageAccounts(image: Root): Accounts {
  const read = (path: string): string => {
    const text = readText(image, resolveLinks(image, path), 4 << 20)
    return typeof text === 'string' ? text : ''
  }
  return parseAccounts(read('/etc/passwd'), read('/etc/group'))
}

/**
 * The IDs that the users and groups of the image have in the root. Those that cannot have theirs are not
 * among them: nothing would come of looking at them in each boot.
 */
function idsOf(
  { users, groups }: Accounts,
  uids: ReadonlyMap<number, number>,
  gids: ReadonlyMap<number, number>,
  base: Base,
): TreeFacts['lookedAt']['ids'] {
  const all = {
    users: Object.fromEntries(users.map(({ name, uid }) => [name, uids.get(uid) ?? uid])),
    groups: Object.fromEntries(groups.map(({ name, gid }) => [name, gids.get(gid) ?? gid])),
  }
  const taken = new Set(findTaken(all, base))
  const free = (ids: Ids['users']): Ids['users'] =>
    Object.fromEntries(Object.entries(ids).filter(([name]) => !taken.has(name)))
  return { users: free(all.users), groups: free(all.groups) }
}

function namedIds({ users, groups }: Accounts): Ids {
  return {
    users: Object.fromEntries(users.map(({ name, uid }) => [name, uid])),
    groups: Object.fromEntries(groups.map(({ name, gid }) => [name, gid])),
  }
}

/** Where both have a name, the second one counts. */
function mergeIds(one: Ids, other: Ids): Ids {
  return { users: { ...one.users, ...other.users }, groups: { ...one.groups, ...other.groups } }
}

/** Adds what was given out to the IDs that are remembered. */
function remember(
  root: Root,
  dataRoot: string,
  { users, groups }: ReturnType<typeof readIds>,
  given: ReturnType<typeof readIds>,
): void {
  const ids = mergeIds({ users, groups }, given)
  if (Object.keys(given.users).length + Object.keys(given.groups).length === 0) return
  const file = at(root, idsFile(dataRoot))
  writeFileSync(`${file}.new`, `${JSON.stringify(ids)}\n`, { mode: 0o600 })
  // It reaches the disk with the tree.
  renameSync(`${file}.new`, file)
}

/**
 * Removes files that the loader would find before the libraries that the root's own programs need. It makes
 * no difference whether the tree is above or below the root, because the root has nothing there.
 */
function removeShadows(root: Root, out: string, { shadows }: Libraries): string[] {
  const find = shadowFinder(root, shadows)
  const removed: string[] = []
  for (let path = find(out, makeList()); path !== undefined; path = find(out, makeList())) {
    rmSync(out + path, { recursive: true })
    removed.push(path)
  }
  return removed
}

/** The name of the image's system, if it is a whole one and not the base root's. */
function findForeign(image: Root, os: string): string | undefined {
  const paths = ['/etc/os-release', '/usr/lib/os-release']
  const text = paths
    .map((path) => readText(image, resolveLinks(image, path), 64 << 10))
    .find((text) => typeof text === 'string')
  if (typeof text !== 'string') return undefined
  const own = nameOf(parseOsRelease(text))
  return own === os ? undefined : own || 'a system without a name'
}

const HOST_KEYS = 'hostext-ssh-keys.service'

/**
 * Has the machine make SSH host keys of its own, where the image brought some: sshd does not start without.
 */
function addHostKeys(root: Root, out: string, add: (path: string, text: string) => void): void {
  const units = '/usr/lib/systemd/system'
  add(
    `${units}/${HOST_KEYS}`,
    `# Made by hostext: an image's SSH host keys are not for the machines that use it.
[Unit]
Description=Make the SSH host keys of this machine
ConditionPathExists=|!/etc/ssh/ssh_host_ed25519_key
ConditionPathExists=|!/etc/ssh/ssh_host_rsa_key
Before=ssh.service sshd.service ssh.socket sshd.socket

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ssh-keygen -A
`,
  )
  for (const server of ['ssh.service', 'sshd.service', 'ssh.socket', 'sshd.socket']) {
    const wants = addDirectory(root, out, `${units}/${server}.wants`)
    if (!statLink({ prefix: out }, `${wants}/${HOST_KEYS}`))
      symlinkSync(`../${HOST_KEYS}`, `${out}${wants}/${HOST_KEYS}`)
  }
}

/**
 * Adds a directory to a tree, where the links of the root lead, and as the root has it. Returns its path.
 * Throws an Error if the image has anything else there: through a link, what is put into it would be put
 * anywhere.
 */
function addDirectory(root: Root, out: string, path: string): string {
  const resolved = resolveLinks(root, path)
  for (let end = 0; end !== resolved.length; ) {
    end = resolved.indexOf('/', end + 1)
    if (end < 0) end = resolved.length
    const place = resolved.slice(0, end)
    const stat = statLink({ prefix: out }, place)
    if (stat && !stat.isDirectory()) throw new Error(`it has ${kindOf(stat)} at ${place}`)
    if (stat) continue
    mkdirSync(out + place)
    const own = statLink(root, place)
    if (own) chownSync(out + place, own.uid, own.gid)
    chmodSync(out + place, own ? own.mode & 0o7777 : 0o755)
  }
  return resolved
}

/** Makes our own directory in a data root, which only root can enter. Throws an Error that says why not. */
export function makeOwnDirectory(root: Root, dataRoot: string): void {
  makeDirectory(at(root, `${dataRoot}/${OWN_DIRECTORY}`))
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new Error(`${path}: ${reason(error)}`)
    // To open a FIFO would wait for ever.
    const unfit = findUnfitDirectory({ prefix: '' }, path)
    if (unfit) throw new Error(`${path}: ${unfit}`)
  }
}

/** Eight hexadecimal digits for what a tree depends on. */
function hash({ rules, layers, lookedAt }: TreeFacts): string {
  const sum = process.getBuiltinModule('node:crypto').createHash('sha256')
  return sum
    .update(JSON.stringify([rules, layers, lookedAt]))
    .digest('hex')
    .slice(0, 8)
}

/** Writes everything on the file system of `path` to its disk. */
function writeToDisk(path: string): void {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  // -f: only this file system. A sync(1) that does not know it writes all of them.
  if (spawnSync('sync', ['-f', path], { stdio: 'ignore' }).status !== 0)
    spawnSync('sync', { stdio: 'ignore' })
}
