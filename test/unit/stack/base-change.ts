import t from 'tap'
import { describeBase, findBaseChange } from '../../../src/stack/base-change.js'
import { makeIdentity } from '../../support/plan.js'

const change = (was: object, is: object) => findBaseChange(makeIdentity(was), makeIdentity(is))

t.test('what has changed, and from what to what', async (t) => {
  t.same(change({ kernel: '6.1.0-1' }, { kernel: '6.1.0-2', kernelBuild: '#1 other' }), {
    what: 'the kernel',
    was: 'kernel 6.1.0-1',
    is: 'kernel 6.1.0-2',
  })
  t.same(change({ kernelBuild: '#1 A' }, { kernelBuild: '#1 B' }), {
    what: 'the kernel',
    was: 'kernel 6.1.0-1 (#1 A)',
    is: 'kernel 6.1.0-1 (#1 B)',
  })
  t.same(change({ system: 'os 1, BUILD_ID=a', changed: '1' }, { system: 'os 1, BUILD_ID=b', changed: '2' }), {
    what: 'the base root',
    was: 'os 1, BUILD_ID=a',
    is: 'os 1, BUILD_ID=b',
  })
  t.same(change({ root: '/ostree/a' }, { root: '' }), {
    what: 'the base root',
    was: 'the root /ostree/a',
    is: 'the root without a name',
  })
  t.same(change({ changed: '1700000000 - 5' }, { changed: '- 1700000060 5' }), {
    what: 'the base root',
    was: 'a base root of 2023-11-14 22:13:20',
    is: 'a base root of 2023-11-14 22:14:20',
  })
  t.same(change({ hostext: '0.1.0' }, { hostext: '0.2.0' }), {
    what: 'hostext',
    was: 'hostext 0.1.0',
    is: 'hostext 0.2.0',
  })
  t.same(
    change(
      { kernel: '1', system: 'os 1', changed: '1' },
      { kernel: '2', system: 'os 2', changed: '2', hostext: '2' },
    ),
    {
      what: 'the kernel, the base root and hostext',
      was: 'kernel 1, os 1, hostext 1.2.3',
      is: 'kernel 2, os 2, hostext 2',
    },
  )
})

t.test('a base that is not on record was one of an earlier hostext', async (t) => {
  t.same(findBaseChange(undefined, makeIdentity()), {
    what: 'hostext',
    was: 'an earlier version of hostext',
    is: 'hostext 1.2.3',
  })
  t.equal(describeBase(undefined), 'an earlier version of hostext')
  t.equal(describeBase(makeIdentity()), 'kernel 6.1.0-1, debian 12, VERSION=12 (bookworm), hostext 1.2.3')
  t.equal(describeBase(makeIdentity({ kernel: '', system: '' })), 'hostext 1.2.3', 'one that has not booted')
})

t.test('texts of any kind make one line', async (t) => {
  const wild = { kernel: '6\n\u001b[31m', system: 'x'.repeat(500), changed: 'soon 1e99 -' }
  const { was } = change(wild, {})
  t.match(was, /^kernel 6\\x0a\\x1b\[31m, x{120}…$/)
  t.match(change({ changed: 'soon 1e99 -' }, {}).was, /^a base root of unknown time$/)
})
