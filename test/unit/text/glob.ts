import { spawnSync } from 'node:child_process'
import t from 'tap'
import { matchesGlob } from '../../../src/text/glob.js'
import { seeded } from '../../support/seeded.js'

t.test('by hand', async (t) => {
  for (const [text, pattern] of [
    ['', ''],
    ['', '*'],
    ['2.98.4', '2.*'],
    ['2.98.4', '*.4'],
    ['2.98.4', '2*8*4'],
    ['2.98.4', '?.??.?'],
    ['2.98.4', '**'],
    ['2.98.4', '2.[0-9][!0-7].4'],
    ['a]b', 'a[]]b'],
    ['a-b', 'a[-]b'],
    ['a-b', 'a[+-]b'],
    ['a[b', 'a[b'],
    ['a!', 'a[x!]'],
  ] as const)
    t.ok(matchesGlob(text, pattern), `${text} ${pattern}`)
  for (const [text, pattern] of [
    ['', '?'],
    ['2', ''],
    ['2.98.4', '2'],
    ['2.98.4', '*.5'],
    ['2.98.4', '2*84'],
    ['2.98.4', '2.[!9]*'],
    ['2.98.4', '2.98.4?'],
    ['b', '[!a-c]'],
  ] as const)
    t.notOk(matchesGlob(text, pattern), `${text} ${pattern}`)
})

t.test('as a shell has it', async (t) => {
  const random = seeded(7)
  const words = (from: string, most: number) =>
    Array.from({ length: random.number(most) }, () => random.pick([...from])).join('')
  const pairs = Array.from({ length: 3000 }, () => [words('ab12.', 8), words('ab12.*?[]!-', 9)] as const)
  // The pattern is a variable, unquoted: the shell's own matching, nothing expanded.
  const script =
    'while IFS=/ read -r pattern text _; do case "$text" in $pattern) echo yes;; *) echo no;; esac; done'
  const input = pairs.map(([text, pattern]) => `${pattern}/${text}/\n`).join('')
  const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8', input })
  const answers = stdout.trimEnd().split('\n')
  const differ = pairs.filter(
    ([text, pattern], index) => matchesGlob(text, pattern) !== (answers[index] === 'yes'),
  )
  t.same(differ, [])
  t.ok(answers.filter((answer) => answer === 'yes').length > 100)
})

t.test('nothing takes long', async (t) => {
  const started = process.cpuUsage()
  for (const pattern of ['*1'.repeat(30_000), '?*'.repeat(1000), '[1-9]*'.repeat(1000), '['.repeat(1000)])
    matchesGlob(`${'1'.repeat(1000)}!`, pattern)
  const { user } = process.cpuUsage(started)
  t.ok(user < 5_000_000, `${user / 1000} ms`)
})
