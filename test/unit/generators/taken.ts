import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const run = (t: Test, files: Tree) =>
  runPrivately(
    t,
    [join(STEPS, 'taken'), 'default.target'],
    {
      'hostext.decision': 'stacking\n',
      'hostext/target': 'default.target\n',
      'systemd/generator.early/default.target': '-> /usr/lib/systemd/system/other.target',
      ...files,
    },
    { systemctl: '#!/bin/sh\necho "$@" >>/run/calls\n' },
  )

t.test('who has taken the target is named', { skip: cannotMount }, async (t) => {
  const { status, run: after, kernelLog } = run(t, {})
  t.equal(status, 0)
  const line =
    'another generator boots into other.target in the place of default.target: plain root, extensions are left out\n'
  t.equal(after['hostext.decision'], `stacking\nerror: ${line}`)
  t.equal(kernelLog, `<3>hostext: ${line}`)
  t.ok('hostext/fallback' in after)
  t.equal(after.calls, '--no-block stop hostext-watch.service\n')
})

t.test('not where the first pass has run', { skip: cannotMount }, async (t) => {
  const { status, run: after, kernelLog } = run(t, { 'hostext/attempted/x': '' })
  t.equal(status, 0)
  t.equal(after['hostext.decision'], 'stacking\n')
  t.equal(kernelLog, '')
})
