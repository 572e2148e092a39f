import { at, listDirectory, type Root, unseen } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { type Host, judgeFit } from './compatibility.js'
import { type Contents, makeList, readContents, readEntries } from './contents.js'
import type { List } from './files.js'
import type { Base, TreeFacts } from './kept.js'
import { hasKernel } from './kernel.js'
import type { FindReplaced } from './replaced.js'

/** What images are checked against. */
export type Look = {
  /** Whether this is the first look of a boot, after which images are prepared. */
  isFirst: boolean
  host: Host
  /** Finds the file of the root that an image must not replace but would. */
  findReplaced: FindReplaced
  /** What kept trees are compared with. */
  base: Base
  /** Directories of the root that something may cover, so that an image's files there are not visible. */
  places: readonly string[]
  /** Mount points that the root lacks. */
  absent: readonly string[]
}

/** What an image has, as far as it matters for the root. */
export type Image = {
  contents: Contents
  /** Why it does not fit this machine; undefined if it does. */
  unfit: string | undefined
  /** Warnings about the labels that say which machine it is for. */
  warnings: string[]
  /** The file of the root that it must not replace but would, if it went above the root. */
  replaced: string | undefined
  /** The places that it has files in. */
  covered: string[]
}

/**
 * Reads a kept tree of an image with these labels, and with what was learned when it was made. `canReplace`:
 * it may go above the root. Throws an Error that names a directory that cannot be read.
 */
export function readImage(
  root: Root,
  tree: string,
  labels: ReadonlyMap<string, string>,
  canReplace: boolean,
  { indexed }: Pick<TreeFacts, 'indexed'>,
  { host, findReplaced, places, absent }: Look,
): Image {
  const top = at(root, tree)
  // A later boot reads these directories again, too: see readContents().
  const list = makeList((path) => {
    root.seen?.names.add(tree + path.slice(top.length))
    return readEntries(path)
  })
  const contents = readContents(top, host.kernel?.release ?? '', list)
  if (indexed && !contents.indexes.includes('libraries')) contents.indexes.push('libraries')
  const isCovered = (place: string): boolean =>
    contents.top.includes(place.split('/', 2)[1] as string) && hasEntries(root, tree + place)
  const modules = contents.indexes.includes('modules')
  const fit = judgeFit(labels, { modules, kernel: (id) => hasKernel(top, list, id) }, host)
  const blocked = absent.find((place) => isBlocked(list, top, place))
  return {
    contents,
    unfit:
      'unfit' in fit
        ? fit.unfit
        : blocked &&
          `a file system is to be mounted on ${printable(blocked)}, and it has no directory there but something else`,
    warnings: 'unfit' in fit ? [] : fit.warnings,
    replaced: canReplace ? findReplaced(top, list) : undefined,
    covered: places.filter(isCovered),
  }
}

/**
 * Whether a tree has something else than a directory at this path, or on the way to it. Where the root has
 * nothing there, that would be seen wherever the tree is in the stack, and nothing could be mounted on it.
 */
function isBlocked(list: List, tree: string, place: string): boolean {
  let above = tree
  for (const name of place.split('/').slice(1)) {
    const entry = list(above).find((entry) => entry.name === name)
    if (!entry?.isDirectory()) return entry !== undefined
    above += `/${name}`
  }
  return false
}

function hasEntries(root: Root, path: string): boolean {
  try {
    return listDirectory(unseen(root), path).length > 0
  } catch {
    // A directory that cannot be read is not mounted either.
    return false
  }
}
