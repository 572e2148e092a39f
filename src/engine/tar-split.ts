import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/**
 * What an engine has recorded of each file of a layer, so that it can make the layer's archive again: names,
 * sizes and checksums, in the format of tar-split (https://github.com/vbatts/tar-split), compressed. Docker's
 * own store has such a file for each layer, and so has Podman; containerd has not.
 */

/** Far more than any layer has. */
const LARGEST = 512 << 20

/**
 * The sizes of the files in a layer that were not empty when the engine unpacked it, by their paths. `layer`
 * is the directory with its files, as the engine's driver has it. Undefined if the engine has no such record,
 * or if it is damaged.
 */
export function readSizes(layer: string): ReadonlyMap<string, number> | undefined {
  const file = findRecord(layer)
  if (file === undefined) return undefined
  const { gunzipSync } = process.getBuiltinModule('node:zlib')
  try {
    return sizesIn(gunzipSync(readFileSync(file), { maxOutputLength: LARGEST }).toString('utf8'))
  } catch {
    return undefined
  }
}

/** The entries for files that have contents. Throws an Error if a line is no JSON. */
function sizesIn(text: string): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const line of text.split('\n')) {
    // The other entries are the headers of the archive.
    if (!line.startsWith('{"type":1,')) continue
    const { name, size } = JSON.parse(line) as { name?: unknown; size?: unknown }
    if (typeof name !== 'string') continue
    const path = `/${name.replace(/^(?:\.?\/)+/, '')}`
    // An archive may have a name twice: the last one is what was unpacked.
    if (typeof size === 'number' && size > 0) sizes.set(path, size)
    else sizes.delete(path)
  }
  return sizes
}

/**
 * The record of the layer in the directory `<store>/<name>/diff`. Docker names the directory of a layer at
 * random, and its record after the digest of the chain: the file `cache-id` beside it has the former.
 */
function findRecord(layer: string): string | undefined {
  const [name, store] = [basename(dirname(layer)), dirname(dirname(layer))]
  const home = dirname(store)
  if (basename(store) === 'overlay') {
    const file = `${home}/overlay-layers/${name}.tar-split.gz`
    return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined
  }
  const database = `${home}/image/overlay2/layerdb/sha256`
  try {
    const chain = readdirSync(database).find((chain) => {
      const file = `${database}/${chain}/cache-id`
      return statSync(file, { throwIfNoEntry: false })?.isFile() && readFileSync(file, 'utf8').trim() === name
    })
    return chain === undefined ? undefined : `${database}/${chain}/tar-split.json.gz`
  } catch {
    // Not Docker's own store.
    return undefined
  }
}
