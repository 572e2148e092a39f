import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { showCompletion } from '../../../src/commands/completion.js'
import { VERBS } from '../../../src/commands/verbs.js'
import { callsOf } from '../../support/running.js'
import { makeTree } from '../../support/tree.js'

const program = (shell: string) => showCompletion(callsOf('/')([shell])).text as string

/**
 * What bash offers for these words, the last of which is being typed; `names`: what extensions are called.
 */
function complete(t: Test, words: string[], names = ''): string[] {
  const directory = makeTree(t, {
    'bin/hostext*': `#!/bin/sh\ncat <<'EOF'\n${names}\nEOF\n`,
    program: program('bash'),
  })
  const script = `. "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_hostext
printf '%s\\n' "\${COMPREPLY[@]}"`
  const output = execFileSync('bash', ['-c', script, join(directory, 'program'), 'hostext', ...words], {
    encoding: 'utf8',
    env: { PATH: `${join(directory, 'bin')}:${process.env.PATH}` },
  })
  return output.split('\n').filter(Boolean)
}

t.test('bash', async (t) => {
  t.same(complete(t, ['st']), ['status'])
  t.same(complete(t, ['']).slice(0, Object.keys(VERBS).length), Object.keys(VERBS))
  t.same(complete(t, ['status', '--gr']), ['--graph'])
  t.same(complete(t, ['completion', '']).slice(-2), ['bash', 'zsh'])
  t.same(complete(t, ['show', 'w'], 'wifi\nwired\ngpu'), ['wifi', 'wired'])
  t.same(complete(t, ['--root', '/', 'st']), ['status'], 'the value of an option is no command')
  t.same(complete(t, ['--root', '/', 'status', '--gr']), ['--graph'])
  t.same(complete(t, ['which', '/etc/pass']).includes('/etc/passwd'), true)
})

t.test('a name does nothing in the shell of whoever completes it', async (t) => {
  const directory = makeTree(t)
  const hostile = `$(touch\${IFS}${directory}/done)\n\`touch ${directory}/done\`\n;touch ${directory}/done`
  t.same(
    complete(t, ['show', ''], `${hostile}\nwifi`).filter((word) => !word.startsWith('--')),
    ['wifi'],
  )
  t.notMatch(execFileSync('ls', [directory], { encoding: 'utf8' }), 'done')
})

t.test('zsh', async (t) => {
  const text = program('zsh')
  t.match(text, /^#compdef hostext\n/)
  for (const name of Object.keys(VERBS)) t.match(text, `\n\t${name}) `)
  if (spawnSync('zsh', ['--version']).status === 0)
    t.equal(spawnSync('zsh', ['-n', '-c', text]).status, 0, 'zsh reads it')
  for (const shell of ['fish', 'toString']) t.throws(() => program(shell), /SHELL is bash or zsh/)
})
