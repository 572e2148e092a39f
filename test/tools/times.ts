import t from 'tap'
import { summary, table, timeLine, timesIn } from '../boot/times.js'

const TIMES = [
  { way: 'uml', name: 'bookworm: a case: of 2 boots, 3 s', boots: 2, booting: 20.5, seconds: 25 },
  { way: 'vm', name: 'forky: another', boots: 1, booting: 9.5, seconds: 30.1 },
]

t.test('what a case took is found again in the output of its tier', async (t) => {
  const tap = TIMES.map(
    (time) => `    # Subtest: x\n        ok 1 - fine\n        # ${timeLine(time)}\n`,
  ).join('')
  t.same(timesIn(`TAP version 14\n${tap}1..2\n`), TIMES)
  t.same(timesIn('TAP version 14\n# a comment\n'), [])
})

t.test('where the time of a tier goes', async (t) => {
  t.equal(summary(TIMES), '2 cases, 3 boots in 30 s (10.0 s each), 25 s for the machines')
  t.equal(summary([]), undefined)
  t.equal(
    summary([{ way: 'vm', name: 'x', boots: 0, booting: 0, seconds: 1 }]),
    '1 cases, 0 boots in 0 s, 1 s for the machines',
  )
  const lines = table(TIMES).split('\n')
  t.match(lines[0], /^ +30\.1 +9\.5 +1 +vm +forky: another$/, 'the longest first')
  t.match(lines[1], /^ +25\.0 +20\.5 +2 +uml +bookworm: a case: of 2 boots, 3 s$/)
})
