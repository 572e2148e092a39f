import t from 'tap'
import type { Rank } from '../../../src/image/labels.js'
import { chooseStack, compareExtensions, countAbove, placeName } from '../../../src/stack/order.js'
import { makeExtension } from '../../support/plan.js'

const extension = (name: string, rank: Rank) => makeExtension(name, 'image:1', { rank })
const many = (count: number, rank: Rank) =>
  Array.from({ length: count }, (_, index) => extension(`${rank.kind}${index}`, rank))

t.test('the kernel takes 499: what only adds goes first, then the lowest priority', async (t) => {
  const all = [
    ...many(10, { kind: 'override', priority: 1 }),
    ...many(495, { kind: 'feature' }),
    ...many(15, { kind: 'overlay' }),
  ]
  const { stack, leftOut } = chooseStack(all)
  t.equal(stack.length, 499)
  t.equal(countAbove(stack), 499)
  t.equal(leftOut.length, 21)
  t.match(leftOut[0], { who: /^feature94 /, why: /at most 499 extensions, and 520 are flagged/ })
  t.match(leftOut.at(-1), { who: /^overlay9 / })
  const others = chooseStack(all.slice(11))
  t.equal(countAbove(others.stack), 494)
  t.equal(others.leftOut.length, 10)
  for (const [n, { who }] of others.leftOut.entries())
    t.match(who, `overlay${[13, 14, 2, 3, 4, 5, 6, 7, 8, 9][n]} `)
  t.match(chooseStack(all, 498).leftOut, {
    length: 22,
    0: { why: /at most 498 extensions besides the rebuilt indexes/ },
  })
  const notAbove = makeExtension('x', 'image:1', { below: '/etc/fstab' })
  t.equal(countAbove(chooseStack([...many(2, { kind: 'feature' }), notAbove]).stack), 2)
  t.same(chooseStack([]), { stack: [], leftOut: [] })
})

t.test('the order', async (t) => {
  const make = (name: string, rank: Rank, id = 'a', below?: string) =>
    makeExtension(name, 'image:1', { rank, below, container: { ...makeExtension(name).container, id } })
  const ordered = [
    make('z', { kind: 'override', priority: -1 }),
    make('Z', { kind: 'override', priority: 2 }),
    make('a', { kind: 'override', priority: 2 }),
    make('b', { kind: 'override', priority: 10 }),
    make('a1', { kind: 'override', priority: 'lowest' }),
    make('a2', { kind: 'override', priority: 'lowest' }),
    make('a', { kind: 'feature' }, '1'),
    make('a', { kind: 'feature' }, '2'),
    // What may not replace what it would is below the root, before what only adds.
    make('c', { kind: 'override', priority: 1 }, '1', '/usr/sbin/init'),
    make('c', { kind: 'feature' }, '1', '/etc/fstab'),
    make('a', { kind: 'overlay' }),
    make('b', { kind: 'overlay' }),
  ]
  for (let turn = 0; turn < ordered.length; turn++) {
    const shuffled = [...ordered.slice(turn), ...ordered.slice(0, turn)].reverse()
    t.same(shuffled.sort(compareExtensions), ordered)
  }
})

t.test('the names of places are in stack order where names are sorted', async (t) => {
  for (const count of [1, 2, 10, 11, 100, 101, 499]) {
    const names = Array.from({ length: count }, (_, number) => placeName(number, count))
    t.same([...names].sort(), names, String(count))
    t.same(names.map(Number), [...names.keys()])
  }
  t.equal(placeName(9, 10), '9')
  t.equal(placeName(9, 11), '09')
})
