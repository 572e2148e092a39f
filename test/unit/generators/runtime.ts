import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FLAGS } from '../../../packaging/code/code.mjs'
import { findSeeds } from '../../../packaging/code/seeds.mjs'
import { STEPS } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const SEEDS = findSeeds()
const SCRIPT = join(STEPS, 'runtime.sh')
const shells = [['dash'], ['busybox', 'sh'], ['bash', '--posix']]

/** What the script says, after these commands. */
function run(shell: readonly string[], before = ''): { flags: string[]; rest: string; stderr: string } {
  const [program = '', ...words] = shell
  const script = `${before}\n. "$0"\nfor word in $flags $seed; do echo "$word"; done\necho "$OPENSSL_CONF \${NODE_OPTIONS-none} $# $1"`
  const { stdout, stderr, status } = spawnSync(program, [...words, '-c', script, SCRIPT, 'its', 'own'], {
    encoding: 'utf8',
    // bash would take a socket for a login over the network.
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_OPTIONS: '--none', OPENSSL_CONF: '/none' },
  })
  t.equal(status, 0, stderr)
  const lines = stdout.trim().split('\n')
  return { flags: lines.slice(0, -1), rest: lines.at(-1) ?? '', stderr }
}

for (const shell of shells)
  t.test(shell.join(' '), async (t) => {
    const seeds = new Set<string>()
    for (let turn = 0; turn < 12; turn++) {
      const { flags, rest, stderr } = run(shell)
      t.equal(stderr, '')
      t.equal(rest, '/dev/null none 2 its', 'the words of the script that sources it are untouched')
      t.same(flags.slice(0, -1), FLAGS)
      const seed = flags.at(-1)?.replace('--random-seed=', '')
      t.ok(SEEDS.includes(Number(seed)), `${seed}`)
      seeds.add(seed ?? '')
    }
    // Twelve times the same by chance: once in 256^11.
    t.ok(seeds.size > 1, 'another one each time')
  })

t.test('every seed can be had, and no other', async (t) => {
  const numbers = /^choose_seed \\\n((?:\t[\d ]+(?: \\)?\n)+)$/m.exec(readFileSync(SCRIPT, 'utf8'))?.[1]
  t.same(numbers?.match(/\d+/g)?.map(Number), SEEDS)
  for (const [random, index] of [
    ['00000000-0000-4000-8000-000000000000', 0],
    ['7f000000-0000-4000-8000-000000000000', 127],
    ['ff000000-0000-4000-8000-000000000000', 255],
  ] as const)
    for (const shell of shells) {
      const { flags } = run(shell, `read() { random=${random}; }`)
      t.equal(flags.at(-1), `--random-seed=${SEEDS[index]}`, `${shell[0]} ${random}`)
    }
})

t.test('cut off anywhere, it ends no shell', async (t) => {
  const text = readFileSync(SCRIPT, 'utf8')
  const cut = join(makeTree(t), 'runtime.sh')
  for (let length = 0; length < text.length; length += 61) {
    writeFileSync(cut, text.slice(0, length))
    for (const [program = '', ...words] of shells) {
      const script = 'read() { random=ff; }; command . "$0"; echo "end $# $1"'
      const { stdout } = spawnSync(program, [...words, '-c', script, cut, 'its', 'own'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      t.match(stdout, /end 2 its\n$/, `${program}, ${length} bytes`)
    }
  }
})

t.test('without random numbers of the kernel, V8 has its own', async (t) => {
  for (const shell of shells)
    for (const random of ['', 'x', '0', '-1', "'$(echo 1)'", '"0g"']) {
      const { flags, stderr } = run(shell, `read() { random=${random}; [ -n "$random" ]; }`)
      t.same(flags, FLAGS, `${shell[0]} ${random}`)
      t.equal(stderr, '')
    }
})
