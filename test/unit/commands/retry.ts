import { chmodSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { retry } from '../../../src/commands/retry.js'
import { makeTree, readTree } from '../../support/tree.js'

t.test('retry forgets what did not boot well, and nothing else', async (t) => {
  const files = {
    'var/lib/docker/hostext/good': 'x',
    'var/lib/docker/hostext/reduced': 'x',
    'mnt/data/docker/hostext/previous': 'x',
  }
  const tried = {
    'var/lib/docker/hostext/trial.2': 'x',
    'var/lib/docker/hostext/back.1': 'x',
    'var/lib/docker/hostext/reduced.1': 'x',
    'mnt/data/docker/hostext/trial.1': 'x',
  }
  const root = { prefix: makeTree(t, { ...files, ...tried }) }
  t.same(retry(root), [
    'forgotten: /mnt/data/docker/hostext/trial.1',
    'forgotten: /var/lib/docker/hostext/back.1',
    'forgotten: /var/lib/docker/hostext/reduced.1',
    'forgotten: /var/lib/docker/hostext/trial.2',
    'the next boot tries the stack again',
  ])
  t.same(readTree(root.prefix), files)
  t.same(retry(root), ['nothing forgotten: no trial was found'])
})

t.test('retry removes nothing where others than root could have put a link', async (t) => {
  const trial = 'elsewhere/trial.1'
  for (const [what, damage, why] of [
    [
      'records that are elsewhere',
      (data: string) => symlinkSync('../../../elsewhere', join(data, 'hostext')),
      'left alone: /var/lib/docker: /var/lib/docker/hostext: not a directory but a symbolic link',
    ],
    [
      'a data root that everybody writes to',
      (data: string) => {
        symlinkSync('../../../elsewhere', join(data, 'hostext'))
        chmodSync(data, 0o777)
      },
      'left alone: /var/lib/docker: /var/lib/docker can be written by users other than root (mode 0777)',
    ],
  ] as const) {
    const root = { prefix: makeTree(t, { [trial]: 'x', 'var/lib/docker/x': '' }) }
    damage(join(root.prefix, 'var/lib/docker'))
    t.same(retry(root), [why, 'nothing forgotten: no trial was found'], what)
    t.equal(readTree(root.prefix)[trial], 'x', what)
  }
})
