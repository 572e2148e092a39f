import { findUnfitDocker, isDocker, readDocker } from '../engine/docker.js'
import type { Container, Engine } from '../engine/engine.js'
import { type DataRoots, type Place, PODMAN } from '../engine/places.js'
import { findUnfitPodman, isPodman, readPodman } from '../engine/podman.js'
import type { Root } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { type Found, readExtensions } from './extensions.js'
import type { Look } from './image.js'
import { readRank } from './labels.js'

/** What was found at one place. */
export type EngineFacts = Omit<Found, 'dataRoot'> & {
  /** What the engine is called. */
  name: string
  /** Where its containers are. */
  place: string
  /**
   * Where the layers of its extensions are: the directory, on their file system, in which hostext keeps its
   * own. Mostly the same.
   */
  dataRoot: string
  /** All directories in which hostext may have kept something for it. */
  homes: string[]
  /** Whether all of it is left out, because it cannot be trusted or read: nothing there may be changed. */
  isRefused?: boolean
}

/**
 * Reads those of `places` in which an engine keeps its containers; what is there tells which engine. One that
 * cannot be trusted is left out as a whole.
 */
export function readEngines(
  root: Root,
  places: readonly Place[],
  dataRoots: DataRoots,
  look: Look,
): EngineFacts[] {
  return places.flatMap((place): EngineFacts[] => {
    const kind = ENGINES.find(({ is }) => is(root, place.path))
    if (!kind) return []
    const facts = { name: kind.name ?? place.engine, place: place.path }
    try {
      const problem = dataRoots.exposed[place.path] ?? kind.findUnfit(root, place.path)
      if (problem) throw new Error(problem)
      const engine = kind.read(root, place, dataRoots, (labels) => readRank(labels) !== undefined)
      const found = readExtensions(root, engine, look)
      return [{ ...facts, homes: engine.homes, ...found, dataRoot: found.dataRoot ?? place.path }]
    } catch (error) {
      const who = `everything the engine keeps in ${printable(place.path)}`
      const leftOut = [{ who, why: (error as Error).message }]
      const nothing = { count: 0, extensions: [], unprepared: [], trees: [], messages: [], homes: [] }
      return [{ ...facts, dataRoot: place.path, ...nothing, leftOut, isRefused: true }]
    }
  })
}

/**
 * What each place has, of those in which an engine keeps its containers: the engine, or why it is left out as
 * a whole. Nothing but the list of its containers is read.
 */
export function openEngines(
  root: Root,
  dataRoots: DataRoots,
): { place: Place; engine: Engine | { problem: string } }[] {
  return dataRoots.places.flatMap((place) => {
    const kind = ENGINES.find(({ is }) => is(root, place.path))
    if (!kind) return []
    try {
      const problem = dataRoots.exposed[place.path] ?? kind.findUnfit(root, place.path)
      return [{ place, engine: problem ? { problem } : kind.read(root, place, dataRoots) }]
    } catch (error) {
      return [{ place, engine: { problem: (error as Error).message } }]
    }
  })
}

/** How engines keep their containers. `name`: if how they are kept tells which engine it is. */
const ENGINES: {
  name?: string
  is: (root: Root, path: string) => boolean
  findUnfit: (root: Root, path: string) => string | undefined
  /** `asks`: {@link readPodman}. */
  read: (
    root: Root,
    place: Place,
    dataRoots: DataRoots,
    asks?: (labels: Container['labels']) => boolean,
  ) => Engine
}[] = [
  { is: isDocker, findUnfit: findUnfitDocker, read: readDocker },
  {
    name: PODMAN,
    is: isPodman,
    findUnfit: findUnfitPodman,
    read(root, { path }, { images, podmanProblem }, asks) {
      if (podmanProblem !== undefined) throw new Error(podmanProblem)
      const others = images.map((store) => store.path)
      return readPodman(root, path, others, undefined, asks)
    },
  },
]
