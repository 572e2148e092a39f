import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { generate } from '../../src/generator.js'
import { CASES, DATA_ROOTS } from '../support/paths.js'
import { copyTree, makeTree, readTree, type Tree, writeTree } from '../support/tree.js'

/**
 * A case is a folder in test/cases/: `root/` is the input tree, `engines.json` says which data root of
 * data-roots/ stands where in it, `expected/` holds every file the generator writes. `HOSTEXT_UPDATE=1` writes
 * `expected/` anew.
 */
const NORMAL = '/run/systemd/generator'

function prepare(t: Parameters<typeof makeTree>[0], name: string): { work: string; root: string } {
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

function run({ work, root }: { work: string; root: string }): Tree {
  generate({ HOSTEXT_ROOT: root }, join(work, 'normal'), join(work, 'early'), join(work, 'late'))
  const written: Tree = {}
  for (const directory of ['normal', 'early', 'late', 'root/run']) {
    for (const [path, text] of Object.entries(readTree(join(work, directory)))) {
      if (directory === 'root/run' && !path.startsWith('hostext/') && path !== 'hostext.decision') continue
      written[`${directory.replace('root/', '')}/${path}`] = text.replaceAll(join(work, 'normal'), NORMAL)
    }
  }
  return written
}

for (const name of readdirSync(CASES)) {
  t.test(name, async (t) => {
    const written = run(prepare(t, name))
    const expected = join(CASES, name, 'expected')
    if (process.env.HOSTEXT_UPDATE) {
      rmSync(expected, { recursive: true, force: true })
      writeTree(expected, written)
    }
    t.same(written, readTree(expected))
    t.same(run(prepare(t, name)), written, 'the same inputs give the same bytes')
  })
}

t.test('a boot that is decided is left alone', async (t) => {
  const machine = prepare(t, 'soft-reboot')
  writeTree(machine.root, { 'run/hostext.decision': 'plain root: as it was\n' })
  t.same(run(machine), { 'run/hostext.decision': 'plain root: as it was\n' })
})

t.test('the early target is written last', async (t) => {
  const machine = prepare(t, 'soft-reboot')
  writeTree(machine.work, { 'normal/hostext.target': 'in the way\n' })
  t.throws(() => run(machine), /EEXIST/)
  const early = Object.keys(readTree(join(machine.work, 'early')))
  t.same(
    early.filter((path) => path.endsWith('.target')),
    [],
    'so a failure leaves the default target alone',
  )
})

t.test('one directory is enough', async (t) => {
  const { work, root } = prepare(t, 'soft-reboot')
  generate({ HOSTEXT_ROOT: root }, join(work, 'normal'))
  t.match(readTree(join(work, 'normal')), { 'default.target': `-> ${work}/normal/hostext.target` })
})

t.test('the order of directory entries plays no part', async (t) => {
  const one = prepare(t, 'labels')
  const other = prepare(t, 'labels')
  const containers = join(other.root, 'var/lib/docker/containers')
  for (const id of readdirSync(containers).reverse()) {
    cpSync(join(containers, id), join(containers, `${id}.copy`), { recursive: true })
    rmSync(join(containers, id), { recursive: true })
    cpSync(join(containers, `${id}.copy`), join(containers, id), { recursive: true })
    rmSync(join(containers, `${id}.copy`), { recursive: true })
  }
  t.same(run(other), run(one))
})
