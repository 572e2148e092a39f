import type { Sink } from '../engine/decoder.js'
import { printable } from '../text/printable.js'

/** The kinds of entries that a layer may have: pax(1), ustar. */
export type EntryType =
  | 'file'
  | 'hard link'
  | 'link'
  | 'character device'
  | 'block device'
  | 'directory'
  | 'FIFO'

/** An entry of an archive. Its names are unchecked text. */
export type TarEntry = {
  name: string
  type: EntryType
  /** The permissions. */
  mode: number
  uid: number
  gid: number
  /** The bytes of its contents; of a sparse file, as it will be on the disk. */
  size: number
  /** Where a link leads. */
  target: string
  major: number
  minor: number
  /** The value of the extended attribute security.capability, as Latin-1. */
  capability: string | undefined
}

const BLOCK = 512
/** More than Linux lets a file have of extended attributes, and longer than a path can be. */
const LONGEST_EXTENSION = 1 << 20
/** More than any image has. */
const MOST_ENTRIES = 1_000_000

const TYPES: Record<string, EntryType> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hard link',
  '2': 'link',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  '6': 'FIFO',
}

/** What an extended header says about the entry that follows it, or what two of GNU's say. */
type More = {
  path?: string
  linkpath?: string
  size?: number
  uid?: number
  gid?: number
  realSize?: number
  capability?: string
}

const NOTHING: More = {}

/**
 * Reads an archive of tar(1) as it comes: ustar, POSIX (pax) and GNU's, as far as engines and tar(1) write
 * them. `what`: what the archive is called in errors. `take`: called with every entry; returns what takes its
 * contents, or nothing if nobody wants them. Memory does not depend on the archive.
 *
 * This is not a package from npm: those that there are read every byte, take extended headers of any size,
 * and pass contents through streams, which takes several times as long as tar(1).
 */
export class TarReader implements Sink {
  private readonly header = Buffer.alloc(BLOCK)
  /** The bytes of the header that are there. */
  private filled = 0
  /** The bytes of contents and of padding that follow. */
  private contents = 0
  private padding = 0
  private sink: Sink | undefined
  /** The contents of an extended header. */
  private extension: { type: string; chunks: Buffer[] } | undefined
  private more: More = NOTHING
  private zeros = 0
  private entries = 0
  /** Whether blocks of a sparse file's map follow. */
  private mapFollows = false
  private hasEnded = false
  private current = ''

