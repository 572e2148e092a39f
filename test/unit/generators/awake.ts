import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount } from '../../support/private.js'

/** PID 1 of a namespace of its own: starts the step, which never ends, and waits for a signal. */
const INIT = '$SIG{CHLD} = sub { print "woken\\n"; exit }; fork or exec $ARGV[0]; sleep 20; print "slept\\n"'

t.test('PID 1 is woken', { skip: cannotMount }, async (t) => {
  const words = ['--pid', '--fork', '--kill-child', 'perl', '-e', INIT, join(STEPS, 'awake')]
  const { stdout } = spawnSync('unshare', words, { encoding: 'utf8' })
  t.equal(stdout, 'woken\n')
})
