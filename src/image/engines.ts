import { findUnfitDataRoot, isDataRoot } from '../engine/data-roots.js'
import type { Root } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { type Found, readExtensions } from './extensions.js'
import type { Look } from './image.js'

/** What was found in one data root. */
export type EngineFacts = Found & { dataRoot: string }

/**
 * Reads those of `dataRoots` in which an engine keeps its data. `exposed`: data roots that users other than
 * root could have made, and why. A data root that cannot be trusted is left out as a whole.
 */
export function readEngines(
  root: Root,
  dataRoots: readonly string[],
  exposed: Readonly<Record<string, string>>,
  look: Look,
): EngineFacts[] {
  return dataRoots
    .filter((path) => isDataRoot(root, path))
    .map((dataRoot) => {
      try {
        const problem = exposed[dataRoot] ?? findUnfitDataRoot(root, dataRoot)
        if (problem) throw new Error(problem)
        return { dataRoot, ...readExtensions(root, dataRoot, look) }
      } catch (error) {
        const who = `everything the engine keeps in ${printable(dataRoot)}`
        const leftOut = [{ who, why: (error as Error).message }]
        return { dataRoot, extensions: [], unprepared: [], leftOut, trees: [], messages: [] }
      }
    })
}
