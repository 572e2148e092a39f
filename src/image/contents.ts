import { readdirSync } from 'node:fs'
import { reason } from '../machine/files.js'
import type { Index } from '../machine/indexes.js'
import type { Entry, List } from './files.js'

/** What matters about an image's files beyond being stacked. */
export type Contents = {
  /** The top-level directories of the image. */
  top: string[]
  /** The indexes that do not know the image's files yet, or that the image would replace with its own. */
  indexes: Index[]
  /** Whether it ships sysusers.d(5) files. */
  sysusers: boolean
}

/**
 * Looks through a kept tree. Only directories are entered, never links, so nothing outside of it is read.
 * `release` is the running kernel's, as in /usr/lib/modules/<release>. Throws an Error that names a directory
 * that exists but cannot be read. Such a tree does mount, but the root overlay asks it first for every path,
 * so nothing in the whole root could be read (tried with a bad sector).
 */
export function readContents(tree: string, release: string, list: List = makeList()): Contents {
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

  const directories = list(tree).filter((entry) => entry.isDirectory())
  for (const { name } of directories) if (Object.hasOwn(known, name)) known[name]?.(`${tree}/${name}`)
  return { top: directories.map(({ name }) => name), indexes: [...indexes], sysusers }
}

/**
 * Reads each directory only once, however often it is asked for. `read`: how, if the tree is not on the disk.
 */
export function makeList(read: List = readEntries): List {
  const seen = new Map<string, readonly Entry[]>()
  return (path) => {
    let entries = seen.get(path)
    if (!entries) {
      entries = path ? read(path) : []
      seen.set(path, entries)
    }
    return entries
  }
}

/** What is in a directory; nothing if it is none. Throws an Error that names it if it cannot be read. */
export function readEntries(path: string): Entry[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw new Error(`${path}: ${reason(error)}`)
  }
}
