import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BUNDLE } from '../../support/paths.js'
import { makeTree, type Tree } from '../../support/tree.js'

const PROC = { 'proc/sysrq-trigger': '', 'proc/sys/kernel/panic': '0\n' }

function watch(t: Test, files: Tree, ...words: string[]) {
  const root = makeTree(t, { ...PROC, ...files })
  const child = spawn(process.execPath, [BUNDLE, 'watch', ...words], { env: { HOSTEXT_ROOT: root } })
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
  t.equal(read('proc/sys/kernel/panic'), '11', 'a panic meanwhile ends in a reboot, too')
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
  while (read('proc/sys/kernel/panic') !== '11') await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill('SIGTERM')
  t.equal(await ended, 0)
  t.equal(read('proc/sys/kernel/panic'), '0', 'panics are what they were')
})

t.test('an administrator’s own answer to panics stays', async (t) => {
  const { ended, read } = watch(t, { 'proc/sys/kernel/panic': '-1\n', 'run/hostext/good': '' }, '0.1')
  await ended
  t.equal(read('proc/sys/kernel/panic'), '-1\n')
})

t.test('what sysctl.d or an administrator sets meanwhile stays', async (t) => {
  for (const value of ['30\n', '10\n', '-1\n', '0\n']) {
    const { root, child, ended, read } = watch(t, {}, '600')
    while (read('proc/sys/kernel/panic') !== '11') await new Promise((resolve) => setTimeout(resolve, 20))
    writeFileSync(join(root, 'proc/sys/kernel/panic'), value)
    child.kill('SIGTERM')
    t.equal(await ended, 0)
    t.equal(read('proc/sys/kernel/panic'), value)
  }
})

t.test('in a container PID 1 is told, and the kernel, which is the host’s, nothing', async (t) => {
  const root = makeTree(t, PROC)
  // A PID namespace of its own, whose PID 1 says which signal it gets.
  const script = `trap 'echo told >"$HOSTEXT_ROOT/told"' RTMIN+15
"$@" & wait; wait; kill $! 2>/dev/null; wait`
  const words = [process.execPath, BUNDLE, 'watch', '0.2', 'container']
  const shell = ['unshare', '--pid', '--fork', '--kill-child', 'bash', '-c', script, 'bash', ...words]
  const map = process.getuid?.() === 0 ? [] : ['unshare', '--user', '--map-root-user']
  const [program, ...rest] = [...map, ...shell] as [string, ...string[]]
  const { status, stderr } = spawnSync(program, rest, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
    timeout: 60_000,
  })
  t.equal(status, 0, stderr)
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  t.equal(read('told'), 'told\n')
  t.equal(read('proc/sysrq-trigger'), '')
  t.equal(read('proc/sys/kernel/panic'), '0\n')
})

t.test('no time is no watch', async (t) => {
  for (const words of [['watch'], ['watch', 'x'], ['watch', '0'], ['watch', '1', 'x']])
    t.not(
      spawnSync(process.execPath, [BUNDLE, ...words], { env: { HOSTEXT_ROOT: '/nonexistent' } }).status,
      0,
    )
})
