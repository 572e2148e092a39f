import { execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createGunzip, gzipSync } from 'node:zlib'
import t from 'tap'
import { feed, Unpacked } from '../../../src/check/input.js'
import type { Sink } from '../../../src/engine/decoder.js'
import { makeTree } from '../../support/tree.js'

const TEXT = Buffer.from(Array.from({ length: 100_000 }, (_, index) => `${index * 7}\n`).join(''))

/** What comes out of a sink that keeps everything. */
function keep(): { sink: Sink; bytes: () => Buffer; ended: () => boolean } {
  const chunks: Buffer[] = []
  let ended = false
  return {
    sink: {
      push: (chunk) => void chunks.push(Buffer.from(chunk)),
      end: () => {
        ended = true
      },
    },
    bytes: () => Buffer.concat(chunks),
    ended: () => ended,
  }
}

function unpack(bytes: Buffer, size = bytes.length || 1): Buffer {
  const kept = keep()
  const unpacked = new Unpacked('it', () => kept.sink)
  for (let at = 0; at < bytes.length; at += size) unpacked.push(bytes.subarray(at, at + size))
  unpacked.end()
  t.ok(kept.ended())
  return kept.bytes()
}

t.test('gzip, with several members and padding', async (t) => {
  const half = TEXT.length >> 1
  const packed = Buffer.concat([gzipSync(TEXT.subarray(0, half)), gzipSync(TEXT.subarray(half))])
  for (const size of [1, 3, 1000, packed.length]) t.ok(unpack(packed, size).equals(TEXT), `${size}`)
  t.ok(unpack(Buffer.concat([packed, Buffer.alloc(5000)])).equals(TEXT), 'padding')
  t.equal(unpack(gzipSync(Buffer.alloc(0))).length, 0)
})

t.test('what is damaged or truncated', async (t) => {
  const packed = gzipSync(TEXT)
  t.throws(() => unpack(packed.subarray(0, packed.length >> 1)), {
    message: 'it (gzip) cannot be decompressed: truncated',
  })
  t.throws(() => unpack(packed.subarray(0, packed.length - 2)), {
    message: 'it (gzip) cannot be decompressed: truncated',
  })
  const damaged = Buffer.from(packed)
  damaged[packed.length - 5] = (damaged[packed.length - 5] as number) ^ 1
  t.throws(() => unpack(damaged), { message: /^it \(gzip\) cannot be decompressed: damaged: incorrect/ })
  t.throws(() => unpack(Buffer.concat([Buffer.from('\x1f\x8b', 'latin1'), Buffer.alloc(100, 9)])), {
    message: /^it \(gzip\) cannot be decompressed: damaged: /,
  })
})

t.test('what is not read, and what is not compressed', async (t) => {
  for (const [name, magic] of [
    ['xz', '\xfd7zXZ\x00'],
    ['bzip2', 'BZh91AY'],
    ['lz4', '\x04\x22\x4d\x18\x40'],
  ])
    t.throws(() => unpack(Buffer.from(magic as string, 'latin1')), {
      message: `it is compressed with ${name}, which is not read here: decompress it first`,
    })
  t.equal(unpack(Buffer.from('plain text')).toString(), 'plain text')
  t.equal(unpack(Buffer.from('abc'), 1).toString(), 'abc', 'shorter than what tells')
  t.equal(unpack(Buffer.alloc(0)).toString(), '')
})

t.test('a file is read as a whole, or without what nobody wants', async (t) => {
  const file = join(makeTree(t, {}), 'file')
  writeFileSync(file, TEXT)
  const kept = keep()
  await feed(file, kept.sink)
  t.ok(kept.bytes().equals(TEXT))
  let left = 500_000
  let read = 0
  await feed(file, {
    push(chunk) {
      read += chunk.length
      left = Math.max(0, left - chunk.length)
    },
    unwanted: () => left,
    skip(bytes) {
      left -= bytes
    },
    end() {},
  })
  t.ok(read < TEXT.length - 400_000, `${read} of ${TEXT.length}`)
  await t.rejects(feed(join(file, 'x'), kept.sink), { code: 'ENOTDIR' })
  await t.rejects(feed(join(file, '..'), kept.sink), { message: 'it is a directory' })
})

t.test('a pipe that is slow', async (t) => {
  const pipe = join(makeTree(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  // Whoever opens it first waits for the other.
  const writer = spawn('sh', ['-c', '(printf abc; sleep 0.3; printf def) >"$0"', pipe])
  const kept = keep()
  await feed(pipe, kept.sink)
  t.equal(kept.bytes().toString(), 'abcdef')
  writer.kill()
})

t.test('the names in node:zlib that the decoder uses are there', async (t) => {
  // The other tests would say so, too, but not why.
  const stream = createGunzip() as unknown as { _handle: { writeSync: unknown }; _writeState: unknown }
  t.type(stream._handle.writeSync, 'function')
  t.type(stream._writeState, Uint32Array)
})
