import { mkdtempSync, rmdirSync } from 'node:fs'
import type { Layers } from '../engine/engine.js'
import { findImage } from '../engine/images.js'
import { findDataRoots } from '../engine/places.js'
import { openEngines } from '../image/engines.js'
import { findUnmeant } from '../image/meant.js'
import { withMerged } from '../image/merged.js'
import { readConfiguration } from '../machine/configuration.js'
import { at, type Root } from '../machine/files.js'
import { nextBootRoot } from '../machine/next-boot.js'
import { printable, printableList } from '../text/printable.js'
import { readDirectory } from './directory.js'
import type { Subject } from './subject.js'

type Stored = Omit<Subject, 'layers' | 'top' | 'hasCapabilities'> & { layers: () => Layers }

/**
 * Reads an image or a container that an engine has, by its name or the beginning of its ID, from the engine's
 * files: the engine need not run. Throws an Error if there is none, or if it cannot be read.
 */
export async function readStored(
  environment: NodeJS.ProcessEnv,
  word: string,
  hashKernels: boolean,
): Promise<Subject> {
  const root = nextBootRoot(environment)
  const { layers, ...stored } = findStored(root, word)
  const { directory, lower, ...chain } = layers()
  const place = mkdtempSync(`${process.env.TMPDIR || '/tmp'}/hostext-view-`)
  try {
    const here = {
      ...chain,
      directory: at(root, directory),
      lower: lower.map((name) => (name.startsWith('/') ? at(root, name) : name)),
    }
    const read = await withMerged({ prefix: '' }, here, place, (view) => readDirectory(view, hashKernels))
    return { ...stored, ...read, layers: lower.length }
  } finally {
    rmdirSync(place)
  }
}

/** Finds a container, or else an image. */
function findStored(root: Root, word: string): Stored {
  const dataRoots = findDataRoots(root, readConfiguration(root).configuration.dataRoot)
  const engines = openEngines(root, dataRoots)
  const problems: string[] = []
  for (const { engine } of engines) {
    if ('problem' in engine) {
      problems.push(engine.problem)
      continue
    }
    const isMeant = ({ name, id }: { name: string; id: string }): boolean =>
      name === word || (/^[0-9a-f]{6,64}$/.test(word) && id.startsWith(word))
    for (const container of engine.containers) {
      if ('problem' in container || !isMeant(container)) continue
      const unmeant = container.refused ?? findUnmeant(container, engine.hostConfig(container))
      return {
        format: `container of ${engine.name}`,
        name: `${container.name} (${container.image})`,
        labels: container.labels,
        architecture: undefined,
        ...(unmeant !== undefined && { unmeant }),
        layers: () => engine.layers(container),
      }
    }
  }
  for (const { place, engine } of engines) {
    if ('problem' in engine) continue
    const image = findImage(root, place, dataRoots, word)
    if (image) return { ...image, format: `image of ${engine.name}` }
  }
  const places = printableList(engines.map(({ place }) => place.path)) || 'no engine has any data here'
  const why = problems.length > 0 ? `; not read: ${problems.join('; ')}` : ''
  throw new Error(
    `${printable(word, 100)} is neither a file, nor a container or an image of an engine (${places})${why}`,
  )
}
