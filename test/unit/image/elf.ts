import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { type Elf, readElf } from '../../../src/image/elf.js'
import { type Content, DLOPEN, makeElf } from '../../support/elf.js'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { makeTree } from '../../support/tree.js'

const directory = makeTree(t)
function read(bytes: Buffer): Elf | undefined {
  const file = join(directory, 'file')
  writeFileSync(file, bytes)
  return readElf(file)
}

const FORMATS = [64, 32].flatMap((bits) =>
  [true, false].map((little) => ({
    bits: bits as 32 | 64,
    little,
    name: `${bits} bits, ${little ? 'little' : 'big'}`,
  })),
)
const CONTENT: Omit<Content, 'bits' | 'little'> = {
  interpreter: '/lib/ld.so.1',
  dynamic: [
    ['NEEDED', 'libc.so.6'],
    ['RUNPATH', '$ORIGIN/../lib::/opt/lib'],
    ['NEEDED', `lib${'x'.repeat(200)}.so`],
    ['RPATH', '/not/this'],
  ],
  notes: [
    ['GNU', 1, 'another'],
    ['FDO', DLOPEN, '[{"feature":"x","priority":"required","soname":["libx.so.1","libx.so.0"]}]'],
    ['FDO', DLOPEN, '[{"priority":"suggested","soname":["libno.so"]},{"soname":["liby.so", 5]}, {}]'],
    ['XXX', DLOPEN, 'another'],
    ['FDO', 5, 'another'],
  ],
}

for (const { name, ...format } of FORMATS) {
  t.test(name, async (t) => {
    t.same(read(makeElf({ ...format, ...CONTENT })), {
      machine: 40,
      bits: format.bits,
      littleEndian: format.little,
      interpreter: '/lib/ld.so.1',
      needed: ['libc.so.6', `lib${'x'.repeat(200)}.so`],
      runpath: ['$ORIGIN/../lib', '/opt/lib'],
      dlopens: ['libx.so.1', 'libx.so.0', 'liby.so'],
    })
    t.same(read(makeElf({ ...format, dynamic: [['RPATH', '/a']] }))?.runpath, ['/a'])
    const bare = read(makeElf(format))
    t.same(
      bare,
      { machine: 40, bits: format.bits, littleEndian: format.little, needed: [], runpath: [], dlopens: [] },
      'a static program',
    )
    t.notOk(bare && 'interpreter' in bare)
  })
}

t.test('what is not an ELF file', async (t) => {
  t.equal(readElf(join(directory, 'none')), undefined)
  t.equal(readElf(directory), undefined)
  t.equal(readElf('/dev/zero'), undefined)
  execFileSync('mkfifo', [join(directory, 'fifo')])
  t.equal(readElf(join(directory, 'fifo')), undefined, 'does not hang')
  t.equal(read(Buffer.alloc(0)), undefined)
  t.equal(read(Buffer.from('#!/bin/sh\n'.repeat(20))), undefined)
})

t.test('what is damaged in ways that nobody throws dice for', async (t) => {
  const format = { bits: 64, little: true } as const
  const sound = makeElf({ ...format, ...CONTENT })
  const changed = (at: number, ...bytes: number[]) => {
    const copy = Buffer.from(sound)
    copy.set(bytes, at)
    return read(copy)
  }
  t.equal(changed(4, 3), undefined, 'class')
  t.equal(changed(5, 0), undefined, 'byte order')
  t.equal(changed(6, 2), undefined, 'version')
  t.equal(changed(32, 0, 0, 0, 0, 0, 0, 0, 0xff), undefined, 'headers where no file ends')
  t.equal(changed(54, 57), undefined, 'width of a header')
  t.equal(changed(56, 0xff, 0xff), undefined, 'number of headers')
  for (const text of ['{', '{}', 'null', '[1]']) {
    const elf = read(makeElf({ ...format, notes: [['FDO', DLOPEN, text]] }))
    t.same(elf?.dlopens, text === '[1]' ? [] : undefined, `note ${text}`)
  }
  const unterminated = makeElf({ ...format, dynamic: [['NEEDED', 'x'.repeat(5000)]] })
  t.equal(read(unterminated), undefined, 'a name that is too long')
})

