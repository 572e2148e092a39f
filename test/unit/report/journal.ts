import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type BootReport, EMPTY_REPORT } from '../../../src/report/boot-report.js'
import { journalEntries, MESSAGE_IDS } from '../../../src/report/journal.js'
import { GENERATORS, STEPS } from '../../support/paths.js'

const message = (text: string, leftOut: BootReport['messages'][0]['leftOut'] = null) => ({
  ...{ level: 'warning' as const, text },
  leftOut,
})
const out = { name: 'gpu', image: 'gpu:1', id: 'abc', who: 'gpu (gpu:1, abc)', why: 'no', onRequest: false }

t.test('what has happened in a boot', async (t) => {
  const messages = [
    message('DataRoot=: no'),
    message('left out: gpu', out),
    message('on trial: boot 1 of 2'),
    message('stacking 1'),
  ]
  const report: BootReport = {
    ...EMPTY_REPORT,
    ...{ root: 'stacked', messages, leftOut: [out] },
    safety: { ...EMPTY_REPORT.safety, kind: 'on trial' },
  }
  const entries = journalEntries(report)
  t.equal(entries.length, 3)
  t.equal(
    entries[0],
    `MESSAGE=left out: gpu
PRIORITY=4
MESSAGE_ID=${MESSAGE_IDS.leftOut}
SYSLOG_IDENTIFIER=hostext
OBJECT_SYSTEMD_UNIT=hostext.target
HOSTEXT_EXTENSION=gpu
HOSTEXT_IMAGE=gpu:1
HOSTEXT_CONTAINER=abc
`,
  )
  t.match(entries[1], `MESSAGE_ID=${MESSAGE_IDS.onTrial}\n`)
  t.match(entries[2], `MESSAGE_ID=${MESSAGE_IDS.stacked}\n`)
  const good = { ...report, safety: { ...report.safety, kind: 'good' as const } }
  t.equal(journalEntries(good).length, 3, 'something is left out')
  t.same(journalEntries({ ...good, leftOut: [], messages: messages.slice(3) }), [], 'nothing has happened')
})

t.test('no field of an entry is made up by a name', async (t) => {
  const hostile = { ...out, name: 'a\nMESSAGE_ID=b', image: 'c\nd' }
  const [entry] = journalEntries({
    ...EMPTY_REPORT,
    leftOut: [hostile],
    messages: [message('x', hostile), message('y')],
  })
  t.match(entry, 'HOSTEXT_EXTENSION=a\\x0aMESSAGE_ID=b\n')
  t.equal(entry?.match(/^MESSAGE_ID=/gm)?.length, 1)
  const many = Array.from({ length: 9000 }, () => message('x', out))
  t.ok(journalEntries({ ...EMPTY_REPORT, leftOut: [out], messages: many }).length <= 51)
})

t.test('every ID has an explanation, and the scripts have the same', async (t) => {
  const catalog = readFileSync(join(GENERATORS, 'hostext.catalog'), 'utf8')
  t.same(
    [...catalog.matchAll(/^-- ([0-9a-f]{32})$/gm)].map(([, id]) => id).sort(),
    Object.values(MESSAGE_IDS).sort(),
  )
  const scripts = readdirSync(STEPS)
    .map((name) => readFileSync(join(STEPS, name), 'utf8'))
    .join('\n')
  const used = new Set(scripts.match(/\b[0-9a-f]{32}\b/g))
  t.same([...used].sort(), [MESSAGE_IDS.good, MESSAGE_IDS.fallback].sort())
})
