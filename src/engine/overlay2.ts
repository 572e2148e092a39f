import { readlinkSync } from 'node:fs'
import { at, kindOf, type Root, readText, reason, statLink } from '../machine/files.js'
import { printable } from '../text/printable.js'
import type { Layers } from './engine.js'
import { findOtherWriter, findUnfitDirectory } from './trust.js'

/** The identifier of a container's own layer. */
const MOUNT_ID = /^[0-9a-f]{64}$/
/**
 * Where a short name may point: to a layer made by the classic builder or by a pull (64 hexadecimal digits),
 * to one made by BuildKit (identity.NewID in BuildKit: 25 digits and letters), or to the -init layer of a
 * container. An image has both kinds if one builder continued what the other had built.
 */
const LAYER_LINK = /^\.\.\/([0-9a-f]{64}(?:-init)?|[0-9a-z]{25})\/diff$/
/** The short name that the driver gives a layer, for use in mount options. */
const SHORT_NAME = /^l\/[A-Z0-9]{26}$/
/** The driver's own limit (maxDepth in moby's overlay2 driver), so that the mount options fit in one page. */
const MOST_LAYERS = 128

/**
 * Finds the image layers of container `id`. The container's own writable layer and the `-init` layer
 * below it are not among them: an image is immutable, and `/.dockerenv` in the root would make systemd
 * believe that it runs in a container.
 *
 * Every name must have the form that the driver gives it, and every directory on the way must be a real one
 * (engine/docker.ts has already checked some). So no symbolic link leads out of the data root.
 * `checked`: the layers that were found to be directories of root's, also for other containers of this data
 * root. Throws an Error that names the file.
 */
export function readLayers(
  root: Root,
  dataRoot: string,
  id: string,
  checked = new Map<string, string>(),
): Layers {
  const directory = `${dataRoot}/overlay2`
  const mount = mountOf(dataRoot, id)
  checkDirectory(root, mount)
  const mountIdFile = `${mount}/mount-id`
  const mountId = readRequired(root, mountIdFile)
  if (!MOUNT_ID.test(mountId)) throw new Error(`${mountIdFile}: not a layer ID`)

  checkDirectory(root, `${directory}/${mountId}`)
  const lowerFile = `${directory}/${mountId}/lower`
  const lower = readRequired(root, lowerFile).split(':')
  if (lower.length > MOST_LAYERS)
    throw new Error(`${lowerFile}: ${lower.length} layers, more than ${MOST_LAYERS}`)

  const seen = new Set<string>()
  const image = lower.filter((shortName) => {
    if (!SHORT_NAME.test(shortName))
      throw new Error(`${lowerFile}: "${printable(shortName, 80)}" is not the name of a layer`)
    const layer = checked.get(shortName) ?? resolveLayer(root, directory, shortName)
    // The kernel would refuse it, too (ELOOP), but say less.
    if (seen.has(layer)) throw new Error(`${lowerFile}: layer ${layer} is listed twice`)
    seen.add(layer)
    if (layer === `${mountId}-init`) return false
    if (!checked.has(shortName)) checkDiff(root, `${directory}/${layer}`)
    checked.set(shortName, layer)
    return true
  })
  if (image.length === lower.length) throw new Error(`${lowerFile}: the -init layer is not among the layers`)
  if (image.length === 0) throw new Error('its image has no layers')
  return { directory, lower: image, key: (image[0] as string).slice('l/'.length), chain: image.join(':') }
}

/** Whether a container has a layer of its own. The engine neither lists nor removes one that has none. */
export function hasOwn(root: Root, dataRoot: string, id: string): boolean {
  return statLink(root, mountOf(dataRoot, id))?.isDirectory() ?? false
}

/** What the engine keeps about a container's own layer. */
function mountOf(dataRoot: string, id: string): string {
  return `${dataRoot}/image/overlay2/layerdb/mounts/${id}`
}

/** Whether there still is a layer with this {@link Layers} key. If it is pulled again, it has another one. */
export function hasLayer(root: Root, dataRoot: string, key: string): boolean {
  return statLink(root, `${dataRoot}/overlay2/l/${key}`) !== undefined
}

/** Reads the link `l/X` -> `../<layer>/diff` and returns the name of the layer's directory. */
function resolveLayer(root: Root, directory: string, shortName: string): string {
  const link = `${directory}/${shortName}`
  let target: string
  root.seen?.stats.add(link)
  try {
    target = readlinkSync(at(root, link))
  } catch (error) {
    throw new Error(`${link}: ${reason(error)}`)
  }
  const layer = LAYER_LINK.exec(target)?.[1]
  if (!layer) throw new Error(`${link}: points to "${printable(target, 100)}", which is not a layer`)
  return layer
}

function checkDiff(root: Root, layer: string): void {
  checkDirectory(root, layer)
  // Its owner may be anybody: it is the owner of the image's `/`. The directory above is root's, so nobody
  // can replace it.
  const stat = statLink(root, `${layer}/diff`)
  if (!stat) throw new Error(`${layer}/diff: no such directory`)
  if (!stat.isDirectory()) throw new Error(`${layer}/diff: not a directory but ${kindOf(stat)}`)
}

/**
 * Throws an Error if this is anything but a directory of root's. A missing one is reported by whatever reads
 * it.
 */
function checkDirectory(root: Root, path: string): void {
  const unfit = findUnfitDirectory(root, path)
  if (unfit) throw new Error(`${path}: ${unfit}`)
}

function readRequired(root: Root, path: string): string {
  const text = readText(root, path, 64 << 10, findOtherWriter)
  if (text === undefined) throw new Error(`${path}: no such file`)
  if (text instanceof Error) throw text
  return text.trim()
}
