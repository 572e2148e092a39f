import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { OWN_DIRECTORY } from '../engine/places.js'
import { findOtherWriter } from '../engine/trust.js'
import { at, listDirectory, type Root, readText, statLink, statTimes } from '../machine/files.js'
import { removeWhole } from '../machine/remove.js'
import { INDEX_KEY, INDEX_MADE, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { IndexFacts } from '../stack/facts.js'

/**
 * Rebuilt indexes are kept in `<data root>/hostext/indexes/<name>/`, with a file `key` that says what they
 * were made from: a boot with the same key mounts them.
 */
export const INDEXES = `${OWN_DIRECTORY}/indexes`

/** 499 names of trees. */
const LARGEST = 1 << 20

/**
 * The indexes that the base root has itself. Whoever changes what they are made from also makes them anew.
 */
function sourcesOf(release: string): string[] {
  return [
    `/usr/lib/modules/${release}/modules.dep`,
    `/lib/modules/${release}/modules.dep`,
    '/etc/ld.so.cache',
    '/etc/udev/hwdb.bin',
    '/usr/lib/udev/hwdb.bin',
  ]
}

/** Whether indexes with this name are whole: under another one, some may not be on the disk. */
function isWhole(name: string): boolean {
  return /^[1-9]\d*$/.test(name)
}

/** Reads what is kept, and what the base root has. What cannot be read is not kept. */
export function readIndexes(root: Root, dataRoot: string, release: string): IndexFacts {
  const directory = `${dataRoot}/${INDEXES}`
  const names = listDirectory(root, directory).filter(isWhole)
  const kept = names.flatMap((name) => {
    const key = readText(root, `${directory}/${name}/key`, LARGEST, findOtherWriter)
    return typeof key === 'string' ? [{ name, key }] : []
  })
  const sources = sourcesOf(release).map((path) => {
    const stat = statTimes(root, path)
    return stat ? `${stat.size} ${Math.floor(stat.mtimeMs)}` : 'none'
  })
  return { kept, sources: sources.join(', ') }
}

/**
 * Keeps the indexes that this boot has built, if it has, and removes those that are for other trees than
 * `needed`. Returns a line for each. Throws an Error if they cannot be copied.
 */
export function keepIndexes(root: Root, dataRoot: string, needed: ReadonlySet<string>): string[] {
  const directory = `${dataRoot}/${INDEXES}`
  const place = (path: string): string => at(root, `${directory}/${path}`)
  const lines: string[] = []
  const key = readText(root, INDEX_KEY, LARGEST)
  const { kept } = readIndexes(root, dataRoot, '')
  const isNew = typeof key === 'string' && !kept.some((other) => other.key === key)
  if (isNew && statLink(root, INDEX_MADE)) {
    rmSync(place('new'), { recursive: true, force: true })
    mkdirSync(place('new'), { recursive: true, mode: 0o700 })
    const { execFileSync } = process.getBuiltinModule('node:child_process')
    execFileSync('cp', ['-a', `${at(root, RUN_DIRECTORY)}/index/.`, place('new')], { stdio: 'ignore' })
    writeFileSync(place('new/key'), key, { mode: 0o600 })
    execFileSync('sync', ['-f', place('new')], { stdio: 'ignore' })
    const name = String(Math.max(0, ...kept.map((other) => Number(other.name) || 0)) + 1)
    renameSync(place('new'), place(name))
    lines.push(`kept: the rebuilt indexes of this boot, as ${directory}/${name}`)
  }
  return [...lines, ...removeIndexes(root, dataRoot, needed)]
}

/**
 * Removes the indexes that are for other trees than `needed`. Returns a line for each. Throws an Error if one
 * cannot be removed.
 */
export function removeIndexes(root: Root, dataRoot: string, needed: ReadonlySet<string>): string[] {
  const directory = `${dataRoot}/${INDEXES}`
  const lines: string[] = []
  for (const name of listDirectory(root, directory)) {
    const text = readText(root, `${directory}/${name}/key`, LARGEST)
    const trees = typeof text === 'string' ? (/^trees: (.*)$/m.exec(text)?.[1]?.split(' ') ?? []) : []
    if (isWhole(name) && trees.length > 0 && trees.every((tree) => needed.has(tree))) continue
    removeWhole(at(root, directory), name)
    lines.push(`removed: ${directory}/${name}: nothing needs these indexes`)
  }
  return lines
}
