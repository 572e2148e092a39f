/**
 * `tsx test/bench/boots.ts [WORD=VALUE]…`: what the boot of a known-good stack costs, against the boot of the
 * same machine without hostext, and against one with a first pass that does nothing but end itself. The
 * machines are booted in turn (A B C A B C …), so that the other work of the host weighs on all; medians, and
 * the medians of the ratios within a turn. Words: `way=container,uml,uml-initrd`, `release=bookworm,…`,
 * `extensions=20`, `turns=7`, `than=DIRECTORY` (another checkout's hostext in place of the empty first pass),
 * `json=FILE`.
 */
import { writeFileSync } from 'node:fs'
import { prepareHost } from '../boot/packages.js'
import { RELEASES, type Release } from '../boot/rootfs.js'
import { PROJECT } from '../support/paths.js'
import { type Life, type Side, type Way, withMachines } from './lives.js'

/** One row: the medians of both sides, and of the ratios, with the least and the greatest. */
export type Row = {
  way: Way
  release: Release
  extensions: number
  what: 'wall' | 'processor'
  ours: string
  theirs: string
  turns: number
  seconds: [number, number]
  ratio: number
  least: number
  most: number
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

type Of = Pick<Row, 'way' | 'release' | 'extensions' | 'what' | 'ours' | 'theirs'>

function rowOf(of: Of, lives: readonly (readonly [Life, Life])[]): Row {
  const values = lives.map(([ours, theirs]) => [ours[of.what], theirs[of.what]] as const)
  const ratios = values.map(([a, b]) => a / b)
  return {
    ...of,
    turns: lives.length,
    seconds: [median(values.map(([a]) => a)), median(values.map(([, b]) => b))],
    ratio: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
  }
}

/** One line for people. */
export function lineOf(row: Row): string {
  const { way, release, extensions, what, ours, theirs, turns, seconds, ratio, least, most } = row
  const name = `${way}, ${release}, ${extensions} extensions, ${what}: ${ours} vs. ${theirs}`.padEnd(70)
  const both = seconds.map((value) => `${value.toFixed(3).padStart(8)} s`).join(' ')
  return `${name} ${both}   × ${ratio.toFixed(3)} (${least.toFixed(2)} to ${most.toFixed(2)}, ${turns} turns)`
}

/**
 * Boots the machines of one way and release. Of user-mode Linux, only the processor time is compared: its
 * wall time is the host's.
 */
export async function compareBoots(
  way: Way,
  release: Release,
  extensions: number,
  turns: number,
  than?: string,
): Promise<Row[]> {
  const middle: Side = than === undefined ? 'empty' : { hostext: than }
  const sides: Side[] = [{ hostext: PROJECT }, middle, 'plain']
  const lives = await withMachines(way, release, extensions, sides, async (boots) => {
    const result: Life[][] = []
    // The first turn finds cold caches.
    for (let number = 0; number <= turns; number++) {
      const turn: Life[] = []
      for (const boot of boots) turn.push(await boot())
      if (number > 0) result.push(turn)
    }
    return result
  })
  const names = ['known-good', than ?? 'empty first pass', 'plain']
  const whats = way === 'container' ? (['wall', 'processor'] as const) : (['processor'] as const)
  const pairs = [
    [0, 2],
    [1, 2],
    [0, 1],
  ] as const
  return whats.flatMap((what) =>
    pairs.map(([a, b]) =>
      rowOf(
        { way, release, extensions, what, ours: names[a] as string, theirs: names[b] as string },
        lives.map((turn) => [turn[a] as Life, turn[b] as Life]),
      ),
    ),
  )
}

if (process.argv[1] === import.meta.filename) {
  const problem = prepareHost()
  if (problem) throw new Error(problem)
  const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]))
  const list = (key: string, all: readonly string[]) => words.get(key)?.split(',') ?? all
  const rows: Row[] = []
  for (const way of list('way', ['container', 'uml', 'uml-initrd']) as Way[])
    for (const release of list('release', RELEASES) as Release[]) {
      const [extensions, turns] = [Number(words.get('extensions') ?? 20), Number(words.get('turns') ?? 7)]
      for (const row of await compareBoots(way, release, extensions, turns, words.get('than'))) {
        rows.push(row)
        console.log(lineOf(row))
      }
    }
  const json = words.get('json')
  if (json) writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`)
}
