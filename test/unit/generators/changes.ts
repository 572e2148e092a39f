import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { makeTree, readTree, type Tree, writeTree } from '../../support/tree.js'

const CHANGES = join(STEPS, 'changes')

/**
 * Runs the script on `etc` below a state directory with these files; `mount` is what mount(8) does instead.
 */
function run(t: Test, files: Tree, state = false, mount = 'exit 0') {
  const work = makeTree(t, { 'bin/mount': `#!/bin/sh\necho "$@" >"$WORK/mounted"\n${mount}\n` })
  chmodSync(join(work, 'bin/mount'), 0o755)
  writeTree(join(work, 'var'), { 'lib/other': '', ...files })
  const directory = join(work, 'var/lib/hostext/etc')
  const words = state ? [directory, join(work, 'var'), 'remount,noatime,rw'] : [directory]
  const { status } = spawnSync('sh', ['-c', `umask 022; exec "$0" "$@"`, CHANGES, ...words], {
    env: { PATH: `${join(work, 'bin')}:${process.env.PATH}`, WORK: work },
  })
  const mode = (path: string) => (statSync(join(directory, path)).mode & 0o7777).toString(8)
  const mounted = () => readFileSync(join(work, 'mounted'), 'utf8').replaceAll(work, '')
  return { status, files: readTree(join(work, 'var/lib')), work, directory, mode, mounted }
}

t.test('the first boot makes the directories; nobody else looks at changes to /etc', async (t) => {
  const { status, mode } = run(t, {})
  t.equal(status, 0)
  t.equal(mode('..'), '755')
  t.equal(mode('.'), '700')
  t.equal(mode('upper'), '755', 'it gives /etc its mode')
  t.equal(mode('work'), '755')
})

t.test('what is kept stays, but indexes', async (t) => {
  const kept = {
    'hostext/etc/upper/hostname': 'renamed\n',
    'hostext/etc/upper/ld.so.conf': 'x\n',
    'hostext/etc/upper/udev/rules.d/x.rules': 'x\n',
    other: '',
  }
  const { status, files } = run(t, {
    ...Object.fromEntries(Object.entries(kept).map(([path, text]) => [`lib/${path}`, text])),
    'lib/hostext/etc/upper/ld.so.cache': 'old',
    'lib/hostext/etc/upper/udev/hwdb.bin': 'old',
  })
  t.equal(status, 0)
  t.same(files, kept)
})

t.test('below a state directory: that is made writable first', async (t) => {
  const { status, mode, mounted } = run(t, {}, true, '[ ! -e "$WORK/var/lib/hostext" ]')
  t.equal(status, 0)
  t.equal(mounted(), '-o remount,noatime,rw --target /var\n')
  t.equal(mode('upper'), '755')
  const refused = run(t, {}, true, 'exit 32')
  t.not(refused.status, 0, 'a state that stays read-only fails the unit')
  t.same(refused.files, { other: '' }, 'and nothing is made')
})
