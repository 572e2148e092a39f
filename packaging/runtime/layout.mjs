import { PF, PT, SHF_EXECINSTR, SIZES } from './elf.mjs'

/**
 * @typedef {object} Hole Addresses that need not be loaded from the file.
 * @property {number} from
 * @property {number} to
 * @property {boolean} [zeros] Whether zeros are there instead; otherwise nothing is.
 *
 * @typedef {import('./elf.mjs').Segment & { from: number }} Piece What stays of a segment, and where the
 *   original file has it.
 */

/**
 * Writes a program without its holes, without sections and without everything that is not loaded. Only whole
 * pages can be left out. Every byte keeps its address; the program headers are before the lowest one, because
 * there are more of them than before. The result starts with them, as checks.mjs requires.
 * @param {import('./elf.mjs').Elf} elf
 * @param {Hole[]} holes
 * @param {object} limits
 * @param {number} limits.page the largest page of a kernel for this architecture, in bytes
 * @param {number} limits.headers how many program headers there may be; the smallest holes stay filled
 * @returns {Buffer}
 */
export function writeWithoutHoles(elf, holes, { page, headers }) {
  const others = elf.segments.filter(({ type }) => ![PT.LOAD, PT.PHDR].includes(type))
  // One more for the headers' own header, and one for the segment that loads them.
  const pieces = cut(elf, holes, page, headers - others.length - 2)
  const length = SIZES.header + SIZES.segment * (others.length + 2 + pieces.length)
  const base = roundDown(pieces[0].address, page) - roundUp(length, page)
  let end = length
  for (const piece of pieces) {
    // At the same place in its page as in memory. A page of the file may have the end of one piece and the
    // start of the next.
    piece.offset = end + ((((piece.address - end) % page) + page) % page)
    end = piece.offset + piece.fileSize
  }
  const out = Buffer.alloc(end)
  elf.bytes.copy(out, 0, 0, SIZES.header)
  for (const { from, offset, fileSize } of pieces) elf.bytes.copy(out, offset, from, from + fileSize)

  const start = { type: PT.LOAD, flags: PF.R, offset: 0, address: base, align: page }
  const [table, size] = [SIZES.header, length - SIZES.header]
  const written = [
    {
      ...start,
      type: PT.PHDR,
      offset: table,
      address: base + table,
      fileSize: size,
      memorySize: size,
      align: 8,
    },
    ...others.filter(({ type }) => type === PT.INTERP).map((segment) => moved(segment, pieces)),
    { ...start, fileSize: length, memorySize: length },
    ...pieces,
    ...others.filter(({ type }) => type !== PT.INTERP).map((segment) => moved(segment, pieces)),
  ]
  for (const [index, segment] of written.entries())
    writeSegment(out, SIZES.header + SIZES.segment * index, segment)
  out.writeBigUInt64LE(BigInt(SIZES.header), 32)
  out.writeUInt16LE(written.length, 56)
  // No section headers: e_shoff, e_shnum and e_shstrndx.
  out.writeBigUInt64LE(0n, 40)
  out.writeUInt16LE(0, 60)
  out.writeUInt16LE(0, 62)
  return out
}

/**
 * The pieces that segments are cut into, at most `most`.
 * @returns {Piece[]}
 */
function cut(elf, holes, page, most) {
  const whole = holes
    .map(({ from, to, zeros = false }) => ({ from: roundUp(from, page), to: roundDown(to, page), zeros }))
    .filter(({ from, to }) => from < to)
    .sort((a, b) => b.to - b.from - (a.to - a.from))
  for (let count = whole.length; count >= 0; count--) {
    const pieces = elf.segments
      .filter(({ type }) => type === PT.LOAD)
      .flatMap((segment) => piecesOf(segment, whole.slice(0, count), elf.sections, page))
    if (pieces.length <= most) return pieces
  }
  throw new Error(`it has more segments than ${most}`)
}

/** The pieces of one segment. */
function piecesOf(segment, holes, sections, page) {
  const end = segment.address + segment.fileSize
  /** @type {Piece[]} */
  const pieces = []
  const add = (from, to) =>
    pieces.push({
      ...segment,
      align: page,
      address: from,
      from: segment.offset + from - segment.address,
      fileSize: to - from,
      memorySize: to - from,
    })
  let at = segment.address
  const inside = holes.filter(({ from, to }) => segment.address <= from && to <= end)
  for (const hole of [...inside, ...betweenCode(segment, sections, page)].sort((a, b) => a.from - b.from)) {
    if (at < hole.from) add(at, hole.from)
    // Zeros are the end of the piece before them.
    if (hole.zeros) pieces.at(-1).memorySize = hole.to - pieces.at(-1).address
    at = hole.to
  }
  if (at < end || segment.memorySize > segment.fileSize) {
    add(at, end)
    pieces.at(-1).memorySize = segment.address + segment.memorySize - at
  }
  return pieces.map((piece) => ({ ...piece, flags: flagsOf(piece, sections) }))
}

/** Where a segment with code is cut, so that data is not executable, and zeros even less. */
function betweenCode({ flags, address, fileSize }, sections, page) {
  const code = codeIn(sections, address, address + fileSize)
  if ((flags & PF.X) === 0 || code.length === 0) return []
  const start = roundDown(Math.min(...code.map(({ address }) => address)), page)
  const end = roundUp(Math.max(...code.map(({ address, size }) => address + size)), page)
  return [start, end]
    .filter((at) => address < at && at < address + fileSize)
    .map((at) => ({ from: at, to: at }))
}

function flagsOf({ flags, address, fileSize }, sections) {
  return codeIn(sections, address, address + fileSize).length > 0 ? flags : flags & ~PF.X
}

function codeIn(sections, from, to) {
  return sections.filter(
    ({ flags, address, size }) => (flags & SHF_EXECINSTR) !== 0 && address < to && from < address + size,
  )
}

/** A header that describes a part of what is loaded, with the offset that this part has now. */
function moved(segment, pieces) {
  if (segment.fileSize === 0) return { ...segment, offset: 0 }
  const piece = pieces.find(
    ({ from, fileSize }) => from <= segment.offset && segment.offset + segment.fileSize <= from + fileSize,
  )
  if (!piece) throw new Error(`what the program header of type 0x${segment.type.toString(16)} is for is gone`)
  return { ...segment, offset: segment.offset - piece.from + piece.offset }
}

function writeSegment(out, at, { type, flags, offset, address, fileSize, memorySize, align }) {
  out.writeUInt32LE(type, at)
  out.writeUInt32LE(flags, at + 4)
  // The physical address, which nothing uses, is the same as the virtual one.
  for (const [index, value] of [offset, address, address, fileSize, memorySize, align].entries())
    out.writeBigUInt64LE(BigInt(value), at + 8 + 8 * index)
}

function roundUp(value, unit) {
  return Math.ceil(value / unit) * unit
}

function roundDown(value, unit) {
  return Math.floor(value / unit) * unit
}
