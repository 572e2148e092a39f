import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { kernelRecord } from '../../../src/text/log.js'
import { PROJECT } from '../../support/paths.js'

/** What log() of a process with this environment writes to standard error. */
function logged(environment: Record<string, string>): string {
  const script = `
    const { log } = await import(${JSON.stringify(join(PROJECT, 'src/text/log.ts'))})
    for (const level of ['error', 'warning', 'notice', 'info']) log({ level, text: 'text' })`
  const words = ['--import', 'tsx', '--input-type=module', '--eval', script]
  return spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...environment },
  }).stderr
}

t.test('a kernel record fits, whatever the names', async (t) => {
  t.equal(String(kernelRecord({ level: 'warning', text: 'left out' })), '<4>hostext: left out')
  const long = kernelRecord({ level: 'error', text: 'ö'.repeat(2000) })
  t.equal(long.length, 960)
  t.match(String(long), /^<3>hostext: ö+.*\.\.\.$/)
})

t.test('to standard error, unless PID 1 started us', async (t) => {
  const lines = 'hostext: error: text\nhostext: warning: text\nhostext: text\nhostext: text\n'
  t.equal(logged({}), lines)
  t.equal(logged({ SYSTEMD_EXEC_PID: '1' }), lines, 'PID 1 started somebody else')
})
