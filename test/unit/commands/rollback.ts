import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { answer } from '../../../src/commands/command.js'
import { showRollback } from '../../../src/commands/rollback.js'
import { recordOn, recordStack, stackText } from '../../../src/stack/record.js'
import { copyDataRoot } from '../../support/data-root.js'
import { makeExtension, makeIdentity } from '../../support/plan.js'
import { runningCase } from '../../support/running.js'
import { makeTree, writeTree } from '../../support/tree.js'

t.test('what is recorded', async (t) => {
  const { root, data } = copyDataRoot(t)
  writeTree(root.prefix, { 'etc/fstab': '/dev/vda / ext4 rw\n' })
  t.same(showRollback(root, {}, false).lines, ['rollback: on: records are in /var/lib/docker/hostext'])
  mkdirSync(join(data, 'hostext'))
  const text = (name: string) => stackText(recordStack([makeExtension(name)]))
  const base = makeIdentity({ system: 'debian 12' })
  writeFileSync(join(data, 'hostext/good'), stackText(recordOn(base, [makeExtension('wifi')])))
  writeFileSync(join(data, 'hostext/trial.2'), text('g\npu'))
  t.same(showRollback(root, {}, false).lines.slice(1), [
    'good: wifi (image:1); with kernel 6.1.0-1, debian 12, hostext 1.2.3',
    'tried 2 of 2: g\\x0apu (image:1); with an earlier version of hostext',
  ])
})

t.test('the stack is given up in a boot without it, which is there to do that', async (t) => {
  for (const words of ['balena.nohostext', 'systemd.unit=rescue.target', 'hostext.skip=one-layer']) {
    const { call } = await runningCase(t, 'known-good', words)
    const { root, environment } = call()
    const { lines } = showRollback(root, environment, true)
    t.match(lines[0], /^given up: override .*many-layers .*one-layer .*additive /, words)
    t.match(lines[1], /^the next boot stays on the plain root/)
  }
})

t.test('the stack is given up on the machine that runs it', async (t) => {
  const { root, call } = await runningCase(t, 'known-good')
  // What is stacked over the root is not shown: the base root is all that counts here.
  mkdirSync(join(root, 'usr/lib/hostext'), { recursive: true })
  symlinkSync('../../..', join(root, 'usr/lib/hostext/base'))
  const mounts = readFileSync(join(root, 'proc/self/mountinfo'), 'utf8')
  const [base = ''] = mounts.split('\n')
  writeFileSync(
    join(root, 'proc/self/mountinfo'),
    `30 1 0:40 / / ro - overlay hostext ro,lowerdir=0:/
${base.replace('/ / ro', '/ /usr/lib/hostext/base ro')}
31 30 254:1 /var /var rw - ext4 /dev/vda1 rw
${mounts.split('\n').slice(1).join('\n')}`,
  )
  const { output } = await answer(['rollback', '--now'], call().environment)
  t.match(output, /^given up: override .*\nthe next boot stays on the plain root/)
})

t.test('other generators have run when a command asks', async (t) => {
  const { root: prefix, call } = await runningCase(t, 'known-good')
  writeTree(prefix, { 'usr/lib/systemd/system-generators/zram-generator': 'dev-zram0.swap, x.mount' })
  const { root, environment } = call()
  t.match((await answer(['plan'], environment)).output, /many-layers/)
  t.match(showRollback(root, environment, true).lines[0], /^given up: override /)
})

t.test('records are where the extensions are, whatever another engine has', async (t) => {
  const { root: prefix, call } = await runningCase(t, 'known-good')
  writeTree(prefix, { 'mnt/data/docker/containers/x/y': '', 'mnt/data/docker/hostext/ids': '{}' })
  const { root, environment } = call()
  const { lines } = showRollback(root, environment, false)
  t.equal(lines[0], 'rollback: on: records are in /var/lib/docker/hostext')
  t.match(lines[1], /^good: override /)
  t.match(showRollback(root, environment, true).lines[0], /^given up: override /)
})

