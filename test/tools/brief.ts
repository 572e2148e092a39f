import t from 'tap'
import { brief, countsOf, failures } from '../boot/brief.js'
import type { Boot } from '../boot/machine.js'

function boot(reports: Record<string, string>, console: string): Boot {
  return {
    reports: new Map(Object.entries(reports)),
    console,
    seconds: 1,
    clean: undefined,
    end: 'poweroff',
    marks: new Map(),
  }
}

t.test('what a failed case says is short', async (t) => {
  const why = Array.from({ length: 200 }, (_, index) => `line ${index} ${'x'.repeat(500)}`).join('\n')
  const console = `${'noise\r\n'.repeat(500)}@@why: a report\r\n\u001b[0;1;31m[FAILED]\u001b[0m the last line\r\n`
  const text = brief('bookworm: a case', [
    boot({ state: 'degraded', failed: 'x.mount', why, other: 'no' }, console),
  ])
  const lines = text.split('\n')
  t.ok(lines.length < 60, `${lines.length} lines`)
  t.ok(lines.every((line) => line.length < 200))
  t.match(
    text,
    /bookworm: a case\n.*boot 1 state: degraded\n.*boot 1 failed: x\.mount\n.*boot 1 why: line 0 /,
  )
  t.match(text, /and 170 lines more/, 'it says what it leaves out')
  t.match(lines.at(-1), /\[FAILED\] the last line$/, 'the end of the console, without colours')
  t.notMatch(text, /a report|other/)
})

t.test('a machine that did not finish', async (t) => {
  const error = new Error(
    `it did not finish; it reported:\nstate: starting; its console:\n${'a\n'.repeat(99)}the end`,
  )
  const text = brief('trixie: a case', [], error)
  t.match(text, /trixie: a case\n.*did not finish.*\n.*state: starting/)
  t.match(text, /the end$/)
  t.ok(text.split('\n').length < 20)
})

t.test('what failed in a tier', async (t) => {
  const comment = brief('bookworm: b', [boot({ state: 'degraded' }, 'end\n')]).replace(/^/gm, '        # ')
  const tap = `TAP version 14
# Subtest: test/boot/tiers/container.ts
    # Subtest: bookworm: a
        ok 1 - fine
        not ok 2 - known # TODO
        1..2
    ok 1 - bookworm: a # time=1ms
    # Subtest: bookworm: b
        ok 1 - the root is our overlay
        not ok 2 - no unit failed
          ---
          diff: |
            --- expected
            +++ actual
            @@ -1,0 +1,14 @@
            -Array []
            +Array [
            not ok 8 - what is compared
${Array.from({ length: 99 }, (_, index) => `            +  ${index}\n`).join('')}
          ...
        # console:
        # not ok 7 - what a machine says
${comment}
        1..2
    not ok 2 - bookworm: b # time=2ms
    1..2
not ok 1 - test/boot/tiers/container.ts # time=3ms
# Subtest: test/crashed.ts
    1..0
not ok 2 - test/crashed.ts # time=3ms
`
  t.same(failures(tap), {
    failed: [
      'not ok: test/boot/tiers/container.ts > bookworm: b > no unit failed',
      '  -Array []',
      '  +Array [',
      ...Array.from({ length: 10 }, (_, index) => `  +  ${index}`),
      'not ok: test/crashed.ts',
    ],
    briefs: ['bookworm: b', '  boot 1 state: degraded', '  boot 1 console:', '    end'],
  })
})

t.test(
  'how many there were, or an error: a format that is not known would hide what was skipped',
  async (t) => {
    const count = (line: string) => countsOf(`ok 1 - x\n\n${line}\n# time=3ms\n`)
    t.same(count('# { total: 9, pass: 2, fail: 1, todo: 2, skip: 4 }'), { pass: 2, fail: 1, skip: 6 })
    t.same(count('# { total: 1, pass: 1 }'), { pass: 1, fail: 0, skip: 0 })
    t.throws(() => count('# 9 assertions, 4 skipped'), /^the runner has not counted its tests:\nok 1 - x/)
    t.throws(() => count('# { total: 9, pass: 5, skipped: 4 }'), /^counts that do not add up: /)
  },
)
