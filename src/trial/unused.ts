import { OWN_DIRECTORY } from '../engine/places.js'
import { isTreeName, TREES } from '../image/kept.js'
import { at, listDirectory, type Root, readText, statLink, statTimes } from '../machine/files.js'
import { removeWhole } from '../machine/remove.js'
import { BOOT_REPORT, FALLBACK } from '../machine/run-directory.js'
import { isObject, parseObject } from '../text/json.js'
import { readRecords } from './records.js'

/**
 * The names of the kept trees that something needs besides the containers that the engine has now: the stack
 * of this boot, those that have booted well, and those that are or were on trial. Throws an Error if the
 * records change all the time.
 */
export function neededTrees(root: Root, dataRoot: string): Set<string> {
  const { good, tried } = readAtRest(root, dataRoot)
  const stacks = [...good, ...tried.map(({ stack }) => stack)]
  return new Set([
    ...stacks.flatMap(({ extensions }) => extensions.map(({ tree }) => tree)),
    ...readStacked(root),
  ])
}

/**
 * Reads the records. One that is renamed meanwhile, because its stack is marked good, may be seen under
 * neither name. So they are read until they are the same twice.
 */
function readAtRest(root: Root, dataRoot: string): ReturnType<typeof readRecords> {
  let last: string | undefined
  for (let reading = 0; reading < MOST_READINGS; reading++) {
    const records = readRecords(root, dataRoot)
    const text = JSON.stringify(records)
    if (text === last) return records
    last = text
  }
  throw new Error(`${dataRoot}/${OWN_DIRECTORY}: the records change all the time`)
}

/** A mark is a few renames, once in a boot. */
const MOST_READINGS = 10

/** 499 extensions, and a line for each of ten thousand containers. */
const LARGEST = 16 << 20

/** The names of the kept trees that this boot has stacked. */
function readStacked(root: Root): string[] {
  if (statLink(root, FALLBACK)) return []
  const text = readText(root, BOOT_REPORT, LARGEST)
  const { extensions } = (typeof text === 'string' ? parseObject(text) : undefined) ?? {}
  const trees = Array.isArray(extensions) ? extensions.map((entry) => isObject(entry) && entry.tree) : []
  return trees.filter(isTreeName)
}

/** Whether this boot has stacked a tree that is kept in this data root. */
export function hasStacked(root: Root, dataRoot: string): boolean {
  return readStacked(root).some((name) => statLink(root, `${dataRoot}/${TREES}/${name}`) !== undefined)
}

/**
 * Removes all kept trees but those in `needed`, and what an interrupted preparation or removal has left.
 * Returns the names of what it removed. Throws an Error if something cannot be removed.
 */
export function removeTrees(root: Root, dataRoot: string, needed: ReadonlySet<string>): string[] {
  const directory = `${dataRoot}/${TREES}`
  const stacked = new Set(readStacked(root))
  const begun = statTimes(root, BOOT_REPORT)?.mtimeMs ?? 0
  // The running root may have been stacked with a tree that was set aside since: keepTrees(). (A rename
  // changes the ctime.)
  const isStacked = (name: string): boolean =>
    stacked.has(name.slice(name.indexOf('-') + 1)) &&
    (statTimes(root, `${directory}/${name}`)?.ctimeMs ?? 0) >= begun
  const unused = listDirectory(root, directory).filter((name) => !needed.has(name) && !isStacked(name))
  for (const name of unused) removeWhole(at(root, directory), name)
  return unused
}
