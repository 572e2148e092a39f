import { existsSync, mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isTreeName } from '../../../src/image/kept.js'
import { type RecordedStack, recordStack, stackText } from '../../../src/stack/record.js'
import { neededTrees, removeTrees } from '../../../src/trial/unused.js'
import { cutRemovals } from '../../support/cut.js'
import { makeExtension } from '../../support/plan.js'
import { makeTree } from '../../support/tree.js'

const tree = (key: string) => `${key}.01234567`
const stack = (...keys: string[]): RecordedStack =>
  recordStack(keys.map((key) => makeExtension(key, 'image:1', { tree: tree(key) })))

t.test('what stacks of earlier boots need, and this one', async (t) => {
  const prefix = makeTree(t, {
    'data/hostext/good': stackText(stack('GOOD', 'BOTH')),
    'data/hostext/previous': stackText(stack('PREVIOUS', 'BOTH')),
    'data/hostext/other': stackText(stack('OTHER')),
    'data/hostext/reduced': stackText(stack('REDUCED')),
    'data/hostext/trial.1': stackText(stack('TRIAL')),
    'data/hostext/back.1': stackText(stack('BACK')),
    'data/hostext/reduced.1': stackText(stack('LESS')),
    'data/hostext/trial.2': 'damaged',
    'run/hostext/boot.json': JSON.stringify({
      extensions: [{ tree: tree('STACKED') }, { tree: tree('BOTH') }, 1],
    }),
  })
  const needed = neededTrees({ prefix }, '/data')
  t.same(
    [...needed].filter(Boolean).sort(),
    ['BACK', 'BOTH', 'GOOD', 'LESS', 'OTHER', 'PREVIOUS', 'REDUCED', 'STACKED', 'TRIAL'].map(tree),
  )
  t.same([...neededTrees({ prefix: makeTree(t) }, '/data')], [])
})

t.test('a stack that is marked good meanwhile is seen, whenever that happens', async (t) => {
  const marks = {
    trial: ['good previous', 'trial.1 good'],
    again: ['good spare', 'previous good', 'spare previous'],
  }
  for (const renames of Object.values(marks)) {
    for (let moment = 1, isOver = false; !isOver; moment++) {
      const prefix = makeTree(t, {
        'data/hostext/good': stackText(stack('OLD')),
        'data/hostext/previous': stackText(stack('OLDER')),
        'data/hostext/trial.1': stackText(stack('NEW')),
      })
      let looks = 0
      const root = {
        get prefix() {
          if (++looks === moment)
            for (const names of renames) {
              const [from, to] = names.split(' ').map((name) => join(prefix, 'data/hostext', name))
              renameSync(from ?? '', to ?? '')
            }
          return prefix
        },
      }
      const needed = neededTrees(root, '/data')
      isOver = looks < moment
      const stacks = renames.length === 2 ? ['NEW', 'OLD'] : ['NEW', 'OLD', 'OLDER']
      for (const name of stacks) t.ok(needed.has(tree(name)), `${name}, mark at look ${moment}`)
    }
  }
})

t.test('records that never rest: nothing is known to be unused', async (t) => {
  const prefix = makeTree(t, { 'data/hostext/good': stackText(stack('OLD')) })
  let looks = 0
  const root = {
    get prefix() {
      writeFileSync(join(prefix, 'data/hostext/good'), stackText(stack(`S${looks++}`)))
      return prefix
    },
  }
  t.throws(() => neededTrees(root, '/data'), { message: '/data/hostext: the records change all the time' })
})

t.test('all others go, and what was left over', async (t) => {
  const prefix = makeTree(t)
  const trees = join(prefix, 'data/hostext/trees')
  const names = [tree('USED'), tree('OLD'), 'new0']
  for (const name of names) mkdirSync(join(trees, name, 'tree/usr'), { recursive: true })
  writeFileSync(join(prefix, 'engine'), 'engine')
  writeFileSync(join(trees, 'file'), '')
  t.same(removeTrees({ prefix }, '/data', new Set([tree('USED'), tree('GONE')])), [
    tree('OLD'),
    'file',
    'new0',
  ])
  t.same(
    names.map((name) => existsSync(join(trees, name))),
    [true, false, false],
  )
  t.same(removeTrees({ prefix }, '/data', new Set([tree('USED')])), [])
  t.same(removeTrees({ prefix: makeTree(t) }, '/data', new Set()), [], 'no trees at all')
})

t.test('half of a tree does not count as one, and goes the next time', async (t) => {
  const prefix = makeTree(t, {
    [`data/hostext/trees/${tree('OLD')}/tree/usr/x`]: '',
    [`data/hostext/trees/${tree('OLD')}/facts`]: '',
  })
  const remove = () => removeTrees({ prefix }, '/data', new Set())
  cutRemovals(() => t.throws(remove, { message: 'the power is cut' }))
  const left = readdirSync(join(prefix, 'data/hostext/trees'))
  t.equal(left.length, 1)
  t.same(left.filter(isTreeName), [])
  t.same(remove(), left)
})

t.test('what this boot has stacked stays, even if it was set aside since', async (t) => {
  const prefix = makeTree(t, {
    'run/hostext/boot.json': JSON.stringify({ extensions: [{ tree: tree('STACKED') }] }),
  })
  const trees = join(prefix, 'data/hostext/trees')
  for (const name of [tree('STACKED'), `old0-${tree('STACKED')}`, `old0-${tree('OLD')}`])
    mkdirSync(join(trees, name), { recursive: true })
  t.same(removeTrees({ prefix }, '/data', new Set()), [`old0-${tree('OLD')}`])
  // The next boot stacks the tree that was made anew, which has the same name.
  const later = new Date(Date.now() + 60_000)
  utimesSync(join(prefix, 'run/hostext/boot.json'), later, later)
  t.same(removeTrees({ prefix }, '/data', new Set([tree('STACKED')])), [`old0-${tree('STACKED')}`])
})
