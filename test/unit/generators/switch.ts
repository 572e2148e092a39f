import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const CALLS = '#!/bin/sh\necho "$(basename "$0") $*" >>/run/calls\n'
const TOOLS: Tree = {
  mount: CALLS,
  systemctl: `${CALLS}[ "$1" != show ] || echo exit-code\n`,
}
const LAYER = '[Unit]\nDescription=Host extension 100%% wifi (wifi:1)\n'

/** Runs the script with /proc, which is always mounted, for the new root. */
function switchRoot(t: Test, files: Tree, ...mountPoints: string[]) {
  const all = {
    'hostext.decision': '',
    'hostext/layers/normal/run-hostext-0.mount': LAYER,
    'hostext/layers/normal/run-hostext-1.mount': '[Unit]\nDescription=Host extension mounted\n',
    ...files,
  }
  return runPrivately(t, [join(STEPS, 'switch'), 'switch-root', '/proc', ...mountPoints], all, TOOLS)
}

t.test('switch', { skip: cannotMount }, async (t) => {
  t.test(
    'a layer that did not mount is named, with what mount has said of it: readable, and not too long',
    async (t) => {
      const log = `${'mount: /run/hostext/0: \u001b[2J\u009b31m wrong fs type\n'.repeat(500)}mount: /run/hostext/1: other\nmount: /run/hostext/0: ${'x'.repeat(9000)}\n`
      const { status, run, kernelLog } = switchRoot(t, { 'hostext/mount.log': log, 'hostext/missing': '0\n' })
      t.equal(status, 0)
      const line = run['hostext.decision'] as string
      t.match(
        line,
        /^warning: left out: Host extension 100% wifi \(wifi:1\): its layers did not mount \(exit-code\): \?\[2J\?\?31m wrong fs type: /,
      )
      t.notMatch(line, /[^ -~]./)
      t.notMatch(line, /other|mounted/)
      t.ok(line.length < 1000)
      t.notMatch(kernelLog, /[^ -~\n]/)
      t.ok('hostext/incomplete' in run)
    },
  )

  t.test('in the initrd, it does not switch', async (t) => {
    const words = [join(STEPS, 'switch'), 'initrd', '/proc', '/']
    const { status, run } = runPrivately(t, words, { 'hostext/.keep': '' }, TOOLS)
    t.equal(status, 0)
    t.equal(run.calls, 'mount -o remount,ro --target /\n')
    t.ok('hostext/closed' in run)
  })

  t.test('PID 1 gets a signal, unless the name of the signal means another one (musl)', async (t) => {
    /** As a service of PID 1, which ignores the signal in its namespace. `make` makes /lib/ld-musl. */
    const asService = (make: (path: string) => string): Tree => {
      const script = `mkdir /run/lib
for musl in $(ls -d /lib/ld-musl-* || echo x/ld-musl-x.so.1); do ${make(`/run/lib/\${musl##*/}`)}; done
/bin/mount -t overlay overlay -o ro,lowerdir=/run/lib:/lib /lib
unshare --pid --fork sh -c '"$0" soft-reboot /proc; true' "$0"`
      const words = ['sh', '-c', script, join(STEPS, 'switch')]
      return runPrivately(t, words, { 'hostext/.keep': '' }, TOOLS).run
    }
    const signalled = asService((path) => `mknod "${path}" c 0 0`)
    t.ok('hostext/signalled' in signalled)
    t.notMatch(signalled.calls, 'soft-reboot.target')
    const asked = asService((path) => `touch "${path}"`)
    t.notOk('hostext/signalled' in asked)
    t.match(asked.calls, 'systemctl --no-block --job-mode=replace-irreversibly start soft-reboot.target\n')
  })

  t.test('what is closed is remembered, for a fallback to open it', async (t) => {
    t.ok('hostext/closed' in switchRoot(t, {}, '/', '/usr').run)
    t.notOk('hostext/closed' in switchRoot(t, {}, '/usr').run)
    t.notOk('hostext/closed' in switchRoot(t, {}).run, 'a container closes nothing')
  })
})
