import { readdirSync } from 'node:fs'
import { compareExtensions, describeContainer, type Extension, type LeftOut, readRank } from '../extension.js'
import { listDirectory, type Root } from '../files.js'
import type { Message } from '../log.js'
import { readContainers } from './container.js'
import { type Layers, readLayers } from './layers.js'

/** The only storage driver whose layers a kernel overlay can stack as they lie on the disk. */
const DRIVER = 'overlay2'

export type Found = { extensions: Extension[]; leftOut: LeftOut[]; messages: Message[] }

/**
 * Finds the extensions among the containers below `dataRoot`, in stack order. A fault in one of them
 * leaves out that one. Throws only if the list of containers cannot be read.
 */
export function readExtensions(root: Root, dataRoot: string): Found {
  const found: Found = { extensions: [], leftOut: [], messages: [] }
  for (const container of readContainers(root, dataRoot)) {
    if ('problem' in container) {
      found.leftOut.push({ who: 'a container', why: `${container.source}: ${container.problem}` })
      continue
    }
    const flagged = readRank(container.labels)
    if (!flagged) continue
    const who = describeContainer(container)
    const why = 'why' in flagged ? flagged.why : unusable(container.dying, container.driver)
    if (why !== undefined || 'why' in flagged) {
      found.leftOut.push({ who, why: why as string })
      continue
    }
    let layers: Layers
    try {
      layers = readLayers(root, dataRoot, container.id)
    } catch (error) {
      found.leftOut.push({ who, why: (error as Error).message })
      continue
    }
    if (flagged.warning) found.messages.push({ level: 'warning', text: `${who}: ${flagged.warning}` })
    found.extensions.push({ container, layers, rank: flagged.rank })
  }
  found.extensions.sort(compareExtensions)
  return found
}

function unusable(dying: string | undefined, driver: string): string | undefined {
  if (dying) return `the engine is removing it (State.${dying})`
  if (driver !== DRIVER) return `its storage driver is ${JSON.stringify(driver.slice(0, 40))}, not ${DRIVER}`
  return undefined
}

/** Which of `directories` the image has files in. They are state, so what the image has there stays hidden. */
export function hiddenBelow(root: Root, { layers }: Extension, directories: readonly string[]): string[] {
  const hidden = new Set<string>()
  for (const layer of layers.lower) {
    try {
      const diff = `${layers.directory}/${layer}`
      // One look at the top of a layer answers for most images: they have none of the directories.
      const top = new Set(readdirSync(root.prefix + diff))
      for (const directory of directories) {
        if (top.has(directory.split('/', 2)[1] as string) && listDirectory(root, diff + directory).length > 0)
          hidden.add(directory)
      }
    } catch {
      // What cannot be looked at is not mounted either.
    }
  }
  return directories.filter((directory) => hidden.has(directory))
}
