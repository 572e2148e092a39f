import { rmSync } from 'node:fs'
import { TREES } from '../image/kept.js'
import { at, listDirectory, type Root, readText, statLink } from '../machine/files.js'
import { STACKED } from '../machine/run-directory.js'
import { readRecords } from './records.js'

/**
 * The names of the kept trees that something needs besides the containers that the engine has now: the stack
 * of this boot, those that have booted well, and those that are or were on trial.
 */
export function neededTrees(root: Root, dataRoot: string): Set<string> {
  const { good, tried } = readRecords(root, dataRoot)
  const stacks = [...good, ...tried.map(({ stack }) => stack)]
  const stacked = readText(root, STACKED)
  return new Set([
    ...stacks.flatMap(({ extensions }) => extensions.map(({ tree }) => tree)),
    ...(typeof stacked === 'string' ? stacked.split('\n') : []),
  ])
}

/** Whether this boot has stacked a tree that is kept in this data root. */
export function hasStacked(root: Root, dataRoot: string): boolean {
  const stacked = readText(root, STACKED)
  const names = typeof stacked === 'string' ? stacked.split('\n').filter(Boolean) : []
  return names.some((name) => statLink(root, `${dataRoot}/${TREES}/${name}`) !== undefined)
}

/**
 * Removes all kept trees but those in `needed`, and what an interrupted preparation has left. Returns the
 * names of what it removed. Throws an Error if something cannot be removed.
 */
export function removeTrees(root: Root, dataRoot: string, needed: ReadonlySet<string>): string[] {
  const unused = listDirectory(root, `${dataRoot}/${TREES}`).filter((name) => !needed.has(name))
  for (const name of unused) rmSync(at(root, `${dataRoot}/${TREES}/${name}`), { recursive: true })
  return unused
}
