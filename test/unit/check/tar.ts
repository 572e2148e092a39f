import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { type TarEntry, TarReader } from '../../../src/check/tar.js'
import type { Sink } from '../../../src/engine/decoder.js'
import { type TarItem, tarOf } from '../../support/tar.js'
import { makeTree } from '../../support/tree.js'

/**
 * Everything in an archive, which comes in chunks of `size` bytes; with `contents`, also what is in files.
 */
function read(bytes: Buffer, size = bytes.length, contents = true): (TarEntry & { text: string })[] {
  const entries: (TarEntry & { text: string })[] = []
  const reader = new TarReader('it', (entry): Sink | undefined => {
    const taken = { ...entry, text: '' }
    entries.push(taken)
    const push = (chunk: Buffer): void => {
      taken.text += chunk.toString()
    }
    return contents ? { push, end() {} } : undefined
  })
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
  reader.end()
  return entries
}
const one = (item: TarItem) => read(tarOf([item]))[0]

t.test('what an entry says', async (t) => {
  t.same(one({ name: 'a/b', text: 'x', mode: 0o4755, uid: 1, gid: 2 }), {
    ...{ name: 'a/b', type: 'file', mode: 0o4755, uid: 1, gid: 2, size: 1 },
    ...{ target: '', major: 0, minor: 0, capability: undefined, text: 'x' },
  })
  t.match(one({ name: 'l', type: '2', target: '/x' }), { type: 'link', target: '/x', size: 0 })
  t.match(one({ name: 'h', type: '1', target: 'x' }), { type: 'hard link', target: 'x' })
  t.match(one({ name: 'c', type: '3', major: 5, minor: 1 }), { type: 'character device', major: 5, minor: 1 })
  t.match(one({ name: 'b', type: '4', major: 8 }), { type: 'block device', major: 8 })
  t.match(one({ name: 'd/', type: '5' }), { type: 'directory' })
  t.match(one({ name: 'p', type: '6' }), { type: 'FIFO' })
  t.match(one({ name: 'd/', type: '0' }), { type: 'directory' }, 'as before POSIX')
  t.match(one({ name: 'v', type: '7', text: 'x' }), { type: 'file', text: 'x' })
  t.same(
    read(tarOf([{ name: 'volume', type: 'V' }, { name: 'a' }])).map(({ name }) => name),
    ['a'],
  )
})

t.test('a link has no contents, whatever its header says', async (t) => {
  t.match(
    read(
      tarOf([
        { name: 'l', type: '2', target: 'x', size: 512 },
        { name: 'a', text: 'a' },
      ]),
    ),
    [
      { name: 'l', size: 0 },
      { name: 'a', text: 'a' },
    ],
  )
})

t.test('extended headers', async (t) => {
  const long = 'x'.repeat(300)
  t.match(one({ name: long, text: 'y' }), { name: long, text: 'y' })
  t.match(one({ name: 'l', type: '2', target: long }), { target: long })
  t.match(one({ name: 'u', pax: { uid: '4000000000', gid: '3000000' } }), {
    uid: 4_000_000_000,
    gid: 3_000_000,
  })
  t.match(one({ name: 'c', pax: { 'SCHILY.xattr.security.capability': Buffer.from([1, 0, 0, 2, 255]) } }), {
    capability: '\x01\x00\x00\x02\xff',
  })
  t.match(one({ name: 's', text: 'abc', size: 0, pax: { size: '3' } }), { size: 3, text: 'abc' })
  t.match(
    read(
      tarOf([
        { name: 'g', type: 'g', text: '13 comment=x\n' },
        { name: 'a', pax: { comment: 'b' } },
        { name: 'b' },
      ]),
    ),
    [{ name: 'a' }, { name: 'b' }],
  )
  t.match(read(tarOf([{ name: 'a', pax: { path: 'other' } }, { name: 'b' }])), [
    { name: 'other' },
    { name: 'b' },
  ])
  for (const text of [
    'x',
    '99 path=a\n',
    '5 path=a\n',
    '0 path=a\n',
    '-1 path=a\n',
    '9 path=ab',
    '8 patha\n',
  ])
    t.throws(() => read(tarOf([{ name: 'x', type: 'x', text }, { name: 'a' }])), {
      message: 'it: an extended header is damaged',
    })
  t.throws(() => one({ name: 'a', pax: { size: '-1' } }), { message: /no valid number: damaged$/ })
})

t.test('the same archive in chunks of any size, with contents or without', async (t) => {
  const bytes = tarOf([
    { name: 'y'.repeat(200), text: 'a'.repeat(1500) },
    { name: 'empty' },
    { name: 'b', text: 'b'.repeat(512), pax: { uid: '7' } },
    { name: 'c', text: 'c' },
  ])
  const whole = read(bytes)
  t.equal(whole.length, 4)
  for (const size of [1, 2, 511, 512, 513, 1000]) t.same(read(bytes, size), whole, `${size}`)
  t.same(
    read(bytes, 700, false),
    whole.map((entry) => ({ ...entry, text: '' })),
  )
})

