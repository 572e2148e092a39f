import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

/** The units of layers fail, as mount(8) has. */
const TOOLS: Tree = { systemctl: '#!/bin/sh\necho "$@" >>/run/calls\nexit 1\n' }

const layer = (number: number) =>
  `hostext-${number} /run/hostext/${number} overlay ro,lowerdir=empty:trees/${number} 0 0\n`
const LISTS: Tree = {
  ...Object.fromEntries([0, 1, 2].map((number) => [`hostext/${number}/.keep`, ''])),
  ...Object.fromEntries([0, 1, 2].map((number) => [`trees/${number}/from-${number}`, `${number}\n`])),
  'hostext/trees': '-> /run/trees',
  'hostext/empty/.keep': '',
  'hostext/layers.fstab': layer(0) + layer(1),
  'hostext/last.fstab': layer(2),
  'hostext/root.fstab':
    'hostext /run/nextroot overlay X-mount.mkdir,ro,lowerdir=0:1:2:base 0 0\n/run/state /run/nextroot/var none bind 0 0\n',
  'hostext/base/var/.keep': '',
  'hostext/base/etc/file': 'base\n',
  'state/here': 'state\n',
}

/** What the command that the script becomes can see. */
const LOOK = 'ls -R /run/nextroot >/run/seen; cat /run/nextroot/etc/file >>/run/seen'

function stack(t: Test, words: string[], files: Tree = {}) {
  return runPrivately(t, [join(STEPS, 'stack'), ...words], { ...LISTS, ...files }, TOOLS)
}
/** The command ends what keeps PID 1 awake, as the switch does. */
const becomes = (script: string) => ['/bin/sh', '-c', `kill "$AWAKE"; ${script}`]
const ALL = ['all', '-', '-', '-']

t.test('stack', { skip: cannotMount }, async (t) => {
  t.test('mounts the layers and the root, then becomes the command', async (t) => {
    const { status, run } = stack(t, [...ALL, ...becomes(LOOK)])
    t.equal(status, 0)
    for (const name of ['from-0', 'from-1', 'from-2', 'here', 'base']) t.match(run.seen, name)
    t.notOk('hostext/missing' in run)
    t.notOk('calls' in run, 'no unit is started')
  })

  t.test('mounts nothing if the check of the root has failed', async (t) => {
    for (const [isFailed, status] of [
      [0, 1],
      [1, 0],
    ]) {
      const systemctl = `#!/bin/sh\n[ "$*" = 'is-failed --quiet check.service' ] || exit 9\nexit ${isFailed}\n`
      const words = ['env', 'CHECKED=check.service', join(STEPS, 'stack'), ...ALL, ...becomes(LOOK)]
      const result = runPrivately(t, words, LISTS, { systemctl })
      t.equal(result.status, status)
      t.equal('seen' in result.run, status === 0)
    }
  })

  t.test('keeps PID 1 awake until the command ends that', async (t) => {
    const alive = ['/bin/sh', '-c', 'kill "$AWAKE" && echo alive >/run/seen']
    t.equal(stack(t, [...ALL, ...alive]).run.seen, 'alive\n')
    const { status, run } = stack(t, ALL)
    t.equal(status, 0)
    t.notOk('seen' in run, 'a service of its own does not: there is another one')
  })

  t.test('a layer that does not mount is missing, and its unit is started', async (t) => {
    const broken = { 'hostext/layers.fstab': layer(0).replace('trees/0', 'nowhere') + layer(1) }
    const { status, run, stderr } = stack(t, [...ALL, ...becomes(LOOK)], broken)
    t.equal(status, 0)
    t.equal(run['hostext/missing'], '0\n')
    t.equal(run.calls, 'start run-hostext-0.mount\n')
    t.match(stderr, 'mount: /run/hostext/0:')
    t.notMatch(run.seen, 'from-0')
    t.match(run.seen, 'from-1')
    t.match(run.seen, 'from-2')
  })

  t.test('a layer that does not mount in a chroot, where systemctl says that all is well', async (t) => {
    const broken = { 'hostext/layers.fstab': layer(0).replace('trees/0', 'nowhere') + layer(1) }
    const words = [join(STEPS, 'stack'), ...ALL, ...becomes(LOOK)]
    const { run } = runPrivately(t, words, { ...LISTS, ...broken }, { systemctl: '#!/bin/sh\nexit 0\n' })
    t.equal(run['hostext/missing'], '0\n')
  })

  t.test('without the root, or a part of it, there is no command', async (t) => {
    const root = LISTS['hostext/root.fstab'] as string
    for (const text of [root.replace('base', 'nowhere'), root.replace('/run/state', '/run/nowhere')]) {
      const { status, run } = stack(t, [...ALL, ...becomes(LOOK)], { 'hostext/root.fstab': text })
      t.not(status, 0)
      t.notOk('seen' in run)
    }
  })

  t.test('the root after the layers, and the layers again', async (t) => {
    const words = (what: string) => [join(STEPS, 'stack'), what, '-', '-', '-']
    const script = '"$1" layers && "$1" root - - - && ls /run/nextroot >/run/seen'
    const { run } = runPrivately(t, ['sh', '-c', script, 'sh', words('')[0] as string], LISTS, TOOLS)
    t.match(run.seen, 'from-2')
    const again = '"$1" again && ls /run/hostext/[0-9] >/run/seen'
    const second = runPrivately(t, ['sh', '-c', again, 'sh', words('')[0] as string], LISTS, TOOLS)
    t.match(second.run.seen, 'from-1')
    t.notMatch(second.run.seen, 'from-2', 'the last one has a unit')
  })

  t.test('/etc is mounted when its directories are there', async (t) => {
    const etc = {
      'hostext/etc.fstab':
        'hostext-etc /run/nextroot/etc overlay rw,lowerdir=base/etc,upperdir=/run/state/etc/upper,workdir=/run/state/etc/work 0 0\n',
    }
    const words = ['all', '/run/state/etc', '-', '-']
    const { status, run } = stack(t, [...words, ...becomes('echo x >/run/nextroot/etc/file')], etc)
    t.equal(status, 0)
    t.equal(run['state/etc/upper/file'], 'x\n')
    const { status: failed } = stack(t, [...ALL.slice(0, 1), '/proc/none', '-', '-', ...becomes(LOOK)], etc)
    t.not(failed, 0)
  })
})
