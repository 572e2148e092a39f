import { readContainers, readHostConfig } from '../engine/container.js'
import { type Layers, readLayers } from '../engine/layers.js'
import { listDirectory, type Root } from '../machine/files.js'
import {
  compareExtensions,
  describeContainer,
  type Extension,
  HOLDER_LABEL,
  type LeftOut,
  readRank,
} from '../stack/extension.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { findIncompatibility, type Host } from './compatibility.js'
import { type Contents, makeList, readContents } from './contents.js'
import { findUnmeant } from './meant.js'
import type { FindReplaced } from './replaced.js'

/** The only storage driver whose layers a kernel overlay can stack as they lie on the disk. */
const DRIVER = 'overlay2'

/** `hasHolders`: containers that hold images of extensions are among those of the engine. */
export type Found = {
  extensions: Extension[]
  leftOut: LeftOut[]
  messages: Message[]
  hasHolders: boolean
}

/**
 * Finds the extensions among the containers below `dataRoot`, in stack order. A fault in one of them
 * leaves out that one. `findReplaced`: for what none of them may replace. Throws only if the list of containers cannot be read.
 */
export function readExtensions(root: Root, dataRoot: string, host: Host, findReplaced: FindReplaced): Found {
  const found: Found = { extensions: [], leftOut: [], messages: [], hasHolders: false }
  for (const container of readContainers(root, dataRoot)) {
    if ('problem' in container) {
      found.leftOut.push({ who: 'a container', why: `${container.source}: ${container.problem}` })
      continue
    }
    if (container.labels.has(HOLDER_LABEL)) found.hasHolders = true
    const flagged = readRank(container.labels)
    if (!flagged) continue
    const who = describeContainer(container)
    const why = 'why' in flagged ? flagged.why : unusable(container.dying, container.driver)
    if (why !== undefined || 'why' in flagged) {
      found.leftOut.push({ who, why: why as string })
      continue
    }
    const { rank, warning } = flagged
    let layers: Layers
    let contents: Contents
    let below: string | undefined
    try {
      // Where every image is trusted, nobody asks.
      const unmeant = host.takesStarted
        ? undefined
        : findUnmeant(container, readHostConfig(root, dataRoot, container.id))
      if (unmeant !== undefined) throw new Error(unmeant)
      layers = readLayers(root, dataRoot, container.id)
      const list = makeList()
      contents = readContents(root, layers, host.release, list)
      below = rank.kind === 'overlay' ? undefined : findReplaced(layers, list)
    } catch (error) {
      found.leftOut.push({ who, why: (error as Error).message })
      continue
    }
    const unfit = findIncompatibility(container.labels, contents.indexes.has('modules'), host)
    if (unfit !== undefined) {
      found.leftOut.push({ who, why: unfit })
      continue
    }
    if (warning) found.messages.push({ level: 'warning', text: `${who}: ${warning}` })
    if (below !== undefined) {
      const text = `${who}: it would replace ${printable(below)}, which the machine needs to boot: it goes below the root, and only adds`
      found.messages.push({ level: 'warning', text })
    }
    found.extensions.push({ container, layers, contents, rank, below })
  }
  found.extensions.sort(compareExtensions)
  return found
}

function unusable(dying: string | undefined, driver: string): string | undefined {
  if (dying) return `the engine is removing it (State.${dying})`
  if (driver !== DRIVER) return `its storage driver is "${printable(driver, 40)}", not ${DRIVER}`
  return undefined
}

/** Which of `directories` the image has files in that something else is mounted over, so that they stay hidden. */
export function hiddenBelow(
  root: Root,
  { layers, contents }: Extension,
  directories: readonly string[],
): string[] {
  return directories.filter(
    (directory) =>
      contents.top.has(directory.split('/', 2)[1] as string) &&
      layers.lower.some((layer) => hasEntries(root, `${layers.directory}/${layer}${directory}`)),
  )
}

function hasEntries(root: Root, path: string): boolean {
  try {
    return listDirectory(root, path).length > 0
  } catch {
    // What cannot be looked at is not mounted either.
    return false
  }
}
