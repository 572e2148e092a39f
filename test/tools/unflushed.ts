import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loseUnflushed, type Unflushed } from '../boot/unflushed.js'
import { makeTree } from '../support/tree.js'

const BLOCK = 4096

/** What unflushed.c writes before block `number` is written: its offset, and what it contains. */
function replaced(number: number, letter: string): Buffer {
  const offset = Buffer.alloc(8)
  offset.writeBigUInt64LE(BigInt(number * BLOCK))
  return Buffer.concat([offset, Buffer.alloc(BLOCK, letter)])
}

/** A disk with a letter for each block, and what was in its blocks before, in the order of the writes. */
function make(t: Test, letters: string, entries: Buffer[]): string {
  const disk = join(makeTree(t), 'disk')
  writeFileSync(disk, Buffer.concat([...letters].map((letter) => Buffer.alloc(BLOCK, letter))))
  writeFileSync(`${disk}.unflushed`, Buffer.concat(entries))
  return disk
}

/** The letter of each block, `?` if it is a mixture. */
function letters(disk: string): string {
  const contents = readFileSync(disk, 'latin1')
  const blocks = contents.match(new RegExp(`[^]{1,${BLOCK}}`, 'g')) ?? []
  return blocks
    .map((block) => (block === (block[0] as string).repeat(BLOCK) ? block.slice(0, 1) : '?'))
    .join('')
}

function cut(disk: string, random: () => number): Unflushed {
  const rest = { kept: 0, lost: 0 }
  loseUnflushed(disk, random, rest)
  return rest
}

const keep = () => 0.2
const lose = () => 0.5

t.test('everything was flushed', async (t) => {
  const disk = make(t, 'abc', [])
  t.same(cut(disk, lose), { kept: 0, lost: 0 })
  t.equal(letters(disk), 'abc')
})

t.test('what was not flushed is lost or kept, block by block', async (t) => {
  const entries = [replaced(0, '.'), replaced(2, ','), replaced(3, ';')]
  const all = make(t, 'abcd', entries)
  t.same(cut(all, lose), { kept: 0, lost: 3 })
  t.equal(letters(all), '.b,;')
  const none = make(t, 'abcd', entries)
  t.same(cut(none, keep), { kept: 3, lost: 0 })
  t.equal(letters(none), 'abcd')
  const some = make(t, 'abcd', entries)
  // The last write first.
  const coins = [0.9, 0.1, 0.9]
  t.same(
    cut(some, () => coins.shift() as number),
    { kept: 1, lost: 2 },
  )
  t.equal(letters(some), '.bc;')
})

t.test('of a block that was written three times, any of its four contents may be left', async (t) => {
  const entries = [replaced(0, '0'), replaced(0, '1'), replaced(0, '2')]
  for (const [coins, left] of [
    [[0.1], '3'],
    [[0.9, 0.1], '2'],
    [[0.9, 0.9, 0.1], '1'],
    [[0.9, 0.9, 0.9], '0'],
  ] as const) {
    const disk = make(t, '3', entries)
    const rest = [...coins]
    cut(disk, () => rest.shift() as number)
    t.equal(letters(disk), left)
    t.same(rest, [])
  }
})

t.test('a machine that was killed before it had recorded a block has not written it', async (t) => {
  for (const length of [5, 8, 2000]) {
    const disk = make(t, 'ab', [replaced(0, '.'), replaced(1, ',').subarray(0, length)])
    t.same(cut(disk, lose), { kept: 0, lost: 1 })
    t.equal(letters(disk), '.b')
  }
})
