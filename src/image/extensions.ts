import { type Container, describeContainer, readContainers, readHostConfig } from '../engine/container.js'
import { readLayers } from '../engine/layers.js'
import { chooseStore, findStale, readStoreSettings } from '../engine/store.js'
import type { Root } from '../machine/files.js'
import type { Message } from '../text/log.js'
import { printable, printableList } from '../text/printable.js'
import { COMPATIBILITY_LABELS } from './compatibility.js'
import type { Extension, LeftOut } from './extension.js'
import { type Look, readImage } from './image.js'
import { type Rank, readRank } from './labels.js'
import { findUnmeant } from './meant.js'

/** The only storage driver whose layers an overlay can stack as they are on the disk. */
const DRIVER = 'overlay2'

/** What an engine has. */
export type Found = {
  extensions: Extension[]
  leftOut: LeftOut[]
  messages: Message[]
}

/**
 * Finds the extensions among the containers below `dataRoot`, in the order of their IDs. An extension with a
 * fault is left out, and the others are still read. Throws an Error only if the list of containers cannot be
 * read.
 */
export function readExtensions(root: Root, dataRoot: string, look: Look): Found {
  const found: Found = { extensions: [], leftOut: [], messages: [] }
  const holders: string[] = []
  const containers = readContainers(root, dataRoot)
  const drivers = new Set(containers.flatMap((container) => ('driver' in container ? container.driver : [])))
  const store = chooseStore(readStoreSettings(root), drivers)
  for (const container of containers) {
    if ('problem' in container) {
      found.leftOut.push({ who: 'a container', why: `${container.source}: ${container.problem}` })
      continue
    }
    const stale = findStale(container.driver, store)
    // An engine that does not list a holder cannot remove it either.
    if (isHolder(container) && !stale && !container.dying) holders.push(container.name)
    const flagged = readRank(container.labels)
    if (!flagged) continue
    const who = describeContainer(container)
    const warn = (text: string): void =>
      void found.messages.push({ level: 'warning', text: `${who}: ${text}` })
    try {
      if ('why' in flagged) throw new Error(flagged.why)
      if (stale) throw new Error(stale)
      const { extension, warnings } = readExtension(root, dataRoot, container, flagged.rank, look)
      if (flagged.warning) warn(flagged.warning)
      warnings.forEach(warn)
      if (extension.below !== undefined)
        warn(
          `it would replace ${printable(extension.below)}, which the machine needs to boot: it goes below the root and only adds files`,
        )
      found.extensions.push(extension)
    } catch (error) {
      found.leftOut.push({ who, why: (error as Error).message })
    }
  }
  if (holders.length > 0) found.messages.push({ level: 'notice', text: describeHolders(holders) })
  return found
}

/**
 * Whether an earlier version made the container, to keep the image of a stacked extension from being
 * removed. Any image may have the label, but its containers are not named after the image's ID.
 */
function isHolder({ name, imageId, labels }: Container): boolean {
  return labels.has('io.hostext.hold') && name === `hostext-hold-${imageId?.slice(7, 19)}`
}

/** The line about containers that an earlier version has left behind. Nothing breaks if they stay. */
function describeHolders(names: readonly string[]): string {
  const [subject, verb, object] = names.length > 1 ? ['containers', 'are', 'them'] : ['container', 'is', 'it']
  return `${subject} ${printableList(names)} ${verb} no longer needed: "docker rm" may remove ${object}`
}

/** Reads one extension, with the warnings about it. Throws an Error that says why it is left out. */
function readExtension(
  root: Root,
  dataRoot: string,
  container: Container,
  rank: Rank,
  look: Look,
): { extension: Extension; warnings: string[] } {
  const { id, name, image, imageId, source, labels, driver, dying } = container
  if (dying) throw new Error(`the engine is removing it (State.${dying})`)
  if (driver !== DRIVER) throw new Error(`its storage driver is "${printable(driver, 40)}", not ${DRIVER}`)
  // If every image is trusted, it does not matter how the container was made.
  const unmeant = look.host.takesStarted
    ? undefined
    : findUnmeant(container, readHostConfig(root, dataRoot, id))
  if (unmeant !== undefined) throw new Error(unmeant)
  const layers = readLayers(root, dataRoot, id)
  const isAdditive = rank.kind === 'overlay'
  const { contents, unfit, warnings, replaced, covered } = readImage(root, layers, labels, !isAdditive, look)
  if (unfit !== undefined) throw new Error(unfit)
  const extension: Extension = {
    container: { id, name, image, imageId, source },
    layers,
    contents,
    rank,
    labels: COMPATIBILITY_LABELS.flatMap((label): [string, string][] => {
      const value = labels.get(label)
      return value === undefined ? [] : [[label, value]]
    }),
    below: replaced,
    covered,
  }
  return { extension, warnings }
}
