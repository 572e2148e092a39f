import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { run } from '../boot/process.js'

t.test('what a machine says, in a pipe and in a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hostext-process-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  for (const output of [undefined, join(directory, 'output')]) {
    const options = { limit: 60, ...(output === undefined ? {} : { output }) }
    const { console, ended, code } = await run(['sh', '-c', 'echo out; echo err >&2; exit 7'], options)
    t.equal(console, 'out\nerr\n')
    t.ok(ended)
    t.equal(code, 7)
  }
})

t.test('a machine is typed to and ended', async (t) => {
  const typed = await run(['sh', '-c', 'read -r line; echo "got $line"'], {
    limit: 60,
    period: 20,
    watch: ({ type }) => type('text\n'),
  })
  t.equal(typed.console, 'got text\n')
  const deaf = await run(['sh', '-c', 'exec <&-; sleep 0.5'], {
    limit: 60,
    period: 20,
    watch: ({ type }) => type('text\n'),
  })
  t.equal(deaf.code, 0, 'what is typed to one that reads nothing is lost')
  const killed = await run(['sh', '-c', 'echo on; sleep 1000 & wait'], {
    limit: 60,
    period: 20,
    watch: ({ console, kill }) => console.includes('on') && kill(),
  })
  t.notOk(killed.ended)
  t.ok(killed.seconds < 30)
  t.notOk((await run(['sleep', '1000'], { limit: 0.1, period: 20 })).ended)
  t.not((await run(['/nowhere/program'], { limit: 60 })).code, 0)
})

t.test('a machine does not outlive the run that started it', async (t) => {
  const source = join(import.meta.dirname, '../boot/process.ts')
  const script = `import(${JSON.stringify(source)}).then(({ run }) =>
    run(['sh', '-c', 'echo $$; exec sleep 1000'], { limit: 60, period: 20, watch: ({ console }) => globalThis.console.log(console) }))`
  const child = spawn('npx', ['--no', '--', 'tsx', '-e', script], {
    cwd: join(import.meta.dirname, '../..'),
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  while (!/^\d+\n/.test(said.trimStart())) await setTimeout(50)
  const pid = said.trim().split('\n')[0] as string
  t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), 'sleep')
  process.kill(-(child.pid as number), 'SIGKILL')
  await once(child, 'close')
  for (let tries = 50; tries > 0 && existsSync(`/proc/${pid}`); tries--) await setTimeout(100)
  t.notOk(existsSync(`/proc/${pid}`))
})