t.test('what nobody wants can be skipped', async (t) => {
  const bytes = tarOf([
    { name: 'a', text: 'a'.repeat(5000) },
    { name: 'b', text: 'b'.repeat(3) },
  ])
  const names: string[] = []
  const reader = new TarReader('it', ({ name }) => void names.push(name))
  reader.push(bytes.subarray(0, 600))
  t.equal(reader.unwanted(), 5120 - 88)
  reader.skip(5120 - 88)
  t.equal(reader.unwanted(), 0)
  reader.push(bytes.subarray(512 + 5120, 512 + 5120 + 512))
  t.equal(reader.unwanted(), 512)
  reader.skip(512)
  reader.push(bytes.subarray(512 + 5120 + 1024))
  reader.end()
  t.same(names, ['a', 'b'])
  t.ok(reader.unwanted() > 1e9, 'nothing after the end')
})

t.test('the archives of tar(1), in each of its formats', async (t) => {
  const work = makeTree(t, {
    [`in/${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(90)}`]: 'deep\n',
    'in/link': `-> ${'t'.repeat(150)}`,
    'in/program*': '#!/bin/sh\n',
  })
  execFileSync('sh', [
    '-ec',
    'cd "$0/in"; ln program hard; truncate -s 200K sparse; printf end >>sparse',
    work,
  ])
  const listed = (format: string, ...more: string[]) =>
    read(
      execFileSync('tar', [
        '-C',
        join(work, 'in'),
        `--format=${format}`,
        '--sort=name',
        ...more,
        '-cf',
        '-',
        '.',
      ]),
    ).map(({ name, type, mode, size, target }) => ({ name, type, mode, size, target }))
  const expected = listed('gnu')
  t.match(
    expected.map(({ name, type, size }) => [name.slice(0, 12), type, size]),
    [
      ['./', 'directory', 0],
      ['./dddddddddd', 'directory', 0],
      ['./dddddddddd', 'directory', 0],
      ['./dddddddddd', 'file', 5],
      ['./hard', 'file', 10],
      ['./link', 'link', 0],
      ['./program', 'hard link', 0],
      ['./sparse', 'file', 204803],
    ],
  )
  t.equal(expected[5]?.target.length, 150)
  t.same(listed('posix'), expected)
  for (const format of ['gnu', 'posix']) t.same(listed(format, '--sparse'), expected, `${format}, sparse`)
  t.same(listed('pax', '--sparse', '--sparse-version=0.1').at(-1), expected.at(-1))
})

t.test('large numbers, as GNU has them', async (t) => {
  const edit = (header: Buffer): void => {
    header[108] = 0x80
    header.fill(0, 109, 112)
    header.writeUInt32BE(3_000_000_000, 112)
  }
  t.match(one({ name: 'a', edit }), { uid: 3_000_000_000 })
  t.throws(() => one({ name: 'a', edit: (header) => void header.fill(0xff, 108, 116) }), {
    message: 'it: a has no valid owner: damaged',
  })
  t.throws(() => one({ name: 'a', edit: (header) => void header.write('9999', 100) }), {
    message: 'it: a has no valid mode: damaged',
  })
})

t.test('damage', async (t) => {
  const bytes = tarOf([
    { name: 'first', text: 'x'.repeat(2000) },
    { name: 'second', text: 'y' },
  ])
  t.throws(() => read(bytes.subarray(0, 1000)), { message: 'it ends in the middle of first: truncated' })
  t.throws(() => read(bytes.subarray(0, 2800)), { message: 'it ends in the middle of first: truncated' })
  t.throws(() => read(Buffer.alloc(0)), { message: 'it is empty: not an archive of tar(1)' })
  t.throws(() => read(Buffer.from('hello'.repeat(500))), { message: 'it is not an archive of tar(1)' })
  const damaged = Buffer.from(bytes)
  damaged[512 + 2048 + 5] = 0x41
  t.throws(() => read(damaged), {
    message: 'it is damaged after first: what follows is not the header of an entry',
  })
  t.doesNotThrow(() => read(tarOf([{ name: 'a' }], 512)), 'one block of zeros at the end')
  t.doesNotThrow(() => read(tarOf([{ name: 'a' }], 0)), 'none')
  t.same(read(Buffer.concat([bytes, Buffer.from('x'.repeat(1000))])).length, 2, 'what follows the end')
})

t.test('bombs', async (t) => {
  t.throws(() => read(tarOf([{ name: 'x', type: 'x', size: 2 ** 30 }], 0).subarray(0, 512)), {
    message: 'it: an extended header has 1073741824 bytes, more than 1048576',
  })
  t.throws(() => read(tarOf([{ name: 'x', type: 'L', size: 2 ** 30 }], 0).subarray(0, 512)), {
    message: /^it: an extended header has 1073741824 bytes/,
  })
  const reader = new TarReader('it', () => undefined)
  const many = Buffer.concat(Array.from({ length: 1000 }, () => tarOf([{ name: 'a' }], 0)))
  t.throws(
    () => {
      for (let count = 0; count <= 1000; count++) reader.push(many)
    },
    { message: 'it has more than 1000000 entries' },
  )
})

t.test('a name with what a terminal obeys', async (t) => {
  const bytes = tarOf([{ name: 'a\x1b[31m', text: 'x'.repeat(600) }])
  t.throws(() => read(bytes.subarray(0, 600)), { message: 'it ends in the middle of a\\x1b[31m: truncated' })
})
