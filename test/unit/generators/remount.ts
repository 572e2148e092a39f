import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'

function remount(t: Test, mount: string, ...words: string[]) {
  const tools = { mount: `#!/bin/sh\necho "$*" >>/run/calls\n${mount}\n` }
  const { status, run } = runPrivately(t, [join(STEPS, 'remount'), ...words], { 'hostext/target': '' }, tools)
  return { status, calls: (run.calls ?? '').split('\n').filter(Boolean) }
}

t.test('remount', { skip: cannotMount }, async (t) => {
  t.test('the state gets the options, the others what fstab says', async (t) => {
    const { status, calls } = remount(t, '', 'remount,noatime,rw', '/var', '/my data', '--', '/proc')
    t.equal(status, 0)
    t.same(calls, [
      '-o remount,noatime,rw --target /var',
      '-o remount,noatime,rw --target /my data',
      '-o remount --target /proc',
    ])
  })
  t.test('one that fails does not keep the others back, and is told', async (t) => {
    const { status, calls } = remount(
      t,
      'case "$*" in *var) exit 32 ;; esac',
      'remount',
      '/var',
      '/srv',
      '--',
    )
    t.equal(status, 32)
    t.equal(calls.length, 2)
  })
})
