import { DT, dynamicEntries, SIZES, sectionNamed, table, text, word } from './elf.mjs'

/**
 * The names of the C++ library: what is in std, __gnu_cxx or __cxxabiv1, with its tables, guards and thunks,
 * and the operators new and delete, in the mangled form of the Itanium C++ ABI. Templates and inline data may
 * be in the program, in the library or in both; then both must use the same one, so these stay visible.
 */
const CXX_LIBRARY =
  /^_Z(?:(?:T[VTIS]|Th\w?\d+_|Tv\d+_n\d+_|GV|Z)*N?[rVK]*[RO]?(?:S[tabsiod]|\d+__gnu_|\d+__cxxabiv)|[nd][wal])|^__(?:cxa|gxx)_/

/** Symbol table index of what the file does not define. */
const SHN_UNDEF = 0

/**
 * @typedef {object} Symbol
 * @property {number} index where it is in the table
 * @property {string} name
 * @property {Buffer} entry as it is in the table
 * @property {number} version its entry in .gnu.version
 */

/**
 * Leaves in the dynamic symbol table what the file imports and what a library may look up in it. An official
 * build shows all its functions to native addons, of which there are none here. What stays:
 * - what the file imports, and what it has a relocation for: the copies of a library's data;
 * - other names of the same data, as `environ` is one of `__environ`;
 * - the C++ library's own names.
 * The tables are written anew in their places: elf(5); for .gnu.hash
 * https://sourceware.org/legacy-ml/binutils/2006-10/msg00377.html. Returns what need not be loaded. Throws an
 * Error if a table would not fit.
 * @param {import('./elf.mjs').Elf} elf
 * @returns {import('./layout.mjs').Hole[]}
 */
export function compactDynamicSymbols(elf) {
  const { bytes } = elf
  const section = (/** @type {string} */ name) => sectionNamed(elf, name)
  const strings = section('.dynstr')
  const stringAt = (/** @type {number} */ at) => text(bytes, strings.offset + at)
  const relocations = ['.rela.dyn', '.rela.plt'].flatMap((name) => {
    const { offset, size } = section(name)
    // The symbol is the upper half of r_info.
    return table(bytes, offset, size / SIZES.relocation, SIZES.relocation, (at) => at + 12)
  })
  const used = new Set(relocations.map((at) => bytes.readUInt32LE(at)))
  const { imported, defined } = choose(readSymbols(elf, stringAt), used)

  const hash = hashTable(defined, imported.length + 1)
  const symbols = [...imported, ...hash.order]
  const names = stringTable()
  const references = [
    ...dynamicEntries(elf)
      .filter(({ tag }) => [DT.NEEDED, DT.SONAME, DT.RPATH, DT.RUNPATH].includes(tag))
      .map(({ at }) => at + 8),
    ...versionNames(bytes, section('.gnu.version_r').offset),
  ].map((at) => ({ at, to: names.add(stringAt(bytes.readUInt32LE(at))) }))
  const newSymbols = Buffer.alloc(SIZES.symbol * (symbols.length + 1))
  const newVersions = Buffer.alloc(2 * (symbols.length + 1))
  for (const [place, { entry, name, version }] of symbols.entries()) {
    const at = SIZES.symbol * (place + 1)
    entry.copy(newSymbols, at)
    newSymbols.writeUInt32LE(names.add(name), at)
    newVersions.writeUInt16LE(version, 2 * (place + 1))
  }

  const places = new Map([[0, 0], ...symbols.map(({ index }, place) => [index, place + 1])])
  for (const at of relocations) bytes.writeUInt32LE(places.get(bytes.readUInt32LE(at)), at)
  for (const { at, to } of references) bytes.writeUInt32LE(to, at)
  const newStrings = names.bytes()
  for (const { at, tag } of dynamicEntries(elf))
    if (tag === DT.STRSZ) bytes.writeBigUInt64LE(BigInt(newStrings.length), at + 8)
  return [
    replace(bytes, section('.gnu.hash'), hash.bytes),
    replace(bytes, section('.dynsym'), newSymbols),
    replace(bytes, section('.dynstr'), newStrings),
    replace(bytes, section('.gnu.version'), newVersions),
  ]
}

/**
 * Whether a library may look up this name in the program and must find the program's own.
 * @param {string} name
 */
export function isOfCxxLibrary(name) {
  return CXX_LIBRARY.test(name)
}

/**
 * @returns {(Symbol & { isDefined: boolean, address: number })[]} without the first, which stands for none
 */
