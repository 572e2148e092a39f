import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FLAGS } from '../../../packaging/code/code.mjs'
import { GENERATORS, STEPS } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const HOW: string | undefined = readFileSync(join(STEPS, 'runtime.sh'), 'utf8')

/** Runs the command with a runtime that prints how it was started. `isTerminal`: script(1) gives it one. */
function run(
  words: string[],
  { isTerminal = false, isCompiled = true, setUp = '', how = HOW } = {},
): string[] {
  const lib = join(makeTree(t), 'lib')
  mkdirSync(lib)
  const text = readFileSync(join(GENERATORS, 'command'), 'utf8')
  writeFileSync(join(lib, 'command'), text.replace('library=/usr/lib/hostext', `library='${lib}'`))
  if (how !== undefined) writeFileSync(join(lib, 'runtime.sh'), how)
  const print = `#!/bin/sh\necho "columns=\${HOSTEXT_COLUMNS-none}"; [ "$OPENSSL_CONF\${NODE_OPTIONS-}" = /dev/null ] || echo "$OPENSSL_CONF"; for word; do echo "<$word>"; done\n`
  writeFileSync(join(lib, 'node'), print)
  if (isCompiled) writeFileSync(join(lib, 'commands-0123456789ab.code'), '')
  for (const name of ['command', 'node']) chmodSync(join(lib, name), 0o755)
  const quoted = [join(lib, 'command'), ...words].map((word) => `'${word}'`).join(' ')
  const [program, ...rest] = isTerminal
    ? (['script', '-qec', `${setUp}${quoted}`, '/dev/null'] as const)
    : (['sh', '-c', quoted] as const)
  const { stdout, status } = spawnSync(program, rest, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, NODE_OPTIONS: '--none', OPENSSL_CONF: '/none' },
  })
  t.equal(status, 0)
  return stdout
    .replaceAll(lib, '')
    .replace(/(?<=<--random-seed=)\d+(?=>)/, 'N')
    .trim()
    .split(/\r?\n/)
}

const BUNDLE = ['</start.cjs>', '</commands.cjs>']
const OWN = [...FLAGS, '--disable-sigusr1', '--random-seed=N'].map((flag) => `<${flag}>`)

t.test('how what people type is started', async (t) => {
  t.same(run(['status', '--json']), ['columns=', ...OWN, ...BUNDLE, '<status>', '<--json>'])
  t.same(run([]), ['columns=', ...OWN, ...BUNDLE])
  t.same(run(['which', '/a b/*']), ['columns=', ...OWN, ...BUNDLE, '<which>', '</a b/*>'])
  t.same(run(['check', 'x.tar']), ['columns=', ...BUNDLE, '<check>', '<x.tar>'], 'machine code pays off')
  t.same(run(['--json', 'prepare']), ['columns=', ...BUNDLE, '<--json>', '<prepare>'])
  // A distribution's Node warns of these flags.
  t.same(run(['list'], { isCompiled: false }), ['columns=', ...BUNDLE, '<list>'])
})

t.test('what is damaged may be why somebody asks', async (t) => {
  const whole = HOW ?? ''
  for (const how of [
    undefined,
    '',
    whole.slice(0, 700),
    whole.slice(0, 1500),
    '\0'.repeat(whole.length),
    'if',
  ]) {
    const lines = run(['status'], { how })
    t.same(lines.slice(-3), [...BUNDLE, '<status>'], `${how?.length}`)
  }
})

t.test('the width of the terminal', async (t) => {
  for (const [setUp, columns] of [
    ['stty cols 123; ', '123'],
    ['stty cols 0; ', '0'],
    // Without stty, Node asks the terminal.
    ['PATH=/nowhere; ', 'none'],
  ] as const)
    t.equal(run(['list'], { isTerminal: true, setUp })[0], `columns=${columns}`, setUp)
  t.equal(
    run(['list'])[0],
    'columns=',
    'no terminal, and Node need not ask either: /dev/null is a device, too',
  )
})
