import { spawnSync } from 'node:child_process'

/** Milliseconds that one run takes: from start to end, and of the processors. */
export type Cost = { wall: number; processor: number }

/** What is run: a script for sh, in which `$i` is the number of the run in its sample, from 0. */
export type Side = {
  name: string
  script: string
  environment?: Record<string, string>
  /** Makes ready what `runs` runs find. It is not measured. */
  prepare?: (runs: number) => void
  /** Runs in one sample: those that take a millisecond need some. */
  runs?: number
}

/** For a quick look: fewer pairs than a comparison asks for. */
let mostPairs = Number.POSITIVE_INFINITY
export function limitPairs(most: number): void {
  mostPairs = most
}

/** The median, the least and the greatest. */
export type Spread = { median: number; least: number; most: number }

/** One comparison: the medians of both sides, and what the pairs' ratios are. */
export type Comparison = {
  section: string
  ours: string
  theirs: string
  pairs: number
  wall: { ours: number; theirs: number; ratio: Spread }
  processor: { ours: number; theirs: number; ratio: Spread }
  /** What the ratio should be at most, if something is said about it. */
  bound?: number
}

/** Runs in a sample if the side says nothing. */
const RUNS = 10

/** The directories in which PID 1 looks for the programs of generators. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * One sample: the mean of its runs. Throws an Error if a run fails. A shell starts them, which forks as
 * cheaply as PID 1 does; bash says what its children took, in milliseconds.
 */
export function sample({ name, script, environment, prepare, runs = RUNS }: Side): Cost {
  prepare?.(runs)
  const loop = `i=0
while [ "$i" -lt ${runs} ]; do
	${script} || exit 1
	i=$((i + 1))
done`
  const { status, stderr } = spawnSync(
    'bash',
    ['-c', 'exec 3>&2; TIMEFORMAT="%3R %3U %3S"; time sh -c "$1" >/dev/null 2>/dev/null 3>&-', 'bash', loop],
    { encoding: 'utf8', env: { PATH, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const [wall, user, system] = stderr.trim().split(' ').map(Number)
  if (status !== 0 || wall === undefined || user === undefined || system === undefined)
    throw new Error(`${name}: status ${status}: ${stderr.trim()}`)
  return { wall: (wall * 1000) / runs, processor: ((user + system) * 1000) / runs }
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (index: number): number => sorted[index] as number
  return { median: at(Math.floor(sorted.length / 2)), least: at(0), most: at(sorted.length - 1) }
}

/**
 * Both sides in turn (A B A B …), so that the machine's other work weighs on both. The first pair warms up
 * and does not count. The ratio is that of the pairs, not of the medians: each pair had the machine in one
 * state.
 */
export function compare(
  section: string,
  ours: Side,
  theirs: Side,
  { pairs: wanted, bound }: { pairs: number; bound?: number },
): Comparison {
  const pairs = Math.min(wanted, mostPairs)
  const costs = Array.from({ length: pairs + 1 }, () => [sample(ours), sample(theirs)] as const).slice(1)
  const of = (kind: keyof Cost): Comparison['wall'] => ({
    ours: spread(costs.map(([a]) => a[kind])).median,
    theirs: spread(costs.map(([, b]) => b[kind])).median,
    ratio: spread(costs.map(([a, b]) => a[kind] / b[kind])),
  })
  return {
    section,
    ours: ours.name,
    theirs: theirs.name,
    pairs,
    wall: of('wall'),
    processor: of('processor'),
    ...(bound === undefined ? {} : { bound }),
  }
}
