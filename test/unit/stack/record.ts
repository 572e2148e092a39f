import t from 'tap'
import { isSameStack, type RecordedStack, recordStack, stackText } from '../../../src/stack/record.js'
import { makeExtension, makeStack } from '../../support/plan.js'

const stack = (...names: string[]): RecordedStack => recordStack(makeStack(names, 1))

t.test('a line each', async (t) => {
  const [head, ...entries] = stackText(stack('wifi', 'a\n"b" \u2028')).trimEnd().split('\n')
  t.equal(head, '{"above":1,"extensions":2}')
  t.same(
    entries.map((line) => JSON.parse(line).name),
    ['wifi', 'a\n"b" \u2028'],
  )
})

t.test(
  'no more of a text than anyone reads; of a label no more than one that was stacked can have',
  async (t) => {
    const long = 'x'.repeat(2000)
    const { container } = makeExtension('wifi')
    const { extensions } = recordStack([
      makeExtension('wifi', 'image:1', {
        container: { ...container, name: long, image: long },
        labels: [
          ['io.balena.image.kernel-version', '6.1.0'],
          ['io.balena.image.os-version', long],
        ],
      }),
    ])
    t.match(extensions, [
      {
        name: 'x'.repeat(200),
        image: 'x'.repeat(200),
        labels: [
          ['io.balena.image.kernel-version', '6.1.0'],
          ['io.balena.image.os-version', /^x{1024}$/],
        ],
      },
    ])
    t.equal(extensions[0]?.name.length, 200)
  },
)

t.test('a stack is its trees and where the root stands, not its names', async (t) => {
  const one = stack('one', 'two')
  t.ok(isSameStack(one, stack('other', 'names')))
  t.notOk(isSameStack(one, { ...one, above: 2 }))
  t.notOk(isSameStack(one, stack('one')))
  const changed = stack('one', 'two')
  changed.extensions[1] = { ...changed.extensions[1], tree: 'ZZZZZZZZZZZZZZZZZZZZZZZZZZ.01234567' } as never
  t.notOk(isSameStack(one, changed))
})
