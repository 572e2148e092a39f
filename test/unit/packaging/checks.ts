import t from 'tap'
import { findFaults, MOST_HEADERS } from '../../../packaging/runtime/checks.mjs'

const PAGE = 0x1000
const [LOAD, DYNAMIC, INTERP] = [1, 2, 3]
const [X, W, R] = [1, 2, 4]

type Header = {
  type: number
  flags: number
  offset: number
  address: number
  fileSize: number
  memorySize: number
}

/** Headers, code, data with the interpreter and the dynamic section: each in a page of its own. */
function program(change: (headers: Header[]) => Header[] | undefined = () => undefined): Header[] {
  const header = (type: number, flags: number, page: number, size: number, at = 0): Header => ({
    type,
    flags,
    offset: page * PAGE + at,
    address: 0x400000 + page * PAGE + at,
    fileSize: size,
    memorySize: size,
  })
  const headers = [
    header(LOAD, R, 0, PAGE),
    header(LOAD, R | X, 1, PAGE),
    header(LOAD, R, 2, PAGE),
    { ...header(LOAD, R | W, 3, 0x100, 0x200), memorySize: 0x5000 },
    header(INTERP, R, 2, 0x20, 0x10),
    header(DYNAMIC, R | W, 3, 0x40, 0x200),
  ]
  return change(headers) ?? headers
}

/** The file that has these program headers. */
function write(headers: Header[], entry = 0x401000, table = 64): Buffer {
  const bytes = Buffer.alloc(0x3300)
  bytes.write('\x7fELF\x02\x01\x01', 'latin1')
  bytes.writeUInt16LE(2, 16)
  bytes.writeBigUInt64LE(BigInt(entry), 24)
  bytes.writeBigUInt64LE(BigInt(table), 32)
  bytes.writeUInt16LE(headers.length, 56)
  for (const [index, header] of headers.entries()) {
    const at = table + 56 * index
    bytes.writeUInt32LE(header.type, at)
    bytes.writeUInt32LE(header.flags, at + 4)
    const words = [header.offset, header.address, 0, header.fileSize, header.memorySize, PAGE]
    for (const [place, value] of words.entries()) bytes.writeBigUInt64LE(BigInt(value), at + 8 + 8 * place)
  }
  return bytes
}

const faultsOf = (bytes: Buffer, size = 0x4000): string[] => findFaults(bytes, { page: PAGE, size })
const changed = (index: number, change: Partial<Header>): Buffer =>
  write(program((headers) => headers.map((header, at) => (at === index ? { ...header, ...change } : header))))

t.test('a program that every kernel takes', async (t) => {
  t.same(faultsOf(write(program())), [])
})

t.test('too large', async (t) => {
  t.same(faultsOf(write(program()), 0x3300), [])
  t.same(faultsOf(write(program()), 0x32ff), ['it has 13056 bytes, more than 13055'])
})

t.test('too many headers', async (t) => {
  const more = (count: number): Buffer =>
    write(program((headers) => [...headers, ...Array(count - headers.length).fill(headers[4])]))
  t.same(
    faultsOf(more(MOST_HEADERS)).filter((fault) => fault.includes('program headers;')),
    [],
  )
  t.match(faultsOf(more(MOST_HEADERS + 1))[0], 'it has 74 program headers; some kernels take 73')
})

t.test('headers that are not where the kernel looks for them', async (t) => {
  const fault = 'the first segment does not begin with the program headers, at offset 0'
  t.same(faultsOf(changed(0, { fileSize: 0x100, memorySize: 0x100 })), [fault])
  t.same(faultsOf(write(program(), 0x401000, 0x1800)), [fault])
  t.ok(faultsOf(changed(0, { offset: PAGE })).includes(fault))
})

t.test('an offset that does not fit', async (t) => {
  t.same(faultsOf(changed(2, { offset: 2 * PAGE + 8, fileSize: 0x800, memorySize: 0x800 })), [
    'the segment at 0x402000 has an offset that does not fit its page',
    'PT_INTERP is not in a loaded segment',
  ])
})

t.test('overlapping, and out of order', async (t) => {
  const line = (address: string): string =>
    `the segment at ${address} is not after the end of the segment before it`
  t.same(faultsOf(changed(1, { memorySize: PAGE + 1, flags: R | X | W })), [
    'the segment at 0x401000 is writable and executable',
    line('0x402000'),
  ])
  t.same(
    faultsOf(
      write(program(([first, second, third, ...rest]) => [first, third, second, ...rest] as Header[])),
    ),
    [line('0x401000')],
  )
})

t.test('parts that are not loaded', async (t) => {
  t.same(faultsOf(changed(4, { offset: 0x3000, address: 0x403000 })), [
    'PT_INTERP is not in a loaded segment',
  ])
  t.same(faultsOf(changed(5, { offset: 0x3210 })), ['PT_DYNAMIC is not in a loaded segment'])
  t.same(faultsOf(changed(5, { fileSize: 0x101 })), ['PT_DYNAMIC is not in a loaded segment'])
})

t.test('the end of the file', async (t) => {
  t.same(faultsOf(write(program()).subarray(0, 0x32ff)), [
    'the segment at 0x403200 reaches beyond the end of the file',
  ])
})

t.test('where it starts', async (t) => {
  const fault = 'the program starts where no code is loaded'
  t.same(faultsOf(write(program(), 0x402000)), [fault])
  t.same(faultsOf(write(program(), 0x400fff)), [fault])
})

t.test('zeros after what is not writable', async (t) => {
  t.same(faultsOf(changed(0, { memorySize: PAGE })), [])
  t.same(faultsOf(changed(2, { fileSize: 0x100 })), [
    'the segment at 0x402000 ends with zeros that begin amid a page',
  ])
  t.match(faultsOf(changed(1, { fileSize: 0x800 })), [
    /begin amid a page$/,
    'the segment at 0x401000 ends with zeros that are executable',
  ])
})

t.test('another kind of file', async (t) => {
  t.throws(() => faultsOf(Buffer.alloc(100)), { message: 'it is not a 64-bit little-endian ELF file' })
  const library = write(program())
  library.writeUInt16LE(3, 16)
  t.throws(() => faultsOf(library), { message: 'it is not linked to fixed addresses' })
})
