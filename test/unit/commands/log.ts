import t from 'tap'
import { showLog } from '../../../src/commands/log.js'
import { callsOf } from '../../support/running.js'
import { makeTree } from '../../support/tree.js'

t.test('what was said in this boot', async (t) => {
  const log = (files: Record<string, string>) => showLog(callsOf(makeTree(t, files))())
  t.same(log({}).lines, ['hostext has not run in this boot'])
  const said = log({
    'run/hostext.decision': 'on trial\nwarning: careful\nerror: bad\n',
    'run/hostext/mount.log': 'mount: no\n',
    'run/hostext/index.log': '',
  })
  t.same(said.lines, [
    'on trial',
    { colour: 'yellow', text: 'warning: careful' },
    { colour: 'red', text: 'error: bad' },
    '',
    '/run/hostext/mount.log:',
    '  mount: no',
  ])
  t.match(said.document.messages, [
    { level: 'notice' },
    { level: 'warning' },
    { level: 'error', text: 'bad' },
  ])
})
