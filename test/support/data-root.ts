import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readDocker } from '../../src/engine/docker.js'
import type { DataRoots, Place } from '../../src/engine/places.js'
import type { Host } from '../../src/image/compatibility.js'
import { type EngineFacts, readEngines } from '../../src/image/engines.js'
import { type Found, readExtensions } from '../../src/image/extensions.js'
import type { Look } from '../../src/image/image.js'
import { makeBase } from '../../src/image/kept.js'
import { findEssentialLibraries } from '../../src/image/libraries.js'
import { keepTrees, makePending, type PendingTree } from '../../src/image/prepare.js'
import { replacedFinder } from '../../src/image/replaced.js'
import type { Root } from '../../src/machine/files.js'
import { DATA_ROOTS } from './paths.js'
import { copyTree, makeTree } from './tree.js'

export const DATA = '/var/lib/docker'

/** A machine without special properties. */
export const HOST: Host = {
  kernel: { release: '6.1.0', abi: undefined },
  versionId: undefined,
  takesStarted: false,
  skipsForeign: false,
}

/** What images are checked against, on such a machine. */
export function makeLook(
  root: Root,
  { essential = [] as string[], ...more }: Partial<Look> & { essential?: string[] } = {},
): Look {
  return {
    isFirst: false,
    host: HOST,
    findReplaced: replacedFinder(root, essential),
    base: makeBase(root, '', ['/var']),
    places: [],
    absent: [],
    ...more,
  }
}

/** A place of Docker without settings. */
export function placeAt(path: string): Place {
  return { path, engine: 'Docker', source: undefined, left: undefined, settings: {} }
}

/** Only these places, and the roots of containerd. */
export function onlyPlaces(paths: string[], more: Partial<DataRoots> = {}): DataRoots {
  return {
    places: paths.map(placeAt),
    ...{ containerd: [], images: [], podmanProblem: undefined, exposed: {}, messages: [] },
    ...more,
  }
}

/** Reads the engines at these places. */
export function enginesAt(root: Root, paths: string[], more: Partial<DataRoots> = {}): EngineFacts[] {
  const dataRoots = onlyPlaces(paths, more)
  return readEngines(root, dataRoots.places, dataRoots, makeLook(root))
}

/** The extensions in the data root. */
export function found(root: Root, look = makeLook(root)): Found {
  return readExtensions(root, readDocker(root, placeAt(DATA), onlyPlaces([])), look)
}

/** A copy of a real data root, to be damaged. */
export function copyDataRoot(t: Test, name = 'standard'): { root: { prefix: string }; data: string } {
  const prefix = makeTree(t)
  const data = join(prefix, DATA)
  copyTree(join(DATA_ROOTS, name), data)
  return { root: { prefix }, data }
}

/** Prepares all images of the data root. */
export async function prepareAll(root: Root, look = makeLook(root)): Promise<void> {
  const libraries = () => findEssentialLibraries(root)
  const preparation = { root, dataRoot: DATA, base: look.base, libraries }
  const trees: PendingTree[] = []
  for (const { container, layers } of found(root, look).unprepared)
    trees.push(await makePending(preparation, layers, container.imageId, trees.length))
  keepTrees(root, DATA, trees)
}

/** The ID of the container named `name`, and the name of its own layer. */
export function find(data: string, name: string): { id: string; mountId: string; config: string } {
  for (const id of readdirSync(join(data, 'containers'))) {
    const config = join(data, 'containers', id, 'config.v2.json')
    if (JSON.parse(readFileSync(config, 'utf8')).Name !== `/${name}`) continue
    return {
      id,
      config,
      mountId: readFileSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id'), 'utf8'),
    }
  }
  throw new Error(name)
}
