import { fstatSync } from 'node:fs'
import { clean } from '../text/output.js'

/** Where the answer goes: columns, and whether it takes colours and characters other than ASCII. */
export type Screen = { width: number; colour: boolean; unicode: boolean }

/** What is not a terminal gets lines of any length, so that a script finds a thing on one line. */
const ENDLESS = 100_000

/**
 * Looks at standard output and the environment: COLUMNS, NO_COLOR (https://no-color.org), TERM, and the
 * locale as in locale(7).
 */
export function lookAtScreen(environment: NodeJS.ProcessEnv): Screen {
  const terminal = findTerminal(environment)
  const isTerminal = terminal !== undefined
  const columns = Number(environment.COLUMNS) || terminal?.columns || 0
  const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || ''
  return {
    width: columns >= 40 ? Math.min(columns, 400) : isTerminal ? 80 : ENDLESS,
    colour: isTerminal && !environment.NO_COLOR && environment.TERM !== 'dumb',
    unicode: /utf-?8$/i.test(locale),
  }
}

/**
 * Standard output, if it is a terminal. That module of Node costs a third of a small command, so it is only
 * loaded for a character device. generators/command asks the terminal without it, and says what it has found:
 * the width, 0 where the terminal does not know, as on a serial line; nothing if it is none, like /dev/null.
 */
function findTerminal({ HOSTEXT_COLUMNS: asked }: NodeJS.ProcessEnv): { columns: number } | undefined {
  if (asked === '') return undefined
  try {
    if (!fstatSync(1).isCharacterDevice()) return undefined
  } catch {
    // It is closed.
    return undefined
  }
  if (asked !== undefined && /^\d{1,4}$/.test(asked)) return { columns: Number(asked) }
  const { isatty, WriteStream } = process.getBuiltinModule('node:tty')
  if (!isatty(1)) return undefined
  const stream = new WriteStream(1)
  const { columns } = stream
  stream.destroy()
  return { columns }
}

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33 } as const

export type Colour = keyof typeof COLOURS

/** A line to print; unchecked text. */
export type Line = string | { colour: Colour; text: string }

/** Lines as they are printed, without anything in them that a terminal could take for its own. */
export function renderLines(lines: readonly Line[], { colour }: Screen): string {
  return lines
    .map((line) => {
      const text = clean(typeof line === 'string' ? line : line.text)
      // ECMA-48, SGR.
      return typeof line === 'string' || !colour
        ? `${text}\n`
        : `\x1b[${COLOURS[line.colour]}m${text}\x1b[0m\n`
    })
    .join('')
}

/** A line that says one thing about something, below others of its kind: `writable    /var`. */
export function field(name: string, text: string): string {
  return `${name.padEnd(10)}  ${text}`
}