t.test('a good stack is given up under each name, and as containers of other names', async (t) => {
  for (const [name, rename] of [
    ['good', '"name":"renamed"'],
    ['previous', undefined],
    ['other', '"name":"renamed"'],
    ['reduced', undefined],
  ] as const) {
    const { root: prefix, call } = await runningCase(t, 'known-good')
    const directory = join(prefix, 'var/lib/docker/hostext')
    const text = readFileSync(join(directory, 'good'), 'utf8')
    rmSync(join(directory, 'good'))
    writeFileSync(join(directory, name), rename ? text.replace(/"name":"additive"/, rename) : text)
    const { root, environment } = call()
    const { lines } = showRollback(root, environment, true)
    t.match(lines[1], /^the next boot stays on the plain root/, name)
    t.same(
      readdirSync(directory).filter((name) => !['trees', 'known'].includes(name)),
      ['trial.3'],
    )
    t.match(showRollback(root, environment, false).lines[1], /^tried 2 of 2: /)
  }
})

t.test('the stack before it is the good one then', async (t) => {
  const { root: prefix, call } = await runningCase(t, 'known-good')
  const directory = join(prefix, 'var/lib/docker/hostext')
  const [head, first, ...rest] = readFileSync(join(directory, 'good'), 'utf8').split('\n')
  const { above, extensions, ...more } = JSON.parse(head ?? '')
  const shorter = [JSON.stringify({ above: above - 1, extensions: extensions - 1, ...more }), ...rest]
  writeFileSync(join(directory, 'previous'), shorter.join('\n'))
  const { root, environment } = call()
  const gone = JSON.parse(first ?? '').name
  const { lines } = showRollback(root, environment, true)
  t.match(lines[1], /^the next boot stacks /)
  t.notMatch(lines[1], gone)
  t.equal(readFileSync(join(directory, 'good'), 'utf8'), shorter.join('\n'))
})

t.test('in the last boot of a trial, the stack is given up before it is marked good', async (t) => {
  const { root: prefix, call } = await runningCase(t, 'trial-second-attempt')
  const directory = join(prefix, 'var/lib/docker/hostext')
  const trials = () => readdirSync(directory).filter((name) => name.startsWith('trial'))
  // As generators/steps/trial does.
  renameSync(join(directory, 'trial.1'), join(directory, 'trial.2'))
  const { root, environment } = call()
  showRollback(root, environment, true)
  t.same(trials(), ['trial.3'], 'not what generators/steps/good would mark')
  t.match(showRollback(root, environment, false).lines.at(-1), /^tried 2 of 2: /)
  rmSync(join(prefix, 'run/hostext/trial'))
  t.throws(() => showRollback(root, environment, true), { message: /goes back already|nothing to give up/ })
})

t.test('a root filesystem that has not booted: what fstab will mount', async (t) => {
  for (const [fstab, line] of [
    ['/dev/vda / ext4 rw\n', 'rollback: on: records are in /var/lib/docker/hostext'],
    ['/dev/vda / ext4 ro\n', /^rollback: off: \/var\/lib\/docker is on the root/],
    [
      '/dev/vda / squashfs ro\nLABEL=data /var ext4 rw\n',
      'rollback: on: records are in /var/lib/docker/hostext',
    ],
    [
      '/dev/vda / squashfs ro\nLABEL=data /mnt/data ext4 rw\n',
      'rollback: on: records are in /mnt/data/docker/hostext',
    ],
    ['/dev/vda / squashfs ro\nLABEL=data /var ext4 ro\n', 'rollback: off: /var is mounted read-only'],
  ] as const) {
    const root = { prefix: makeTree(t, { 'etc/fstab': fstab, 'var/x': '' }) }
    t.match(showRollback(root, {}, false).lines[0], line, fstab)
  }
  const off = { prefix: makeTree(t, { 'etc/hostext.conf': '[Safety]\nAttempts=0\n' }) }
  t.same(showRollback(off, {}, false).lines, ['rollback: off: Attempts=0'])
})
