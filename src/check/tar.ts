import { printable } from '../text/printable.js'

/** What takes bytes as they come. A promise: the next bytes are for later. */
export type Sink = {
  /** The bytes are only there until the promise is kept. */
  push: (chunk: Buffer) => Promise<void> | undefined
  /** Nothing follows. Throws an Error if something is missing. */
  end: () => Promise<void> | undefined
  /** How many of the bytes that follow nobody wants. Whoever can skips them, with `skip`. */
  unwanted?: () => number
  skip?: (bytes: number) => void
}

/** The kinds of entries that a layer may have: pax(1), ustar. */
export type EntryType = 'file' | 'hard link' | 'link' | 'character device' | 'block device' | 'directory' | 'FIFO'

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

/**
 * Reads an archive of tar(1) as it comes: ustar, POSIX (pax) and GNU's, as far as engines and tar(1) write
 * them. `what`: what the archive is called in errors. `take`: called with every entry; returns what takes its
 * contents, or nothing if nobody wants them. Memory does not depend on the archive.
 *
 * This is not a package from npm: those that there are read every byte, take extended headers of any size, and
 * pass contents through streams of objects, which takes several times as long as tar(1).
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
  private more: More = {}
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

  push(chunk: Buffer): Promise<void> | undefined {
    let at = 0
    while (at < chunk.length && !this.hasEnded) {
      if (this.contents > 0) {
        const part = chunk.subarray(at, at + Math.min(this.contents, chunk.length - at))
        at += part.length
        this.contents -= part.length
        let wait: Promise<void> | undefined
        if (this.extension) this.extension.chunks.push(Buffer.from(part))
        else wait = this.sink?.push(part)
        if (this.contents === 0) {
          if (wait) return this.later(wait.then(() => this.finish()), chunk.subarray(at))
          wait = this.finish()
        }
        if (wait) return this.later(wait, chunk.subarray(at))
      } else if (this.padding > 0) {
        const skipped = Math.min(this.padding, chunk.length - at)
        this.padding -= skipped
        at += skipped
      } else {
        const length = Math.min(BLOCK - this.filled, chunk.length - at)
        // Most headers are whole in a chunk.
        const block = length === BLOCK ? chunk.subarray(at, at + BLOCK) : this.header
        if (length < BLOCK) chunk.copy(this.header, this.filled, at, at + length)
        this.filled += length
        at += length
        if (this.filled < BLOCK) return undefined
        this.filled = 0
        const wait = this.read(block)
        if (wait) return this.later(wait, chunk.subarray(at))
      }
    }
    return undefined
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
    if (this.contents === 0 && inside > 0) void this.finish()
  }

  end(): Promise<void> | undefined {
    if (this.contents > 0 || this.filled > 0)
      throw new Error(`${this.what} ends in the middle of ${printable(this.current || 'its first entry', 200)}: truncated`)
    if (!this.hasEnded && this.entries === 0) throw new Error(`${this.what} is empty: not an archive of tar(1)`)
    return undefined
  }

  private later(wait: Promise<void>, rest: Buffer): Promise<void> {
    return wait.then(() => this.push(rest))
  }

  /** The contents of an entry are complete. */
  private finish(): Promise<void> | undefined {
    const { extension, sink } = this
    this.sink = undefined
    if (!extension) return sink?.end()
    this.extension = undefined
    this.readExtension(extension.type, Buffer.concat(extension.chunks))
    return undefined
  }

  /** Takes a block that is a header, or one of a sparse file's map. */
  private read(block: Buffer): Promise<void> | undefined {
    if (this.mapFollows) {
      this.mapFollows = block[504] === 1
      return undefined
    }
    if (block[0] === 0 && isZero(block)) {
      // Two of them end an archive. Some have one; what follows them is padding.
      this.hasEnded = ++this.zeros === 2
      return undefined
    }
    this.zeros = 0
    if (!hasChecksum(block))
      throw new Error(
        this.entries === 0
          ? `${this.what} is not an archive of tar(1)`
          : `${this.what} is damaged after ${printable(this.current, 200)}: what follows is not the header of an entry`,
      )
    if (++this.entries > MOST_ENTRIES) throw new Error(`${this.what} has more than ${MOST_ENTRIES} entries`)
    const type = String.fromCharCode(block[156] as number)
    const size = readNumber(block, 124, 12) ?? this.fail('size')
    if ('xgLK'.includes(type)) {
      if (size > LONGEST_EXTENSION)
        throw new Error(`${this.what}: an extended header has ${size} bytes, more than ${LONGEST_EXTENSION}`)
      this.extension = { type, chunks: [] }
      this.expect(size)
      return size === 0 ? this.finish() : undefined
    }
    const { more } = this
    this.more = {}
    const name = more.path ?? readName(block)
    this.current = name
    const stored = more.size ?? size
    let kind = TYPES[type]
    // As it was before POSIX.
    if (kind === 'file' && name.endsWith('/')) kind = 'directory'
    if (type === 'S') {
      more.realSize ??= readNumber(block, 483, 12) ?? this.fail('size')
      this.mapFollows = block[482] === 1
    }
    const hasContents = kind === 'file' || kind === undefined
    this.expect(hasContents ? stored : 0)
    if (kind === undefined) return undefined
    this.sink = this.take({
      name,
      type: kind,
      mode: (readNumber(block, 100, 8) ?? this.fail('mode')) & 0o7777,
      uid: more.uid ?? readNumber(block, 108, 8) ?? this.fail('owner'),
      gid: more.gid ?? readNumber(block, 116, 8) ?? this.fail('group'),
      size: hasContents ? (more.realSize ?? stored) : 0,
      target: kind === 'link' || kind === 'hard link' ? (more.linkpath ?? readText(block, 157, 100)) : '',
      major: kind.endsWith('device') ? (readNumber(block, 329, 8) ?? 0) : 0,
      minor: kind.endsWith('device') ? (readNumber(block, 337, 8) ?? 0) : 0,
      capability: more.capability,
    })
    return this.contents === 0 ? this.finish() : undefined
  }

  private expect(size: number): void {
    this.contents = size
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK
  }

  private readExtension(type: string, bytes: Buffer): void {
    if (type === 'L') this.more.path = upToNul(bytes)
    else if (type === 'K') this.more.linkpath = upToNul(bytes)
    // What a global one says (`git archive` has a comment there) is nothing about a file.
    else if (type === 'x') Object.assign(this.more, this.readRecords(bytes))
  }

  /** The records `LENGTH KEY=VALUE\n` of an extended header: pax(1). */
  private readRecords(bytes: Buffer): More {
    const more: More = {}
    for (let at = 0; at < bytes.length; ) {
      const blank = bytes.indexOf(0x20, at)
      const length = blank < 0 ? Number.NaN : Number(bytes.latin1Slice(at, blank))
      const equals = bytes.indexOf(0x3d, blank)
      const end = at + length
      if (!(length > 0) || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a)
        throw new Error(`${this.what}: an extended header is damaged`)
      const value = (): string => bytes.utf8Slice(equals + 1, end - 1)
      const number = (): number => {
        const parsed = Number(value())
        return Number.isSafeInteger(Math.trunc(parsed)) && parsed >= 0 ? Math.trunc(parsed) : this.fail('number')
      }
      switch (bytes.utf8Slice(blank + 1, equals)) {
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
          more.capability = bytes.latin1Slice(equals + 1, end - 1)
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

function isZero(block: Buffer): boolean {
  for (let at = 0; at < BLOCK; at++) if (block[at] !== 0) return false
  return true
}

/** The sum of the bytes of a header, in which the field for the sum counts as blanks. */
function hasChecksum(block: Buffer): boolean {
  const wanted = readNumber(block, 148, 8)
  let sum = 0
  for (let at = 0; at < 148; at++) sum += block[at] as number
  for (let at = 156; at < BLOCK; at++) sum += block[at] as number
  return sum + 8 * 0x20 === wanted
}

/** A number as octal digits, or as GNU has large ones, in bytes. Undefined if it is neither. */
function readNumber(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] as number
  let number = 0
  if (first === 0x80 || first === 0xff) {
    if (first === 0xff) return undefined
    for (let index = at + 1; index < at + length; index++) number = number * 256 + (block[index] as number)
    return Number.isSafeInteger(number) ? number : undefined
  }
  let index = at
  while (index < at + length && block[index] === 0x20) index++
  for (; index < at + length; index++) {
    const digit = (block[index] as number) - 0x30
    if (digit < 0 || digit > 7) break
    number = number * 8 + digit
  }
  const end = block[index] as number
  return index === at + length || end === 0 || end === 0x20 ? number : undefined
}

function readText(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at)
  return block.utf8Slice(at, end < 0 || end > at + length ? at + length : end)
}

/** The name in a header. POSIX has its beginning in a field of its own; GNU has something else there. */
function readName(block: Buffer): string {
  const name = readText(block, 0, 100)
  const isPosix = block[345] !== 0 && block.latin1Slice(257, 263) === 'ustar\0'
  return isPosix ? `${readText(block, 345, 155)}/${name}` : name
}

function upToNul(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.utf8Slice(0, end < 0 ? bytes.length : end)
}