/** How many bytes this process has read so far: proc(5). */
function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1])
}

/** Some kilobytes of this are the counter itself. */
const MOST_READ = (1 << 18) + 4096

t.test('whatever is damaged, nothing is thrown, and little is read', async (t) => {
  const mount = readFileSync('/usr/bin/mount')
  const formats = FORMATS.map(({ name: _, ...format }) => makeElf({ ...format, ...CONTENT }))
  const input = fc.tuple(
    fc.constantFrom(mount, ...formats),
    fc.option(fc.nat()),
    fc.array(fc.tuple(fc.oneof(fc.nat(63), fc.nat(700), fc.nat()), fc.oneof(fc.constant(255), fc.nat(255))), {
      maxLength: 6,
    }),
  )
  for (const parameters of [
    { seed: FIXED_SEED, numRuns: 600 },
    { seed: ROTATING_SEED, numRuns: 150 },
  ]) {
    const property = fc.property(input, ([sound, length, changes]) => {
      const bytes = Buffer.from(sound.subarray(0, length === null ? sound.length : length % sound.length))
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value
      const file = join(directory, 'damaged')
      writeFileSync(file, bytes)
      const before = bytesRead()
      readElf(file)
      const count = bytesRead() - before
      if (count > MOST_READ) throw new Error(`${count} bytes read`)
    })
    const details = fc.check(property, parameters)
    t.equal(
      details.failed ? `${details.errorInstance}\n${fc.defaultReportMessage(details)}` : 'holds',
      'holds',
    )
  }
})

t.test('a large file whose every entry asks for as much as it can', async (t) => {
  const dynamic = Array.from({ length: 5000 }, (): [tag: 'NEEDED', text: string] => [
    'NEEDED',
    'x'.repeat(300),
  ])
  const before = bytesRead()
  t.equal(read(makeElf({ bits: 64, little: true, dynamic })), undefined)
  t.ok(bytesRead() - before < MOST_READ)
  const descriptors = readdirSync('/proc/self/fd').length
  for (let i = 0; i < 10; i++) read(makeElf({ bits: 32, little: true, dynamic }))
  t.equal(readdirSync('/proc/self/fd').length, descriptors, 'no file stays open')
})

const hasReadelf = spawnSync('readelf', ['--version']).status === 0
t.test('as readelf reads them', { skip: !hasReadelf && 'no readelf' }, async (t) => {
  const directories = [
    '/usr/bin',
    '/usr/lib/systemd',
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
  ]
  const files = directories
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
    .filter((file) => existsSync(file) && /systemd|libc\.|libm|\/[mp][^/]*$/.test(file))
  const real = [...new Set([process.execPath, ...files].map((file) => realpathSync(file)))].slice(0, 60)
  const formats = FORMATS.map(({ name, ...format }) => {
    const file = join(directory, name)
    writeFileSync(file, makeElf({ ...format, ...CONTENT }))
    return file
  })
  let compared = 0
  for (const file of [...real, ...formats]) {
    const elf = readElf(file)
    if (!elf) continue
    compared++
    const text = execFileSync('readelf', ['-dlW', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const all = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, value]) => value as string)
    t.same(elf.needed, all(/\(NEEDED\).*\[(.*)\]/g), file)
    const [runpath] = [...all(/\(RUNPATH\).*\[(.*)\]/g), ...all(/\(RPATH\).*\[(.*)\]/g)]
    t.same(elf.runpath, runpath?.split(':').filter(Boolean) ?? [], file)
    t.equal(elf.interpreter, all(/\[Requesting program interpreter: (.*)\]/g)[0], file)
  }
  t.ok(compared > 20, `${compared} files`)
})
