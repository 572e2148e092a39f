import { statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import { makeTree, readTree, type Tree } from '../../support/tree.js'

const SET_ASIDE = { 'hostext/known/seen': 'new\n', 'hostext/known/units.tar': 'new\n' }

/** Runs the script for a directory with these files. */
function run(t: Test, files: Tree, name = '') {
  const directory = makeTree(t, files)
  const result = runPrivately(t, [join(STEPS, 'keep'), join(directory, name)], SET_ASIDE, {})
  return { ...result, directory, kept: readTree(directory) }
}

t.test('what was set aside is kept', { skip: cannotMount }, async (t) => {
  const KEPT = { 'known/seen': 'new\n', 'known/units.tar': 'new\n' }
  t.test('for the first time', async (t) => {
    const { status, kept, run: left, directory, kernelLog } = run(t, {})
    t.match({ status, kernelLog }, { status: 0, kernelLog: '' })
    t.same(kept, KEPT)
    t.equal(statSync(join(directory, 'known')).mode & 0o777, 0o700)
    t.notOk(left['hostext/known/seen'], 'its memory is free again')
  })
  t.test('in the place of what was kept before, or was cut off', async (t) => {
    const before = {
      'known/seen': 'old\n',
      'known/head.0': 'old\n',
      'known.new/head.1': 'half\n',
      good: 'good\n',
    }
    t.same(run(t, before).kept, { ...KEPT, good: 'good\n' })
  })
  t.test('a place that takes no write: a line, and no failed unit', async (t) => {
    const { status, kept, run: left, kernelLog } = run(t, { good: 'good\n' }, 'good')
    t.equal(status, 0)
    t.match(kernelLog, /^<4>hostext: \S+\/good cannot be written to: the next boot decides anew$/m)
    t.same(kept, { good: 'good\n' })
    t.notOk(left['hostext/known/seen'])
  })
})
