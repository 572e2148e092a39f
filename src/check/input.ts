import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { Decoder, type Format, type Sink } from '../engine/decoder.js'

/** What is read at once: little after something was skipped, because most files of an image are small. */
const [LEAST, MOST] = [4 << 10, 128 << 10]

/**
 * Gives a sink all bytes of a file, or of standard input (`-`). Bytes that it does not want are skipped, if
 * the input is a file. Throws an Error if it cannot be read.
 */
export async function feed(path: string, sink: Sink): Promise<void> {
  const descriptor = path === '-' ? 0 : openSync(path, 'r')
  try {
    const stat = fstatSync(descriptor)
    if (stat.isDirectory()) throw new Error('it is a directory')
    const isFile = stat.isFile() && path !== '-'
    const chunk = Buffer.allocUnsafeSlow(MOST)
    let wanted = isFile ? LEAST : MOST
    for (let position = 0; ; ) {
      const length = await read(descriptor, chunk, wanted, isFile ? position : null)
      if (length === 0) break
      position += length
      sink.push(length === chunk.length ? chunk : chunk.subarray(0, length))
      if (!isFile) continue
      const unwanted = Math.min(sink.unwanted?.() ?? 0, stat.size - position)
      wanted = unwanted > 0 ? LEAST : Math.min(2 * wanted, MOST)
      if (unwanted <= 0) continue
      sink.skip?.(unwanted)
      position += unwanted
    }
    sink.end()
  } finally {
    if (descriptor !== 0) closeSync(descriptor)
  }
}

/** Reads at a position, or the next bytes. Waits only if there are none yet. */
async function read(
  descriptor: number,
  chunk: Buffer,
  wanted: number,
  position: number | null,
): Promise<number> {
  for (;;) {
    try {
      return readSync(descriptor, chunk, 0, wanted, position)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw error
      // Whoever has made the pipe does not let anybody wait for it.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

/** How a compression begins. */
const COMPRESSIONS: { name: string; magic: string; format?: Format }[] = [
  { name: 'gzip', magic: '\x1f\x8b', format: 'gzip' },
  { name: 'zstd', magic: '\x28\xb5\x2f\xfd', format: 'zstd' },
  { name: 'xz', magic: '\xfd7zXZ' },
  { name: 'bzip2', magic: 'BZh' },
  { name: 'lz4', magic: '\x04\x22\x4d\x18' },
]

const LONGEST_MAGIC = 5

/**
 * A sink that decompresses what it gets, if it begins as something compressed does, and passes it on. `what`:
 * what it is called in errors. `choose`: gets the beginning, and returns what takes everything.
 */
export class Unpacked implements Sink {
  private beginning: Buffer | undefined
  private next: Sink | undefined

  constructor(
    private readonly what: string,
    private readonly choose: (beginning: Buffer) => Sink,
  ) {}

  push(chunk: Buffer): void {
    if (this.next) {
      this.next.push(chunk)
      return
    }
    const bytes = this.beginning ? Buffer.concat([this.beginning, chunk]) : chunk
    if (bytes.length >= LONGEST_MAGIC) this.start(bytes)
    else this.beginning = Buffer.from(bytes)
  }

  unwanted(): number {
    return this.next?.unwanted?.() ?? 0
  }

  skip(bytes: number): void {
    this.next?.skip?.(bytes)
  }

  end(): void {
    if (!this.next) this.start(this.beginning ?? Buffer.alloc(0))
    this.next?.end()
  }

  private start(bytes: Buffer): void {
    const text = bytes.toString('latin1', 0, LONGEST_MAGIC)
    const found = COMPRESSIONS.find(({ magic }) => text.startsWith(magic))
    if (found && !found.format)
      throw new Error(
        `${this.what} is compressed with ${found.name}, which is not read here: decompress it first`,
      )
    this.next = found?.format ? new Decoder(this.what, found.format, this.choose) : this.choose(bytes)
    this.next.push(bytes)
  }
}
