import t from 'tap'
import { findBack } from '../../../src/stack/back.js'
import type { GoodName, GoodStack, TrialName } from '../../../src/stack/facts.js'
import { type RecordedStack, recordOn } from '../../../src/stack/record.js'
import { makeExtension, makeIdentity } from '../../support/plan.js'

const extensions = (name: string) => [makeExtension(name, 'image:1', { tree: `${name}.01234567` })]
/** A good record of the stack with one extension. */
function good(name: GoodName, base: object | undefined, stack: string, problem?: string): GoodStack {
  const { base: recorded, ...rest } = recordOn(makeIdentity(base), extensions(stack))
  return {
    ...rest,
    ...(base && { base: recorded }),
    name,
    restored: problem === undefined ? extensions(stack) : { problem },
  }
}
const OTHER = { kernel: '6.1.0-0' }

function back(
  stacks: GoodStack[],
  triesOthers = true,
  tried: { name: TrialName; stack: RecordedStack; attempts: number }[] = [],
) {
  const { back, problems } = findBack({ good: stacks, tried }, makeIdentity(), 2, triesOthers)
  return { name: back?.stack[0]?.container.name, trial: back?.trial, problems }
}

t.test('what is good on this base comes first, and is no trial', async (t) => {
  const stacks = [good('good', OTHER, 'elsewhere'), good('previous', {}, 'here')]
  t.same(back(stacks), { name: 'here', trial: undefined, problems: [] })
  t.same(back(stacks, false), { name: 'here', trial: undefined, problems: [] })
  t.same(back([]), { name: undefined, trial: undefined, problems: [] })
})

t.test('one that no longer fits is named, and the next one is taken', async (t) => {
  const stacks = [good('good', {}, 'first', 'first is gone'), good('previous', {}, 'second')]
  t.same(back(stacks), { name: 'second', trial: undefined, problems: ['first is gone'] })
})

t.test('one of another base is tried, if that is wanted', async (t) => {
  const change = { what: 'the kernel', was: 'kernel 6.1.0-0', is: 'kernel 6.1.0-1' }
  const stacks = [good('good', OTHER, 'first'), good('previous', OTHER, 'second')]
  t.same(back(stacks), { name: 'first', trial: { attempt: 1, change }, problems: [] })
  t.same(back(stacks, false), { name: undefined, trial: undefined, problems: [] })
  const tried = { name: 'back' as const, stack: recordOn(makeIdentity(), extensions('first')) }
  t.match(back(stacks, true, [{ ...tried, attempts: 1 }]), { name: 'first', trial: { attempt: 2 } })
  t.same(
    back(stacks, true, [{ ...tried, attempts: 2 }]),
    {
      name: undefined,
      trial: undefined,
      problems: ['it booted well with kernel 6.1.0-0; now kernel 6.1.0-1: did not boot well in 2 boots'],
    },
    'no second one: its record would take the place of the first one’s, and both be tried for ever',
  )
  t.match(
    back([good('good', undefined, 'first')]),
    { name: 'first', trial: { attempt: 1, change: { was: 'an earlier version of hostext' } } },
    'of an unknown base',
  )
})
