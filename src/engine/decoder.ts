import { printable } from '../text/printable.js'

/** What takes bytes as they come. */
export type Sink = {
  /** The bytes are only there until it returns. */
  push: (chunk: Buffer) => void
  /** Nothing follows. Throws an Error if something is missing. */
  end: () => void
  /** How many of the bytes that follow nobody wants. Whoever can skips them, with `skip`. */
  unwanted?: () => number
  skip?: (bytes: number) => void
}

/** What can be decompressed. */
export type Format = 'gzip' | 'zstd'

/** What is decompressed at once. */
const CHUNK = 128 << 10
/** The most that something may become: more than any image has, and a minute of work. */
const MOST_BYTES = 32 * 2 ** 30
/** zlib.h, zstd.h: go on as far as there is input, and this was the last one. */
const FLUSH = { gzip: { more: 0, last: 4 }, zstd: { more: 0, last: 2 } }

/** What of the streams of node:zlib is used here. */
type Handle = {
  writeSync: (
    flush: number,
    ...buffers: [input: Buffer, at: number, length: number, output: Buffer, at: number, length: number]
  ) => void
  onerror: (message: string, errno: number, code: string) => void
}
type Stream = { _handle?: Handle; _writeState?: Uint32Array; close: () => void }

/**
 * Decompresses what it gets, and passes it on. Several gzip members, and several zstd frames (zstd:chunked),
 * are one text.
 *
 * It writes to the handle of a stream of node:zlib and not to the stream. A stream gives each piece of its
 * output in a new buffer, of which the garbage collector lets a hundred megabytes gather, and a stream of
 * zstd ends after the first frame. These names are Node's own, and the runtime has one version of Node; the
 * test says if another one has others.
 */
export class Decoder implements Sink {
  private readonly stream: Stream
  private readonly handle: Handle
  private readonly state: Uint32Array
  private readonly output = Buffer.allocUnsafeSlow(CHUNK)
  private next: Sink | undefined
  private bytes = 0
  private problem: string | undefined
  /** Whether what follows is not compressed: padding. */
  private hasEnded = false

  /** `what`: what it is called in errors. `choose`: gets the beginning, and returns what takes everything. */
  constructor(
    private readonly what: string,
    private readonly format: Format,
    private readonly choose: (beginning: Buffer) => Sink,
  ) {
    const zlib = process.getBuiltinModule('node:zlib')
    if (format === 'zstd' && !zlib.createZstdDecompress)
      throw new Error(
        `${what} is compressed with zstd, which Node ${process.version} cannot read: use the runtime of hostext`,
      )
    this.stream = (format === 'gzip' ? zlib.createGunzip() : zlib.createZstdDecompress()) as unknown as Stream
    const { _handle: handle, _writeState: state } = this.stream
    if (!handle?.writeSync || !state) throw new Error(`${what}: this runtime's node:zlib is not known here`)
    this.handle = handle
    this.state = state
    handle.onerror = (message, _, code) => {
      this.problem ??= /BUF_ERROR|srcSize_wrong/.test(code)
        ? 'truncated'
        : `damaged: ${printable(message, 100)}`
    }
  }

  push(chunk: Buffer): void {
    this.write(FLUSH[this.format].more, chunk)
  }

  end(): void {
    if (!this.hasEnded) this.write(FLUSH[this.format].last, Buffer.alloc(0))
    this.stream.close()
    this.next ??= this.choose(Buffer.alloc(0))
    this.next.end()
  }

  private write(flush: number, input: Buffer): void {
    const { output, state } = this
    let at = 0
    let isFull = true
    while (!this.hasEnded && (at < input.length || isFull)) {
      this.handle.writeSync(flush, input, at, input.length - at, output, 0, output.length)
      if (this.problem !== undefined)
        throw new Error(`${this.what} (${this.format}) cannot be decompressed: ${this.problem}`)
      const made = output.length - (state[0] as number)
      const used = input.length - at - (state[1] as number)
      at += used
      isFull = state[0] === 0
      if (made > 0) this.take(output.subarray(0, made))
      else if (used === 0) {
        this.hasEnded ||= at < input.length
        return
      }
    }
  }

  private take(bytes: Buffer): void {
    this.bytes += bytes.length
    if (this.bytes > MOST_BYTES)
      throw new Error(`${this.what} is more than ${MOST_BYTES / 2 ** 30} GiB when it is decompressed`)
    this.next ??= this.choose(bytes)
    this.next.push(bytes)
  }
}
