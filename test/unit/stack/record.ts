import t from 'tap'
import {
  isSameBase,
  isSameChoice,
  isSameRecord,
  isSameStack,
  type RecordedStack,
  recordOn,
  recordStack,
  stackText,
} from '../../../src/stack/record.js'
import { makeExtension, makeIdentity, makeStack } from '../../support/plan.js'

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

t.test('the base is on the first line, so that a boot compares one text', async (t) => {
  const base = makeIdentity()
  const text = stackText(recordOn(base, makeStack(['one', 'two'], 1)))
  t.equal(text.split('\n', 1)[0], `{"above":1,"extensions":2,"base":${JSON.stringify(base)}}`)
  t.equal(text.split('\n').length, 4)
  for (const name of Object.keys(base)) {
    const other = makeIdentity({ [name]: 'other' })
    t.not(stackText(recordOn(other, makeStack(['one', 'two'], 1))), text, name)
    t.notOk(isSameBase(base, other), name)
  }
})

t.test('a base that is not on record is no other’s', async (t) => {
  const base = makeIdentity()
  t.ok(isSameBase(base, makeIdentity()))
  t.notOk(isSameBase(undefined, base))
  t.notOk(isSameBase(undefined, undefined))
  const on = recordOn(base, makeStack(['one'], 1))
  t.ok(isSameRecord(on, recordOn(makeIdentity(), makeStack(['one'], 1))))
  t.notOk(isSameRecord(on, recordOn(base, makeStack(['one', 'two'], 1))))
  t.notOk(isSameRecord(on, recordStack(makeStack(['one'], 1))))
})

t.test('the same images in the same ranks are one choice, whatever a base makes of them', async (t) => {
  const images = (...trees: string[]) =>
    recordStack(trees.map((tree) => makeExtension('x', 'image:1', { tree })))
  const one = images('A.00000000', 'B.00000000')
  t.ok(isSameChoice(one, images('A.11111111', 'B.00000000')), 'prepared anew')
  t.ok(isSameChoice({ ...one, above: 0 }, images('B.00000000', 'A.00000000')), 'one is below the root now')
  t.notOk(isSameChoice(one, images('A.00000000', 'C.00000000')))
  t.notOk(isSameChoice(one, images('A.00000000')))
  const ranked = images('A.00000000', 'B.00000000')
  ranked.extensions[0] = { ...ranked.extensions[0], rank: { kind: 'override', priority: 1 } } as never
  t.notOk(isSameChoice(one, ranked), 'another label')
})
