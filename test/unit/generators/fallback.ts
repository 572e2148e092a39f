import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GENERATORS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

const CALLS = '#!/bin/sh\necho "$(basename "$0") $*" >>/run/calls\n'

/** Runs the script on a machine with this kernel command line, with tools that only say how they were called. */
function fallback(t: Test, files: Tree, commandLine = 'quiet rw panic=1') {
  const script = 'echo "$1" >/run/cmdline && mount --bind /run/cmdline /proc/cmdline && exec "$0"'
  const command = ['sh', '-c', script, join(GENERATORS, 'fallback'), commandLine]
  const all = { 'hostext/target': 'multi-user.target\n', 'hostext.decision': '', ...files }
  const tools = { systemctl: CALLS, umount: CALLS, mount: `${CALLS}[ "$1" = -o ] || exec /bin/mount "$@"\n` }
  const result = runPrivately(t, command, all, tools)
  return { ...result, calls: (result.run.calls ?? '').split('\n').filter((line) => !/--bind/.test(line)) }
}

t.test('fallback', { skip: cannotMount }, async (t) => {
  t.test(
    'what mount has said goes to the kernel log: readable, and no more than anybody reads',
    async (t) => {
      const log = `\u001b[2Jmount: \u009b31m /run/hostext/0\n${'x'.repeat(5000)}\n${'more\n'.repeat(1000)}`
      const { status, kernelLog, run, calls } = fallback(t, { 'hostext/mount.log': log })
      t.equal(status, 0)
      t.match(kernelLog, /^[\n -~]*$/)
      t.match(kernelLog, /^<3>hostext: \?\[2Jmount: \?\?31m \/run\/hostext\/0\n/)
      const lines = kernelLog.trimEnd().split('\n')
      t.equal(lines.length, 51)
      t.ok(Math.max(...lines.map((line) => line.length)) < 520)
      const last = 'stacking failed or took too long: plain root, extensions are left out'
      t.equal(lines.at(-1), `<3>hostext: ${last}`)
      t.equal(run['hostext.decision'], `error: ${last}\n`)
      t.match(calls.join('\n'), 'systemctl --no-block isolate multi-user.target')
    },
  )

  t.test('the root is opened again if the switch has closed it, and no other', async (t) => {
    const remount = 'mount -o remount,rw --target /'
    t.ok(fallback(t, { 'hostext/closed': '' }).calls.includes(remount))
    t.notOk(fallback(t, { 'hostext/closed': '' }, 'quiet ro').calls.includes(remount), 'fstab opens it')
    t.notOk(fallback(t, {}).calls.includes(remount), 'a container has the command line of its host')
  })
})
