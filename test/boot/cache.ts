import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

/** The cache. It is kept between runs and shared by all checkouts, and may be deleted. */
export const CACHE = process.env.HOSTEXT_TEST_CACHE ?? '/var/cache/hostext-tests'

/**
 * Returns the directory that `make` fills for `recipe`, from the cache if it is there. The directory gets its
 * final name only when it is complete. So an interrupted run leaves nothing that looks complete, and two runs
 * at the same time do not interfere.
 */
export function cached(name: string, recipe: string, make: (directory: string) => void): string {
  const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 12)
  const directory = join(CACHE, `${name}-${hash}`)
  if (touch(directory)) return directory
  const unfinished = `${directory}.${process.pid}`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true })
  try {
    make(unfinished)
    settle(unfinished, directory)
    touch(directory)
    prune(name, directory)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    throw error
  }
  return directory
}

/** Renames the finished directory, unless another run was faster. */
function settle(unfinished: string, directory: string): void {
  try {
    renameSync(unfinished, directory)
  } catch (error) {
    if (!existsSync(directory)) throw error
    rmSync(unfinished, { recursive: true })
  }
}

/**
 * Records the last use in the directory's time stamp, which may still be that of a copied directory. Returns
 * whether the directory exists.
 */
function touch(directory: string): boolean {
  const now = new Date()
  try {
    utimesSync(directory, now, now)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/**
 * Removes the results of earlier recipes for `name`, and unfinished ones, unless another run may still use
 * them.
 */
function prune(name: string, current: string): void {
  const old = Date.now() - 2 * 3600 * 1000
  for (const entry of readdirSync(CACHE)) {
    const directory = join(CACHE, entry)
    const isOurs =
      entry.startsWith(`${name}-`) && /^[0-9a-f]{12}(?:\.\d+)?$/.test(entry.slice(name.length + 1))
    if (!isOurs || directory === current) continue
    // Another run may remove it at the same time.
    const made = statSync(directory, { throwIfNoEntry: false })
    if (made && made.mtimeMs < old) rmSync(directory, { recursive: true, force: true })
  }
}
