import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { CASES, DATA_ROOTS } from './paths.js'
import { copyTree, makeTree } from './tree.js'

/**
 * Makes the machine of a case in a directory of its own. A case is a folder in test/cases/: `root/` is the
 * input tree, `engines.json` says which data root of data-roots/ goes where in it, and `expected/` has every
 * file that the generator writes. Returns that directory, with `normal`, `early` and `late` in it, and the
 * root.
 */
export function prepareCase(t: Test, name: string): { work: string; root: string } {
  const work = makeTree(t)
  const root = join(work, 'root')
  copyTree(join(CASES, name, 'root'), root)
  const engines = JSON.parse(readFileSync(join(CASES, name, 'engines.json'), 'utf8')) as Record<
    string,
    string
  >
  for (const [path, dataRoot] of Object.entries(engines)) {
    copyTree(join(DATA_ROOTS, dataRoot), join(root, path))
  }
  for (const directory of ['normal', 'early', 'late', 'root/run']) {
    mkdirSync(join(work, directory), { recursive: true, mode: 0o755 })
  }
  return { work, root }
}
