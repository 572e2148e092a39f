import { join } from 'node:path'
import t from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'

const CALLS = '#!/bin/sh\necho "$(basename "$0") $*" >>/run/calls\n'

t.test('only what is not there is given up, when all devices are known', { skip: cannotMount }, async (t) => {
  const words = [
    '60',
    'mnt-data.mount',
    '/run/missing',
    'srv.mount',
    '/run/there',
    'x\\x20y.mount',
    '/run/a b',
  ]
  const { status, run } = runPrivately(
    t,
    [join(STEPS, 'settle'), ...words],
    { there: '' },
    { udevadm: CALLS, systemctl: CALLS },
  )
  t.equal(status, 0)
  t.same(
    run.calls,
    [
      'udevadm settle --timeout=60',
      'systemctl --no-block stop mnt-data.mount',
      'systemctl --no-block stop x\\x20y.mount',
      '',
    ].join('\n'),
  )
})
