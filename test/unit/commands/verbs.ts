import t from 'tap'
import { COMMON_OPTIONS, usage, VERBS, type Verb } from '../../../src/commands/verbs.js'

t.test('the help has every command and every option, in lines that a terminal can show', async (t) => {
  const all = usage()
  for (const [name, verb] of Object.entries<Verb>(VERBS)) {
    t.match(
      all,
      new RegExp(`^  ${name}${verb.words ? ` ${verb.words.replace(/[[\]]/g, '\\$&')}` : ''} `, 'm'),
    )
    const own = usage(name)
    t.equal(own.split('\n', 1)[0], ['hostext', name, verb.words].filter(Boolean).join(' '))
    for (const option of Object.keys({ ...verb.options, ...COMMON_OPTIONS })) t.match(own, `\n  --${option} `)
    for (const line of own.split('\n')) t.ok(line.length <= 110, line)
  }
})
