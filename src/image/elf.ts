import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { isObject } from '../text/json.js'

/** What the loader goes by in a program or a library: elf(5). */
export type Elf = {
  /** The architecture: `EM_…`. A library only fits a program with the same three values. */
  machine: number
  bits: 32 | 64
  littleEndian: boolean
  /** The loader, in a program. */
  interpreter?: string
  /** DT_NEEDED, in their order. */
  needed: string[]
  /** The directories of DT_RUNPATH or, without it, of DT_RPATH, as they are written there. */
  runpath: string[]
  /**
   * What it opens while it runs, if the file says so and does not only suggest it:
   * https://uapi-group.org/specifications/specs/elf_dlopen_metadata/. systemd says so since 257.
   */
  dlopens: string[]
}

/** The most that is read of one file; a real one takes some kilobytes. */
const MOST_BYTES = 1 << 18
/** More than any file has: the kernel refuses programs with more than a page of headers (before 5.18: 73). */
const MOST_HEADERS = 128
const LONGEST_STRING = 4096

/** A damaged file, or no file of this kind. */
class Damaged extends Error {}

/**
 * Reads as much of an ELF file as it takes to find its libraries. undefined if it is not an ELF file, is
 * damaged, or cannot be read.
 */
export function readElf(path: string): Elf | undefined {
  let descriptor: number | undefined
  try {
    // A FIFO would hang.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(descriptor)
    return stat.isFile() ? parse(descriptor, stat.size) : undefined
  } catch {
    return undefined
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** Numbers in a part of the file. `word` has the width of an address. */
type Part = { u16: (at: number) => number; u32: (at: number) => number; word: (at: number) => number }
type Segment = { type: number; offset: number; address: number; size: number; align: number }

const [PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE] = [1, 2, 3, 4]

function parse(descriptor: number, size: number): Elf {
  let left = MOST_BYTES
  const read = (offset: number, length: number): Buffer => {
    left -= length
    if (!Number.isSafeInteger(offset + length) || offset + length > size || left < 0) throw new Damaged()
    const buffer = Buffer.allocUnsafe(length)
    if (readSync(descriptor, buffer, 0, length, offset) !== length) throw new Damaged()
    return buffer
  }

  const header = read(0, Math.min(64, size))
  const [kind, order, version] = [header[4], header[5], header[6]]
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f454c46 || version !== 1) throw new Damaged()
  if ((kind !== 1 && kind !== 2) || (order !== 1 && order !== 2)) throw new Damaged()
  const wide = kind === 2
  const little = order === 1
  const numbers = (buffer: Buffer): Part => {
    const u16 = (at: number): number => (little ? buffer.readUInt16LE(at) : buffer.readUInt16BE(at))
    const u32 = (at: number): number => (little ? buffer.readUInt32LE(at) : buffer.readUInt32BE(at))
    const u64 = (at: number): number => u32(little ? at + 4 : at) * 2 ** 32 + u32(little ? at : at + 4)
    return { u16, u32, word: wide ? u64 : u32 }
  }

  const fields = numbers(header)
  const count = fields.u16(wide ? 56 : 44)
  const width = wide ? 56 : 32
  if (fields.u16(wide ? 54 : 42) !== width || count > MOST_HEADERS) throw new Damaged()
  const headers = numbers(read(fields.word(wide ? 32 : 28), count * width))
  const segments = Array.from({ length: count }, (_, index): Segment => {
    const at = index * width
    return {
      type: headers.u32(at),
      offset: headers.word(at + (wide ? 8 : 4)),
      address: headers.word(at + (wide ? 16 : 8)),
      size: headers.word(at + (wide ? 32 : 16)),
      align: headers.word(at + (wide ? 48 : 28)),
    }
  })
  const first = (type: number): Segment | undefined => segments.find((segment) => segment.type === type)

  const interpreter = first(PT_INTERP)
  const dynamic = first(PT_DYNAMIC)
  const offsetOf = (address: number): number => {
    const segment = segments.find(
      ({ type, address: start, size }) => type === PT_LOAD && start <= address && address < start + size,
    )
    if (!segment) throw new Damaged()
    return address - segment.address + segment.offset
  }
  return {
    machine: fields.u16(18),
    bits: wide ? 64 : 32,
    littleEndian: little,
    ...(interpreter && { interpreter: stringIn(read(interpreter.offset, interpreter.size)) }),
    ...(dynamic
      ? readDynamic(numbers(read(dynamic.offset, dynamic.size)), dynamic.size, wide ? 8 : 4, offsetOf, read)
      : { needed: [], runpath: [] }),
    dlopens: segments
      // Those that are aligned to 8 bytes are of another kind (.note.gnu.property) and laid out otherwise.
      .filter(({ type, align }) => type === PT_NOTE && align <= 4)
      .flatMap(({ offset, size }) => readNotes(read(offset, size), numbers)),
  }
}

const [DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_RPATH, DT_RUNPATH] = [1, 5, 10, 15, 29]

/** The dynamic section: pairs of a tag and a value, up to a tag 0. */
function readDynamic(
  entries: Part,
  size: number,
  width: number,
  offsetOf: (address: number) => number,
  read: (offset: number, length: number) => Buffer,
): Pick<Elf, 'needed' | 'runpath'> {
  const values = new Map<number, number[]>()
  for (let at = 0; at + 2 * width <= size; at += 2 * width) {
    const tag = entries.word(at)
    if (tag === 0) break
    const known = values.get(tag) ?? []
    known.push(entries.word(at + width))
    values.set(tag, known)
  }
  const needed = values.get(DT_NEEDED) ?? []
  const paths = values.get(DT_RUNPATH) ?? values.get(DT_RPATH) ?? []
  if (needed.length + paths.length === 0) return { needed: [], runpath: [] }
  const table = offsetOf(values.get(DT_STRTAB)?.[0] ?? -1)
  const length = values.get(DT_STRSZ)?.[0] ?? 0
  const stringAt = (at: number): string => {
    // Names are short; few files have a long path.
    for (const most of [128, LONGEST_STRING]) {
      const bytes = read(table + at, Math.max(0, Math.min(most, length - at)))
      if (bytes.includes(0)) return stringIn(bytes)
    }
    throw new Damaged()
  }
  return {
    needed: needed.map(stringAt),
    runpath: paths.flatMap((at) => stringAt(at).split(':')).filter((path) => path !== ''),
  }
}

function stringIn(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  if (end < 0) throw new Damaged()
  return bytes.toString('utf8', 0, end)
}

const DLOPEN_TYPE = 0x407c0c0a
const DLOPEN_OWNER = 'FDO'

/** The notes in a segment: the sizes of a name and of a description, a type, and both, padded to 4 bytes. */
function readNotes(bytes: Buffer, numbers: (buffer: Buffer) => Part): string[] {
  const { u32 } = numbers(bytes)
  const names: string[] = []
  const padded = (length: number): number => Math.ceil(length / 4) * 4
  for (let at = 0; at + 12 <= bytes.length; ) {
    const [nameSize, textSize, type] = [u32(at), u32(at + 4), u32(at + 8)]
    const name = at + 12
    const text = name + padded(nameSize)
    at = text + padded(textSize)
    if (text + textSize > bytes.length) throw new Damaged()
    if (type !== DLOPEN_TYPE || bytes.toString('latin1', name, name + nameSize) !== `${DLOPEN_OWNER}\0`)
      continue
    names.push(...openedBy(stringIn(bytes.subarray(text, text + textSize))))
  }
  return names
}

/** `[{"soname": ["libbpf.so.1", "libbpf.so.0"], "priority": "recommended"}]`: these names. */
function openedBy(text: string): string[] {
  const entries: unknown = JSON.parse(text)
  if (!Array.isArray(entries)) throw new Damaged()
  return entries.flatMap((entry: unknown) =>
    isObject(entry) && Array.isArray(entry.soname) && entry.priority !== 'suggested'
      ? entry.soname.filter((name): name is string => typeof name === 'string')
      : [],
  )
}
