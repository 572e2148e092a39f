import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUNDLE, machine, NODE, work } from './machines.js'
import { type Comparison, compare } from './measure.js'
import type { Amount } from './runtime.js'

const data = (): string => join(work, 'preparation/var/lib/docker')
let layers: string[] = []

/**
 * An image of three layers with 12,000 files in 1,300 directories: all of `hostext prepare`, the runtime's
 * start included, against `cp -al` of its layers.
 */
export function preparation(): Comparison[] {
  const root = machine('preparation', 1)
  const name = (index: number): string => `${'f'.repeat(24)}${index}`
  layers = [0, 1, 2].map((index) => join(data(), 'overlay2', name(index), 'diff'))
  for (const [index, layer] of layers.entries()) {
    for (let number = index; number < 12_000; number += 3) {
      const directory = join(layer, 'usr/share', `${number % 36}`, `${number % 1296}`)
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, `file-${number}`), `${number}`.repeat(number % 500))
    }
  }
  const short = (index: number): string => `${'M'.repeat(25)}${index}`
  for (const index of layers.keys())
    symlinkSync(`../${name(index)}/diff`, join(data(), 'overlay2/l', short(index)))
  const lower = join(data(), 'overlay2', 'e0'.padStart(64, '0'), 'lower')
  const [init] = readFileSync(lower, 'utf8').split(':')
  writeFileSync(lower, [init, ...layers.map((_, index) => `l/${short(index)}`)].join(':'))
  const out = join(work, 'copied')
  const prepare = (): void => {
    rmSync(out, { recursive: true, force: true })
    rmSync(join(data(), 'hostext'), { recursive: true, force: true })
  }
  const copies = layers.map((layer, index) => `cp -al ${layer} ${out}/${index}`).join(' && ')
  return [
    compare(
      'preparation',
      {
        name: 'prepare 12,000 files in 3 layers',
        script: `HOSTEXT_ROOT=${root} ${NODE} ${BUNDLE} prepare`,
        runs: 1,
        prepare,
      },
      { name: 'cp -al', script: `mkdir ${out} && ${copies} && sync -f ${out}`, runs: 1, prepare },
      { pairs: 7 },
    ),
  ]
}

/** What a tree takes on the disk. Layers and tree together, so that each file counts once. */
export function treeSize(): Amount[] {
  if (layers.length === 0) return []
  execFileSync(NODE, [BUNDLE, 'prepare'], {
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: join(work, 'preparation') },
    stdio: 'ignore',
  })
  const kibibytes = (path: string): number =>
    Number(execFileSync('du', ['-sk', path], { encoding: 'utf8' }).split('\t')[0])
  const alone = layers.reduce((sum, layer) => sum + kibibytes(layer), 0)
  return [
    {
      section: 'preparation',
      what: `the tree takes, besides the layers of ${Math.round(alone / 1024)} MiB`,
      value: (kibibytes(data()) - alone) / 1024,
      unit: 'MiB',
    },
  ]
}
