import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/**
 * A short hash of the files in a directory and of others, their names and contents.
 * @param {string} directory
 * @param {string[]} others
 */
export function hashOf(directory, ...others) {
  const hash = createHash('sha256')
  const paths = readdirSync(directory)
    .sort()
    .map((name) => join(directory, name))
  for (const path of [...paths, ...others])
    hash
      .update(`${basename(path)}\0`)
      .update(readFileSync(path))
      .update('\0')
  return hash.digest('hex').slice(0, 12)
}
