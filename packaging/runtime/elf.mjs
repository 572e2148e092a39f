// The parts of a 64-bit little-endian ELF file that trimming needs: elf(5).

/** The types of program headers. */
export const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3, PHDR: 6, GNU_EH_FRAME: 0x6474e550 }
/** The flags of program headers. */
export const PF = { X: 1, W: 2, R: 4 }
/** The tags of the dynamic section. */
export const DT = { NEEDED: 1, STRTAB: 5, STRSZ: 10, SONAME: 14, RPATH: 15, RUNPATH: 29 }
export const SHF_EXECINSTR = 4

/** The sizes of the ELF header, of a program header, a section header, a symbol and a dynamic entry. */
export const SIZES = { header: 64, segment: 56, section: 64, symbol: 24, relocation: 24, dynamic: 16 }

const ET_EXEC = 2

/**
 * @typedef {object} Segment A program header.
 * @property {number} type
 * @property {number} flags
 * @property {number} offset
 * @property {number} address
 * @property {number} fileSize
 * @property {number} memorySize
 * @property {number} align
 *
 * @typedef {object} Section A section header.
 * @property {string} name
 * @property {number} flags
 * @property {number} address
 * @property {number} offset
 * @property {number} size
 *
 * @typedef {object} Elf
 * @property {Buffer} bytes
 * @property {number} entry The address at which the program starts.
 * @property {Segment[]} segments
 * @property {Section[]} sections Empty in a file that was trimmed.
 */

/**
 * Reads the headers of an executable file. Throws an Error if it is not a 64-bit little-endian ELF file that
 * is linked to fixed addresses.
 * @param {Buffer} bytes
 * @returns {Elf}
 */
export function readElf(bytes) {
  const [CLASS_64, LITTLE_ENDIAN] = [2, 1]
  if (bytes.toString('latin1', 0, 4) !== '\x7fELF' || bytes[4] !== CLASS_64 || bytes[5] !== LITTLE_ENDIAN)
    throw new Error('it is not a 64-bit little-endian ELF file')
  if (bytes.readUInt16LE(16) !== ET_EXEC) throw new Error('it is not linked to fixed addresses')
  const segments = table(bytes, word(bytes, 32), bytes.readUInt16LE(56), SIZES.segment, (at) => ({
    type: bytes.readUInt32LE(at),
    flags: bytes.readUInt32LE(at + 4),
    offset: word(bytes, at + 8),
    address: word(bytes, at + 16),
    fileSize: word(bytes, at + 32),
    memorySize: word(bytes, at + 40),
    align: word(bytes, at + 48),
  }))
  const sections = table(bytes, word(bytes, 40), bytes.readUInt16LE(60), SIZES.section, (at) => ({
    nameAt: bytes.readUInt32LE(at),
    flags: word(bytes, at + 8),
    address: word(bytes, at + 16),
    offset: word(bytes, at + 24),
    size: word(bytes, at + 32),
  }))
  const names = sections[bytes.readUInt16LE(62)]
  return {
    bytes,
    entry: word(bytes, 24),
    segments,
    sections: sections.map(({ nameAt, ...section }) => ({
      ...section,
      name: text(bytes, names.offset + nameAt),
    })),
  }
}

/**
 * A 64-bit number of the file. The numbers of a file that fits into memory are exact.
 * @param {Buffer} bytes
 * @param {number} at
 */
export function word(bytes, at) {
  return Number(bytes.readBigUInt64LE(at))
}

/**
 * The text at an offset, up to its NUL.
 * @param {Buffer} bytes
 * @param {number} at
 */
export function text(bytes, at) {
  return bytes.toString('latin1', at, bytes.indexOf(0, at))
}

/**
 * The entries of a table, each read by `read` from its offset.
 * @template Entry
 * @param {Buffer} bytes
 * @param {number} offset
 * @param {number} count
 * @param {number} size of an entry
 * @param {(at: number) => Entry} read
 */
export function table(bytes, offset, count, size, read) {
  if (offset + count * size > bytes.length) throw new Error('a table reaches beyond the end of the file')
  return Array.from({ length: count }, (_, index) => read(offset + index * size))
}

/**
 * The section with this name. Throws an Error if there is none.
 * @param {Elf} elf
 * @param {string} name
 */
export function sectionNamed({ sections }, name) {
  const found = sections.find((section) => section.name === name)
  if (!found) throw new Error(`it has no section ${name}`)
  return found
}

/**
 * The symbol whose name matches, in a table of symbols and its strings. Throws an Error if it is not one.
 * @param {Elf} elf
 * @param {[string, string]} sections
 * @param {RegExp} name
 * @returns {{ address: number, size: number }}
 */
export function symbolNamed(elf, sections, name) {
  const { bytes } = elf
  const [symbols, strings] = sections.map((name) => sectionNamed(elf, name))
  const found = table(bytes, symbols.offset, symbols.size / SIZES.symbol, SIZES.symbol, (at) => at).filter(
    (at) => name.test(text(bytes, strings.offset + bytes.readUInt32LE(at))),
  )
  if (found.length !== 1) throw new Error(`it has ${found.length} symbols like ${name}, not one`)
  const [at] = found
  return { address: word(bytes, at + 8), size: word(bytes, at + 16) }
}

/**
 * Where in the file the byte is that is loaded to `address`. Throws an Error if it is not from the file.
 * @param {Elf} elf
 * @param {number} address
 */
export function offsetOf({ segments }, address) {
  const segment = segments.find(
    (segment) =>
      segment.type === PT.LOAD && segment.address <= address && address < segment.address + segment.fileSize,
  )
  if (!segment) throw new Error(`no segment loads 0x${address.toString(16)} from the file`)
  return address - segment.address + segment.offset
}

/**
 * The entries of the dynamic section, and where each one is in the file.
 * @param {Elf} elf
 */
export function dynamicEntries({ bytes, segments }) {
  const segment = segments.find(({ type }) => type === PT.DYNAMIC)
  if (!segment) throw new Error('it has no dynamic section')
  const count = segment.fileSize / SIZES.dynamic
  return table(bytes, segment.offset, count, SIZES.dynamic, (at) => ({
    at,
    tag: word(bytes, at),
    value: word(bytes, at + 8),
  }))
}
