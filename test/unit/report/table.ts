import columnify from 'columnify'
import t from 'tap'
import { table } from '../../../src/report/table.js'
import { FIXED_SEED, seeded } from '../../support/seeded.js'

const ROWS = Array.from({ length: 5 }, (_, index) => ({
  name: `name-${index}-${'n'.repeat(20)}`,
  image: `registry.example.org/a/long/path/image-${index}:1.2.3`,
  state: 'left out',
  why: 'it is for kernel 6.1.0, but 6.12.0 is running, and that is no kernel for it at all',
}))

t.test('a table fits the screen', async (t) => {
  for (const width of [80, 120, 200])
    for (const line of table(ROWS, { width, colour: false, unicode: true })) t.ok(line.length <= width, line)
  t.equal(
    table(ROWS, { width: 400, colour: false, unicode: true }).length,
    6,
    'where there is room: one line a row',
  )
  t.same(table([], { width: 80, colour: false, unicode: true }), [])
})

t.test('where nothing is wrapped, it is what columnify makes', async (t) => {
  const random = seeded(FIXED_SEED)
  const cell = (): string =>
    Array.from({ length: random.number(4) }, () => 'x'.repeat(1 + random.number(6))).join(' ')
  for (let number = 0; number < 50; number++) {
    const rows = Array.from({ length: 1 + random.number(5) }, () => ({
      no: cell(),
      name: cell(),
      why: cell(),
    }))
    const expected = columnify(rows, { columns: ['no', 'name', 'why'], config: {}, columnSplitter: '  ' })
      .split('\n')
      .map((line) => line.trimEnd())
    t.same(table(rows, { width: 400, colour: false, unicode: true }), expected, JSON.stringify(rows))
  }
})

t.test('what is in a cell is printable, and stays in it', async (t) => {
  const [, row] = table([{ a: 'x\n\u001b[2J', b: 'y' }], { width: 80, colour: false, unicode: true })
  t.match(row, 'x\\x0a\\x1b[2J  y')
})
