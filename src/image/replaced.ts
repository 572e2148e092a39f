import { readlinkSync } from 'node:fs'
import { at, type Root, statLink } from '../machine/files.js'
import { USR_MERGED } from '../machine/machine.js'
import { once } from '../text/once.js'
import { onDisk } from './disk.js'
import { type EssentialTree, essentialBelow, essentialTree } from './essential.js'
import type { Entry, List, TreeFiles } from './files.js'

/**
 * The first file that the machine needs to boot and that a tree above the root would replace; undefined if
 * there is none. `files`: where the tree is, if it is not on the disk. `each`: if it is given, it is called
 * with every one of them, and nothing is returned.
 */
export type FindReplaced = (
  tree: string,
  list: List,
  files?: TreeFiles,
  each?: (path: string) => void,
) => string | undefined

/**
 * Finds which of the files at these paths (essential.ts) an image would replace. If a path ends in a slash,
 * like `/home/`, only the place itself counts and nothing below it: something is mounted there, so an image
 * must have a directory in the same place, or nothing.
 *
 * What the image has there does not matter: a file, or a directory in place of a link (with a real `/lib` on
 * a usr-merged root, every program loses its loader). A directory over a link of the root hides everything
 * behind the link. Kept trees have neither whiteouts nor opaque directories.
 *
 * Only directories that are in both the image and the tree are read.
 */
export function replacedFinder(root: Root, paths: readonly string[]): FindReplaced {
  let essential: EssentialTree | undefined
  /** What the root has at each path: images have most of their directories in common. */
  const statRoot = once((path) => statLink(root, path))

  return (tree, list, files = onDisk, each) => {
    /** What to return for a file that was found: nothing, if the others are wanted, too. */
    const tell = (path: string | undefined): string | undefined => {
      if (!each || path === undefined) return path
      each(path)
      return undefined
    }
    const look = (diff: string, path: string, levels: EssentialTree[]): string | undefined => {
      for (const entry of list(diff + path)) {
        const here = `${path}/${entry.name}`
        const below = essentialBelow(levels, entry.name)
        const found = below === true ? tell(exists(root, here)) : lookBelow(diff, here, entry, below)
        if (found !== undefined) return found
      }
      return undefined
    }
    const lookBelow = (
      diff: string,
      here: string,
      entry: Entry,
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
      return tell(here)
    }

    essential ??= essentialTree(paths)
    const usr = essential.names.get('usr')
    for (const entry of list(tree)) {
      const here = `/${entry.name}`
      const merged = USR_MERGED.includes(entry.name)
      if (merged && statRoot(here)?.isSymbolicLink()) {
        if (entry.isSymbolicLink() && isSameLink(root, here, tree + here, files)) continue
        if (tell(here) !== undefined) return here
        continue
      }
      const levels = merged && typeof usr === 'object' ? [usr, essential] : [essential]
      const below = essentialBelow(levels, entry.name)
      const found = below === true ? tell(exists(root, here)) : lookBelow(tree, here, entry, below)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/**
 * Finds the first file of an image at one of these paths, whether or not the root has it: a place where the
 * root's programs would find the image's file before they find the root's (libraries.ts, `shadows`). A link
 * in place of a directory on the way counts, unless the root has the same, because it may lead to anything.
 *
 * Below or above the root makes no difference to such a file: where the root has nothing, it is seen.
 */
export function shadowFinder(root: Root, paths: readonly string[]): FindReplaced {
  const shadows = essentialTree(paths)
  const usr = shadows.names.get('usr')
  return (tree, list, files = onDisk) => {
    const look = (
      diff: string,
      here: string,
      entry: Entry,
      levels: readonly EssentialTree[],
    ): string | undefined => {
      const below = essentialBelow(levels, entry.name)
      if (below === true) return here
      if (below.length === 0) return undefined
      if (entry.isSymbolicLink()) return isSameLink(root, here, diff + here, files) ? undefined : here
      if (!entry.isDirectory()) return undefined
      for (const child of list(diff + here)) {
        const found = look(diff, `${here}/${child.name}`, child, below)
        if (found !== undefined) return found
      }
      return undefined
    }
    for (const entry of list(tree)) {
      const merged = USR_MERGED.includes(entry.name) && typeof usr === 'object'
      const found = look(tree, `/${entry.name}`, entry, merged ? [usr, shadows] : [shadows])
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** Whether the root has the same link at `path` as the image at `link`. */
function isSameLink(root: Root, path: string, link: string, files: TreeFiles): boolean {
  return (
    statLink(root, path)?.isSymbolicLink() === true && readlinkSync(at(root, path)) === files.readLink(link)
  )
}

/** The path, if the root has it: what the root does not have is added, not replaced. */
function exists(root: Root, path: string): string | undefined {
  return statLink(root, path) ? path : undefined
}

/** Whether anything below this place counts, not only the place itself. */
function hasMore({ names, patterns }: EssentialTree): boolean {
  return names.size > 0 || patterns.size > 0
}
