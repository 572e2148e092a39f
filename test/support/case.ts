import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { prepare } from '../../src/commands/prepare.js'
import { isTreeName, TREES } from '../../src/image/kept.js'
import { listDirectory } from '../../src/machine/files.js'
import { CASES, DATA_ROOTS } from './paths.js'
import { copyTree, makeTree } from './tree.js'

/** The roots of cases that this process has prepared: that takes longer than a copy. */
const prepared = new Map<string, Promise<string>>()

/**
 * Makes the machine of a case in a directory of its own. A case is a folder in test/cases/: `root/` is the
 * input tree, `engines.json` says which data root of data-roots/ goes where in it, and `expected/` has every
 * file that the generator writes. Its images are prepared, as far as `hostext prepare` does that there.
 * Returns that directory, with `normal`, `early` and `late` in it, and the root.
 */
export async function prepareCase(t: Test, name: string): Promise<{ work: string; root: string }> {
  if (!prepared.has(name)) prepared.set(name, prepareAnew(name))
  const from = (await prepared.get(name)) as string
  const work = makeTree(t)
  execFileSync('cp', ['-a', from, join(work, 'root')])
  for (const directory of ['normal', 'early', 'late']) mkdirSync(join(work, directory))
  return { work, root: join(work, 'root') }
}

const temporary: string[] = []
process.once('exit', () => {
  for (const directory of temporary) rmSync(directory, { recursive: true, force: true })
})

/** Makes the root of a case anew. It is removed at the end of the process. */
export async function prepareAnew(name: string): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'hostext-case-'))
  temporary.push(root)
  copyTree(join(CASES, name, 'root'), root)
  const text = readFileSync(join(CASES, name, 'engines.json'), 'utf8')
  const places = Object.entries(JSON.parse(text) as Record<string, string>)
  for (const [path, dataRoot] of places) copyTree(join(DATA_ROOTS, dataRoot), join(root, path))
  mkdirSync(join(root, 'run'), { recursive: true, mode: 0o755 })
  const { lines } = await prepare({ prefix: root }, {}, false)
  const failed = lines.filter((line) => line.startsWith('not prepared'))
  if (failed.length > 0) throw new Error(failed.join('\n'))
  for (const [path] of places) nameTrees(root, path)
  return root
}

/**
 * The hash in the name of a tree depends on this machine and on the rules of images. In the files of a case
 * the trees of its images have names without it.
 */
const PREPARED = 'prepared'

/** Gives the trees in the records of a case their names. */
function nameTrees(root: string, dataRoot: string): void {
  const names = listDirectory({ prefix: root }, `/${dataRoot}/${TREES}`)
  const own = join(root, dataRoot, 'hostext')
  for (const name of listDirectory({ prefix: own }, '').filter((name) =>
    /^(?:good|previous|trial\.\d+)$/.test(name),
  )) {
    const text = readFileSync(join(own, name), 'utf8').replaceAll(
      new RegExp(`([0-9A-Z]{26})\\.${PREPARED}`, 'g'),
      (placeholder, key) => names.find((tree) => tree.startsWith(`${key}.`)) ?? placeholder,
    )
    writeFileSync(join(own, name), text)
  }
}

/** The text with such names in place of those of the trees of these data roots. */
export function withoutHashes(text: string): string {
  return text.replaceAll(/\b([0-9A-Z]{26})\.[0-9a-f]{8}\b/g, (name, key) =>
    isTreeName(name) && !name.endsWith('.00000000') ? `${key}.${PREPARED}` : name,
  )
}
