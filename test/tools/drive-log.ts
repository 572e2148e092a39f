import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readDriveLog, replayDriveLog } from '../boot/drive-log.js'
import { makeTree } from '../support/tree.js'

const SECTOR = 512
const DISK_SECTORS = 64

/** One entry as QEMU's blklogwrites writes it, with `data` for the sectors. */
function entry(sector: number, data: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(SECTOR)
  header.writeBigUInt64LE(BigInt(sector), 0)
  header.writeBigUInt64LE(BigInt(data.length / SECTOR), 8)
  header.writeBigUInt64LE(BigInt(flags), 16)
  return Buffer.concat([header, data])
}
const write = (sector: number, text: string, sectors = 1) =>
  entry(sector, Buffer.alloc(sectors * SECTOR, text))
const flush = () => entry(0, Buffer.alloc(0), 1)
const superblock = Buffer.alloc(SECTOR, 'super')

function make(t: Test, entries: Buffer[]): { disk: string; log: string } {
  const work = makeTree(t)
  const [disk, log] = [join(work, 'disk'), join(work, 'log')]
  writeFileSync(disk, Buffer.alloc(DISK_SECTORS * SECTOR, '.'))
  writeFileSync(log, Buffer.concat([superblock, ...entries]))
  return { disk, log }
}

/** The first letter of each of the first 24 sectors. */
const letters = (disk: string): string => {
  const contents = readFileSync(disk)
  return Array.from({ length: 24 }, (_, sector) =>
    String.fromCharCode(contents[sector * SECTOR] as number),
  ).join('')
}

t.test('what was flushed is there, in the order it came in', async (t) => {
  const { disk, log } = make(t, [write(1, 'a'), write(2, 'b', 2), write(3, 'c'), flush(), write(5, 'd')])
  t.same(
    replayDriveLog(disk, log, () => 1),
    { kept: 0, lost: 1 },
  )
  t.equal(letters(disk), '.abc....................')
})

t.test('of what was not flushed any block may be there', async (t) => {
  const { disk, log } = make(t, [write(0, 'a', 8), flush(), write(0, 'b', 16), write(16, 'c', 8)])
  const coins = [0.9, 0.1, 0.1]
  t.same(
    replayDriveLog(disk, log, () => coins.shift() as number),
    { kept: 2, lost: 1 },
  )
  t.equal(letters(disk), 'aaaaaaaabbbbbbbbcccccccc')
})

t.test('nothing was flushed', async (t) => {
  const { disk, log } = make(t, [write(0, 'a')])
  t.same(
    replayDriveLog(disk, log, () => 1),
    { kept: 0, lost: 1 },
  )
  t.equal(letters(disk), '.'.repeat(24))
  writeFileSync(log, '')
  t.same(readDriveLog(log, DISK_SECTORS * SECTOR), [], 'a machine that wrote nothing')
})

t.test('an entry that was not finished', async (t) => {
  // Its header and data are still to come, and others have come already.
  const { disk, log } = make(t, [write(0, 'a'), Buffer.alloc(3 * SECTOR), write(1, 'b'), flush()])
  replayDriveLog(disk, log, () => 1)
  t.equal(letters(disk), 'ab......................')
  const half = make(t, [write(0, 'a'), flush(), write(1, 'b', 4).subarray(0, 3 * SECTOR)])
  replayDriveLog(half.disk, half.log, () => 0)
  t.equal(letters(half.disk), 'a.......................', 'at the end')
})

t.test('discarded sectors have no data in the log', async (t) => {
  const discard = entry(4, Buffer.alloc(0), 4)
  discard.writeBigUInt64LE(8n, 8)
  const { disk, log } = make(t, [discard, write(0, 'a'), flush()])
  replayDriveLog(disk, log, () => 1)
  t.equal(letters(disk), 'a.......................')
})
