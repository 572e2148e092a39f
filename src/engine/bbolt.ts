import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import { at, FileProblem, kindOf, type Root, reason, seeFile } from '../machine/files.js'
import { findOtherWriter } from './trust.js'

/**
 * Reads databases of bbolt (go.etcd.io/bbolt), as its own reader does (db.go, cursor.go, internal/common). A
 * file is an array of pages. The first two hold copies of the meta data, of which the newer valid one counts;
 * the others are the leaves and branches of B+ trees, one for each bucket. A small bucket lies in the value
 * of its parent's leaf. All numbers are little-endian.
 *
 * Only the meta pages have a checksum, so nothing else is believed: every offset is checked. Keys and values
 * are texts here, with a character for each byte (latin1).
 */

const LARGEST = 256 << 20
/** A file of up to this size is read at once; of a larger one only the pages that are needed. */
const WHOLE = 1 << 20
/** How often a file is read again that an engine changes meanwhile. A reading takes less than a commit. */
const MOST_ATTEMPTS = 10

const PAGE_SIZES = [4096, 16384, 65536]
const HEADER = 16
const ELEMENT = 16
/** The checksum is of the first 56 bytes. */
const META = { magic: 0xed0cdaed, version: 2, checked: 56, size: 64 }
const [BRANCH, LEAF] = [1, 2]
const IS_BUCKET = 1
/** A tree of this depth would have 2^32 leaves. */
const MOST_LEVELS = 32
/** Far more keys than any bucket of an engine has. */
const MOST_KEYS = 1 << 20

type Meta = { pageSize: number; root: number; highWater: number; txid: number }

/** A page, or what a bucket in a leaf has in place of one: from `start` to `end` in `bytes`. */
type Page = { bytes: Buffer; view: DataView; start: number; end: number; isLeaf: boolean; count: number }

/**
 * Opens the database at `path`; undefined if there is none. It must be a regular file, no link, that only
 * root can write to. Throws a FileProblem.
 */
