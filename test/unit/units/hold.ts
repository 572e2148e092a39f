import t from 'tap'
import { holdUnits } from '../../../src/units/hold.js'
import { lockedUnits } from '../../../src/units/locked.js'
import { makePlan, textOf } from '../../support/plan.js'

t.test('whichever engine starts pulls it in', async (t) => {
  const files = holdUnits()
  const text = textOf(files, 'normal/hostext-hold.service')
  t.match(text, '\nExecStart=/usr/lib/hostext/hostext.cjs hold\n')
  t.notMatch(text, /^(?:Requires|BindsTo|Wants|Before)=/m, 'an engine depends on nothing of ours')
  for (const engine of ['docker', 'balena', 'balena-engine']) {
    const link = textOf(files, `normal/${engine}.service.wants/hostext-hold.service`)
    t.equal(link, '-> ../hostext-hold.service')
    t.match(text, new RegExp(`^After=.*\\b${engine}\\.service\\b.*\\b${engine}\\.socket\\b`, 'm'))
  }
})

t.test('it is part of the locked system', async (t) => {
  const locked = lockedUnits(makePlan())
  for (const file of holdUnits()) t.same(textOf(locked, file.path), textOf([file], file.path))
})
