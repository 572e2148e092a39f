import { findDataRoots, findHomes } from '../engine/places.js'
import { isTreeName, readTreeFacts } from '../image/kept.js'
import { readConfiguration } from '../machine/configuration.js'
import { type Root, readText } from '../machine/files.js'
import { DECISION, STACKED } from '../machine/run-directory.js'

/** The size of ten thousand lines, one for each container, each as long as possible. */
const LARGEST_DECISION = 16 << 20

/**
 * `hostext status`: what this boot decided, and what of the stacked images is not as it was in the image.
 * Returns the lines to print. Throws an Error if the decision cannot be read.
 */
export function showStatus(root: Root): string[] {
  const text = readText(root, DECISION, LARGEST_DECISION)
  if (text instanceof Error) throw text
  const lines = (text ?? 'hostext has not run in this boot').replace(/\n$/, '').split('\n')
  return [...lines, ...describeStacked(root)]
}

/** The notes about the trees that this boot has stacked. */
function describeStacked(root: Root): string[] {
  const text = readText(root, STACKED)
  const trees = typeof text === 'string' ? text.split('\n').filter(isTreeName) : []
  if (trees.length === 0) return []
  const homes = findHomes(findDataRoots(root, readConfiguration(root).configuration.dataRoot))
  return trees.flatMap((tree, index) => {
    const facts = homes.map((dataRoot) => readTreeFacts(root, dataRoot, tree)).find(Boolean)
    return (facts?.notes ?? []).map((note) => `run-hostext-${index}.mount: ${note}`)
  })
}
