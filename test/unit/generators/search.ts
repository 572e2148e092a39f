import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readAndDecide } from '../../../src/read.js'
import { runStub, startBoot } from '../../support/known.js'
import { STEPS } from '../../support/paths.js'
import { addPiece, PIECES } from '../../support/pieces.js'
import { FIXED_SEED, type Random, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { makeTree, type Tree, writeTree } from '../../support/tree.js'

/**
 * The stub searches by cheap means; the program reads everything. Machines made at random: where the stub
 * says that there is nothing to do, the program says so, too, in the same words, and nothing else.
 */

const MACHINE: Tree = {
  'proc/cmdline': 'root=/dev/vda1 ro quiet\n',
  'proc/self/mounts': '/dev/vda1 / ext4 ro 0 0\nproc /proc proc rw 0 0\n',
  'proc/self/mountinfo': '27 1 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 ro\n',
  'proc/sys/kernel/osrelease': '6.1.0-28-amd64\n',
  'etc/os-release': 'ID=debian\nVERSION_ID="12"\n',
  'usr/lib/systemd/system/soft-reboot.target': '',
  'usr/lib/hostext/generators.sh': readFileSync(join(STEPS, 'generators.sh'), 'utf8'),
  'usr/lib/hostext/node*': '#!/bin/sh\ntrue >"$HOSTEXT_ROOT/started"\n',
}

/**
 * Without the order of what was looked at. Where DataRoot= is set, the stub looks at more than that; of
 * several reasons in the kernel command line each names one.
 */
function essence(line: string, made: readonly string[]): string {
  const words = line.trim().split(/[ ,;]+/)
  const counting = made.some((file) => file.startsWith('/proc/cmdline'))
    ? 'plain root:'
    : 'plain root: no container is a host extension:'
  const isSet = made.some((file) => /DataRoot|^\/proc\/cmdline/.test(file))
  return (isSet ? words.slice(0, counting.split(' ').length) : words).sort().join(' ')
}

for (const [seed, count] of [
  [FIXED_SEED, 250],
  [ROTATING_SEED, 250],
] as const)
  t.test(`${count} machines, by HOSTEXT_TEST_SEED=${seed}`, async (t) => {
    const random = seeded(seed)
    const counts = { started: 0, plain: 0 }
    const root = join(makeTree(t), 'root')
    for (let number = 0; number < count; number++) {
      rmSync(root, { recursive: true, force: true })
      startBoot(root)
      writeTree(root, MACHINE)
      const made: string[] = []
      for (let left = random.number(5); left > 0; left--)
        made.push(
          ...addPiece(root, (PIECES[random.pick(Object.keys(PIECES))] as (random: Random) => Tree)(random)),
        )
      if (runStub(root).started) {
        counts.started++
        continue
      }
      counts.plain++
      const said = readFileSync(join(root, 'run/hostext.decision'), 'utf8')
      rmSync(join(root, 'run/hostext.decision'))
      const { decision } = readAndDecide({ prefix: root }, { HOSTEXT_ROOT: root }, 'this')
      // Turned off is turned off, whatever there is to say.
      if ('plain' in decision && said.endsWith(' on the kernel command line\n')) continue
      const wanted =
        'plain' in decision ? `plain root: ${decision.plain}` : JSON.stringify(decision).slice(0, 300)
      if (decision.messages.length > 0 || essence(said, made) !== essence(wanted, made))
        t.same([said.trim()], [...decision.messages.map(({ text }) => text), wanted], made.join('\n'))
    }
    t.comment(JSON.stringify(counts))
    t.equal(counts.started + counts.plain, count)
    // Both happen often, or this would show nothing.
    if (seed === FIXED_SEED) t.ok(Math.min(counts.started, counts.plain) > count / 8, JSON.stringify(counts))
  })
