import type { Comparison } from './measure.js'

/** Where a row of the chart begins, how high it is, and where its bars begin and end. */
const ROW = 44
const LEFT = 330
const WIDTH = 900
const TOP = 70

const COLOURS = { ours: '#3465a4', theirs: '#babdb6', bound: '#cc0000' }

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** 1234.5 as "1,235", 1.234 as "1.23". */
export function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(value < 10 ? 2 : 1)
}

/**
 * An SVG with a pair of bars for each comparison, on a logarithmic scale of milliseconds of the processors;
 * and `caption` below them, a text for each line. It needs no font and no script.
 */
export function chart(comparisons: readonly Comparison[], caption: readonly string[]): string {
  const values = comparisons.flatMap(({ processor }) => [processor.ours, processor.theirs])
  const least = 10 ** Math.floor(Math.log10(Math.min(...values)))
  const most = 10 ** Math.ceil(Math.log10(Math.max(...values)))
  const x = (value: number): number =>
    LEFT + ((WIDTH - LEFT - 150) * Math.log10(value / least)) / Math.log10(most / least)
  const lines: string[] = []
  const text = (left: number, top: number, words: string, more = ''): void => {
    lines.push(`<text x="${left.toFixed(1)}" y="${top}"${more}>${escaped(words)}</text>`)
  }
  const height = TOP + comparisons.length * ROW + 30 + caption.length * 16
  text(10, 24, 'What hostext costs, and what its peers do', ' font-size="16" font-weight="bold"')
  text(
    10,
    44,
    'Milliseconds of the processors, medians; the scale is logarithmic. × is the median of the pairs’ ratios.',
  )
  for (let value = least; value <= most; value *= 10) {
    const left = x(value).toFixed(1)
    lines.push(`<path d="M${left} ${TOP - 8}V${TOP + comparisons.length * ROW}" stroke="#d3d7cf"/>`)
    text(x(value), TOP - 12, `${value} ms`, ' text-anchor="middle" fill="#555753"')
  }
  for (const [index, { ours, theirs, processor, bound }] of comparisons.entries()) {
    const top = TOP + index * ROW
    for (const [side, name, value, offset] of [
      ['ours', ours, processor.ours, 4],
      ['theirs', theirs, processor.theirs, 20],
    ] as const) {
      const right = x(value)
      lines.push(
        `<rect x="${LEFT}" y="${top + offset}" width="${(right - LEFT).toFixed(1)}" height="14" fill="${COLOURS[side]}"/>`,
      )
      text(LEFT - 6, top + offset + 11, name, ' text-anchor="end"')
      const ratio = side === 'ours' ? `  × ${figure(processor.ratio.median)}` : ''
      text(right + 5, top + offset + 11, `${figure(value)}${ratio}`)
    }
    if (bound === undefined) continue
    const left = x(processor.theirs * bound).toFixed(1)
    lines.push(`<path d="M${left} ${top + 2}v18" stroke="${COLOURS.bound}" stroke-width="2"/>`)
  }
  for (const [index, line] of caption.entries())
    text(10, TOP + comparisons.length * ROW + 24 + index * 16, line, ' fill="#555753"')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${lines.join('\n')}
</svg>
`
}
