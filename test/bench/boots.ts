/**
 * `tsx test/bench/boots.ts [WORD=VALUE]…`: what the boot of a known-good stack costs, against the boot of the
 * same machine without hostext, in pairs run in turn. Words: `way=container,uml`, `release=bookworm,…`,
 * `extensions=20`, `pairs=7`, `than=DIRECTORY` (against another checkout and not the plain machine),
 * `json=FILE`.
 */
import { writeFileSync } from 'node:fs'
import { prepareHost } from '../boot/packages.js'
import { RELEASES, type Release } from '../boot/rootfs.js'
import { type Life, pairOf, type Way } from './lives.js'

/** One row: the medians of both sides, and of the pairs' ratios, with the least and the greatest. */
export type Row = {
  way: Way
  release: Release
  extensions: number
  what: 'wall' | 'processor'
  pairs: number
  ours: number
  theirs: number
  ratio: number
  least: number
  most: number
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

function rowOf(
  of: Pick<Row, 'way' | 'release' | 'extensions' | 'what'>,
  pairs: readonly (readonly [Life, Life])[],
): Row {
  const values = pairs.map(([ours, theirs]) => [ours[of.what], theirs[of.what]] as const)
  const ratios = values.map(([a, b]) => a / b)
  return {
    ...of,
    pairs: pairs.length,
    ours: median(values.map(([a]) => a)),
    theirs: median(values.map(([, b]) => b)),
    ratio: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
  }
}

/** One line for people. */
export function lineOf({
  way,
  release,
  extensions,
  what,
  pairs,
  ours,
  theirs,
  ratio,
  least,
  most,
}: Row): string {
  const name = `${way}, ${release}, ${extensions} extensions, ${what}`.padEnd(50)
  const both = [ours, theirs].map((value) => `${value.toFixed(3).padStart(8)} s`).join(' ')
  return `${name} ${both}   × ${ratio.toFixed(3)} (${least.toFixed(2)} to ${most.toFixed(2)}, ${pairs} pairs)`
}

/** Boots the pairs of one way and release. In user-mode Linux, wall time says nothing about a machine. */
export async function compareBoots(
  way: Way,
  release: Release,
  extensions: number,
  pairs: number,
  than?: string,
): Promise<Row[]> {
  const lives = await pairOf(way, release, extensions, than, async (ours, theirs) => {
    const result: (readonly [Life, Life])[] = []
    // The first pair finds cold caches.
    for (let number = 0; number <= pairs; number++) {
      const pair = [await ours(), await theirs()] as const
      if (number > 0) result.push(pair)
    }
    return result
  })
  const of = { way, release, extensions }
  return (way === 'uml' ? (['processor'] as const) : (['wall', 'processor'] as const)).map((what) =>
    rowOf({ ...of, what }, lives),
  )
}

if (process.argv[1] === import.meta.filename) {
  const problem = prepareHost()
  if (problem) throw new Error(problem)
  const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]))
  const list = (key: string, all: readonly string[]) => words.get(key)?.split(',') ?? all
  const rows: Row[] = []
  for (const way of list('way', ['container', 'uml']) as Way[])
    for (const release of list('release', RELEASES) as Release[]) {
      const [extensions, pairs] = [Number(words.get('extensions') ?? 20), Number(words.get('pairs') ?? 7)]
      for (const row of await compareBoots(way, release, extensions, pairs, words.get('than'))) {
        rows.push(row)
        console.log(lineOf(row))
      }
    }
  const json = words.get('json')
  if (json) writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`)
}
