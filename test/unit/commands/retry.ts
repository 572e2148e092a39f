import t from 'tap'
import { retry } from '../../../src/commands/retry.js'
import { makeTree, readTree } from '../../support/tree.js'

t.test('retry forgets what did not boot well, and nothing else', async (t) => {
  const files = { 'var/lib/docker/hostext/good': 'x', 'mnt/data/docker/hostext/previous': 'x' }
  const tried = { 'var/lib/docker/hostext/trial.2': 'x', 'mnt/data/docker/hostext/trial.1': 'x' }
  const root = { prefix: makeTree(t, { ...files, ...tried }) }
  t.same(retry(root), [
    'forgotten: /mnt/data/docker/hostext/trial.1',
    'forgotten: /var/lib/docker/hostext/trial.2',
    'the next boot tries the stack again',
  ])
  t.same(readTree(root.prefix), files)
  t.same(retry(root), ['nothing is kept from being tried'])
})
