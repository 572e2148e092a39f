import { rmSync } from 'node:fs'
import { findDataRoots, findHomes, OWN_DIRECTORY } from '../engine/places.js'
import { readConfiguration } from '../machine/configuration.js'
import { listDirectory, type Root, statLink } from '../machine/files.js'
import { findUnfitHome } from '../trial/home.js'
import { TRIAL } from '../trial/records.js'

/**
 * `hostext retry`: forgets failed trials, so that the next boot tries that stack again. Returns the lines to
 * print.
 */
export function retry(root: Root): string[] {
  const { configuration } = readConfiguration(root)
  const dataRoots = findDataRoots(root, configuration.dataRoot)
  const refused: string[] = []
  const forgotten = findHomes(dataRoots).flatMap((dataRoot) => {
    const directory = `${dataRoot}/${OWN_DIRECTORY}`
    if (!statLink(root, directory)) return []
    const problem = findUnfitHome(root, dataRoots, dataRoot)
    if (problem !== undefined) {
      refused.push(`left alone: ${dataRoot}: ${problem}`)
      return []
    }
    const names = listDirectory(root, directory).filter((name) => TRIAL.test(name))
    for (const name of names) rmSync(`${root.prefix}${directory}/${name}`)
    return names.map((name) => `forgotten: ${directory}/${name}`)
  })
  const last =
    forgotten.length > 0 ? 'the next boot tries the stack again' : 'nothing forgotten: no trial was found'
  return [...refused, ...forgotten, last]
}
