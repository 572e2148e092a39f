import { type Dirent, readdirSync } from 'node:fs'
import type { Layers } from '../engine/layers.js'
import { type Root, reason } from '../machine/files.js'
import type { Index } from '../machine/indexes.js'

/** What of an image's files matters beyond their being stacked. */
export type Contents = {
  /** The directories at the top of the image. */
  top: string[]
  /** The indexes that do not know files of the image yet, or that the image would replace by one of its own. */
  indexes: Index[]
  /** It ships sysusers.d(5) files. */
  sysusers: boolean
}

/**
 * Looks through the layers of an image. Only directories are entered, no links, so nothing outside the layers is looked at.
 * `release` is the running kernel's, as in /usr/lib/modules/<release>. Throws an Error that names a directory which is
 * there and cannot be read: such a layer does mount, but whatever is asked of the root overlay is asked of it first, so
 * that nothing of the whole root could be read (tried with a bad sector).
 */
export function readContents(
  root: Root,
  { directory, lower }: Layers,
  release: string,
  list: List = makeList(),
): Contents {
  const top = new Map<string, boolean>()
  const indexes = new Set<Index>()
  let sysusers = false

  const lookBelow = (path: string, look: Record<string, (path: string) => void>): void => {
    for (const entry of list(path)) {
      if (Object.hasOwn(look, entry.name))
        look[entry.name]?.(entry.isDirectory() ? `${path}/${entry.name}` : '')
    }
  }
  const needs = (index: Index) => () => void indexes.add(index)
  const udev = (path: string): void =>
    lookBelow(path, { 'hwdb.d': needs('hardware'), 'hwdb.bin': needs('hardware') })
  const shipsSysusers = (): void => {
    sysusers = true
  }
  const lib = (path: string): void =>
    lookBelow(path, {
      modules: (modules) => lookBelow(modules, { [release]: needs('modules') }),
      udev,
      'sysusers.d': shipsSysusers,
    })
  const known: Record<string, (path: string) => void> = {
    etc: (path) =>
      lookBelow(path, {
        'ld.so.conf': needs('libraries'),
        'ld.so.conf.d': needs('libraries'),
        'ld.so.cache': needs('libraries'),
        udev,
        'sysusers.d': shipsSysusers,
      }),
    lib,
    usr: (path) => lookBelow(path, { lib, local: (local) => lookBelow(local, { lib: needs('libraries') }) }),
  }

  for (const layer of lower) {
    const diff = `${root.prefix}${directory}/${layer}`
    for (const entry of list(diff)) {
      // The uppermost layer that has a name says what it is.
      if (!top.has(entry.name)) top.set(entry.name, entry.isDirectory())
      if (entry.isDirectory() && Object.hasOwn(known, entry.name))
        known[entry.name]?.(`${diff}/${entry.name}`)
    }
  }
  const directories = [...top].filter(([, isDirectory]) => isDirectory).map(([name]) => name)
  return { top: directories, indexes: [...indexes], sysusers }
}

/** The entries of a directory; none where there is none. Throws an Error that names what cannot be read. */
export type List = (path: string) => readonly Dirent[]

/** Lists each directory once, however often it is asked for. */
export function makeList(): List {
  const seen = new Map<string, Dirent[]>()
  return (path) => {
    let entries = seen.get(path)
    if (!entries) {
      entries = path ? readEntries(path) : []
      seen.set(path, entries)
    }
    return entries
  }
}

function readEntries(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw new Error(`${path}: ${reason(error)}`)
  }
}