  constructor(
    private readonly what: string,
    private readonly take: (entry: TarEntry) => Sink | undefined,
  ) {}

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.hasEnded; ) {
      const left = chunk.length - at
      if (this.contents > 0) {
        const length = Math.min(this.contents, left)
        if (this.extension) this.extension.chunks.push(Buffer.from(chunk.subarray(at, at + length)))
        else this.sink?.push(chunk.subarray(at, at + length))
        at += length
        this.contents -= length
        if (this.contents === 0) this.finish()
      } else if (this.padding > 0) {
        const length = Math.min(this.padding, left)
        this.padding -= length
        at += length
      } else if (this.filled === 0 && left >= BLOCK) {
        this.read(chunk, at)
        at += BLOCK
      } else {
        // A header that is in two chunks.
        const length = Math.min(BLOCK - this.filled, left)
        chunk.copy(this.header, this.filled, at, at + length)
        this.filled += length
        at += length
        if (this.filled < BLOCK) return
        this.filled = 0
        this.read(this.header, 0)
      }
    }
  }

  unwanted(): number {
    if (this.hasEnded) return Number.MAX_SAFE_INTEGER
    if (this.contents === 0 || this.extension) return this.contents === 0 ? this.padding : 0
    if (!this.sink) return this.contents + this.padding
    return Math.min(this.sink.unwanted?.() ?? 0, this.contents)
  }

  skip(bytes: number): void {
    if (this.hasEnded) return
    const inside = Math.min(bytes, this.contents)
    this.contents -= inside
    this.padding -= bytes - inside
    if (inside > 0) this.sink?.skip?.(inside)
    if (this.contents === 0 && inside > 0) this.finish()
  }

  end(): void {
    if (this.entries === 0 && !this.hasEnded)
      throw new Error(`${this.what} is ${this.filled > 0 ? '' : 'empty: '}not an archive of tar(1)`)
    if (this.contents > 0 || this.filled > 0)
      throw new Error(`${this.what} ends in the middle of ${printable(this.current, 200)}: truncated`)
  }

  /** The contents of an entry are complete. */
  private finish(): void {
    const { extension, sink } = this
    this.sink = undefined
    this.extension = undefined
    if (extension) this.readExtension(extension.type, Buffer.concat(extension.chunks))
    else sink?.end()
  }

  /** Takes a block that is a header, or one of a sparse file's map. */
  private read(bytes: Buffer, at: number): void {
    if (this.mapFollows) {
      this.mapFollows = bytes[at + 504] === 1
      return
    }
    if (bytes[at] === 0 && isZero(bytes, at)) {
      // Two of them end an archive. Some have one; what follows them is padding.
      this.hasEnded = ++this.zeros === 2
      return
    }
    this.zeros = 0
    if (!hasChecksum(bytes, at))
      throw new Error(
        this.entries === 0
          ? `${this.what} is not an archive of tar(1)`
          : `${this.what} is damaged after ${printable(this.current, 200)}: what follows is not the header of an entry`,
      )
    if (++this.entries > MOST_ENTRIES) throw new Error(`${this.what} has more than ${MOST_ENTRIES} entries`)
    const type = String.fromCharCode(bytes[at + 156] as number)
    const number = (field: string, offset: number, length: number): number =>
      readNumber(bytes, at + offset, length) ?? this.fail(field)
    const size = number('size', 124, 12)
    if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
      if (size > LONGEST_EXTENSION)
        throw new Error(`${this.what}: an extended header has ${size} bytes, more than ${LONGEST_EXTENSION}`)
      this.extension = { type, chunks: [] }
      this.expect(size)
      if (size === 0) this.finish()
      return
    }
    const { more } = this
    this.more = NOTHING
    const name = more.path ?? readName(bytes, at)
    this.current = name
    const stored = more.size ?? size
    let kind = TYPES[type]
    // As it was before POSIX.
    if (kind === 'file' && name.endsWith('/')) kind = 'directory'
    let realSize = more.realSize
    if (type === 'S') {
      realSize ??= number('size', 483, 12)
      this.mapFollows = bytes[at + 482] === 1
    }
    const hasContents = kind === 'file' || kind === undefined
    this.expect(hasContents ? stored : 0)
    if (kind === undefined) return
    const isLink = kind === 'link' || kind === 'hard link'
    const isDevice = kind === 'character device' || kind === 'block device'
    this.sink = this.take({
      name,
      type: kind,
      mode: number('mode', 100, 8) & 0o7777,
      uid: more.uid ?? number('owner', 108, 8),
      gid: more.gid ?? number('group', 116, 8),
      size: hasContents ? (realSize ?? stored) : 0,
      target: isLink ? (more.linkpath ?? readText(bytes, at + 157, 100)) : '',
      major: isDevice ? number('device', 329, 8) : 0,
      minor: isDevice ? number('device', 337, 8) : 0,
      capability: more.capability,
    })
    if (this.contents === 0) this.finish()
  }

  private expect(size: number): void {
    this.contents = size
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK
  }

  private readExtension(type: string, bytes: Buffer): void {
    // What a global one says (`git archive` has a comment there) is nothing about a file.
    if (type === 'L') this.more = { ...this.more, path: upToNul(bytes) }
    else if (type === 'K') this.more = { ...this.more, linkpath: upToNul(bytes) }
    else if (type === 'x') this.more = { ...this.more, ...this.readRecords(bytes) }
  }

  /** The records `LENGTH KEY=VALUE\n` of an extended header: pax(1). */
  private readRecords(bytes: Buffer): More {
    const more: More = {}
    for (let at = 0; at < bytes.length; ) {
      const blank = bytes.indexOf(0x20, at)
      const length = blank < 0 ? Number.NaN : Number(bytes.toString('latin1', at, blank))
      const equals = bytes.indexOf(0x3d, blank)
      const end = at + length
      if (!(length > 0) || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a)
        throw new Error(`${this.what}: an extended header is damaged`)
      const value = (): string => bytes.toString('utf8', equals + 1, end - 1)
      const number = (): number => {
        const parsed = Number(value())
        return Number.isSafeInteger(Math.trunc(parsed)) && parsed >= 0
          ? Math.trunc(parsed)
          : this.fail('number')
      }
      switch (bytes.toString('utf8', blank + 1, equals)) {
        case 'path':
          more.path ??= value()
          break
        case 'GNU.sparse.name':
          more.path = value()
          break
        case 'linkpath':
          more.linkpath = value()
          break
        case 'size':
          more.size = number()
          break
        case 'GNU.sparse.realsize':
        case 'GNU.sparse.size':
          more.realSize = number()
          break
        case 'uid':
          more.uid = number()
          break
        case 'gid':
          more.gid = number()
          break
        case 'SCHILY.xattr.security.capability':
          more.capability = bytes.toString('latin1', equals + 1, end - 1)
          break
      }
      at = end
    }
    return more
  }

  private fail(field: string): never {
    throw new Error(`${this.what}: ${printable(this.current, 200)} has no valid ${field}: damaged`)
  }
}

function isZero(bytes: Buffer, at: number): boolean {
  for (let index = at; index < at + BLOCK; index++) if (bytes[index] !== 0) return false
  return true
}

/** The sum of the bytes of a header, in which the field for the sum counts as blanks. */
function hasChecksum(bytes: Buffer, at: number): boolean {
  let sum = 8 * 0x20
  for (let index = at; index < at + 148; index++) sum += bytes[index] as number
  for (let index = at + 156; index < at + BLOCK; index++) sum += bytes[index] as number
  return sum === readNumber(bytes, at + 148, 8)
}

/** A number as octal digits, or as GNU has large ones, in bytes. Undefined if it is neither. */
function readNumber(bytes: Buffer, at: number, length: number): number | undefined {
  const end = at + length
  let number = 0
  if ((bytes[at] as number) >= 0x80) {
    if (bytes[at] !== 0x80) return undefined
    for (let index = at + 1; index < end; index++) number = number * 256 + (bytes[index] as number)
    return Number.isSafeInteger(number) ? number : undefined
  }
  let index = at
  while (index < end && bytes[index] === 0x20) index++
  for (; index < end; index++) {
    const digit = (bytes[index] as number) - 0x30
    if (digit < 0 || digit > 7) break
    number = number * 8 + digit
  }
  return index === end || bytes[index] === 0 || bytes[index] === 0x20 ? number : undefined
}

function readText(bytes: Buffer, at: number, length: number): string {
  let end = at
  while (end < at + length && bytes[end] !== 0) end++
  return bytes.toString('utf8', at, end)
}

/** The name in a header. POSIX has its beginning in a field of its own; GNU has something else there. */
function readName(bytes: Buffer, at: number): string {
  const name = readText(bytes, at, 100)
  const isPosix = bytes[at + 345] !== 0 && bytes.toString('latin1', at + 257, at + 263) === 'ustar\0'
  return isPosix ? `${readText(bytes, at + 345, 155)}/${name}` : name
}

function upToNul(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}
