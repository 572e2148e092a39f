import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Decoder, type Sink } from './decoder.js'

/**
 * What an engine has recorded of each file of a layer, so that it can make the layer's archive again: names,
 * sizes and checksums, in the format of tar-split (https://github.com/vbatts/tar-split), compressed. Docker's
 * own store has such a file for each layer, and so has Podman; containerd has not.
 */

/** What is read at once. */
const CHUNK = 64 << 10
/** The longest line that is parsed: a path of an archive is at most a few kilobytes. */
const LONGEST_LINE = 1 << 20

/**
 * The sizes of those files of a layer at `paths` that were not empty when the engine unpacked it, by their
 * paths. `layer` is the directory with its files, as the engine's driver has it. Undefined if the engine has
 * no such record, or if it is damaged. The record is read in pieces: its text has two kilobytes for each
 * file.
 */
export function readSizes(
  layer: string,
  paths: ReadonlySet<string>,
): ReadonlyMap<string, number> | undefined {
  const file = findRecord(layer)
  if (file === undefined) return undefined
  try {
    const sizes = new Map<string, number>()
    const lines = new Lines((line) => addSize(sizes, paths, line))
    decompress(file, lines)
    return sizes
  } catch {
    return undefined
  }
}

/** Throws an Error if the file cannot be read, or is damaged. */
function decompress(file: string, into: Sink): void {
  const decoder = new Decoder(file, 'gzip', () => into)
  const chunk = Buffer.allocUnsafe(CHUNK)
  const descriptor = openSync(file, 'r')
  try {
    for (let length = readSync(descriptor, chunk); length > 0; length = readSync(descriptor, chunk))
      decoder.push(chunk.subarray(0, length))
    decoder.end()
  } finally {
    closeSync(descriptor)
  }
}

/** The entries for files begin like this. The others are the headers of the archive, most of the text. */
const FILE = Buffer.from('{"type":1,')
const NEWLINE = 10

/** Passes on the lines for files, without keeping any others. */
class Lines implements Sink {
  /** What has come of the line so far; undefined if nobody wants it. */
  private begun: Buffer | undefined = Buffer.alloc(0)

  constructor(private readonly take: (line: string) => void) {}

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf(NEWLINE, at)
      this.add(chunk.subarray(at, end < 0 ? chunk.length : end))
      if (end < 0) return
      this.end()
      at = end + 1
    }
  }

  end(): void {
    if (this.begun && this.begun.length >= FILE.length) this.take(this.begun.toString('utf8'))
    this.begun = Buffer.alloc(0)
  }

  private add(part: Buffer): void {
    if (!this.begun) return
    // (The bytes of a piece are only there until it returns.)
    const line = Buffer.concat([this.begun, part])
    const length = Math.min(line.length, FILE.length)
    const isWanted = line.length <= LONGEST_LINE && line.compare(FILE, 0, length, 0, length) === 0
    this.begun = isWanted ? line : undefined
  }
}

/** Adds what an entry for a file says. Throws an Error if it is no JSON. */
function addSize(sizes: Map<string, number>, paths: ReadonlySet<string>, line: string): void {
  const { name, size } = JSON.parse(line) as { name?: unknown; size?: unknown }
  if (typeof name !== 'string') return
  const path = `/${name.replace(/^(?:\.?\/)+/, '')}`
  if (!paths.has(path)) return
  // An archive may have a name twice: the last one is what was unpacked.
  if (typeof size === 'number' && size > 0) sizes.set(path, size)
  else sizes.delete(path)
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
