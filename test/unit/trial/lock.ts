import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { withLock } from '../../../src/trial/lock.js'
import { makeTree } from '../../support/tree.js'

t.test('one after the other', async (t) => {
  const root = { prefix: makeTree(t, { 'data/hostext/.keep': '' }) }
  const log: string[] = []
  const work = (name: string) => async () => {
    log.push(`${name} begins`)
    await setTimeout(1500)
    log.push(`${name} ends`)
    return name
  }
  const wait = (name: string) => () => void log.push(`${name} waits`)
  const first = withLock(root, '/data', wait('first'), work('first'))
  while (log.length === 0) await setTimeout(10)
  const second = withLock(root, '/data', wait('second'), work('second'))
  t.same(await Promise.all([first, second]), ['first', 'second'])
  t.same(log, ['first begins', 'second waits', 'first ends', 'second begins', 'second ends'])
})

t.test('work that fails gives the lock back', async (t) => {
  const root = { prefix: makeTree(t, { 'data/hostext/.keep': '' }) }
  const never = () => {}
  await t.rejects(
    withLock(root, '/data', never, async () => {
      throw new Error('failed')
    }),
    { message: 'failed' },
  )
  t.equal(await withLock(root, '/data', never, async () => 'done'), 'done')
})

t.test('where nothing can be locked', async (t) => {
  const root = { prefix: makeTree(t) }
  await t.rejects(
    withLock(
      root,
      '/data',
      () => {},
      async () => t.fail('it works without a lock'),
    ),
    { message: '/data cannot be locked' },
  )
})
