import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PACKAGES } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const LOCKED = 'proc /proc proc rw 0 0\nhostext / overlay ro,lowerdir=0:/ 0 0\n'

function refuse(t: Test, shell: string[], mounts: string | undefined, environment = {}) {
  const root = makeTree(t, mounts === undefined ? {} : { 'proc/self/mounts': mounts })
  const [command = '', ...words] = [...shell, join(PACKAGES, 'refuse')]
  const { status, stderr, stdout } = spawnSync(command, words, {
    encoding: 'utf8',
    env: { HOSTEXT_ROOT: root, ...environment },
  })
  return { status, stderr, stdout }
}

const ALLOWED = { status: 0, stderr: '', stdout: '' }

for (const shell of [['dash'], ['bash', '--posix'], ['busybox', 'sh']]) {
  if (spawnSync('which', [shell[0] as string]).status !== 0) continue
  t.test(shell.join(' '), async (t) => {
    const { status, stderr, stdout } = refuse(t, shell, LOCKED)
    t.same([status, stdout, stderr.split('\n').length], [1, '', 2], 'one line')
    t.match(stderr, /^hostext: the root is locked: .* boot with balena\.nohostext on the kernel command line/)
    for (const mounts of [
      '/dev/vda1 / ext4 rw 0 0\n',
      'overlay / overlay ro 0 0\n',
      'hostext / tmpfs rw 0 0\n',
      `${LOCKED}/dev/vda1 / ext4 rw 0 0\n`,
      'hostext /mnt overlay ro 0 0\n',
      '',
      undefined,
    ])
      t.same(refuse(t, shell, mounts), ALLOWED, mounts ?? 'a chroot without /proc')
    t.same(refuse(t, shell, LOCKED, { DPKG_ROOT: '/mnt' }), ALLOWED, 'dpkg --root')
    t.equal(refuse(t, shell, LOCKED, { DPKG_ROOT: '' }).status, 1)
  })
}

t.test('without hostext, its settings do nothing', async (t) => {
  for (const [name, pattern] of [
    ['dpkg.cfg', /^pre-invoke=(.*)$/m],
    ['apt.conf', /^DPkg::Pre-Invoke \{ "(.*)"; \};$/m],
  ] as const) {
    const command = pattern.exec(readFileSync(join(PACKAGES, name), 'utf8'))?.[1] ?? 'no command'
    const root = makeTree(t, { 'refuse*': '#!/bin/sh\nexit 7\n' })
    const run = (path: string) =>
      spawnSync('sh', ['-c', command.replaceAll('/usr/lib/hostext/refuse', path)]).status
    t.equal(run(join(root, 'gone')), 0)
    t.equal(run(join(root, 'refuse')), 7)
  }
})
