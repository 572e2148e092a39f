import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { answer } from '../../../src/commands/command.js'
import { VERBS } from '../../../src/commands/verbs.js'
import { PROJECT } from '../../support/paths.js'
import { runningCase } from '../../support/running.js'

/** Every verb, with the words that it wants. */
const WORDS: Record<string, string[][]> = {
  show: [['override'], ['--all', 'many-layers']],
  check: [
    [join(PROJECT, 'test/unit')],
    ['--no-root', join(PROJECT, 'docs')],
    ...readdirSync(join(PROJECT, 'test/archives'))
      .filter((name) => /\.tar$/.test(name))
      .map((name) => [join(PROJECT, 'test/archives', name)]),
  ],
  which: [['/usr/share'], ['/none']],
  rollback: [[], ['--now']],
  completion: [['bash']],
  help: [[], ['list']],
  list: [[], ['--all']],
}
const schema = JSON.parse(readFileSync(join(PROJECT, 'docs/hostext.schema.json'), 'utf8'))
/** The schema, in which no object has other fields than those that are named: what is misspelt is seen. */
function close(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(close)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, part]) => [
    name,
    // The document is closed as a whole.
    ['if', 'then'].includes(name) ? part : close(part),
  ])
  const closed = Object.fromEntries(entries)
  return 'properties' in value ? { ...closed, unevaluatedProperties: false } : closed
}
const validate = new Ajv2020({ strict: false, allErrors: true }).compile(close(schema) as object)

/** The document of a command that was called with these words; undefined for a failure, which has none. */
async function documentOf(root: string, ...words: string[]) {
  const { output } = await answer(words, { HOSTEXT_ROOT: root })
  return output === '' ? undefined : JSON.parse(output)
}

t.test('what every verb prints for programs is as the schema says', async (t) => {
  for (const machine of [
    'soft-reboot',
    'known-good',
    'rolled-back-to-good',
    'started',
    'no-engine',
    'store-podman',
    'store-containerd',
  ]) {
    const { root } = await runningCase(t, machine)
    for (const verb of Object.keys(VERBS)) {
      for (const words of WORDS[verb] ?? [[]]) {
        const document = await documentOf(root, verb, '--json', ...words).catch((error: Error) => error)
        const what = `${machine}: ${[verb, ...words].join(' ')}`
        if (document instanceof Error) {
          t.ok(['show', 'rollback'].includes(verb), `${what}: ${document.message}`)
          continue
        }
        t.match(document, { schema: 'hostext', version: 1, command: verb }, what)
        t.ok(validate(document), `${what}: ${JSON.stringify(validate.errors?.slice(0, 3))}`)
      }
    }
  }
})

t.test('the schema refuses what is none', async (t) => {
  const { root } = await runningCase(t, 'soft-reboot')
  const document = await documentOf(root, 'status', '--json')
  t.ok(validate(document))
  for (const [field, value] of [
    ['verdict', { kind: 'well', line: '' }],
    ['nextBoot', null],
    ['nextBoot', { ...document.nextBoot, more: 1 }],
    ['another', 1],
    ['version', 2],
  ])
    t.notOk(validate({ ...document, [field as string]: value }), String(field))
})
