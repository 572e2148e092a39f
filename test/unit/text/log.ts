import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { kernelRecord } from '../../../src/text/log.js'
import { BUNDLE, PROJECT } from '../../support/paths.js'
import { cannotMount } from '../../support/private.js'
import { makeTree } from '../../support/tree.js'

const EACH_LEVEL = "for (const level of ['error', 'warning', 'notice', 'info']) log({ level, text: 'text' })"

/** What the `work` of a process with this environment, by log() or logAll(), writes to standard error. */
function logged(t: Test, environment: Record<string, string>, work = EACH_LEVEL): string {
  const script = `const { log, logAll } = await import(${JSON.stringify(join(PROJECT, 'src/text/log.ts'))})
    ${work}`
  // A file, which takes all at once.
  const file = join(makeTree(t), 'stderr')
  const descriptor = openSync(file, 'w')
  spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'ignore', descriptor],
  })
  closeSync(descriptor)
  return readFileSync(file, 'utf8')
}

t.test('a kernel record fits, whatever the names', async (t) => {
  t.equal(String(kernelRecord({ level: 'warning', text: 'left out' })), '<4>hostext: left out')
  const long = kernelRecord({ level: 'error', text: 'ö'.repeat(2000) })
  t.equal(long.length, 960)
  t.match(String(long), /^<3>hostext: ö+.*\.\.\.$/)
})

t.test('to standard error, unless PID 1 started us', async (t) => {
  const lines = 'hostext: error: text\nhostext: warning: text\nhostext: text\nhostext: text\n'
  t.equal(logged(t, {}), lines)
  t.equal(logged(t, { SYSTEMD_EXEC_PID: '1' }), lines, 'PID 1 started somebody else')
})

t.test('of a boot with very many messages, the first and the sum', async (t) => {
  const lines = (count: number): string[] => {
    const messages = `Array.from({ length: ${count} }, (_, index) => ({ level: 'notice', text: String(index) }))`
    return logged(t, {}, `logAll(${messages}, '/run/x')`)
      .trimEnd()
      .split('\n')
      .map((line) => line.replace('hostext: ', ''))
  }
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index))
  t.same(lines(501), numbers(501))
  t.same(lines(503), [...numbers(500), 'warning: 2 more lines are in /run/x', '502'])
})

t.test('a kernel log that is not there is not made', { skip: cannotMount }, async (t) => {
  const script = 'mount -t tmpfs tmpfs /dev && "$@"; ls /dev'
  const words = ['-m', 'sh', '-c', script, 'sh', process.execPath, BUNDLE, '/nowhere/normal']
  const env = { ...process.env, HOSTEXT_LOG: 'kmsg', HOSTEXT_ROOT: '/nowhere' }
  const { stdout, stderr } = spawnSync('unshare', words, { encoding: 'utf8', env })
  t.equal(stdout, '')
  t.match(stderr, 'hostext: ', 'standard error has the line instead')
})
