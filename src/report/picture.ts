import { describeBase } from '../stack/base-change.js'
import { cut, printable } from '../text/printable.js'
import type { BootReport, ReportedExtension } from './boot-report.js'
import { describeLayer } from './figure.js'

const WIDTH = 720
const ROW = 30
const GAP = 6
const LEFT = 110

/** Fill colours, by what a layer does to the root; the text on them is black: a contrast of 7 and more. */
const FILLS = { override: '#f6c28b', feature: '#a8d5a2', overlay: '#a9c8ea', root: '#d9d9d9' }

/**
 * The stack as a picture: SVG 1.1, for a ticket. `title`: its first line. What the system sees is looked up
 * from the top.
 */
export function drawPicture(report: BootReport, title: string): string {
  const { extensions, leftOut, writable, etc, base } = report
  const above = extensions.filter((extension) => extension.above)
  const below = extensions.filter((extension) => !extension.above)
  const shapes: string[] = []
  let y = 28
  const text = (x: number, top: number, words: string, more = ''): void =>
    void shapes.push(`<text x="${x}" y="${top}"${more}>${xml(words)}</text>`)
  const heading = cutTo(title, 92)
  text(16, y, heading, ' font-weight="bold"')
  y += 16
  const start = y
  const layer = ([number, name, image, kind]: string[], fill: string): void => {
    shapes.push(
      `<rect x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 16}" height="${ROW - GAP}" rx="3" fill="${fill}"/>`,
    )
    const middle = y + 16
    text(LEFT + 10, middle, number as string)
    text(LEFT + 46, middle, cutTo(name as string, 22), ' font-weight="bold"')
    text(LEFT + 220, middle, cutTo(image as string, kind === '' ? 50 : 38))
    text(WIDTH - 26, middle, kind as string, ' text-anchor="end"')
    y += ROW
  }
  const group = (stack: ReportedExtension[]): void => {
    for (const extension of stack) layer(describeLayer(extension), FILLS[extension.rank])
  }
  group(above)
  layer(['/', 'the root', describeBase(base ?? undefined), ''], FILLS.root)
  group(below)
  // Which way a path is looked up.
  const end = y - GAP
  shapes.push(
    `<path d="M 60 ${start} V ${end - 8} m -5 0 h 10 l -5 8 z" fill="black" stroke="black"/>`,
    `<text x="46" y="${(start + end) / 2}" transform="rotate(-90 46 ${(start + end) / 2})" text-anchor="middle" font-size="11">looked up</text>`,
  )
  const notes = [
    ...(writable.length > 0 ? [`writable: ${writable.join(' ')}`] : []),
    ...(etc === null ? [] : [`/etc: ${etc}`]),
    ...leftOut.slice(0, 20).map(({ who, why }) => `left out: ${who}: ${why}`),
    ...(leftOut.length > 20 ? [`left out: ${leftOut.length - 20} more`] : []),
  ]
  y += 6
  for (const note of notes) {
    y += 18
    text(LEFT, y, cutTo(note, 80))
  }
  const height = y + 20
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">
<title>${xml(heading)}</title>
<rect width="${WIDTH}" height="${height}" fill="white"/>
${shapes.join('\n')}
</svg>
`
}

function cutTo(text: string, length: number): string {
  const shown = printable(text, 1000)
  return shown.length > length ? `${cut(shown, length - 1)}…` : shown
}

/** XML 1.0, 2.4: what must not stand in text or attributes. */
function xml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
