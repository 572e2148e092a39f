import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from '../support/paths.js'

/** What is installed, and what packages are made of. */
export const SOURCES = [
  ...['build.mjs', 'package.json', 'dist', 'generators', 'docs', 'packaging'],
  ...['README.md', 'CHANGELOG.md', 'LICENSE'],
]

/**
 * A hash of the files that hostext is installed from: paths in the checkout and contents. With a mode or a
 * time it would be another one in each checkout.
 */
export function hashOfSources(): string {
  const hash = createHash('sha256')
  for (const path of SOURCES) {
    const full = join(PROJECT, path)
    const names = statSync(full).isDirectory()
      ? readdirSync(full, { recursive: true, encoding: 'utf8' })
      : ['']
    for (const file of names.sort().map((name) => join(full, name)))
      if (statSync(file).isFile()) hash.update(file.slice(PROJECT.length)).update(readFileSync(file))
  }
  return hash.digest('hex')
}
