import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const CALLS = '#!/bin/sh\necho "$(basename "$0") $*" >>/run/calls\n'
const SOFT_REBOOT = 'systemctl --no-block --job-mode=replace-irreversibly start soft-reboot.target'

function refused(t: Test, files: Tree, systemctl = '') {
  const tools = { sleep: CALLS, systemctl: `${CALLS}${systemctl}` }
  const { run, ...result } = runPrivately(
    t,
    [join(STEPS, 'refused')],
    { 'hostext/target': '', ...files },
    tools,
  )
  return { ...result, run, calls: (run.calls ?? '').split('\n').filter(Boolean) }
}

t.test('refused', { skip: cannotMount }, async (t) => {
  t.test('a switch that has sent no signal is over', async (t) => {
    const { status, calls } = refused(t, {})
    t.same([status, calls], [0, []])
  })
  t.test('PID 1 has time, then it is asked again', async (t) => {
    const { status, calls } = refused(t, { 'hostext/signalled': '' })
    t.same([status, calls], [0, ['sleep 10', SOFT_REBOOT]])
  })
  t.test('if it does not want to, the plain root is booted', async (t) => {
    const never = '[ "$3" != start ] && [ "$1" != is-failed ]\n'
    const { calls, run, kernelLog } = refused(t, { 'hostext/signalled': '' }, never)
    t.match(kernelLog, 'soft-reboot was refused')
    t.match(run['hostext.decision'], /plain root/)
    t.match(calls.at(-2), 'isolate default.target')
  })
})
