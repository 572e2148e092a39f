import { type Dirent, lstatSync, readlinkSync, type Stats } from 'node:fs'
import type { Layers } from '../engine/layers.js'
import { type Root, statLink } from '../machine/files.js'
import { USR_MERGED } from '../machine/machine.js'
import type { List } from './contents.js'
import { type EssentialTree, essentialBelow, essentialTree } from './essential.js'

/**
 * The first file of the root that an image would replace, were it above the root, and that the machine needs to boot; undefined
 * if there is none.
 */
export type FindReplaced = (layers: Layers, list: List) => string | undefined

/**
 * Finds what images would replace of the files at these paths: essential.ts. Of a path that ends in a slash, `/home/`, the
 * place itself counts and nothing below it: something is mounted there, so a directory may only meet a directory.
 *
 * What the image has there does not matter: a file, a directory in place of a link (`/lib` on a
 * usr-merged root: every program loses its loader), or a whiteout, a character device 0/0
 * (Documentation/filesystems/overlayfs.rst). Of whiteouts and opaque directories, which are attributes that cannot be read
 * here, the overlay of the extension keeps the effect to the image itself; so they are looked for only to name an image that
 * was made of more than it should have.
 * A directory over a link of the root hides all that is behind the link.
 *
 * Only directories that the image has in common with the tree are looked into.
 */
export function replacedFinder(root: Root, paths: readonly string[]): FindReplaced {
  const essential = essentialTree(paths)
  const usr = essential.names.get('usr')
  /** What the root has there: images have most of their directories in common. */
  const stats = new Map<string, Stats | undefined>()
  const statRoot = (path: string): Stats | undefined => {
    if (!stats.has(path)) stats.set(path, statLink(root, path))
    return stats.get(path)
  }

  return ({ directory, lower }, list) => {
    const look = (diff: string, path: string, levels: EssentialTree[]): string | undefined => {
      for (const entry of list(diff + path)) {
        const here = `${path}/${entry.name}`
        const below = essentialBelow(levels, entry.name)
        const found = below === true ? exists(root, here) : lookBelow(diff, here, entry, below)
        if (found !== undefined) return found
      }
      return undefined
    }
    const lookBelow = (
      diff: string,
      here: string,
      entry: Dirent,
      levels: EssentialTree[],
    ): string | undefined => {
      if (levels.length === 0) return undefined
      const stat = statRoot(here)
      if (!stat) return undefined
      if (entry.isDirectory() && stat.isDirectory()) {
        const deeper = levels.filter(hasMore)
        return deeper.length > 0 ? look(diff, here, deeper) : undefined
      }
      if (entry.isFile() && stat.isFile()) return undefined
      // One that hides no file hides nothing: the directory of the root shows through the overlay of the image.
      if (!levels.some(hasFiles) && isWhiteout(diff + here, entry)) return undefined
      return here
    }

    for (const layer of lower) {
      const diff = `${root.prefix}${directory}/${layer}`
      for (const entry of list(diff)) {
        const here = `/${entry.name}`
        const merged = USR_MERGED.includes(entry.name)
        if (merged && statRoot(here)?.isSymbolicLink()) {
          if (entry.isSymbolicLink() && readlinkSync(diff + here) === readlinkSync(root.prefix + here))
            continue
          return here
        }
        const level = merged && typeof usr === 'object' ? usr : essential
        const below = essentialBelow([level], entry.name)
        const found = below === true ? exists(root, here) : lookBelow(diff, here, entry, below)
        if (found !== undefined) return found
      }
    }
    return undefined
  }
}

/** What the root does not have is added, not replaced. */
function exists(root: Root, path: string): string | undefined {
  return statLink(root, path) ? path : undefined
}

/** Whether anything below a level counts, and not its place alone. */
function hasMore({ names, patterns }: EssentialTree): boolean {
  return names.size > 0 || patterns.size > 0
}

/** Whether a level has files below it that no image may replace, and not only places. */
function hasFiles({ names, patterns }: EssentialTree): boolean {
  return [...names.values(), ...patterns.values()].some((below) => below === true || hasFiles(below))
}

/** A character device 0/0: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories". */
function isWhiteout(path: string, entry: Dirent): boolean {
  return entry.isCharacterDevice() && lstatSync(path).rdev === 0
}
