import { spawnSync } from 'node:child_process'
import t from 'tap'
import { field, lookAtScreen, renderLines } from '../../../src/report/screen.js'
import { PROJECT } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const WIDE = { width: 80, colour: true, unicode: true }

t.test('what a terminal could take for its own is not printed', async (t) => {
  const lines = ['a\u001b[2Jb', { colour: 'red', text: 'c\nd' } as const]
  t.equal(renderLines(lines, WIDE), 'a\\x1b[2Jb\n\u001b[31mc\\x0ad\u001b[0m\n')
  t.equal(renderLines(lines, { ...WIDE, colour: false }), 'a\\x1b[2Jb\nc\\x0ad\n')
  t.ok(renderLines(['x'.repeat(10_000)], WIDE).length < 5000, 'a line is as long as anyone reads')
})

t.test('the columns of a field', async (t) => {
  t.equal(field('root', 'stacked'), 'root        stacked')
  t.equal(field('a long name', 'x'), 'a long name  x')
})

t.test('the environment', async (t) => {
  t.equal(lookAtScreen({ COLUMNS: '120' }).width, 120)
  t.equal(lookAtScreen({ COLUMNS: '9000' }).width, 400)
  for (const [environment, unicode] of [
    [{ LANG: 'de_DE.UTF-8' }, true],
    [{ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, false],
    [{ LC_CTYPE: 'C.utf8' }, true],
    [{}, false],
  ] as const)
    t.equal(lookAtScreen(environment).unicode, unicode, JSON.stringify(environment))
})

t.test('colours are for a terminal', async (t) => {
  const status = `${process.execPath} dist/commands.cjs status`
  // script(1) gives it one.
  const run = (command: string, environment: Record<string, string> = {}): string =>
    spawnSync('script', ['-qec', command, '/dev/null'], {
      cwd: PROJECT,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, TERM: 'xterm', HOSTEXT_ROOT: makeTree(t), ...environment },
    }).stdout
  t.match(run(status), '\u001b[1mThe next boot\u001b[0m')
  // What has started it has asked the terminal, and only then.
  const asked = { HOSTEXT_COLUMNS: '0' }
  t.match(run(status, asked), '\u001b[1mThe next boot\u001b[0m')
  t.match(run(status, { HOSTEXT_COLUMNS: '-1' }), '\u001b[1mThe next boot\u001b[0m')
  for (const text of [
    run(`${status} | cat`, asked),
    run(status, { NO_COLOR: '1' }),
    run(status, { TERM: 'dumb' }),
    run(status, { HOSTEXT_COLUMNS: '' }),
    run(`${status} | cat`),
  ]) {
    t.match(text, 'The next boot')
    t.notMatch(text, '\u001b')
  }
})
