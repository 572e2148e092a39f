import { readdirSync } from 'node:fs'
import t from 'tap'
import { readAndDecide } from '../../src/read.js'
import { decide } from '../../src/stack/decide.js'
import type { Facts } from '../../src/stack/facts.js'
import type { Decision } from '../../src/stack/plan.js'
import type { UnitFile } from '../../src/text/unit-syntax.js'
import { collectUnits } from '../../src/units/collect.js'
import { firstPassUnits } from '../../src/units/first-pass.js'
import { layerUnits } from '../../src/units/layer.js'
import { lockedUnits } from '../../src/units/locked.js'
import { prepareCase } from '../support/case.js'
import { CASES } from '../support/paths.js'
import { writeTree } from '../support/tree.js'

function units(decision: Decision): UnitFile[] {
  if ('wait' in decision) return collectUnits(decision.wait, '/normal')
  if ('plain' in decision) return []
  const { plan } = decision
  return [...layerUnits(plan), ...firstPassUnits(plan, '/normal'), ...lockedUnits(plan)]
}

/** Facts are values: kept as JSON, they are decided on again to the same end. */
for (const name of readdirSync(CASES)) {
  t.test(name, async (t) => {
    const { root } = await prepareCase(t, name)
    const { facts, decision } = readAndDecide({ prefix: root }, {})
    const kept = decide(JSON.parse(JSON.stringify(facts)) as Facts)
    if ('read' in kept) throw new Error('something is missing')
    t.same(units(kept), units(decision), 'byte for byte')
    t.same(kept.messages, decision.messages)
    t.equal('plain' in kept && kept.plain, 'plain' in decision && decision.plain)
    t.same(facts, readAndDecide({ prefix: root }, {}).facts, 'deciding changes no fact')
  })
}

t.test('in a boot of the last good stack nothing else of the records is read', async (t) => {
  const { root } = await prepareCase(t, 'soft-reboot')
  const trial = readAndDecide({ prefix: root }, {})
  if (!('plan' in trial.decision) || trial.decision.plan.safety.kind !== 'trial') throw new Error('no trial')
  t.same(trial.facts.records, { good: [], tried: [], problems: [] })
  const { record } = trial.decision.plan.safety.trial
  writeTree(root, { 'var/lib/docker/hostext/good': record })
  const { facts, decision } = readAndDecide({ prefix: root }, {})
  t.equal(facts.lastGood, record)
  t.equal(facts.records, undefined)
  t.match(decision, { plan: { safety: { kind: 'known' } } })
})
