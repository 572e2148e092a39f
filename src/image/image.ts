import type { Layers } from '../engine/layers.js'
import { listDirectory, type Root } from '../machine/files.js'
import { type Host, judgeFit } from './compatibility.js'
import { type Contents, makeList, readContents } from './contents.js'
import { hasKernel } from './kernel.js'
import type { FindReplaced } from './replaced.js'

/** What an image is read for. */
export type Look = {
  host: Host
  /** Finds what of the root no image may replace. */
  findReplaced: FindReplaced
  /** Directories of the root that may be covered: files of an image there are not seen. */
  places: readonly string[]
}

/** What an image has, as far as it matters for the root. */
export type Image = {
  contents: Contents
  /** Why it does not fit this machine. */
  unfit: string | undefined
  /** What is odd about how it says which machine it is for. */
  warnings: string[]
  /** What it would replace of the root and must not, if it stood above it. */
  replaced: string | undefined
  /** Those of the places that it has files in. */
  covered: string[]
}

/**
 * Reads an image, whose labels these are. `canReplace`: it may stand above the root. Throws an Error that names a
 * directory which cannot be read.
 */
export function readImage(
  root: Root,
  layers: Layers,
  labels: ReadonlyMap<string, string>,
  canReplace: boolean,
  { host, findReplaced, places }: Look,
): Image {
  const list = makeList()
  const contents = readContents(root, layers, host.release, list)
  const isCovered = (place: string): boolean =>
    contents.top.includes(place.split('/', 2)[1] as string) &&
    layers.lower.some((layer) => hasEntries(root, `${layers.directory}/${layer}${place}`))
  const modules = contents.indexes.includes('modules')
  const fit = judgeFit(labels, { modules, kernel: (id) => hasKernel(root, layers, list, id) }, host)
  return {
    contents,
    unfit: 'unfit' in fit ? fit.unfit : undefined,
    warnings: 'unfit' in fit ? [] : fit.warnings,
    replaced: canReplace ? findReplaced(layers, list) : undefined,
    covered: places.filter(isCovered),
  }
}

function hasEntries(root: Root, path: string): boolean {
  try {
    return listDirectory(root, path).length > 0
  } catch {
    // What cannot be looked at is not mounted either.
    return false
  }
}