export function openDatabase(root: Root, path: string): Database | undefined {
  seeFile(root, path)
  try {
    const stat = lstatSync(at(root, path), { throwIfNoEntry: false })
    if (!stat) return undefined
    const problem = stat.isFile() ? findOtherWriter(stat) : `not a regular file but ${kindOf(stat)}`
    if (problem) throw new FileProblem(path, problem)
    return new Database(path, at(root, path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw error instanceof FileProblem ? error : new FileProblem(path, reason(error))
  }
}

export class Database {
  private meta: Meta = { pageSize: 0, root: 0, highWater: 0, txid: -1 }
  private readonly pages = new Map<number, Page>()
  /** The whole file, if it is small. */
  private whole: Buffer | undefined
  private descriptor = -1
  private size = 0
  /** How many bytes there can still be to read: each page is read once, but a damaged one claims others. */
  private unread = 0

  constructor(
    readonly path: string,
    private readonly place: string,
  ) {}

  /**
   * Runs `work` on the uppermost bucket. All that it reads is of one state of the database, that of
   * transaction `txid`: if the engine changes the file meanwhile, `work` runs again. Its errors are thrown.
   * Throws a FileProblem if the database cannot be read, or is damaged where `work` looks.
   */
  read<Result>(work: (top: Bucket, txid: number) => Result): Result {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const done = this.whole ? { result: this.run(work) } : this.tryToRead(work)
      if (done) return done.result
    }
    return this.fail('it changes all the time')
  }

  private run<Result>(work: (top: Bucket, txid: number) => Result): Result {
    return work(new Bucket(this, this.meta.root), this.meta.txid)
  }

  /** {@link read} once; undefined if the file was changed meanwhile. */
  private tryToRead<Result>(work: (top: Bucket, txid: number) => Result): { result: Result } | undefined {
    try {
      this.descriptor = openSync(this.place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      this.fail(reason(error))
    }
    try {
      this.size = fstatSync(this.descriptor).size
      if (this.size > LARGEST) this.fail(`${this.size} bytes, more than ${LARGEST}`)
      const meta = this.readMeta()
      if (meta.txid !== this.meta.txid) {
        this.pages.clear()
        this.meta = meta
        this.unread = this.size
      }
      if (this.size <= WHOLE) {
        const whole = this.readBytes(0, Math.min(this.size, meta.highWater * meta.pageSize))
        if (!this.isUnchanged()) return undefined
        this.whole = whole
        return { result: this.run(work) }
      }
      try {
        const result = this.run(work)
        return this.isUnchanged() ? { result } : undefined
      } catch (error) {
        if (this.isUnchanged()) throw error
        return undefined
      }
    } finally {
      closeSync(this.descriptor)
    }
  }

  /**
   * Whether the file still has the state that was read. bbolt writes a transaction only into pages that are
   * free in the one before; so the pages of a state are whole until the one after the next begins, and that
   * begins after the meta page of the next is written.
   */
  private isUnchanged(): boolean {
    return this.readMeta().txid === this.meta.txid
  }

  private readMeta(): Meta {
    const first = this.readMetaAt(0)
    if (first && !PAGE_SIZES.includes(first.pageSize))
      return this.fail(`a page size of ${first.pageSize} bytes`)
    let newest = first
    for (const size of first ? [first.pageSize] : PAGE_SIZES) {
      const other = this.readMetaAt(size)
      if (other?.pageSize === size && !(newest && newest.txid > other.txid)) newest = other
    }
    return newest ?? this.fail('not a bbolt database: neither of its meta pages is valid')
  }

  /** The meta data in the page that begins there; undefined if they are not valid. */
  private readMetaAt(position: number): Meta | undefined {
    const bytes = this.readBytes(position + HEADER, META.size)
    return bytes.length === META.size ? parseMeta(viewOf(bytes)) : undefined
  }

  private readBytes(position: number, length: number): Buffer {
    try {
      const bytes = Buffer.allocUnsafe(length)
      let count = 0
      while (count < length) {
        const more = readSync(this.descriptor, bytes, count, length - count, position + count)
        if (more === 0) break
        count += more
      }
      return count === length ? bytes : bytes.subarray(0, count)
    } catch (error) {
      return this.fail(reason(error))
    }
  }

  /** The page with this number. */
  page(id: number): Page {
    const known = this.pages.get(id)
    if (known) return known
    const { pageSize, highWater } = this.meta
    if (!(id > 1 && id < highWater)) this.fail(`damaged: there is no page ${id}`)
    let bytes = this.whole ?? this.readPages(id, 1)
    let start = this.whole ? id * pageSize : 0
    if (start + pageSize > bytes.length) this.fail(`damaged: page ${id} is beyond its end`)
    let view = viewOf(bytes)
    if (numberAt(view, start) !== id) this.fail(`damaged: page ${id} is another one`)
    // Some pages have more bytes than others: so many page sizes more.
    const more = view.getUint32(start + 12, true)
    if (id + more >= highWater) this.fail(`damaged: page ${id} is beyond its end`)
    if (more > 0 && !this.whole) {
      bytes = this.readPages(id, 1 + more)
      view = viewOf(bytes)
      start = 0
    }
    const end = start + (1 + more) * pageSize
    if (end > bytes.length) this.fail(`damaged: page ${id} is beyond its end`)
    const page = this.parsePage(bytes, view, start, end)
    this.pages.set(id, page)
    return page
  }

  private readPages(id: number, count: number): Buffer {
    const { pageSize } = this.meta
    this.unread -= count * pageSize
    // The first page of several is read twice.
    if (this.unread < -this.size) this.fail('damaged: pages overlap')
    return this.readBytes(id * pageSize, count * pageSize)
  }

  parsePage(bytes: Buffer, view: DataView, start: number, end: number): Page {
    if (start + HEADER > end) this.fail('damaged: a bucket is too short')
    const flags = view.getUint16(start + 8, true)
    const count = view.getUint16(start + 10, true)
    if (flags !== BRANCH && flags !== LEAF) this.fail('damaged: a page is neither branch nor leaf')
    if (start + HEADER + count * ELEMENT > end) this.fail('damaged: a page has more elements than bytes')
    return { bytes, view, start, end, isLeaf: flags === LEAF, count }
  }

  /** The most elements that all pages can have. */
  get mostElements(): number {
    return Math.floor(this.size / ELEMENT)
  }

  fail(why: string): never {
    throw new FileProblem(this.path, why)
  }
}

/** An element of a leaf: a key with a value or a bucket. */
export type Entry = { page: Page; index: number }

/** A bucket: keys with values, and keys with buckets. It can be used while {@link Database.read} runs. */
export class Bucket {
  constructor(
    private readonly database: Database,
    /** The page with its root, or its number. */
    private readonly top: Page | number,
  ) {}

  /** The value of a key; undefined if there is none, or a bucket has that name. */
  value(key: string): string | undefined {
    const entry = this.find(key)
    return entry && this.valueOf(entry)
  }

  /** The bucket of this name; undefined if there is none. */
  bucket(key: string): Bucket | undefined {
    const entry = this.find(key)
    return entry && this.bucketOf(entry)
  }

  /** All that it has, in the order of the keys. */
  entries(): Map<string, Entry> {
    const entries = new Map<string, Entry>()
    const visited = new Set<number>(typeof this.top === 'number' ? [this.top] : [])
    let left = Math.min(MOST_KEYS, this.database.mostElements)
    let last: string | undefined
    const visit = (page: Page, level: number): void => {
      left -= page.count
      if (left < 0) this.database.fail('damaged: more elements than bytes')
      if (level > MOST_LEVELS) this.database.fail('damaged: more levels than pages')
      for (let index = 0; index < page.count; index++) {
        if (page.isLeaf) {
          const key = this.keyAt(page, index)
          if (last !== undefined && key <= last) this.database.fail('damaged: keys are not in order')
          last = key
          entries.set(key, { page, index })
          continue
        }
        const id = childAt(page, index)
        if (visited.has(id)) this.database.fail(`damaged: page ${id} is in two places`)
        visited.add(id)
        visit(this.database.page(id), level + 1)
      }
    }
    visit(this.root(), 0)
    return entries
  }

  /** Undefined if it is a bucket. */
  valueOf({ page, index }: Entry): string | undefined {
    const { isBucket, from, to } = this.placeOf(page, index)
    return isBucket ? undefined : page.bytes.toString('latin1', from, to)
  }

  /** Undefined if it is a value. */
  bucketOf({ page, index }: Entry): Bucket | undefined {
    const { isBucket, from, to } = this.placeOf(page, index)
    if (!isBucket) return undefined
    // The number of its root, and a counter. If it has no pages of its own, what would be one follows.
    if (from + HEADER > to) this.database.fail('damaged: a bucket is too short')
    const root = numberAt(page.view, from)
    if (root !== 0) return new Bucket(this.database, root)
    const inside = this.database.parsePage(page.bytes, page.view, from + HEADER, to)
    if (!inside.isLeaf) this.database.fail('damaged: a branch in a leaf')
    return new Bucket(this.database, inside)
  }

  private root(): Page {
    return typeof this.top === 'number' ? this.database.page(this.top) : this.top
  }

  private find(key: string): Entry | undefined {
    const first = firstByte(key)
    let page = this.root()
    for (let level = 0; level <= MOST_LEVELS; level++) {
      // The first element with a key that is not less.
      let low = 0
      let high = page.count
      let isThere = false
      while (low < high) {
        const middle = (low + high) >>> 1
        const order = this.compare(page, middle, key, first)
        if (order < 0) low = middle + 1
        else {
          high = middle
          isThere = order === 0
        }
      }
      if (page.isLeaf) return isThere ? { page, index: low } : undefined
      if (page.count === 0) return undefined
      // A branch has the least key of each page below it.
      page = this.database.page(childAt(page, isThere || low === 0 ? low : low - 1))
    }
    return this.database.fail('damaged: more levels than pages')
  }

  /** Negative if the key of an element is less than `key`, which begins with the byte `first`. */
  private compare(page: Page, index: number, key: string, first: number): number {
    const { bytes, view, start, end, isLeaf } = page
    const element = start + HEADER + index * ELEMENT
    const from = element + view.getUint32(isLeaf ? element + 4 : element, true)
    const to = from + view.getUint32(isLeaf ? element + 8 : element + 4, true)
    if (to > end) this.database.fail('damaged: a key is beyond the end of its page')
    // Mostly the first bytes differ. To make a text takes longer than all else here.
    const byte = from === to ? -1 : (bytes[from] as number)
    if (byte !== first) return byte - first
    const other = bytes.toString('latin1', from, to)
    return other === key ? 0 : other < key ? -1 : 1
  }

  private keyAt({ bytes, view, start, end, isLeaf }: Page, index: number): string {
    const element = start + HEADER + index * ELEMENT
    const from = element + view.getUint32(isLeaf ? element + 4 : element, true)
    const to = from + view.getUint32(isLeaf ? element + 8 : element + 4, true)
    if (to > end) this.database.fail('damaged: a key is beyond the end of its page')
    return bytes.toString('latin1', from, to)
  }

  /** Where the value of an element is. */
  private placeOf(page: Page, index: number): { isBucket: boolean; from: number; to: number } {
    const { view, start, end } = page
    const element = start + HEADER + index * ELEMENT
    const from = element + view.getUint32(element + 4, true) + view.getUint32(element + 8, true)
    const to = from + view.getUint32(element + 12, true)
    if (to > end) this.database.fail('damaged: a value is beyond the end of its page')
    return { isBucket: (view.getUint32(element, true) & IS_BUCKET) !== 0, from, to }
  }
}

function firstByte(key: string): number {
  return key === '' ? -1 : key.charCodeAt(0)
}

/** The number of the page to which an element of a branch leads. */
function childAt({ view, start }: Page, index: number): number {
  return numberAt(view, start + HEADER + index * ELEMENT + 8)
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** A number of 64 bits. What is larger than 2^53 is inexact, and larger than everything that is allowed. */
function numberAt(view: DataView, position: number): number {
  return view.getUint32(position, true) + view.getUint32(position + 4, true) * 2 ** 32
}

/** Meta data; undefined if they are not valid. */
function parseMeta(view: DataView): Meta | undefined {
  if (view.getUint32(0, true) !== META.magic || view.getUint32(4, true) !== META.version) return undefined
  const { high, low } = checksum(view, META.checked)
  if (view.getUint32(META.checked, true) !== low || view.getUint32(META.checked + 4, true) !== high)
    return undefined
  const meta = {
    pageSize: view.getUint32(8, true),
    root: numberAt(view, 16),
    highWater: numberAt(view, 40),
    txid: numberAt(view, 48),
  }
  return Object.values(meta).every(Number.isSafeInteger) ? meta : undefined
}

/** FNV-1a with 64 bits, in two halves, of the first `length` bytes. */
function checksum(view: DataView, length: number): { high: number; low: number } {
  let high = 0xcbf29ce4
  let low = 0x84222325
  for (let position = 0; position < length; position++) {
    low = (low ^ view.getUint8(position)) >>> 0
    // Times 2^40 + 0x1b3.
    const product = low * 0x1b3
    high = (high * 0x1b3 + Math.floor(product / 2 ** 32) + low * 0x100) % 2 ** 32
    low = product % 2 ** 32
  }
  return { high, low }
}
