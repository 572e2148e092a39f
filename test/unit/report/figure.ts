import t from 'tap'
import { EMPTY_REPORT, type ReportedExtension } from '../../../src/report/boot-report.js'
import { drawFigure } from '../../../src/report/figure.js'
import { drawPicture } from '../../../src/report/picture.js'

const extension = (number: number, name = `extension-${number}`): ReportedExtension => ({
  ...{ name, image: `registry.example.org/${name}:1.0`, id: 'a', number, above: number % 3 !== 2 },
  ...{ rank: number % 3 === 2 ? 'overlay' : 'override', priority: number, imageId: null },
  ...{ tree: 'A.01234567', unit: `run-hostext-${number}.mount` },
})
const report = (count: number, name?: string) => ({
  ...EMPTY_REPORT,
  ...{ root: 'stacked' as const, etc: 'persistent', writable: ['/var'] },
  extensions: Array.from({ length: count }, (_, index) => extension(index, name)),
})

t.test('a figure is a closed box that fits the screen', async (t) => {
  for (const count of [1, 3, 40]) {
    for (const width of [40, 80, 200]) {
      for (const unicode of [true, false]) {
        const lines = drawFigure(report(count), { width, colour: false, unicode })
        const box = lines.slice(0, -2)
        t.equal(new Set(box.map((line) => line.length)).size, 1, 'straight')
        t.ok((box[0] as string).length <= width, `${box[0]?.length} of ${width}`)
        t.equal(
          box.filter((line) => line.includes('extension-')).length,
          width > 40 ? count : box.filter((line) => line.includes('extension-')).length,
        )
        if (!unicode) t.notMatch(lines.join('\n'), /[^ -~\n]/)
      }
    }
  }
  t.match(drawFigure(report(1), { width: 80, colour: false, unicode: true }), [
    /^┌─+┐$/,
    /^│ 0 {2}extension-0 {2}registry.example.org\/extension-0:1.0 +override=0 +│$/,
    /^├─+┤$/,
    /^│ \/ {2}the root .*│$/,
    /^└─+┘$/,
    'writable: /var',
    '/etc: persistent',
  ])
})

t.test('a picture is XML, whatever the names', async (t) => {
  const hostile = '<script>&"\u202e\n'
  const svg = drawPicture(report(40, hostile), hostile)
  t.notMatch(svg, /<script|\u202e/)
  t.match(svg, '&lt;script&gt;&amp;&quot;')
  t.equal(svg.match(/<rect /g)?.length, 42, 'a rectangle for each, the root and the ground')
  // Each is opened and closed: there are no others.
  const tags = [...svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)]
  const open: string[] = []
  for (const [, end, name, single] of tags) {
    if (end) t.equal(open.pop(), name)
    else if (!single) open.push(name as string)
  }
  t.same(open, [])
})
