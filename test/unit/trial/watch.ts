import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BUNDLE } from '../../support/paths.js'
import { makeTree, type Tree } from '../../support/tree.js'

const PROC = { 'proc/sysrq-trigger': '', 'proc/sys/kernel/panic': '0\n' }

function watch(t: Test, files: Tree, seconds: string) {
  const root = makeTree(t, { ...PROC, ...files })
  const child = spawn(process.execPath, [BUNDLE, 'watch', seconds], { env: { HOSTEXT_ROOT: root } })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  return { root, child, ended, read }
}

t.test('after its time it reboots by the kernel', async (t) => {
  const { child, read } = watch(t, {}, '0.2')
  const until = Date.now() + 20_000
  while (!read('proc/sysrq-trigger').endsWith('b') && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(read('proc/sysrq-trigger'), 'sub', 'sync, remount read-only, boot')
  t.equal(read('proc/sys/kernel/panic'), '10', 'a panic meanwhile ends in a reboot, too')
  child.kill('SIGKILL')
})

t.test('a boot that is good, or plain by now, is left alone', async (t) => {
  for (const file of ['good', 'fallback']) {
    const { ended, read } = watch(t, { [`run/hostext/${file}`]: '' }, '0.2')
    t.equal(await ended, 0)
    t.equal(read('proc/sysrq-trigger'), '', file)
    t.equal(read('proc/sys/kernel/panic'), '0')
  }
})

t.test('it is stopped', async (t) => {
  const { child, ended, read } = watch(t, {}, '600')
  while (read('proc/sys/kernel/panic') !== '10') await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill('SIGTERM')
  t.equal(await ended, 0)
  t.equal(read('proc/sys/kernel/panic'), '0', 'panics are what they were')
})

t.test('an administrator’s own answer to panics stays', async (t) => {
  const { ended, read } = watch(t, { 'proc/sys/kernel/panic': '-1\n', 'run/hostext/good': '' }, '0.1')
  await ended
  t.equal(read('proc/sys/kernel/panic'), '-1\n')
})

t.test('no time is no watch', async (t) => {
  for (const words of [['watch'], ['watch', 'x'], ['watch', '0']])
    t.not(
      spawnSync(process.execPath, [BUNDLE, ...words], { env: { HOSTEXT_ROOT: '/nonexistent' } }).status,
      0,
    )
})
