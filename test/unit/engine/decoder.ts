import zlib from 'node:zlib'
import t from 'tap'
import { Decoder, type Format } from '../../../src/engine/decoder.js'

/** What it makes of the chunks, and how often it was asked where to. */
function decode(format: Format, ...chunks: Buffer[]): { text: string; beginnings: number } {
  const parts: string[] = []
  let [beginnings, ends] = [0, 0]
  const decoder = new Decoder('the file', format, () => {
    beginnings++
    return { push: (chunk) => parts.push(chunk.toString('latin1')), end: () => void ends++ }
  })
  for (const chunk of chunks) decoder.push(chunk)
  decoder.end()
  t.equal(ends, 1)
  return { text: parts.join(''), beginnings }
}
const TEXT = 'some text, and more of it\n'.repeat(20_000)
const FORMATS: [Format, typeof zlib.gzipSync][] = [
  ['gzip', zlib.gzipSync],
  // From Node 22.15 on.
  ...('zstdCompressSync' in zlib ? [['zstd', zlib.zstdCompressSync] as [Format, typeof zlib.gzipSync]] : []),
]

for (const [format, compress] of FORMATS) {
  t.test(`${format}: in chunks of any size`, async (t) => {
    const whole = compress(TEXT)
    for (const size of [1, 7, 4096, whole.length]) {
      const chunks: Buffer[] = []
      for (let at = 0; at < whole.length; at += size) chunks.push(whole.subarray(at, at + size))
      t.same(decode(format, ...chunks), { text: TEXT, beginnings: 1 }, `${size}`)
    }
  })

  t.test(`${format}: several are one text`, async (t) => {
    const parts = ['first ', '', 'last'].map((text) => compress(text))
    t.equal(decode(format, ...parts).text, 'first last')
    t.equal(decode(format, Buffer.concat(parts)).text, 'first last')
  })

  t.test(`${format}: nothing at all, and nothing in it`, async (t) => {
    t.same(decode(format, compress('')), { text: '', beginnings: 1 })
  })

  t.test(`${format}: damaged and truncated`, async (t) => {
    const whole = compress(TEXT)
    t.throws(
      () => decode(format, whole.subarray(0, whole.length / 2)),
      /the file \(\w+\) cannot be decompressed: truncated$/,
    )
    const damaged = Buffer.from(whole)
    damaged.fill(0xff, 20, 60)
    t.throws(() => decode(format, damaged), /the file \(\w+\) cannot be decompressed: damaged: [ -~]+$/)
    t.throws(() => decode(format, Buffer.from('no such format')), /cannot be decompressed/)
  })
}

t.test('gzip: padding after it is passed over', async (t) => {
  t.equal(decode('gzip', zlib.gzipSync('text'), Buffer.alloc(5000)).text, 'text')
})
