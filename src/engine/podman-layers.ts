import { readlinkSync } from 'node:fs'
import { at, kindOf, type Root, readText, reason, statLink } from '../machine/files.js'
import { isObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import type { Layers } from './engine.js'
import type { PodmanImage } from './podman-images.js'
import { checkDirectory, isStoreId, type PodmanStore, type StoreRecord } from './podman-store.js'
import { findOtherWriter } from './trust.js'

/** The stores in which layers are searched. The first one has the containers. */
type Stores = readonly [PodmanStore, ...PodmanStore[]]

/** A layer of an image, in the store that has it. */
type Layer = {
  id: string
  store: PodmanStore
  /** The ID of the layer below it; undefined for the lowest one. */
  parent: string | undefined
  /** The digest of its files as an archive; undefined if the store does not know it. */
  digest: string | undefined
}

/** A short name of a layer, and the store that has the link of that name. */
type Link = { name: string; id: string; store: PodmanStore }

/** The short name that the driver gives a layer, for use in mount options. */
const SHORT_NAME = /^l\/[A-Z0-9]{26}$/
const isShortName = (name: string): boolean => SHORT_NAME.test(name)
const LAYER_LINK = /^\.\.\/([0-9a-f]{64})\/diff$/
/** The driver's own limit: maxDepth in containers-storage. */
const MOST_LAYERS = 500
/** mount(2) takes one page of options; `lowerdir=` is not the only one. */
const LONGEST_NAMES = 3900

/**
 * Finds the layers of containers' images.
 *
 * A chain is there three times: as parents in layers.json, in a file of the container's own layer that the
 * driver makes its mount from, and as digests in the image's configuration. All have to agree. Every name
 * must have the form that containers-storage gives it, and every directory on the way must be a real one, so
 * that no symbolic link leads out of a store. The result takes the ID of the container's own layer and the
 * image, and throws an Error that names the file.
 */
export function layerReader(root: Root, stores: Stores): (own: string, image: PodmanImage) => Layers {
  const [home] = stores
  const known = new Map<string, Layer>()
  const layerOf = (id: string): Layer => {
    const layer = known.get(id) ?? readLayer(root, stores, id)
    known.set(id, layer)
    return layer
  }
  const knownLinks = new Map<string, Link>()
  const linkOf = (name: string): Link => {
    const link = knownLinks.get(name) ?? readLink(root, stores, name)
    knownLinks.set(name, link)
    return link
  }

  return (own, image) => {
    const list = `${home.path}/overlay-layers/layers.json`
    const record = home.layers().get(own)
    if (!record) throw new Error(`${list}: no layer ${own}`)
    checkFinished(record, list)
    const parent = parentOf(record, list)
    if (parent === undefined && image.layer === undefined) throw new Error('its image has no layers')
    if (parent !== undefined && image.mapped.includes(parent))
      throw new Error('its files belong to the users of a user namespace: create it without --userns')
    if (parent !== image.layer)
      throw new Error(`${list}: layer ${own} is not upon the uppermost layer of its image`)

    const chain = readChain(parent, layerOf, list)
    checkDigests(chain, image, list)

    const directory = `${home.path}/overlay/${own}`
    checkDirectory(root, directory)
    const layers = describe(chain, undefined)
    const check = (file: string, ids: readonly string[]): void => {
      if (ids.join(':') !== layers.chain) throw new Error(`${file}: not the layers of its image`)
    }
    // As the driver does: from 5.8 on Podman writes both files and reads the first one.
    const idsFile = `${directory}/lower-layers`
    const ids = readNames(root, idsFile, isStoreId)
    if (ids) check(idsFile, ids)
    if (ids && fits(layers)) return layers
    const linksFile = `${directory}/lower`
    const links = readNames(root, linksFile, isShortName)?.map(linkOf)
    if (!ids && !links) throw new Error(`${linksFile}: no such file`)
    const linked = links?.map(({ id }) => id)
    if (linked) check(linksFile, linked)
    const short = describe(chain, links)
    if (!fits(short))
      throw new Error(`its image has ${chain.length} layers, too many for the options of a mount`)
    return short
  }
}

/**
 * The layers of an image of which there need not be a container. Throws an Error that names the file.
 */
export function imageLayers(root: Root, stores: Stores, image: PodmanImage): Layers {
  const list = `${stores[0].path}/overlay-layers/layers.json`
  if (image.layer === undefined) throw new Error('the image has no layers')
  const chain = readChain(image.layer, (id) => readLayer(root, stores, id), list)
  checkDigests(chain, image, list)
  return describe(chain, undefined)
}

/** The layer `first` and all below it. */
function readChain(first: string | undefined, layerOf: (id: string) => Layer, list: string): Layer[] {
  const chain: Layer[] = []
  for (let id = first; id !== undefined; id = chain.at(-1)?.parent) {
    if (chain.length === MOST_LAYERS) throw new Error(`${list}: an image has more than ${MOST_LAYERS} layers`)
    chain.push(layerOf(id))
  }
  return chain
}

function fits({ lower }: Layers): boolean {
  return lower.join(':').length <= LONGEST_NAMES
}

/** The chain as an overlay takes it. `links`: short names, if they are known. */
function describe(chain: readonly Layer[], links: readonly Link[] | undefined): Layers {
  const [top] = chain as [Layer, ...Layer[]]
  const lower = chain.map(({ id, store }, index) => {
    const link = links?.[index]
    const name = link?.store === store ? link.name : `${id}/diff`
    return store === top.store ? name : `${store.path}/overlay/${name}`
  })
  const strange = lower.find((path) => /[:,\\]/.test(path))
  if (strange !== undefined)
    throw new Error(`${printable(strange)}: a mount cannot name a layer with ":", "," or "\\" in its path`)
  const directory = `${top.store.path}/overlay`
  return { directory, lower, key: top.id, chain: chain.map(({ id }) => id).join(':') }
}

/** Throws an Error if the digests of the layers are not those in the image's configuration. */
function checkDigests(chain: readonly Layer[], { diffIds }: PodmanImage, list: string): void {
  if (diffIds.length !== chain.length)
    throw new Error(`${list}: ${chain.length} layers, but its image's configuration has ${diffIds.length}`)
  const wrong = chain.find(
    ({ digest }, index) => digest !== undefined && digest !== diffIds[chain.length - 1 - index],
  )
  if (wrong)
    throw new Error(
      `${wrong.store.path}/overlay-layers/layers.json: layer ${wrong.id} is not the one in its image's configuration`,
    )
}

/** Reads a layer from the first store that has its directory, as the driver does. */
function readLayer(root: Root, stores: Stores, id: string): Layer {
  const store = storeWith(root, stores, id)
  const list = `${store.path}/overlay-layers/layers.json`
  const record = store.layers().get(id)
  if (!record) throw new Error(`${list}: no layer ${id}`)
  checkFinished(record, list)
  const { uidmap, gidmap, 'diff-digest': digest } = record
  if (isMapped(uidmap) || isMapped(gidmap))
    throw new Error(`${list}: the files of layer ${id} belong to the users of a user namespace`)

  const directory = `${store.path}/overlay/${id}`
  checkDirectory(root, directory)
  if (statLink(root, `${directory}/composefs-data`))
    throw new Error(`${directory}: a layer in composefs, which has no files of its own`)
  // The driver would stack both.
  if (statLink(root, `${directory}/diff1`)) throw new Error(`${directory}: a layer in several parts (diff1)`)
  // Its owner may be anybody: it is the owner of the image's `/`. The directory above is root's, so nobody
  // can replace it.
  const stat = statLink(root, `${directory}/diff`)
  if (!stat) throw new Error(`${directory}/diff: no such directory`)
  // A link leads to an additional layer store.
  if (!stat.isDirectory()) throw new Error(`${directory}/diff: not a directory but ${kindOf(stat)}`)
  return {
    id,
    store,
    parent: parentOf(record, list),
    digest: typeof digest === 'string' ? digest : undefined,
  }
}

/** The first store whose driver has a name, as the driver searches. */
function storeWith(root: Root, stores: Stores, name: string): PodmanStore {
  const [home, ...others] = stores
  if (others.length === 0) return home
  return stores.find(({ path }) => statLink(root, `${path}/overlay/${name}`)) ?? home
}

/** Throws an Error for a layer that the engine did not finish: incompleteFlag in containers-storage. */
function checkFinished({ id, flags }: StoreRecord, list: string): void {
  if (isObject(flags) && (flags.incomplete ?? false) !== false)
    throw new Error(`${list}: layer ${id} is flagged incomplete: Podman did not finish it`)
}

function parentOf({ id, parent = '' }: StoreRecord, list: string): string | undefined {
  if (parent === '') return undefined
  if (isStoreId(parent)) return parent
  throw new Error(`${list}: the parent of layer ${id} is not a layer ID`)
}

/** Whether IDs on the disk are others than in the image: `uidmap`, `gidmap` in layers.json. */
function isMapped(map: unknown): boolean {
  if (map === undefined || map === null) return false
  return !Array.isArray(map) || map.some((range) => !isObject(range) || range.container_id !== range.host_id)
}

/** Reads the link `l/X` -> `../<layer>/diff`, in the first store that has it. */
function readLink(root: Root, stores: Stores, name: string): Link {
  const store = storeWith(root, stores, name)
  const link = `${store.path}/overlay/${name}`
  let target: string
  root.seen?.stats.add(link)
  try {
    target = readlinkSync(at(root, link))
  } catch (error) {
    throw new Error(`${link}: ${reason(error)}`)
  }
  const id = LAYER_LINK.exec(target)?.[1]
  if (!id) throw new Error(`${link}: points to "${printable(target, 100)}", which is not a layer`)
  return { name, id, store }
}

/** The names in a file of the driver, separated by colons; undefined if it does not exist. */
function readNames(root: Root, path: string, isName: (name: string) => boolean): string[] | undefined {
  const text = readText(root, path, 64 << 10, findOtherWriter)
  if (text instanceof Error) throw text
  const names = text?.split(':')
  const strange = names?.find((name) => !isName(name))
  if (strange !== undefined)
    throw new Error(`${path}: "${printable(strange, 80)}" is not the name of a layer`)
  return names
}
