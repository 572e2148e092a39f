import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installFiles } from '../../support/installed.js'
import { keep, outputs, STUB, startBoot } from '../../support/known.js'
import { makeTree } from '../../support/tree.js'

/**
 * What a boot costs that computes nothing, in processes and in instructions: they are the same each time,
 * while times are noise on a busy machine. The bounds are half as much again as was measured on Debian 12.
 */

const cannotCount = spawnSync('valgrind', ['--version']).status === 0 ? false : 'valgrind is not installed'

/** The programs that a run of the stub starts, itself included, with the instructions of each in millions. */
function count(root: string): Record<string, number> {
  const counts = makeTree(t)
  const words = ['--tool=callgrind', '--trace-children=yes', `--callgrind-out-file=${counts}/%p`]
  const { status, stderr } = spawnSync('valgrind', [...words, 'dash', STUB, ...outputs(root)], {
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOSTEXT_ROOT: root },
  })
  if (status !== 0) throw new Error(stderr)
  const programs: Record<string, number> = {}
  for (const name of readdirSync(counts)) {
    const text = readFileSync(join(counts, name), 'utf8')
    const program = /^cmd: +\S*?([^/\s]+)(?:\s|$)/m.exec(text)?.[1]
    const instructions = Number(/^(?:summary|totals): (\d+)/m.exec(text)?.[1])
    if (program === undefined || !(instructions > 0)) throw new Error(`${name}: ${text.slice(0, 200)}`)
    if (program in programs) throw new Error(`${program} was started twice`)
    programs[program] = instructions / 1e6
  }
  return programs
}

const sum = (programs: Record<string, number>): number =>
  Object.values(programs).reduce((sum, millions) => sum + millions, 0)

t.test('a known boot', { skip: cannotCount }, async (t) => {
  const { root } = await keep(t)
  startBoot(root)
  const programs = count(root)
  t.comment(JSON.stringify(programs))
  t.same(Object.keys(programs).sort(), ['b2sum', 'dash', 'find', 'tar'], 'a process of each')
  // 8.2 with the four extensions of this machine.
  t.ok(sum(programs) < 13, `${sum(programs)} million instructions`)
  t.ok((programs.dash ?? 99) < 4, `${programs.dash} of them by the shell`)
})

t.test('nothing to do', { skip: cannotCount }, async (t) => {
  const root = makeTree(t, { 'proc/cmdline': 'ro quiet\n' })
  installFiles(root)
  startBoot(root)
  const programs = count(root)
  t.comment(JSON.stringify(programs))
  t.same(Object.keys(programs), ['dash'], 'no process')
  // 2.2.
  t.ok(sum(programs) < 3.3, `${sum(programs)} million instructions`)
})

t.test('nothing to do, with five containers of Docker', { skip: cannotCount }, async (t) => {
  const labels = Object.fromEntries(Array.from({ length: 30 }, (_, number) => [`org.example.${number}`, 'x']))
  const config = JSON.stringify({ State: {}, Config: { Labels: labels }, Driver: 'overlay2', OS: 'linux' })
  const files = Array.from({ length: 5 }, (_, number) => [
    `var/lib/docker/containers/${number}/config.v2.json`,
    config,
  ])
  const root = makeTree(t, { 'proc/cmdline': 'ro quiet\n', ...Object.fromEntries(files) })
  installFiles(root)
  startBoot(root)
  const programs = count(root)
  t.comment(JSON.stringify(programs))
  t.match(readFileSync(join(root, 'run/hostext.decision'), 'utf8'), '5 in /var/lib/docker')
  t.same(Object.keys(programs).sort(), ['dash', 'grep'], 'one process')
  // 3.7 and 1.5.
  t.ok(sum(programs) < 7.8, `${sum(programs)} million instructions`)
})
