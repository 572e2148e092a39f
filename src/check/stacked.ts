import { lstatSync, readlinkSync } from 'node:fs'
import { at, followLinks, type Root } from '../machine/files.js'
import { findNode, type Node } from './memory.js'

/** A file of the stacked root, with links followed: the image's, or the root's. */
export type StackedFile = { path: string; mode: number; isFile: boolean; isImages: boolean }

/**
 * Finds files as they will be in the stacked root. `isAbove`: whether the image goes above the root, so that
 * its file counts where both have one.
 */
export function stackedFinder(
  tree: Node,
  root: Root,
  isAbove: boolean,
): (path: string) => StackedFile | undefined {
  const own = (path: string): Node | undefined => findNode(tree, path)
  const lower = (path: string): ReturnType<typeof lstatSync> | undefined => {
    try {
      return lstatSync(at(root, path), { throwIfNoEntry: false })
    } catch {
      return undefined
    }
  }
  const find = (path: string): { node?: Node; stat?: ReturnType<typeof lstatSync> } => {
    const node = own(path)
    if (node && isAbove) return { node }
    const stat = lower(path)
    if (stat) return { stat }
    return node ? { node } : {}
  }
  return (path) => {
    const place = followLinks(path, (link) => {
      const { node, stat } = find(link)
      if (node) return node.target
      return stat?.isSymbolicLink() ? readlinkSync(at(root, link)) : undefined
    })
    const { node, stat } = find(place)
    if (node) return { path: place, mode: node.mode, isFile: node.isFile(), isImages: true }
    if (stat) return { path: place, mode: Number(stat.mode), isFile: stat.isFile(), isImages: false }
    return undefined
  }
}
