import { chmodSync, mkdirSync, realpathSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Layers } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import { readSizes } from '../engine/tar-split.js'
import { findUnfitDirectory } from '../engine/trust.js'
import { at, type Root, reason, statLink } from '../machine/files.js'
import { setAside } from '../machine/remove.js'
import { printable } from '../text/printable.js'
import { fillTree, mergeIds } from './fill.js'
import { type Base, idsFile, type KeptTree, readIds, TREES, type TreeFacts } from './kept.js'
import type { Libraries } from './libraries.js'
import { withMerged } from './merged.js'

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
    const remembered = readIds(root, dataRoot)
    const { facts, given } = await withMerged(root, layers, `${work}/view`, (view) =>
      fillTree({
        ...preparation,
        ...{ key: layers.key, chain: layers.chain, view, out: place(`${work}/tree`), remembered },
        // The names may be links (the engine's adapter has checked where to); no others are followed in a
        // layer.
        layers: layers.lower.map((name) => realpathSync(at(root, resolve(layers.directory, name)))),
        sizes: readSizes,
      }),
    )
    remember(root, dataRoot, remembered, given)
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
 * renamed. All at once, because writing to a disk takes long, however little it is. Throws an Error, and
 * keeps none, if the disk does not take them.
 */
export function keepTrees(root: Root, dataRoot: string, trees: readonly PendingTree[]): void {
  const directory = `${dataRoot}/${TREES}`
  writeToDisk(at(root, directory))
  for (const { work, name } of trees) {
    // One that is there and was not found has damaged facts. Its files may be those of the running root.
    if (statLink(root, `${directory}/${name}`)) setAside(at(root, directory), name)
    renameSync(at(root, work), at(root, `${directory}/${name}`))
  }
  writeToDisk(at(root, directory))
}

/** How the names of trees begin that are not yet kept. */
const NEW = 'new'

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

/**
 * Writes everything on the file system of `path` to its disk. Throws an Error if the disk does not take it,
 * as far as the kernel says so (syncfs(2), from 5.8 on).
 */
function writeToDisk(path: string): void {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const env = { ...process.env, LC_ALL: 'C' }
  // -f: only this file system.
  const { status, error, stderr } = spawnSync('sync', ['-f', path], {
    ...{ encoding: 'utf8', env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status === 0) return
  // A sync(1) that does not know it writes all of them.
  if (error || status === null || /option|usage/i.test(stderr)) spawnSync('sync', { stdio: 'ignore' })
  else
    throw new Error(
      `trees cannot be written to the disk: ${printable(stderr.trim().replace(/^sync: /, ''), 300)}`,
    )
}
