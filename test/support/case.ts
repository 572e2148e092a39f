import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { prepare } from '../../src/commands/prepare.js'
import { isTreeName, TREES } from '../../src/image/kept.js'
import { listDirectory } from '../../src/machine/files.js'
import { readMachine } from '../../src/machine/machine.js'
import { GOOD_NAMES } from '../../src/stack/facts.js'
import { TRIAL } from '../../src/trial/records.js'
import { CASES, DATA_ROOTS } from './paths.js'
import { copyTree, makeTree, walk } from './tree.js'

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
  for (const [path, dataRoot] of places) {
    copyTree(join(DATA_ROOTS, dataRoot), join(root, path))
    // As Podman creates it.
    const store = join(root, path, 'overlay')
    if (existsSync(store)) chmodSync(store, 0o700)
  }
  mkdirSync(join(root, 'run'), { recursive: true, mode: 0o755 })
  for (const { path, entry } of walk(root))
    if (entry.isDirectory() && /^(?:usr|s?bin|lib)(?:\/|$)/.test(path))
      utimesSync(join(root, path), UNPACKED, UNPACKED)
  const { lines } = await prepare({ prefix: root }, {}, false)
  const failed = lines.filter((line) => line.startsWith('not prepared'))
  if (failed.length > 0) throw new Error(failed.join('\n'))
  for (const [path] of places) completeRecords(root, path)
  return root
}

/**
 * The hash in the name of a tree depends on this machine and on the rules of images. In the files of a case
 * the trees of its images have names without it.
 */
const PREPARED = 'prepared'

/** When the directories of /usr were last changed: seconds. */
const UNPACKED = 1.7e9

/**
 * Completes the records of a case: gives the trees their names, and a base what it has in common with this
 * machine's. A record without a base is one of an earlier version.
 */
function completeRecords(root: string, dataRoot: string): void {
  const names = listDirectory({ prefix: root }, `/${dataRoot}/${TREES}`)
  const own = join(root, dataRoot, 'hostext')
  for (const name of listDirectory({ prefix: own }, '')) {
    if (!TRIAL.test(name) && !(GOOD_NAMES as readonly string[]).includes(name)) continue
    const text = readFileSync(join(own, name), 'utf8')
      .replaceAll(
        new RegExp(`([0-9A-Z]{26})\\.${PREPARED}`, 'g'),
        (placeholder, key) => names.find((tree) => tree.startsWith(`${key}.`)) ?? placeholder,
      )
      .replace(/"base":(\{.*?\})/, (_, differs) => {
        const { identity } = readMachine({ prefix: root }, {})
        return `"base":${JSON.stringify({ ...identity, ...JSON.parse(differs) })}`
      })
    writeFileSync(join(own, name), text)
  }
}

/** The text with such names in place of those of the trees of these data roots. */
export function withoutHashes(text: string): string {
  return text.replaceAll(/\b([0-9A-Z]{26})\.[0-9a-f]{8}\b/g, (name, key) =>
    isTreeName(name) && !name.endsWith('.00000000') ? `${key}.${PREPARED}` : name,
  )
}
