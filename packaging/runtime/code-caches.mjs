import { sectionNamed } from './elf.mjs'

/**
 * How V8 begins a code cache: SerializedCodeData in its src/snapshot/code-serializer.h. Words of 32 bits, of
 * which these matter: a magic number, the version of V8, the hash of the source, and the length of the
 * content after the header. The hash is the length of the source; the bits above it say whether it is a
 * module of ECMAScript or the body of a function.
 */
const HEADER = { magic: 0, version: 4, source: 8, length: 20, size: 32 }
const MAGIC = 0xc0de
const LENGTHS = 2 ** 29

/**
 * Empties the compiled code of built-in modules that are not kept. If it stayed, a module without its
 * JavaScript would seem to be there until somebody calls one of its functions. Zeros stay in its place: V8
 * refuses them and compiles the JavaScript. Code is known by the length of its JavaScript only; where a
 * module that is kept has the same length as one that is not, the code of both goes. Returns what need not be
 * loaded. Throws an Error unless there is code for each module.
 * @param {import('./elf.mjs').Elf} elf
 * @param {Record<string, string>} texts the JavaScript of all built-in modules, by name
 * @param {Set<string>} kept the names of those that stay
 * @returns {import('./layout.mjs').Hole[]}
 */
export function dropCodeCaches(elf, texts, kept) {
  const { bytes } = elf
  const data = sectionNamed(elf, '.rodata')
  const lengths = new Set(Object.values(texts).map(({ length }) => length))
  const caches = findCaches(bytes, data, lengths)
  if (caches.length !== Object.keys(texts).length)
    throw new Error(`it has code for ${caches.length} built-in modules, not ${Object.keys(texts).length}`)
  const droppedLengths = new Set(
    Object.entries(texts).flatMap(([name, { length }]) => (kept.has(name) ? [] : [length])),
  )
  /** @type {{ start: number, end: number }[]} */
  const runs = []
  for (const [index, { length, start, end }] of caches.entries()) {
    if (!droppedLengths.has(length)) continue
    bytes.fill(0, start, end)
    const [run, before] = [runs.at(-1), caches[index - 1]]
    // Between two of them there is only what aligns the next one.
    if (run && before && run.end === before.end && start - run.end < HEADER.size) run.end = end
    else runs.push({ start, end })
  }
  const toAddress = data.address - data.offset
  return runs.map(({ start, end }) => ({ from: start + toAddress, to: end + toAddress, zeros: true }))
}

/** Where the code of functions is whose source has one of these lengths, all for the same version of V8. */
function findCaches(bytes, { offset, size }, lengths) {
  const found = []
  const sectionEnd = offset + size
  const magic = Buffer.of(MAGIC % 256, MAGIC >> 8)
  for (
    let at = bytes.indexOf(magic, offset);
    at !== -1 && at < sectionEnd;
    at = bytes.indexOf(magic, at + 1)
  ) {
    const start = at - 2
    if (start % 8 !== 0 || start + HEADER.size > sectionEnd) continue
    const length = bytes.readUInt32LE(start + HEADER.source) % LENGTHS
    const end = start + HEADER.size + bytes.readUInt32LE(start + HEADER.length)
    const version = bytes.readBigUInt64LE(start + HEADER.magic)
    if (lengths.has(length) && end <= sectionEnd) found.push({ version, length, start, end })
  }
  const versions = new Set(found.map(({ version }) => version))
  if (versions.size > 1) throw new Error(`it has code for ${versions.size} versions of V8`)
  return found
}
