/**
 * Writes databases of bbolt as its own writer would after one large transaction: sorted keys, half-full
 * pages, small buckets in their parents' leaves, more than a page for what is larger. Written after the
 * format alone, with BigInt where the reader has none.
 */

/** A bucket: keys with values, as texts with a character for each byte, or with buckets. */
export type Contents = Map<string, string | Contents>

export type Format = {
  pageSize?: number
  /** The number of the transaction; the other meta page has the one before. */
  txid?: number
  /** How much of a page is filled. */
  fill?: number
  /** The size of the file is a power of two, as bbolt makes it; otherwise it ends with its last page. */
  padded?: boolean
}

const BRANCH = 1
const LEAF = 2
const META = 4
const FREELIST = 16

type Element = { key: string; value?: Buffer; isBucket?: boolean; page?: number }

export function bboltFile(contents: Contents, format: Format = {}): Buffer {
  const { pageSize = 4096, txid = 7, fill = 0.5, padded = true } = format
  const pages: Buffer[] = [Buffer.alloc(pageSize), Buffer.alloc(pageSize), Buffer.alloc(pageSize)]
  const write = (kind: number, elements: Element[]): number => {
    const id = pages.length
    const body = pageOf(kind, elements)
    const count = Math.max(1, Math.ceil(body.length / pageSize))
    const bytes = Buffer.alloc(count * pageSize)
    body.copy(bytes)
    bytes.writeBigUInt64LE(BigInt(id), 0)
    bytes.writeUInt32LE(count - 1, 12)
    for (let page = 0; page < count; page++)
      pages.push(bytes.subarray(page * pageSize, (page + 1) * pageSize))
    return id
  }
  /** Writes a tree of pages with these elements; returns the number of its root. */
  const writeTree = (elements: Element[]): number => {
    let kind = LEAF
    for (let level = elements; ; kind = BRANCH) {
      const groups = split(level, pageSize * fill)
      const above = groups.map((group) => ({ key: group[0]?.key ?? '', page: write(kind, group) }))
      if (above.length === 1) return above[0]?.page as number
      level = above
    }
  }
  const bucketValue = (bucket: Contents): Buffer => {
    const elements = elementsOf(bucket)
    const header = Buffer.alloc(16)
    const inside = pageOf(LEAF, elements)
    if (!elements.some(({ isBucket }) => isBucket) && inside.length <= pageSize / 4)
      return Buffer.concat([header, inside])
    header.writeBigUInt64LE(BigInt(writeTree(elements)), 0)
    return header
  }
  const elementsOf = (bucket: Contents): Element[] =>
    [...bucket]
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')))
      .map(([key, value]) =>
        typeof value === 'string'
          ? { key, value: Buffer.from(value, 'latin1') }
          : { key, value: bucketValue(value), isBucket: true },
      )
  const root = writeTree(elementsOf(contents))

  const freelist = pages[2] as Buffer
  freelist.writeBigUInt64LE(2n, 0)
  freelist.writeUInt16LE(FREELIST, 8)
  const meta = { pageSize, root, freelist: 2, highWater: pages.length }
  writeMeta(pages[txid % 2] as Buffer, txid % 2, { ...meta, txid })
  writeMeta(pages[(txid + 1) % 2] as Buffer, (txid + 1) % 2, { ...meta, txid: txid - 1 })
  const bytes = Buffer.concat(pages)
  if (!padded) return bytes
  let size = 32768
  while (size < bytes.length) size *= 2
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)])
}

export type Meta = { pageSize: number; root: number; freelist: number; highWater: number; txid: number }

/** Writes a meta page, with its checksum. */
export function writeMeta(page: Buffer, id: number, meta: Meta): void {
  page.writeBigUInt64LE(BigInt(id), 0)
  page.writeUInt16LE(META, 8)
  page.writeUInt32LE(0xed0cdaed, 16)
  page.writeUInt32LE(2, 20)
  page.writeUInt32LE(meta.pageSize, 24)
  page.writeUInt32LE(0, 28)
  for (const [index, field] of [meta.root, 0, meta.freelist, meta.highWater, meta.txid].entries())
    page.writeBigUInt64LE(BigInt(field), 32 + 8 * index)
  page.writeBigUInt64LE(checksum(page.subarray(16, 72)), 72)
}

/** FNV-1a with 64 bits. */
function checksum(bytes: Buffer): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

function sizeOf({ key, value }: Element): number {
  return 16 + key.length + (value?.length ?? 0)
}

/** As many elements for each page as fit into `size` bytes, but two at least. */
function split(elements: Element[], size: number): Element[][] {
  const groups: Element[][] = [[]]
  let left = size - 16
  for (const [index, element] of elements.entries()) {
    const group = groups.at(-1) as Element[]
    left -= sizeOf(element)
    if (left < 0 && group.length >= 2 && index < elements.length - 1) {
      groups.push([element])
      left = size - 16 - sizeOf(element)
    } else group.push(element)
  }
  return groups
}

/** A page without a number, as long as what is in it. */
function pageOf(kind: number, elements: Element[]): Buffer {
  const size = elements.reduce((sum, element) => sum + sizeOf(element), 16)
  const bytes = Buffer.alloc(size)
  bytes.writeUInt16LE(kind, 8)
  bytes.writeUInt16LE(elements.length, 10)
  let data = 16 + 16 * elements.length
  for (const [index, { key, value, isBucket, page }] of elements.entries()) {
    const at = 16 + 16 * index
    if (kind === LEAF) {
      bytes.writeUInt32LE(isBucket ? 1 : 0, at)
      bytes.writeUInt32LE(data - at, at + 4)
      bytes.writeUInt32LE(key.length, at + 8)
      bytes.writeUInt32LE(value?.length ?? 0, at + 12)
    } else {
      bytes.writeUInt32LE(data - at, at)
      bytes.writeUInt32LE(key.length, at + 4)
      bytes.writeBigUInt64LE(BigInt(page ?? 0), at + 8)
    }
    data += bytes.write(key, data, 'latin1')
    if (value) data += value.copy(bytes, data)
  }
  return bytes
}
