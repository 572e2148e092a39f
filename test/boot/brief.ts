import type { Boot } from './machine.js'

/** The start of each line of the brief, in the comments of the failed test. */
const MARK = '!! '
/** The reports that say what went wrong, whatever the case is about. */
const KEYS = ['root', 'state', 'failed', 'jobs', 'decision', 'why']
/** Limits: lines of one report, of the end of a console, of a difference; characters of a line. */
const [MOST_LINES, MOST_CONSOLE, MOST_DIFF, MOST_CHARACTERS] = [30, 12, 12, 180]

/** The end of a console, without colours, reports and empty lines. */
function consoleEnd(console: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours and what else a terminal is told
  const plain = console.replace(/\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))/g, '')
  const lines = plain.split(/[\r\n]+/).filter((line) => line.trim() !== '' && !line.startsWith('@@'))
  return lines.slice(-MOST_CONSOLE)
}

/**
 * A summary of a failed case, for people who see only the end of a long output: the error that ended it, if
 * there was one, and the reports of each boot that say why.
 */
export function brief(name: string, boots: readonly Boot[], error?: unknown): string {
  const lines = [name]
  if (error !== undefined) {
    const [message = '', console = ''] = String((error as Error).message ?? error).split('its console:\n')
    const said = message.split('\n').filter((line) => line.trim() !== '')
    lines.push(...said.slice(0, MOST_LINES).map((line) => `  ${line}`))
    lines.push(...consoleEnd(console).map((line) => `    ${line}`))
  }
  for (const [index, { reports, console }] of boots.entries()) {
    const number = index + 1
    for (const key of KEYS) {
      const report = (reports.get(key) ?? '').split('\n').filter((line) => line.trim() !== '')
      if (report.length === 0) continue
      lines.push(`  boot ${number} ${key}: ${report[0]}`)
      for (const line of report.slice(1, MOST_LINES)) lines.push(`    ${line}`)
      if (report.length > MOST_LINES) lines.push(`    and ${report.length - MOST_LINES} lines more`)
    }
    lines.push(`  boot ${number} console:`, ...consoleEnd(console).map((line) => `    ${line}`))
  }
  return lines.map((line) => MARK + line.slice(0, MOST_CHARACTERS)).join('\n')
}

/**
 * How many assertions of a tier passed, failed and were skipped, from its output (TAP). Throws an Error if
 * the runner does not say so in the known format: otherwise skipped tests could go unnoticed.
 */
export function countsOf(tap: string): { pass: number; fail: number; skip: number } {
  const [, text] = /^# \{ (total: [^}]*) \}$/m.exec(tap) ?? []
  if (text === undefined) throw new Error(`the runner has not counted its tests:\n${tap.slice(-2000)}`)
  const counts = new Map(text.split(', ').map((pair) => pair.split(': ') as [string, string]))
  const number = (key: string): number => Number(counts.get(key) ?? 0)
  const [pass, fail, skip] = [number('pass'), number('fail'), number('skip') + number('todo')]
  if (pass + fail + skip !== number('total')) throw new Error(`counts that do not add up: ${text}`)
  return { pass, fail, skip }
}

/**
 * Of the failed tests of a tier, from its output (TAP): each one with the names of its parents and how what
 * it compared differs, and the briefs.
 */
export function failures(tap: string): { failed: string[]; briefs: string[] } {
  const path: string[] = []
  const failed: string[] = []
  const briefs: string[] = []
  let diff: { indent: number; lines: number } | undefined
  for (const each of tap.split('\n')) {
    const [, indent = '', text = ''] = /^( *)(.*)$/.exec(each) ?? []
    const depth = Math.floor(indent.length / 4)
    if (/^diff: [|>]/.test(text)) {
      diff = { indent: indent.length, lines: 0 }
      continue
    }
    if (diff && indent.length > diff.indent) {
      if (/^[-+](?!-- expected$|\+\+ actual$)/.test(text) && diff.lines++ < MOST_DIFF)
        failed.push(`  ${text}`.slice(0, MOST_CHARACTERS))
      continue
    }
    diff = undefined
    const [, subtest] = /^# Subtest: (.*)$/.exec(text) ?? []
    const [, name] = /^not ok \d+ - (.*?)(?: # time=.*)?$/.exec(text) ?? []
    if (subtest !== undefined) path.splice(depth, path.length, subtest)
    else if (text.startsWith(`# ${MARK}`)) briefs.push(text.slice(2 + MARK.length))
    else if (name !== undefined && !/ # (?:TODO|SKIP)/.test(name)) {
      const line = `not ok: ${[...path.slice(0, depth), name].join(' > ')}`
      // A parent that only fails because of a subtest is named with that.
      if (!failed.some((other) => other.startsWith(`${line} > `))) failed.push(line)
    }
  }
  return { failed, briefs }
}
