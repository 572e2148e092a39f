import columnify from 'columnify'
import { printable } from '../text/printable.js'
import type { Screen } from './screen.js'

/** The cells of a row, by column. Unchecked text. */
export type Row = Record<string, string>

/**
 * A table that fits the screen: the last column takes what is left, in several lines if it must. On a screen
 * that is too narrow for that, or for rows that are longer than it, all columns share the room.
 */
export function table(rows: readonly Row[], screen: Screen): string[] {
  if (rows.length === 0) return []
  const columns = Object.keys(rows[0] as Row)
  const cells = rows.map((row) => columns.map((name) => printable(row[name] ?? '', 1000)))
  const widest = columns.map((name, index) =>
    Math.max(name.length, ...cells.map((line) => [...(line[index] as string)].length)),
  )
  const last = columns.length - 1
  const most = Math.max(12, Math.floor(screen.width / (columns.length + 1)))
  const widths = widest.map((width, index) => (index === last ? width : Math.min(width, Math.max(most, 16))))
  const others = widths.slice(0, last).reduce((sum, width) => sum + width + GAP.length, 0)
  const left = Math.max(16, screen.width - others)
  const isPlain = cells.every((line) => line.every((cell) => /^[ -~]*$/.test(cell)))
  const fits = widths.every((width, index) => width === widest[index]) && (widest[last] as number) <= left
  if (isPlain && fits) return plainTable([columns.map((name) => name.toUpperCase()), ...cells], widths)
  const config = Object.fromEntries(
    columns.map((name, index) => [name, { maxWidth: index === last ? left : (widths[index] as number) }]),
  )
  const data = cells.map((line) => Object.fromEntries(columns.map((name, index) => [name, line[index]])))
  return columnify(data, { columns, config, columnSplitter: GAP })
    .split('\n')
    .map((line) => line.trimEnd())
}

/**
 * The same where nothing has to be wrapped, and each character is as wide as the other: most tables, and
 * columnify takes a fifth of the answer for them.
 */
function plainTable(lines: readonly string[][], widths: readonly number[]): string[] {
  return lines.map((line) =>
    line
      .map((cell, index) => cell.padEnd(widths[index] as number))
      .join(GAP)
      .trimEnd(),
  )
}

const GAP = '  '
