import { describeBase } from '../stack/base-change.js'
import { printable } from '../text/printable.js'
import type { BootReport, ReportedExtension } from './boot-report.js'
import type { Screen } from './screen.js'

/** Frames: of box-drawing characters, or of what every console has. */
const UNICODE = { top: '┌─┐', middle: '├─┤', bottom: '└─┘', side: '│', cut: '…' }
const ASCII = { top: '+-+', middle: '+-+', bottom: '+-+', side: '|', cut: '~' }

/**
 * The stack as a figure for a terminal: what the system sees is looked up from the top. At most as wide as
 * the screen, and no wider than it must be.
 */
export function drawFigure(report: BootReport, screen: Screen): string[] {
  const frame = screen.unicode ? UNICODE : ASCII
  const { extensions, leftOut, writable, etc, base } = report
  const above = extensions.filter((extension) => extension.above).map(describeLayer)
  const below = extensions.filter((extension) => !extension.above).map(describeLayer)
  const root = [['/', 'the root', printable(describeBase(base ?? undefined), 120), '']]
  const all = [...above, ...root, ...below]
  const room = Math.min(screen.width, 120) - 4
  const widths = fit(all, room)
  const inner = widths.reduce((sum, width) => sum + width + 2, -2)
  const line = ([left, fill, right]: string): string => `${left}${(fill as string).repeat(inner + 2)}${right}`
  const row = (cells: string[]): string => {
    const shown = cells.map((cell, index) => cutTo(cell, widths[index] as number, frame.cut))
    return `${frame.side} ${shown.join('  ')} ${frame.side}`
  }
  const groups = [above, root, below].filter((group) => group.length > 0)
  return [
    line(frame.top),
    ...groups.flatMap((group, index) => [...(index > 0 ? [line(frame.middle)] : []), ...group.map(row)]),
    line(frame.bottom),
    ...(writable.length > 0 ? [`writable: ${writable.join(' ')}`] : []),
    ...(etc === null ? [] : [`/etc: ${etc}`]),
    ...leftOut.map(({ who, why }) => `left out: ${who}: ${why}`),
  ]
}

/** The cells of a layer. */
export function describeLayer({ number, name, image, rank, priority }: ReportedExtension): string[] {
  const kind = rank === 'override' ? `override${priority === 'lowest' ? '' : `=${priority}`}` : rank
  return [String(number), printable(name, 60), printable(image, 80), kind]
}

/** The widths of columns that are together as wide as `room`, or less; the wide ones give way. */
function fit(rows: string[][], room: number): number[] {
  const widths = [0, 1, 2, 3].map((index) =>
    Math.max(...rows.map((cells) => [...(cells[index] as string)].length)),
  )
  while (widths.reduce((sum, width) => sum + width + 2, -2) > room && Math.max(...widths) > 4) {
    const widest = widths.indexOf(Math.max(...widths))
    widths[widest] = (widths[widest] as number) - 1
  }
  return widths
}

function cutTo(text: string, width: number, mark: string): string {
  const letters = [...text]
  return letters.length > width
    ? `${letters.slice(0, width - 1).join('')}${mark}`
    : text + ' '.repeat(width - letters.length)
}
