import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { answer } from '../../../src/commands/command.js'
import { COMMANDS_BUNDLE, DATA_ROOTS } from '../../support/paths.js'
import { copyTree, makeTree, type Tree, writeTree } from '../../support/tree.js'

function hostext(t: Test, files: Tree, ...words: string[]) {
  return hostextWith(t, 'standard', files, ...words)
}

function hostextWith(t: Test, dataRoot: string, files: Tree, ...words: string[]) {
  const root = makeTree(t, { 'proc/self/mountinfo': '22 1 254:1 / / ro - ext4 /dev/vda rw\n', ...files })
  copyTree(join(DATA_ROOTS, dataRoot), join(root, 'var/lib/docker'))
  return { root, ...run(root, ...words) }
}

function run(root: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMANDS_BUNDLE, ...words], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
  })
  return { status, stdout, stderr }
}

const NEXT_ROOT = { 'usr/lib/hostext/nextroot/x': '' }

t.test('plan', async (t) => {
  const { root, stdout: first } = hostext(t, { ...NEXT_ROOT, 'etc/fstab': 'x / ext4 rw\n' }, 'plan')
  t.equal(
    first,
    'not prepared yet: many-layers, override, one-layer, additive: "hostext prepare" does it now, otherwise the next boot\n',
  )
  const prepared = run(root, 'prepare')
  t.match(prepared, { status: 0, stderr: '' })
  t.equal(prepared.stdout.match(/^prepared: /gm)?.length, 4)
  const { status, stdout } = run(root, 'plan')
  t.equal(status, 0)
  t.match(
    stdout.replace(/[0-9a-f]{12}/g, 'ID').replace(/[A-Z0-9]{26}\.[0-9a-f]{8}/g, 'TREE'),
    `   0  override (override:1, ID), override=10, tree: TREE
   1  many-layers (many-layers:1, ID), feature, tree: TREE
   2  one-layer (one-layer:1, ID), feature, tree: TREE
   /  the root
   3  additive (additive:1, ID), overlay, tree: TREE
writable: /var
/etc: persistent
`,
  )
  const off = hostext(
    t,
    { ...NEXT_ROOT, 'proc/cmdline': 'balena.nohostext', 'etc/hostext.conf': 'x' },
    'plan',
  )
  t.match(
    off.stdout,
    /^warning: .*hostext\.conf:1: not a setting: x\nwarning: this boot has balena\.nohostext on the kernel command line: the next one is shown without it\n.*not prepared yet: /s,
  )
})

t.test('a priority that is no number is the lowest, and shown so', async (t) => {
  const { root } = hostextWith(t, 'labels', NEXT_ROOT, 'prepare')
  const { stdout } = run(root, 'plan')
  const shown = stdout.split('\n').filter((line) => /^ +\d+ {2}override-(?:10|word|empty) /.test(line))
  t.same(
    shown.map((line) => line.replace(/^ +\d+ {2}(\S+) .*\), (.*), tree: .*$/, '$1: $2')),
    [
      'override-10: override=10',
      'override-empty: override, lowest priority',
      'override-word: override, lowest priority',
    ],
  )
})

t.test('nothing is shown that a terminal could take for its own', async (t) => {
  const { stdout } = hostext(
    t,
    { 'run/hostext.decision': `a\u001b[2J\u009b\n${'x'.repeat(9000)}\nplain root: no\n` },
    'log',
  )
  t.equal(stdout, `a\\x1b[2J\\x9b\n${'x'.repeat(4096)}\nplain root: no\n`)
  const long = `warning: left out: a container: ${'x'.repeat(500)}\n`.repeat(10_000)
  const all = hostext(t, { 'run/hostext.decision': long }, 'log')
  t.equal(all.stdout, long, 'a line for each of ten thousand')
  const json = hostext(t, { 'run/hostext.decision': 'a\u001b\u009b\u202e\n' }, 'log', '--json').stdout
  t.match(json, '"a\\u001b\\u009b\\u202e"')
})

t.test('a reader that has ended is no failure', async (t) => {
  const long = `${'x'.repeat(4000)}\n`.repeat(1000)
  const { root } = hostext(t, { 'run/hostext.decision': long }, 'version')
  const script = '"$0" "$@" | head -n 1 | wc -l'
  const { stdout, stderr } = spawnSync('sh', ['-c', script, process.execPath, COMMANDS_BUNDLE, 'log'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
  })
  t.match({ stdout: stdout.trim(), stderr }, { stdout: '1', stderr: '' })
})

t.test('values of options, and roots that are none', async (t) => {
  const { root } = hostextWith(t, 'standard', NEXT_ROOT, 'version')
  for (const [words, problem] of [
    [['--root', root, '--root', root, 'list'], /^hostext: --root is there more than once\n/],
    [
      ['check', '--fail-on', 'warning', '--fail-on', 'error', 'x'],
      /^hostext: --fail-on is there more than once\n/,
    ],
    [['--root', '', 'plan'], /^hostext: --root: DIR is missing\n/],
    [['status', '--svg'], /^hostext: --svg: FILE is missing\n/],
    [['status', '--no-nonsense'], /^hostext: unknown option --no-nonsense\n/],
    [['help', 'nonsense'], /^hostext: help: unknown command nonsense\n/],
  ] as const)
    t.match(run(root, ...words), { status: 2, stdout: '', stderr: problem }, words.join(' '))
  writeTree(root, { file: '' })
  for (const verb of ['status', 'list', 'diff', 'plan', 'prepare', 'rollback', 'retry', 'log'])
    for (const wrong of [`${root}/nowhere`, `${root}/file`])
      t.match(
        run(root, '--root', wrong, verb),
        { status: 1, stdout: '', stderr: /is not a root file system: there is no such directory\n$/ },
        verb,
      )
})

const SEEN_BY_ROOT = [
  ['show', 'x'],
  ['which', '/x'],
  ['changes'],
  ['diff'],
  ['plan'],
  ['prepare'],
  ['rollback'],
  ['retry'],
]

t.test('a user who does not see what engines have', async (t) => {
  const { getuid } = process
  process.getuid = () => 65534
  t.teardown(() => void (getuid && Object.assign(process, { getuid })))
  for (const words of SEEN_BY_ROOT)
    await t.rejects(
      answer(words, {}),
      /^only root can see what the engine has: call it as root$/,
      words.join(' '),
    )
  t.equal((await answer(['list'], {})).output, 'only root can see what the engine has\n')
})

t.test('words', async (t) => {
  t.match(hostext(t, {}, '--version'), { status: 0, stdout: /^hostext \d+\.\d+\.\d+\n$/ })
  for (const words of [[], ['help'], ['--help'], ['-h']])
    t.match(hostext(t, {}, ...words), { status: 0, stdout: /^hostext COMMAND/ })
  for (const words of [['nonsense'], ['plan', 'more'], ['--colour'], ['toString'], ['a', 'b', 'c']]) {
    t.match(
      hostext(t, {}, ...words),
      {
        status: 2,
        stdout: '',
        stderr: /^hostext: (?:unknown (?:command|option) |plan: too many words: more)/,
      },
      words.join(' '),
    )
  }
})
