/**
 * `npm run bench`: what hostext costs, against its peers in the same run.
 *
 *     npm run bench -- [SECTION]… [--pairs N] [--json] [--write]
 *
 * All sections without a word: nothing, known, start, changed, memory, cold, sizes, mounts, preparation,
 * commands.
 * `--pairs N`: at most N pairs for each comparison, for a quick look. `--json`: all of it as JSON, and no
 * table. `--write`: also the chart, to docs/costs.svg, with the table below it in docs/costs.md.
 *
 * Each comparison is of whole processes, in pairs run in turn (A B A B …), so that the machine's other work
 * weighs on both; the ratio is the median of the pairs' ratios. What whole boots take: test/bench/boots.ts.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import minimist from 'minimist'
import { chart, figure } from './bench/chart.js'
import { commands } from './bench/commands.js'
import { type Comparison, limitPairs } from './bench/measure.js'
import { mounts } from './bench/mounts.js'
import { preparation, treeSize } from './bench/preparation.js'
import { type Amount, changed, cold, memory, sizes, start } from './bench/runtime.js'
import { known, nothing } from './bench/stub.js'
import { PROJECT } from './support/paths.js'

/** The sections, in the order of the table. A section that takes root, or a tool, says so and is left out. */
const SECTIONS: Record<string, () => (Comparison | Amount)[] | Promise<Comparison[]>> = {
  nothing,
  known,
  start,
  changed,
  memory,
  cold,
  sizes,
  mounts,
  preparation: () => [...preparation(), ...treeSize()],
  commands,
}

const { _: words, ...options } = minimist(process.argv.slice(2), {
  boolean: ['json', 'write'],
  string: ['pairs'],
})
for (const word of [
  ...words,
  ...Object.keys(options).filter((name) => !['json', 'write', 'pairs'].includes(name)),
])
  if (!(word in SECTIONS)) {
    console.error(`bench: ${word} is not a section; sections: ${Object.keys(SECTIONS).join(', ')}`)
    process.exit(2)
  }
const pairs = options.pairs === undefined ? undefined : Number(options.pairs)
if (pairs !== undefined) {
  if (!Number.isSafeInteger(pairs) || pairs < 1) {
    console.error(`bench: --pairs ${options.pairs}: a number of pairs is at least 1`)
    process.exit(2)
  }
  limitPairs(pairs)
}

const revision = execFileSync('git', ['describe', '--always', '--dirty'], {
  cwd: PROJECT,
  encoding: 'utf8',
}).trim()
const machine = {
  date: new Date().toISOString().slice(0, 10),
  revision,
  processors: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
  kernel: execFileSync('uname', ['-sr'], { encoding: 'utf8' }).trim(),
  // How busy it is with other work. The figures of a busy machine are as good as their spread.
  load: readFileSync('/proc/loadavg', 'utf8').split(' ', 3).join(' '),
}
const rows: (Comparison | Amount)[] = []
const left: string[] = []
if (!options.json) console.log(header())
for (const [name, section] of Object.entries(SECTIONS)) {
  if (words.length > 0 && !words.includes(name)) continue
  try {
    const found = await section()
    rows.push(...found)
    if (!options.json) for (const row of found) console.log(line(row))
  } catch (error) {
    left.push(name)
    console.error(`bench: ${name} is left out: ${(error as Error).message.split('\n')[0]}`)
  }
}
if (options.json) console.log(JSON.stringify({ machine, rows, left }, undefined, 2))
if (options.write) {
  const title = describe()
  writeFileSync(
    join(PROJECT, 'docs/costs.svg'),
    chart(
      rows.filter((row) => 'ours' in row),
      [title],
    ),
  )
  const table = [header(), ...rows.map(line)].join('\n')
  writeFileSync(
    join(PROJECT, 'docs/costs.md'),
    `# What it costs\n\nOne run of \`npm run bench -- --write\`.\n\n![the same as a chart](costs.svg)\n\n\`\`\`\n${table}\n\`\`\`\n`,
  )
}
process.exit(left.length > 0 ? 1 : 0)

function describe(): string {
  const { date, revision, processors, kernel, load } = machine
  return `${date}, ${revision}, ${processors}, ${kernel}, load ${load}`
}

function header(): string {
  return [
    `${describe()}; medians in milliseconds`,
    `${''.padEnd(48)} ${'processors'.padStart(10)} ${'wall'.padStart(8)}   ratio of the processors' time, and of the wall's`,
  ].join('\n')
}

function line(row: Comparison | Amount): string {
  if (!('ours' in row)) {
    const bound = row.bound === undefined ? '' : `   (at most ${row.bound})`
    return `${row.what.padEnd(78)} ${figure(row.value).padStart(8)} ${row.unit}${bound}`
  }
  const { processor, wall } = row
  const ratio = ({ median, least, most }: Comparison['wall']['ratio']): string =>
    `× ${figure(median)} (${figure(least)} to ${figure(most)})`
  const bound = row.bound === undefined ? '' : ` (at most ${row.bound})`
  return [
    `${row.ours.padEnd(48)} ${figure(processor.ours).padStart(10)} ${figure(wall.ours).padStart(8)}   ${ratio(processor.ratio)}, ${ratio(wall.ratio)}${bound}`,
    `${`    vs. ${row.theirs}`.padEnd(48)} ${figure(processor.theirs).padStart(10)} ${figure(wall.theirs).padStart(8)}   ${row.pairs} pairs`,
  ].join('\n')
}
