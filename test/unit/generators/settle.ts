import { join } from 'node:path'
import t from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'

const CALLS = `#!/bin/sh
echo "$(basename "$0") $*" >>/run/calls
[ "$*" != 'show -P Job missing.device' ] || echo 7
`

t.test('only what is not there is given up, when all devices are known', { skip: cannotMount }, async (t) => {
  const words = [
    '60',
    'mnt-data.mount',
    '/run/missing',
    'missing.device',
    'srv.mount',
    '/run/there',
    'there.device',
    'x\\x20y.mount',
    '/run/a b',
    'a.device',
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
      'systemctl show -P Job missing.device',
      'systemctl cancel 7',
      'systemctl --no-block stop x\\x20y.mount',
      'systemctl show -P Job a.device',
      '',
    ].join('\n'),
  )
})

t.test('not in a boot that goes on without us', { skip: cannotMount }, async (t) => {
  const words = [join(STEPS, 'settle'), '60', 'mnt-data.mount', '/run/missing', 'missing.device']
  const { status, run } = runPrivately(
    t,
    words,
    { 'hostext/fallback': '' },
    { udevadm: CALLS, systemctl: CALLS },
  )
  t.equal(status, 0)
  t.equal(run.calls, 'udevadm settle --timeout=60\n')
})
