import { type Container, describeContainer, type Engine, named } from '../engine/engine.js'
import { type Root, seeContainer } from '../machine/files.js'
import type { Message } from '../text/log.js'
import { printable, printableList } from '../text/printable.js'
import { COMPATIBILITY_LABELS, judgeFit } from './compatibility.js'
import type { Extension, LeftOut, Unprepared } from './extension.js'
import { type Look, readImage } from './image.js'
import { type KeptTree, readTrees, type Trees, treePath } from './kept.js'
import { type Rank, readRank } from './labels.js'
import { findUnmeant } from './meant.js'

/** What an engine has. */
export type Found = {
  /**
   * Where its layers are: the directory, on their file system, in which hostext keeps its own. Undefined if
   * it has no extension.
   */
  dataRoot: string | undefined
  /** How many containers it has. */
  count: number
  extensions: Extension[]
  unprepared: Unprepared[]
  leftOut: LeftOut[]
  /**
   * The kept trees of their images. An extension that is left out keeps its tree, or each boot would make it.
   */
  trees: string[]
  messages: Message[]
}

/**
 * Finds the extensions among an engine's containers, in the order of their IDs. An extension with a fault is
 * left out, and the others are still read. Throws an Error only if the kept trees cannot be listed.
 */
export function readExtensions(root: Root, engine: Engine, look: Look): Found {
  const found: Found = {
    ...{ dataRoot: undefined, count: engine.containers.length },
    ...{ extensions: [], unprepared: [], leftOut: [], trees: [], messages: [] },
  }
  const holders: string[] = []
  let trees: Trees | undefined
  for (const container of engine.containers) {
    if ('problem' in container) {
      found.leftOut.push({ who: 'a container', why: `${container.source}: ${container.problem}` })
      continue
    }
    // An engine that does not list a holder cannot remove it either.
    const isKept = isHolder(container) && !container.refused
    if (isKept) holders.push(container.name)
    const flagged = readRank(container.labels)
    if (flagged || isKept) seeContainer(root, container.source)
    if (!flagged) continue
    const who = describeContainer(container)
    const warn = (text: string): void =>
      void found.messages.push({ level: 'warning', text: `${who}: ${text}` })
    try {
      if ('why' in flagged) throw new Error(flagged.why)
      if (container.refused) throw new Error(container.refused)
      // If every image is trusted, it does not matter how the container was made.
      const unmeant = look.host.takesStarted
        ? undefined
        : findUnmeant(container, engine.hostConfig(container))
      if (unmeant !== undefined) throw new Error(unmeant)
      const dataRoot = engine.home(container)
      found.dataRoot ??= dataRoot
      if (dataRoot !== found.dataRoot)
        throw new Error(`its layers are in ${dataRoot}, but those of other extensions in ${found.dataRoot}`)
      trees ??= readTrees(root, dataRoot, look.base)
      found.trees = trees.found
      const read = readExtension(root, dataRoot, container, engine, flagged.rank, trees, look)
      if (flagged.warning) warn(flagged.warning)
      if ('unprepared' in read) {
        found.unprepared.push(read.unprepared)
        continue
      }
      const { extension, warnings } = read
      const notes = extension.facts.notes.length
      warnings.forEach(warn)
      if (notes > 0) {
        const text = `${who}: ${notes} of its files ${notes === 1 ? 'is' : 'are'} not taken as in its image; "hostext status" names them`
        found.messages.push({ level: 'info', text })
      }
      if (extension.below !== undefined)
        warn(
          `it would replace ${printable(extension.below)}, which the machine needs to boot: it goes below the root and only adds files`,
        )
      found.extensions.push(extension)
    } catch (error) {
      found.leftOut.push({ who, why: (error as Error).message, container: named(container) })
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

/** An extension with the warnings about it, or what has to be prepared. */
type Read = { extension: Extension; warnings: string[] } | { unprepared: Unprepared }

/** Reads one extension. Throws an Error that says why it is left out. */
function readExtension(
  root: Root,
  dataRoot: string,
  container: Container,
  engine: Engine,
  rank: Rank,
  trees: Trees,
  look: Look,
): Read {
  const { id, name, image, imageId, labels, source } = container
  const identity = { id, name, image, imageId, source }
  // The layers are not looked up if their tree is there: a third of what an extension costs.
  const own = trees.findImage(imageId, (key) => engine.hasLayers(container, key))
  const kept = own ?? findByLayers(container, engine, trees, look)
  if (!('facts' in kept)) {
    // What is for another kernel or system is not worth preparing.
    const fit = judgeFit(labels, { modules: false, kernel: () => false }, look.host)
    if ('unfit' in fit) throw new Error(fit.unfit)
    return { unprepared: { container: identity, ...kept } }
  }
  const { facts, name: tree } = kept
  const isAdditive = rank.kind === 'overlay'
  const path = treePath(dataRoot, tree)
  const { contents, unfit, warnings, replaced, covered } = readImage(
    root,
    path,
    labels,
    !isAdditive,
    facts,
    look,
  )
  if (unfit !== undefined) throw new Error(unfit)
  if (facts.foreign !== undefined) {
    const what = `it is a whole system (${printable(facts.foreign, 80)}), and this one is ${printable(look.base.os || 'unnamed', 80)}`
    if (look.host.skipsForeign) throw new Error(`${what}: ForeignSystem=skip`)
    warnings.push(`${what}: its programs may want other libraries than the root's`)
  }
  if (facts.mismatch) {
    const { image, root } = facts.mismatch
    warnings.push(
      `its programs are for ${printable(image, 40)}, and this machine's for ${printable(root, 40)}: they do not run, unless an emulator runs them`,
    )
  }
  const extension: Extension = {
    container: identity,
    tree,
    facts,
    contents,
    rank,
    labels: COMPATIBILITY_LABELS.flatMap((label): [string, string][] => {
      const value = labels.get(label)
      return value === undefined ? [] : [[label, value]]
    }),
    below: isAdditive ? undefined : (replaced ?? facts.replaced),
    covered,
  }
  return { extension, warnings }
}

/** The tree of a container's layers, or these layers and what has changed since their tree was made. */
function findByLayers(
  container: Container,
  engine: Engine,
  trees: Trees,
  look: Look,
): KeptTree | Pick<Unprepared, 'layers' | 'change'> {
  const { imageId } = container
  const layers = engine.layers(container, (found) => {
    const kept = trees.find(found)
    // An image without a tree is looked at by whoever prepares it.
    return 'facts' in kept ? imageId !== undefined && kept.facts.image === imageId : look.isFirst
  })
  const kept = trees.find(layers)
  return 'facts' in kept ? kept : { layers, change: kept.change }
}
