import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { removeWhole, setAside } from '../../../src/machine/remove.js'
import { cutRemovals } from '../../support/cut.js'
import { makeTree } from '../../support/tree.js'

t.test('it loses its name before anything else', async (t) => {
  const directory = makeTree(t, { 'a/tree/x': '', 'a/facts': '' })
  cutRemovals(() => t.throws(() => removeWhole(directory, 'a'), { message: 'the power is cut' }))
  t.same(readdirSync(directory), ['old0-a'])
  mkdirSync(join(directory, 'a'))
  removeWhole(directory, 'a')
  t.same(readdirSync(directory), ['old0-a'])
  cutRemovals(() => t.throws(() => removeWhole(directory, 'old0-a'), { message: 'the power is cut' }))
  t.same(readdirSync(directory), ['old0-a'], 'its name does not grow with each try')
  removeWhole(directory, 'old0-a')
  t.same(readdirSync(directory), [])
})

t.test('what was set aside stays, however often that happens', async (t) => {
  const directory = makeTree(t)
  for (const number of [0, 1]) {
    mkdirSync(join(directory, 'a'))
    t.equal(setAside(directory, 'a'), `${directory}/old${number}-a`)
  }
  t.same(readdirSync(directory).sort(), ['old0-a', 'old1-a'])
})
