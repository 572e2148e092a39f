import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.js'

const SOURCE = join(import.meta.dirname, 'unflushed.c')

/** The size of a block that is written as a whole: file systems never write less. */
const BLOCK = 4096
/** What unflushed.c writes for a block: its offset, and what it contained before a write. */
const ENTRY = 8 + BLOCK

const oldContents = (disk: string): string => `${disk}.unflushed`

/** How many writes of blocks were kept and lost that were not flushed. */
export type Unflushed = { kept: number; lost: number }

/** The library that user-mode Linux needs for {@link watchFlushes}. */
export function flushWatcher(): string {
  const directory = cached('unflushed', readFileSync(SOURCE, 'utf8'), (made) => {
    const words = ['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC']
    execFileSync('gcc', [...words, '-o', join(made, 'unflushed.so'), SOURCE], { stdio: 'inherit' })
  })
  return join(directory, 'unflushed.so')
}

/** Before a boot that will be cut: lets the machine record what its writes to the file `disk` replace. */
export function watchFlushes(disk: string): void {
  writeFileSync(oldContents(disk), '')
}

/**
 * After a cut: turns the file `disk` into what a drive with a volatile cache would have left. Everything that
 * was flushed is there. Of the other writes any may be missing, block by block: those for which `random` is
 * not below a half. Counts them in `rest`.
 */
export function loseUnflushed(disk: string, random: () => number, rest: Unflushed): void {
  const entries = readFileSync(oldContents(disk))
  const to = openSync(disk, 'r+')
  try {
    // Backwards: what a block contains is decided by the last write that is kept. The last entry may be
    // incomplete; its block was not yet written.
    const decided = new Set<bigint>()
    for (let entry = Math.floor(entries.length / ENTRY) - 1; entry >= 0; entry--) {
      const offset = entries.readBigUInt64LE(entry * ENTRY)
      if (decided.has(offset)) continue
      const isKept = random() < 0.5
      rest[isKept ? 'kept' : 'lost']++
      if (isKept) decided.add(offset)
      else writeSync(to, entries, entry * ENTRY + 8, BLOCK, Number(offset))
    }
  } finally {
    closeSync(to)
  }
}

/** After a boot: removes what {@link watchFlushes} has created. */
export function unwatch(disk: string): void {
  rmSync(oldContents(disk))
}
