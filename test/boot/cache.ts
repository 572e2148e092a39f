import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

/** Kept between runs and shared by all checkouts; safe to delete. */
export const CACHE = process.env.HOSTEXT_TEST_CACHE ?? '/var/cache/hostext-tests'

/**
 * Returns the directory with what `make` makes for `recipe`, from the cache if it is there. `make` fills a
 * directory that only gets its name when it is complete, so a run that is cut short leaves nothing behind
 * that looks whole, and two runs at once do not meet.
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

/** Gives what was made its name, unless another run was faster. */
function settle(unfinished: string, directory: string): void {
  try {
    renameSync(unfinished, directory)
  } catch (error) {
    if (!existsSync(directory)) throw error
    rmSync(unfinished, { recursive: true })
  }
}

/**
 * Says when it was used last, in the time of the directory: what made it may have left that of a copied one. Returns
 * whether it is there.
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

/** Removes what earlier recipes of `name` made, and what a run did not finish, unless another may still be using it. */
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