function readSymbols(elf, stringAt) {
  const { bytes } = elf
  const { offset, size } = sectionNamed(elf, '.dynsym')
  const versions = sectionNamed(elf, '.gnu.version').offset
  return table(bytes, offset, size / SIZES.symbol, SIZES.symbol, (at) => {
    const index = (at - offset) / SIZES.symbol
    return {
      index,
      name: stringAt(bytes.readUInt32LE(at)),
      entry: Buffer.from(bytes.subarray(at, at + SIZES.symbol)),
      version: bytes.readUInt16LE(versions + 2 * index),
      isDefined: bytes.readUInt16LE(at + 6) !== SHN_UNDEF,
      address: word(bytes, at + 8),
    }
  }).slice(1)
}

function choose(symbols, used) {
  const copied = new Set(
    symbols.filter(({ index, isDefined }) => isDefined && used.has(index)).map(({ address }) => address),
  )
  return {
    imported: symbols.filter(({ isDefined }) => !isDefined),
    defined: symbols.filter(
      ({ isDefined, address, name }) => isDefined && (copied.has(address) || isOfCxxLibrary(name)),
    ),
  }
}

/**
 * The offsets of the names in .gnu.version_r: of each library, and of its versions.
 * @param {Buffer} bytes
 * @param {number} start
 */
function versionNames(bytes, start) {
  const found = []
  for (let at = start, next = -1; next !== 0; at += next) {
    found.push(at + 4)
    let version = at + bytes.readUInt32LE(at + 8)
    for (let count = bytes.readUInt16LE(at + 2); count > 0; count--) {
      found.push(version + 8)
      version += bytes.readUInt32LE(version + 12)
    }
    next = bytes.readUInt32LE(at + 12)
  }
  return found
}

/** A table of texts: each one once, where it was first added. */
function stringTable() {
  const places = new Map([['', 0]])
  const parts = [Buffer.of(0)]
  let length = 1
  return {
    /** @param {string} name */
    add(name) {
      const known = places.get(name)
      if (known !== undefined) return known
      const part = Buffer.from(`${name}\0`, 'latin1')
      parts.push(part)
      places.set(name, length)
      length += part.length
      return length - part.length
    },
    bytes: () => Buffer.concat(parts),
  }
}

/**
 * The table by which the loader finds a symbol, and the order of symbols that it requires: those of a bucket
 * one after the other. `first` is the place that the first of them gets in the symbol table.
 * @param {Symbol[]} symbols
 * @param {number} first
 */
function hashTable(symbols, first) {
  const [FILTER_WORDS, SHIFT] = [256, 26]
  const buckets = Math.max(1, symbols.length >> 2)
  const order = symbols
    .map((symbol) => ({ ...symbol, hash: hashOf(symbol.name) }))
    .sort((a, b) => (a.hash % buckets) - (b.hash % buckets) || a.index - b.index)
  const bytes = Buffer.alloc(16 + 8 * FILTER_WORDS + 4 * buckets + 4 * order.length)
  for (const [place, value] of [buckets, first, FILTER_WORDS, SHIFT].entries())
    bytes.writeUInt32LE(value, 4 * place)
  const bucketsAt = 16 + 8 * FILTER_WORDS
  for (const [place, { hash }] of order.entries()) {
    const filterAt = 16 + 8 * (Math.floor(hash / 64) % FILTER_WORDS)
    const bits = (1n << BigInt(hash % 64)) | (1n << BigInt((hash >>> SHIFT) % 64))
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(filterAt) | bits, filterAt)
    const bucket = hash % buckets
    const bucketAt = bucketsAt + 4 * bucket
    if (bytes.readUInt32LE(bucketAt) === 0) bytes.writeUInt32LE(first + place, bucketAt)
    const next = order[place + 1]
    const isLast = next === undefined || next.hash % buckets !== bucket
    bytes.writeUInt32LE(((hash & ~1) | Number(isLast)) >>> 0, bucketsAt + 4 * (buckets + place))
  }
  return { bytes, order }
}

/** @param {string} name */
function hashOf(name) {
  let hash = 5381
  for (const byte of Buffer.from(name, 'latin1')) hash = (Math.imul(hash, 33) + byte) >>> 0
  return hash
}

/** Writes `content` at the start of a section; the rest is empty and need not be loaded. */
function replace(bytes, { name, offset, address, size }, content) {
  if (content.length > size) throw new Error(`${name} became larger`)
  bytes.fill(0, offset, offset + size)
  content.copy(bytes, offset)
  return { from: address + content.length, to: address + size }
}
