import t from 'tap'
import type { EngineFacts } from '../../../src/image/engines.js'
import { DEFAULTS } from '../../../src/machine/configuration.js'
import type { GoodStack } from '../../../src/stack/facts.js'
import { recordStack } from '../../../src/stack/record.js'
import { findUnknown, leaveOut, readSkips, refuseSkipped } from '../../../src/stack/skip.js'
import { makeExtension, makeStack } from '../../support/plan.js'

const skips = (words: string[], settings: string[] = []) =>
  readSkips({
    commandLine: { target: 'default.target', ...(words.length > 0 && { skip: words }) },
    configuration: { ...DEFAULTS, skip: settings },
  })
/** An engine with extensions of these names, the last one of which is not prepared. */
const engine = (...names: string[]): EngineFacts =>
  ({
    extensions: makeStack(names.slice(0, -1), 1),
    unprepared: [{ container: makeExtension(names.at(-1) as string).container }],
    leftOut: [{ who: 'lte (lte:1, 0123456789ab)', why: 'it is for another kernel' }],
  }) as unknown as EngineFacts
const container = (name: string) => ({ id: 'a'.repeat(64), name, image: 'image:1' })
const namesOf = (list: readonly { container: { name: string } }[]) =>
  list.map(({ container }) => container.name)

t.test('whole names are left out, prepared or not', async (t) => {
  const left = leaveOut(engine('wifi', 'wifi-2', 'gpu'), skips(['wifi', 'gpu']))
  t.same(namesOf(left.extensions), ['wifi-2'])
  t.same(namesOf(left.unprepared), [])
  const why = 'hostext.skip= on the kernel command line'
  t.same(left.skipped, [
    { who: 'wifi (image:1, aaaaaaaaaaaa)', why, container: container('wifi'), onRequest: true },
    { who: 'gpu (image:1, aaaaaaaaaaaa)', why, container: container('gpu'), onRequest: true },
  ])
  t.equal(left.isReduced, true)
  const all = leaveOut(engine('wifi', 'gpu'), skips([]))
  t.same([namesOf(all.extensions), namesOf(all.unprepared), all.skipped], [['wifi'], ['gpu'], []])
  t.equal(all.isReduced, false)
})

t.test('a setting is for all boots, the command line for one', async (t) => {
  const left = leaveOut(engine('wifi', 'gpu'), skips(['nothing'], ['wifi']))
  t.same(left.skipped, [
    {
      who: 'wifi (image:1, aaaaaaaaaaaa)',
      why: 'Skip= in hostext.conf',
      container: container('wifi'),
      onRequest: true,
    },
  ])
  t.equal(left.isReduced, false)
  t.equal(leaveOut(engine('wifi', 'gpu'), skips(['wifi'], ['wifi'])).isReduced, false, 'left out anyway')
})

t.test('a name that no extension has is named', async (t) => {
  const unknown = (words: string[], settings: string[] = []) =>
    findUnknown(skips(words, settings), [engine('wifi', 'gpu'), engine('bt', 'nfc')]).map(({ text }) => text)
  t.same(unknown(['wifi', 'gpu', 'bt', 'nfc', 'lte']), [], 'one that is left out anyway has a line')
  t.same(unknown(['wif', 'l\n'], ['wifi-2']), [
    'hostext.skip= on the kernel command line: no extension has the name wif',
    'hostext.skip= on the kernel command line: no extension has the name l\\x0a',
    'Skip= in hostext.conf: no extension has the name wifi-2',
  ])
  t.same(findUnknown(skips(['wifi']), []).length, 1, 'where no engine is')
})

t.test('a good stack that has what is to be left out is not gone back to', async (t) => {
  const long = 'x'.repeat(300)
  const good = (...names: string[]): GoodStack => ({
    ...recordStack(makeStack(names, 1)),
    name: 'good',
    restored: makeStack(names, 1),
  })
  const stacks = [good('wifi', 'gpu'), good('gpu'), good(long)]
  const refused = refuseSkipped(stacks, skips(['wifi', long]))
  t.same(refused[0]?.restored, { problem: 'it has wifi: hostext.skip= on the kernel command line' })
  t.same(refused[1], stacks[1])
  t.match(refused[2]?.restored, { problem: /^it has x{60}…: hostext\.skip= / }, 'a record has its beginning')
  t.same(refuseSkipped(stacks, skips([])), stacks)
})
