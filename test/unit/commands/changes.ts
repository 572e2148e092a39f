import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { describeChange, readChanges } from '../../../src/commands/changes.js'
import { makeTree } from '../../support/tree.js'

const UPPER = 'var/lib/hostext/etc/upper'

t.test('nothing is kept', async (t) => {
  t.same(readChanges({ prefix: makeTree(t, { 'etc/fstab': '' }) }), [])
})

t.test('what was written, with what it hides', async (t) => {
  const prefix = makeTree(t, {
    [`${UPPER}/b`]: 'x',
    [`${UPPER}/a/c`]: 'x',
    'run/hostext/0/etc/b': 'x',
    'run/hostext/10/etc/b': 'x',
    'run/hostext/2/etc/b': 'x',
    'run/hostext/layers/etc/b': 'no layer',
    'run/hostext/1/etc/other': 'x',
  })
  const changes = readChanges({ prefix })
  t.same(changes, [
    { kind: 'written', path: '/etc/a/c', hides: [] },
    {
      kind: 'written',
      path: '/etc/b',
      hides: ['run-hostext-0.mount', 'run-hostext-2.mount', 'run-hostext-10.mount'],
    },
  ])
  const extensions = [
    { unit: 'run-hostext-0.mount', name: 'wifi' },
    { unit: 'run-hostext-2.mount', name: 'g\npu' },
  ]
  t.same(
    changes.map((each) => describeChange(each, extensions)),
    ['written  /etc/a/c', 'written  /etc/b  (hides the one of wifi, g\\x0apu, run-hostext-10.mount)'],
  )
})

t.test('what was deleted', { skip: process.getuid?.() === 0 ? false : 'mknod needs root' }, async (t) => {
  const prefix = makeTree(t, { [`${UPPER}/kept`]: 'x' })
  execFileSync('mknod', [join(prefix, UPPER, 'gone'), 'c', '0', '0'])
  execFileSync('mknod', [join(prefix, UPPER, 'null'), 'c', '1', '3'])
  t.same(
    readChanges({ prefix }).map(({ kind, path }) => [kind, path]),
    [
      ['deleted', '/etc/gone'],
      ['written', '/etc/kept'],
      ['written', '/etc/null'],
    ],
  )
})

t.test('a hostile name stays on its line', async (t) => {
  const prefix = makeTree(t, { [`${UPPER}/a\nb`]: 'x' })
  const lines = readChanges({ prefix }).map((each) => describeChange(each))
  t.same(lines, ['written  /etc/a\\x0ab'])
})
