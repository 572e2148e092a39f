import { kindOf, type Root, readText, statLink } from '../machine/files.js'
import { isObject } from '../text/json.js'
import { findOtherWriter, findUnfitDirectory, isOpen } from './trust.js'

/** A record of a list, as containers-storage wrote it. Every value is unchecked. */
export type StoreRecord = Record<string, unknown>

/** The images and layers of a store of containers-storage, by ID. The lists are read when they are needed. */
export type PodmanStore = {
  path: string
  images: () => ReadonlyMap<string, StoreRecord>
  layers: () => ReadonlyMap<string, StoreRecord>
}

const STORE_ID = /^[0-9a-f]{64}$/

/** Whether a value is the ID of a container, a layer or an image: 64 hexadecimal digits. */
export function isStoreId(value: unknown): value is string {
  return typeof value === 'string' && STORE_ID.test(value)
}

/** A layer has about 400 bytes there, and a large one more: its users and groups are listed. */
export const LARGEST_LIST = 64 << 20

/** The directories of a store that lead to its images and layers. */
export const STORE_DIRECTORIES = ['overlay', 'overlay/l', 'overlay-images', 'overlay-layers']

/**
 * A store of containers-storage with the overlay driver. Reads nothing yet. `isOther`: nobody has checked yet
 * whether it can be trusted. The functions of the result throw an Error that names the file.
 */
export function openStore(root: Root, path: string, isOther: boolean): PodmanStore {
  let isTrusted = !isOther
  const list = (files: readonly string[]): (() => ReadonlyMap<string, StoreRecord>) => {
    let byId: Map<string, StoreRecord> | undefined
    return () => {
      if (byId) return byId
      const unfit = isTrusted ? undefined : findUnfitStore(root, path, ['', ...STORE_DIRECTORIES])
      if (unfit) throw new Error(unfit)
      isTrusted = true
      const found = new Map<string, StoreRecord>()
      for (const file of files.map((name) => `${path}/${name}`))
        for (const record of readRecords(root, file) ?? []) {
          const { id } = record
          if (!isStoreId(id)) throw new Error(`${file}: an entry has no ID`)
          if (found.has(id)) throw new Error(`${file}: ${id} is listed twice`)
          found.set(id, record)
        }
      byId = found
      return found
    }
  }
  return {
    path,
    images: list(['overlay-images/images.json']),
    // Layers that need not last longer than the machine runs have a list of their own.
    layers: list(['overlay-layers/layers.json', 'overlay-layers/volatile-layers.json']),
  }
}

/**
 * Why a store cannot be trusted; undefined if it can: one of `directories` is not a directory of root's, or
 * users other than root can reach its layers.
 */
export function findUnfitStore(root: Root, path: string, directories: readonly string[]): string | undefined {
  for (const place of directories.map((name) => (name === '' ? path : `${path}/${name}`))) {
    const why = findUnfitDirectory(root, place)
    if (why) return `${place}: ${why}`
  }
  const layers = `${path}/overlay`
  if (isOpen(root, layers))
    return `${layers}: users other than root can enter it, and change what they own in the images; "chmod go-x ${layers}" keeps them out`
  return undefined
}

/**
 * Throws an Error if there is anything but a directory that only root can write to. (Once: a boot that reads
 * thirty containers spends most of its time in lstat(2).)
 */
export function checkDirectory(root: Root, path: string): void {
  const stat = statLink(root, path)
  if (!stat) throw new Error(`${path}: no such directory`)
  const why = stat.isDirectory() ? findOtherWriter(stat) : `not a directory but ${kindOf(stat)}`
  if (why) throw new Error(`${path}: ${why}`)
}

/**
 * Reads a list of containers-storage: a JSON array of objects. Undefined if the file does not exist. Throws
 * an Error that names the file. (To Podman an empty file is an empty list. Podman never writes one: it is
 * what a power cut leaves.)
 */
export function readRecords(root: Root, path: string, largest = LARGEST_LIST): StoreRecord[] | undefined {
  const text = readText(root, path, largest, findOtherWriter)
  if (text === undefined) return undefined
  if (text instanceof Error) throw text
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error(`${path}: not valid JSON, ${text.length} characters: truncated or damaged`)
  }
  if (!Array.isArray(json)) throw new Error(`${path}: not a JSON array`)
  const strange = json.findIndex((record) => !isObject(record))
  if (strange >= 0) throw new Error(`${path}: entry ${strange + 1} is not a JSON object`)
  return json
}
