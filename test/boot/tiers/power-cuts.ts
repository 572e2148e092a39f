import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ROTATING_SEED } from '../../support/seeded.js'
import { withDisks } from '../disk-machine.js'
import { type MadeDisk, readFromDisk } from '../disks.js'
import { prepareHost } from '../packages.js'
import { live } from '../power-cuts.js'
import { RELEASES, type Release } from '../rootfs.js'
import { timeLine } from '../times.js'
import { uml } from '../uml.js'

/**
 * Power cuts during the life of an extension. `HOSTEXT_TEST_CUTS=N` (100 in the full run, otherwise 3 on one
 * release) with the fixed seed, and a tenth as many with the seed of this run. `HOSTEXT_TEST_SEED=N` repeats
 * those of an earlier run: at the same moments, as far as a machine behaves in the same way again.
 * `HOSTEXT_TEST_RELEASE=NAME` works as usual; `HOSTEXT_TEST_CASE` skips them unless it matches their name.
 */
const full = process.env.HOSTEXT_TEST_FULL === '1'
const total = Number(process.env.HOSTEXT_TEST_CUTS ?? (full ? 100 : 3))
const FIXED = 1
const isWanted = 'power cuts'.includes(process.env.HOSTEXT_TEST_CASE ?? '')
const releases = RELEASES.filter((name) => name.includes(process.env.HOSTEXT_TEST_RELEASE ?? ''))

/** The most cuts for one machine, so that two machines can run side by side until the end. */
const MOST = 13

/** The machines for `total` cuts, at least `least` of them, with the share and the seed of each. */
function machines(
  total: number,
  least: number,
  seed: number,
): { release: Release; cuts: number; seed: number }[] {
  const count = Math.max(least, Math.ceil(total / MOST))
  return Array.from({ length: count }, (_, index) => ({
    release: releases[(index + (full ? 0 : seed)) % releases.length] as Release,
    cuts: Math.floor(total / count) + (index < total % count ? 1 : 0),
    seed: seed * 1000 + index,
  }))
}

const BLOCK = 4096

/** Flushes a file and a block of the second disk, then writes to that disk without flushing it. */
const WRITE = `
# put LETTER BLOCK CONVERSION: the disk has no file system, which would flush it at any time.
put() { printf %${BLOCK}s | tr ' ' $1 | dd of=/dev/ubdb bs=${BLOCK} seek=$2 iflag=fullblock oflag=direct conv=$3; }
report cache cat /sys/block/ubdb/queue/write_cache
echo flushed >/var/tmp/file
report file sync /var/tmp/file
report flushed put a 16 notrunc,fsync
report written put b 17 notrunc
report overwritten put c 16 notrunc
echo "@@done: " >$out
sleep 600
`

/** Cuts at the same moment, once with everything lost that can be lost, once with nothing lost. */
async function loses(t: Test): Promise<void> {
  const disk = { filesystem: 'swap', label: 'second', uuid: '5a1b7c0e-8a3d-4f5e-9b62-1c0d7e4f2a93' } as const
  const machine = {
    release: releases[0] as Release,
    lean: true,
    script: WRITE,
    disks: [{ ...disk, size: '1M' }],
  }
  await withDisks(uml, machine, {}, async ({ disks, boot }) => {
    for (const { what, random, left } of [
      { what: 'everything', random: () => 1, left: ['a', '\0'] },
      { what: 'nothing', random: () => 0, left: ['c', 'b'] },
    ]) {
      let file: string | undefined
      const examine = (root: MadeDisk) => {
        file = readFromDisk(root, '/var/tmp/file')
      }
      const cut = { at: '@@done', random }
      const { reports, unflushed } = await boot({ cut, expectEnd: 'cut', examine })
      for (const name of ['cache', 'file', 'flushed', 'written', 'overwritten'])
        t.equal(reports.get(`${name}.status`), '0', `${what}: ${name}: ${reports.get(name)}`)
      t.equal(file, 'flushed\n', `${what}: a file that was flushed`)
      const { file: second } = disks[1] as MadeDisk
      const blocks = [16, 17].map((number) =>
        readFileSync(second).subarray(number * BLOCK, (number + 1) * BLOCK),
      )
      t.same(
        blocks,
        left.map((letter) => Buffer.alloc(BLOCK, letter)),
        `${what}: the blocks of a disk`,
      )
      t.comment(`${what} is lost: ${JSON.stringify(unflushed)}`)
    }
  })
}

const problem = prepareHost()
if (problem && process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)
if (problem || !isWanted) {
  t.test('power cuts', { skip: problem ?? 'another case is wanted' }, async () => {})
} else {
  t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)
  t.jobs = 2
  const all = [
    ...machines(total, full ? releases.length : 1, FIXED),
    ...machines(Math.ceil(total / 10), 1, ROTATING_SEED),
  ]
  t.test('power cuts: what was not flushed is lost', { timeout: 1200_000 }, loses)
  for (const { release, cuts, seed } of all) {
    const name = `${release}: ${cuts} power cuts (seed ${seed})`
    t.test(name, { buffered: true, timeout: 24 * 3600 * 1000 }, async (t) => {
      const started = Date.now()
      const done = await live({ release, seed, cuts, tell: (line) => t.comment(line) })
      // Anything wrong in a boot throws an error.
      t.pass(`nothing was wrong in ${done.boots} boots`)
      t.comment(`${done.boots} boots, ${done.ends} to their end`)
      const seconds = (Date.now() - started) / 1000
      t.comment(timeLine({ way: 'uml', name, boots: done.boots, booting: done.seconds, seconds }))
    })
  }
}
