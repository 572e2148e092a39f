/**
 * What it costs to check a large archive, with our own runtime: memory, and processor time beside tar(1)'s.
 * And what only that runtime can read: zstd.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { PROJECT } from '../../support/paths.js'
import { cannotFetch, runtimeDirectory, TESTED } from '../../support/runtime.js'
import { tarOf } from '../../support/tar.js'
import { makeTree } from '../../support/tree.js'

if (cannotFetch) {
  t.pass(cannotFetch, { skip: cannotFetch })
  process.exit(0)
}

const [FILES, BYTES] = [12_000, 42_000]
/** Digits, which are compressed to less than half. */
const CONTENTS = Buffer.from(
  Array.from({ length: BYTES / 7 }, (_, index) =>
    String((index * 7_654_321) % 9_999_999).padStart(7, '0'),
  ).join(''),
)
const PADDED = Buffer.concat([CONTENTS, Buffer.alloc((512 - (BYTES % 512)) % 512)])

/** An archive of 500 MB, a piece after the other; compressed, each piece is a gzip member. */
function* pieces(isCompressed: boolean): Generator<Buffer> {
  const pack = isCompressed
    ? (bytes: Buffer): Buffer => gzipSync(bytes, { level: 1 })
    : (bytes: Buffer): Buffer => bytes
  const contents = pack(PADDED)
  for (let file = 0; file < FILES; file++) {
    const name = `usr/share/thing-${file % 300}/part-${file % 7}/file-${file}`
    yield pack(tarOf([{ name, size: BYTES }], 0))
    yield contents
  }
  yield pack(Buffer.alloc(1024))
}

const node = join(runtimeDirectory(process.arch, TESTED), 'node')
const work = makeTree(t)
const bundle = join(work, 'commands.cjs')
await build({
  entryPoints: [join(PROJECT, 'src/commands.ts')],
  outfile: bundle,
  ...{ bundle: true, platform: 'node', format: 'cjs', minify: true, logLevel: 'error' },
  define: { HOSTEXT_VERSION: '"test"' },
})

type Cost = { output: string; memory: number; seconds: number }

/** Runs a program that is given an archive; `words` of the runtime end in what is to be run. */
async function run(program: string, words: string[], input?: Iterable<Buffer>): Promise<Cost> {
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH } })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => {
    // What tar(1) lists is not for us.
    if (output.length < 10_000) output += chunk
  })
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const closed = once(child, 'close')
  for (const piece of input ?? []) if (!child.stdin.write(piece)) await once(child.stdin, 'drain')
  child.stdin.end()
  const [status] = await closed
  if (status !== 0) throw new Error(`${program}: status ${status}: ${errors}`)
  const [memory = 0, ...times] = errors.trim().split('\n').at(-1)?.split(' ').map(Number) ?? []
  const seconds = times.reduce((sum, time) => sum + time, 0)
  return { output, memory, seconds }
}

/**
 * The runtime, which says at its end what it took: kilobytes, seconds. (Not getrusage(2) for the first: that
 * counts what the process had before execve(2), which is the memory of this one.)
 */
const measured = (then: string, ...words: string[]): string[] => [
  '-e',
  `process.on('exit', () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage()
    const status = require('node:fs').readFileSync('/proc/self/status', 'utf8')
    const highest = /^VmHWM:\\s*(\\d+) kB$/m.exec(status)[1]
    process.stderr.write(highest + ' ' + (userCPUTime + systemCPUTime) / 1e6 + '\\n')
  }); ${then}`,
  ...words,
]
const check = (input: Iterable<Buffer>): Promise<Cost> =>
  run(node, measured(`require(${JSON.stringify(bundle)})`, 'x', 'check', '--no-root', '-'), input)
const tar = (input: Iterable<Buffer>, option: string): Promise<Cost> =>
  run('bash', ['-c', `TIMEFORMAT='0 %U %S'; time tar ${option} -tf - | tail -1`], input)

t.test('500 MB, compressed and not', async (t) => {
  const bare = await run(node, measured(''))
  for (const isCompressed of [false, true]) {
    const archive = [...pieces(isCompressed)]
    const checked = await check(archive)
    t.match(checked.output, /12000 files, 480\.7 MiB/)
    const more = (checked.memory - bare.memory) / 1024
    t.ok(more < 60, `${more.toFixed(1)} MiB over the bare runtime`)
    const words = await tar(archive, isCompressed ? '-z' : '')
    t.match(words.output, /file-11999$/m)
    // Compressed, it is a third of tar's time. Not compressed, tar does next to nothing, and it is the rules
    // of images that take the time: three times as long was measured, and what is asserted only finds
    // blunders.
    const limit = isCompressed ? 2 : 8
    const others = words.seconds
    t.ok(checked.seconds < limit * others, `${checked.seconds.toFixed(2)} s, tar ${others.toFixed(2)} s`)
    t.comment(`${more.toFixed(1)} MiB; ${checked.seconds.toFixed(2)} s, tar ${others.toFixed(2)} s`)
  }
})

t.test('zstd', async (t) => {
  const words = [bundle, 'check', '--no-root', join(PROJECT, 'test/archives/oci-zstd.tar')]
  const output = execFileSync(node, words, { encoding: 'utf8' })
  t.match(output, /^OCI archive app:1; amd64; 5 layers; 16 files/)
})

t.test('zstd, with several frames', async (t) => {
  const plain = join(work, 'plain.tar')
  writeFileSync(plain, gunzipSync(readFileSync(join(PROJECT, 'test/archives/docker-export.tar.gz'))))
  const packed = join(work, 'packed')
  const pack = `const { readFileSync, writeFileSync } = require('node:fs')
    const { zstdCompressSync } = require('node:zlib')
    const [, from, to] = process.argv
    const text = readFileSync(from)
    const parts = [text.subarray(0, 700), text.subarray(700)]
    writeFileSync(to, Buffer.concat(parts.map((part) => zstdCompressSync(part))))`
  execFileSync(node, ['-e', pack, plain, packed])
  const checkFile = (input: Buffer) =>
    spawnSync(node, [bundle, 'check', '--no-root', '-'], { encoding: 'utf8', input })
  const bytes = readFileSync(packed)
  t.match(checkFile(bytes), { status: checkFile(readFileSync(plain)).status, stderr: '' })
  t.equal(checkFile(bytes).stdout, checkFile(readFileSync(plain)).stdout)
  t.match(checkFile(bytes.subarray(0, bytes.length - 10)), { status: 1, stderr: /\(zstd\).*: truncated/ })
  const damaged = Buffer.from(bytes)
  damaged.fill(0xee, bytes.length >> 1, (bytes.length >> 1) + 20)
  t.match(checkFile(damaged), { status: 1, stderr: / damaged/ })
})
