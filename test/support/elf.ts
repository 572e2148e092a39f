export type Content = {
  bits: 32 | 64
  little: boolean
  interpreter?: string
  dynamic?: [tag: 'NEEDED' | 'RPATH' | 'RUNPATH', text: string][]
  notes?: [owner: string, type: number, text: string][]
}
const TAGS = { NEEDED: 1, RPATH: 15, RUNPATH: 29 }
/** The type of a note for dlopen(3). */
export const DLOPEN = 0x407c0c0a
/** Where the file is in memory: not where it is in itself. */
const BASE = 0x40000

/** An ELF file with these parts: headers, interpreter, strings, dynamic section, notes. */
export function makeElf({ bits, little, interpreter, dynamic = [], notes = [] }: Content): Buffer {
  const wide = bits === 64
  const number = (value: number, bytes: number): Buffer => {
    const buffer = Buffer.alloc(bytes)
    buffer[little ? 'writeUIntLE' : 'writeUIntBE'](
      value,
      little ? 0 : Math.max(0, bytes - 6),
      Math.min(bytes, 6),
    )
    return buffer
  }
  const u16 = (value: number) => number(value, 2)
  const u32 = (value: number) => number(value, 4)
  const word = (value: number) => number(value, wide ? 8 : 4)
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)])

  const start = wide ? 64 : 52
  const parts: Buffer[] = []
  const place = (bytes: Buffer): number => {
    const at = start + 4 * (wide ? 56 : 32) + parts.reduce((sum, { length }) => sum + length, 0)
    parts.push(pad(bytes))
    return at
  }
  const interp = Buffer.from(`${interpreter}\0`)
  const interpAt = place(interp)
  let length = 1
  const entries = dynamic.map(([tag, text]) => {
    const at = length
    length += Buffer.byteLength(text) + 1
    return Buffer.concat([word(TAGS[tag]), word(at)])
  })
  const strings = Buffer.from(`\0${dynamic.map(([, text]) => `${text}\0`).join('')}`)
  const stringsAt = place(strings)
  const table = Buffer.concat([
    ...entries,
    ...[5, stringsAt + BASE, 10, strings.length, 0, 0].map(word),
    // Behind the end: this is not read.
    word(1),
    word(1),
  ])
  const tableAt = place(table)
  const noted = Buffer.concat(
    notes.map(([owner, type, text]) => {
      const four = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
      const [name, description] = [Buffer.from(`${owner}\0`), Buffer.from(`${text}\0`)]
      return Buffer.concat([
        u32(name.length),
        u32(description.length),
        u32(type),
        four(name),
        four(description),
      ])
    }),
  )
  const notedAt = place(noted)
  const all = Buffer.concat(parts)
  const segment = (type: number, at: number, size: number) =>
    Buffer.concat(
      wide
        ? [u32(type), u32(4), word(at), word(at + BASE), word(at + BASE), word(size), word(size), word(4)]
        : [word(type), word(at), word(at + BASE), word(at + BASE), word(size), word(size), u32(4), word(4)],
    )
  return Buffer.concat([
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1, ...Array(9).fill(0)]),
    ...[u16(3), u16(40), u32(1), word(0), word(start), word(0), u32(0)],
    ...[u16(start), u16(wide ? 56 : 32), u16(4), u16(0), u16(0), u16(0)],
    segment(1, 0, start + 4 * (wide ? 56 : 32) + all.length),
    segment(interpreter === undefined ? 0 : 3, interpAt, interp.length),
    segment(dynamic.length > 0 ? 2 : 0, tableAt, table.length),
    segment(4, notedAt, noted.length),
    all,
  ])
}
