import { type DataRoots, OWN_DIRECTORY } from '../engine/places.js'
import { findUnfitDirectory } from '../engine/trust.js'
import { TREES } from '../image/kept.js'
import type { Root } from '../machine/files.js'
import { INDEXES } from './indexes.js'

/**
 * Why nothing that hostext keeps in `home` may be written or removed: whoever can replace a directory there
 * with a link could make us do so elsewhere. Undefined if only root can, or if there is nothing.
 */
export function findUnfitHome(
  root: Root,
  { exposed }: Pick<DataRoots, 'exposed'>,
  home: string,
): string | undefined {
  if (exposed[home] !== undefined) return exposed[home]
  for (const name of [OWN_DIRECTORY, TREES, INDEXES]) {
    const why = findUnfitDirectory(root, `${home}/${name}`)
    if (why !== undefined) return `${home}/${name}: ${why}`
  }
  return undefined
}
