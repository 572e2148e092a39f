import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { generate, writeFiles } from '../../src/generator.js'
import { prepareCase, withoutHashes } from '../support/case.js'
import { CASES } from '../support/paths.js'
import { makeTree, readTree, type Tree, writeTree } from '../support/tree.js'

/** Every case gets the units in its `expected/`; `HOSTEXT_UPDATE=1` writes that anew. */
const NORMAL = '/run/systemd/generator'

function run({ work, root }: { work: string; root: string }): Tree {
  generate({ HOSTEXT_ROOT: root }, join(work, 'normal'), join(work, 'early'), join(work, 'late'))
  const written: Tree = {}
  for (const directory of ['normal', 'early', 'late', 'root/run']) {
    for (const [path, text] of Object.entries(readTree(join(work, directory)))) {
      if (directory === 'root/run' && !path.startsWith('hostext/') && path !== 'hostext.decision') continue
      // Paths by the hundred: test/unit/generators/known.ts.
      if (path === 'hostext/seen' || path === 'hostext/paths') continue
      const shown = withoutHashes(text.replaceAll(join(work, 'normal'), NORMAL))
      written[`${directory.replace('root/', '')}/${path}`] = shown
    }
  }
  return written
}

/** Where the lists of the first pass mount extensions: mount(8) makes no directories. */
const pointsIn = (written: Tree): string[] =>
  ['layers', 'last'].flatMap((name) =>
    [...(written[`run/hostext/${name}.fstab`] ?? '').matchAll(/^\S+ (\S+)/gm)].map(([, point = '']) => point),
  )

for (const name of readdirSync(CASES)) {
  t.test(name, async (t) => {
    const machine = await prepareCase(t, name)
    const { root } = machine
    const written = run(machine)
    const expected = join(CASES, name, 'expected')
    if (process.env.HOSTEXT_UPDATE) {
      rmSync(expected, { recursive: true, force: true })
      writeTree(expected, written)
    }
    t.same(written, readTree(expected))
    for (const point of pointsIn(written)) t.ok(statSync(join(root, point)).isDirectory(), point)
    t.same(run(await prepareCase(t, name)), written, 'the same inputs give the same bytes')
  })
}

t.test('a boot that is decided is left alone', async (t) => {
  const machine = await prepareCase(t, 'soft-reboot')
  writeTree(machine.root, { 'run/hostext.decision': 'plain root: as it was\n' })
  t.same(run(machine), { 'run/hostext.decision': 'plain root: as it was\n' })
})

t.test('nobody but root gets to an upper layer past its overlay', async (t) => {
  for (const [name, directories] of [
    ['indexes', ['index', 'index.work', 'merged']],
    ['etc-volatile', ['etc']],
  ] as const) {
    const machine = await prepareCase(t, name)
    run(machine)
    const mode = (path: string) => statSync(join(machine.root, 'run/hostext', path)).mode & 0o777
    for (const directory of directories) t.equal(mode(directory), 0o700, directory)
    for (const layer of directories.includes('index' as never) ? ['index/root'] : ['etc/upper'])
      t.equal(mode(layer), 0o755, `${layer} is a top directory of the root`)
  }
})

t.test('the early target is written last', async (t) => {
  const machine = await prepareCase(t, 'soft-reboot')
  writeTree(machine.work, { 'normal/hostext.target': 'in the way\n' })
  t.throws(() => run(machine), /EEXIST/)
  const early = Object.keys(readTree(join(machine.work, 'early')))
  t.same(
    early.filter((path) => path.endsWith('.target')),
    [],
    'so a failure leaves the default target alone',
  )
})

t.test('a unit that a plan makes twice is written once, and does not end the boot', async (t) => {
  const normal = makeTree(t)
  const files = ['one\n', 'other\n'].map((text) => ({ path: 'normal/var.mount', text }))
  writeFiles([...files, { path: 'normal/b', link: 'c' }, { path: 'normal/b', link: 'd' }], {
    ...{ normal, early: normal, late: normal },
  })
  t.same(readTree(normal), { 'var.mount': 'one\n', b: '-> c' })
})

t.test('one directory is enough', async (t) => {
  const { work, root } = await prepareCase(t, 'soft-reboot')
  generate({ HOSTEXT_ROOT: root }, join(work, 'normal'))
  t.match(readTree(join(work, 'normal')), { 'default.target': `-> ${work}/normal/hostext.target` })
})

t.test('the order of directory entries plays no part', async (t) => {
  const one = await prepareCase(t, 'labels')
  const other = await prepareCase(t, 'labels')
  const containers = join(other.root, 'var/lib/docker/containers')
  for (const id of readdirSync(containers).reverse()) {
    cpSync(join(containers, id), join(containers, `${id}.copy`), { recursive: true })
    rmSync(join(containers, id), { recursive: true })
    cpSync(join(containers, `${id}.copy`), join(containers, id), { recursive: true })
    rmSync(join(containers, `${id}.copy`), { recursive: true })
  }
  t.same(run(other), run(one))
})

t.test('a target that another generator has taken stays its own', async (t) => {
  const machine = await prepareCase(t, 'soft-reboot')
  const taken = { 'early/default.target': '-> /usr/lib/systemd/system/other.target' }
  writeTree(machine.work, taken)
  const written = run(machine)
  const line = 'plain root: another generator boots into other.target in the place of default.target\n'
  t.ok(written['run/hostext.decision']?.endsWith(line))
  t.same(
    Object.keys(written).filter((path) => !path.startsWith('run/')),
    ['early/default.target'],
  )
})

t.test('systemd itself may mask the same unit', async (t) => {
  const machine = await prepareCase(t, 'soft-reboot')
  writeTree(machine.root, { 'etc/systemd/system/default.target.wants/a.service': '-> ../a.service' })
  const mask = { 'early/default.target.wants/a.service': '-> /dev/null' }
  writeTree(machine.work, mask)
  t.match(run(machine), { ...mask, 'early/default.target': `-> ${NORMAL}/hostext.target` })
})
