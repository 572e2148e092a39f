import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { prepare } from '../../../src/commands/prepare.js'
import { isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import { readAndDecide } from '../../../src/read.js'
import { decide } from '../../../src/stack/decide.js'
import type { Facts } from '../../../src/stack/facts.js'
import type { Plan } from '../../../src/stack/plan.js'
import { firstPassUnits } from '../../../src/units/first-pass.js'
import { layerUnits } from '../../../src/units/layer.js'
import { lockedUnits } from '../../../src/units/locked.js'
import { mountLists } from '../../../src/units/mounts.js'
import { DATA_ROOTS } from '../../support/paths.js'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { copyTree, makeTree } from '../../support/tree.js'

/**
 * Machines of which every part is usual: what has mounted what before systemd, what fstab and swap say, what
 * State= names. They differ in how these go together.
 */
const PLACES = ['/var', '/var/lib', '/var/lib/docker', '/home', '/srv', '/mnt/data', '/data', '/tmp', '/usr']
const DEVICES = ['254:1', '254:2', '0:31']
const place = fc.constantFrom(...PLACES)

const early = fc.record({ at: place, device: fc.constantFrom(...DEVICES), mode: fc.constantFrom('rw', 'ro') })
const line = fc.record({
  at: place,
  what: fc.constantFrom('UUID=R', '/dev/vda2', '/data/x', 'overlay'),
  options: fc.constantFrom('defaults', 'nofail', 'x-initrd.mount', 'bind', 'noauto', '_netdev'),
  passno: fc.constantFrom(0, 2),
})
const machines = fc.record({
  early: fc.array(early, { maxLength: 4 }),
  lines: fc.uniqueArray(line, { maxLength: 4, selector: ({ at }) => at }),
  root: fc.constantFrom('rw', 'ro'),
  state: fc.constantFrom('auto' as const, [], ['/var'], ['/srv', '/mnt/data'], ['/var', '/tmp']),
  softReboot: fc.boolean(),
  uses: fc.uniqueArray(fc.constantFrom('/data/x', '/srv/disk.img', '/swapfile'), { maxLength: 3 }),
})
type Made = typeof machines extends fc.Arbitrary<infer T> ? T : never

function factsOf(facts: Facts, { early, lines, root, state, softReboot, uses }: Made): Facts {
  const { machine } = facts
  const mounts = [
    `1 0 254:1 / / rw - ext4 /dev/vda1 ${root}\n`,
    ...early.map(({ at, device, mode }) => `2 1 ${device} / ${at} rw - btrfs /dev/x ${mode}\n`),
  ]
  const fstab = parseFstab(
    [
      `/dev/vda1 / ext4 ${root} 0 1`,
      ...lines.map(({ at, what, options, passno }) =>
        what === 'overlay'
          ? `overlay ${at} overlay lowerdir=${at},upperdir=/rw${at}/u,workdir=/rw${at}/w,${options}`
          : `${what} ${at} auto ${options} 0 ${passno}`,
      ),
    ].join('\n'),
  )
  const kind = (path: string) => (path === '/swapfile' ? 'swap' : 'directory')
  return {
    ...facts,
    machine: {
      ...machine,
      configuration: { ...machine.configuration, state },
      collected: true,
      mounts: parseMountinfo(mounts.join('')),
      fstab,
      planned: fstab
        .filter((entry) => isAutomatic(entry) && entry.mountPoint !== '/')
        .map((entry) => ({ ...entry, from: '/etc/fstab' })),
      uses: ['/rw', ...uses].map((path) => ({ path, kind: kind(path) })),
      directories: PLACES,
      hasPurgeMarker: true,
      softReboot,
    },
  }
}

/** The names that are there more than once. */
const twice = (names: string[]): string[] => names.filter((name, index) => names.indexOf(name) !== index)

function ensureOnce({ plan }: { plan: Plan }): void {
  const first = firstPassUnits(plan, '/run/systemd/generator')
  for (const files of [first, lockedUnits(plan)]) {
    const names = twice([...layerUnits(plan), ...files].map(({ path }) => path))
    if (names.length > 0) throw new Error(`made twice: ${names.join(' ')}`)
  }
  for (const { name, text } of mountLists(plan, '/run/nextroot')) {
    const places = twice(text.split('\n').map((line) => line.split(' ')[1] ?? ''))
    if (places.some(Boolean)) throw new Error(`${name}: mounted twice: ${places.join(' ')}`)
  }
}

t.test('no unit is made twice, and nothing is mounted twice, whatever has mounted what', async (t) => {
  const prefix = makeTree(t, {
    'proc/self/mountinfo': '1 0 254:1 / / rw - ext4 /dev/vda1 rw\n',
    'etc/fstab': '/dev/vda1 / ext4 rw 0 1\n',
    'usr/lib/systemd/system/soft-reboot.target': '',
  })
  copyTree(join(DATA_ROOTS, 'standard'), join(prefix, 'var/lib/docker'))
  mkdirSync(join(prefix, 'usr/lib/hostext/nextroot'), { recursive: true })
  mkdirSync(join(prefix, 'usr/lib/hostext/base'), { recursive: true })
  await prepare({ prefix }, {}, false)
  const { facts, decision } = readAndDecide({ prefix }, {}, 'this')
  t.match(decision, { plan: { state: ['/var'] } })
  let plans = 0
  const check = (made: Made): void => {
    const decision = decide(factsOf(facts, made))
    if (!('plan' in decision)) return
    plans++
    ensureOnce(decision)
  }
  for (const [seed, numRuns] of [
    [FIXED_SEED, 1500],
    [ROTATING_SEED, 500],
  ] as const) {
    const details = fc.check(fc.property(machines, check), { seed, numRuns })
    const why = (details.errorInstance as Error | null)?.message
    t.equal(details.failed ? `${why}: ${fc.defaultReportMessage(details)}` : 'holds', 'holds')
  }
  t.ok(plans > 500, `${plans} plans`)
})
