import t from 'tap'
import { log } from '../src/log.js'

t.test('to standard error, unless PID 1 started us', async (t) => {
  const written: string[] = []
  const write = process.stderr.write
  t.teardown(() => {
    process.stderr.write = write
  })
  process.stderr.write = ((text: string) => written.push(text)) as unknown as typeof write
  log({ level: 'warning', text: 'one' })
  log({ level: 'notice', text: 'two' })
  log({ level: 'error', text: 'three' })
  process.stderr.write = write
  t.same(written, ['hostext: warning: one\n', 'hostext: two\n', 'hostext: error: three\n'])
})
