import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installFiles } from '../support/installed.js'
import {
  addOrdinary,
  addOrdinaryToPodman,
  BOTH,
  boot,
  FIRST,
  machine,
  machineOfCase,
  makeKnown,
  views,
  work,
} from './machines.js'
import { type Comparison, compare, type Side } from './measure.js'

/** The smallest process there is, started in the same way. */
export const TRUE: Side = { name: '/bin/true', script: '/bin/true', runs: 50 }

/** A boot in which nothing is to be done: the stub alone, which finds that out. */
export function nothing(): Comparison[] {
  const stub = (name: string, root: string, runs = 10): Side => ({
    name,
    script: FIRST,
    runs,
    ...views(root, runs),
  })
  const empty = machineWith('none', 0)
  return [
    compare('nothing', stub('the stub, no engine', empty), TRUE, { pairs: 21, bound: 1.4 }),
    compare('nothing', questions(empty), TRUE, { pairs: 21 }),
    compare('nothing', stub('the stub, 5 ordinary containers', machineWith('five', 5)), TRUE, { pairs: 21 }),
    compare('nothing', stub('the stub, 2,000 ordinary containers', machineWith('many', 2000), 2), TRUE, {
      pairs: 5,
    }),
  ]
}

/** As often as the stub asks there whether something is there: strace counts it. */
const QUESTIONS = 72

/** A script that asks as much as the stub, and knows no rule: no shell can find out the same for less. */
function questions(root: string): Side {
  const script = join(work, 'questions')
  const lines = Array.from({ length: QUESTIONS }, (_, index) => `[ -e ${root}/var/lib/${index} ]\n`)
  writeFileSync(script, `${lines.join('')}:\n`)
  return { name: `dash, ${QUESTIONS} times [ -e PATH ]`, script: `/bin/sh ${script}`, runs: 50 }
}

function machineWith(name: string, count: number): string {
  const root = machine(name, 0)
  installFiles(root)
  addOrdinary(root, count)
  return root
}

/** The boot of a stack that is known to be good: both passes of the stub. */
export async function known(): Promise<Comparison[]> {
  const root = machine('known', 20)
  makeKnown(root)
  const name = 'known boot, 20 extensions, both passes'
  const ours: Side = { name, script: BOTH, ...views(root, 10) }
  const rows = [compare('known', ours, TRUE, { pairs: 21, bound: 8 })]
  // What the processes take that it starts, if they have nothing to do.
  for (const [tool, words] of [
    ['dash', 'dash -c :'],
    ['find', 'find /dev/null -maxdepth 0'],
    ['b2sum', 'b2sum /dev/null'],
    ['tar', 'tar --version'],
    ['cp', 'cp --version'],
  ] as const)
    rows.push(
      compare('known', { name: `${tool}, with nothing to do`, script: words, runs: 50 }, TRUE, { pairs: 11 }),
    )
  const many = machine('known-many', 20)
  addOrdinary(many, 2000)
  makeKnown(many)
  rows.push(
    compare(
      'known',
      { name: 'the same with 2,000 ordinary containers', script: BOTH, ...views(many, 10) },
      { ...ours, name: 'without' },
      { pairs: 11, bound: 2 },
    ),
  )
  addOrdinary(many, 2020)
  boot(many)
  rows.push(
    compare(
      'known',
      { name: '20 more since then', script: BOTH, ...views(many, 10) },
      { ...ours, name: 'without any' },
      { pairs: 11 },
    ),
  )
  for (const [label, store, own, add] of [
    ['containerd', 'store-containerd', 'var/lib/docker/containerd/daemon/hostext', addOrdinary],
    ['Podman', 'store-podman', 'var/lib/containers/storage/hostext', addOrdinaryToPodman],
  ] as const) {
    const plain = await machineOfCase(store)
    makeKnown(plain, own)
    const theirs = { name: `${label}: as it is`, script: BOTH, ...views(plain, 10) }
    const full = await machineOfCase(store, '-full')
    add(full, 2000)
    makeKnown(full, own)
    rows.push(
      compare(
        'known',
        { name: `${label}: with 2,000 ordinary containers`, script: BOTH, ...views(full, 10) },
        theirs,
        { pairs: 11, bound: 2 },
      ),
    )
  }
  return rows
}
