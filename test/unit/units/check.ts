import t from 'tap'
import type { Plan } from '../../../src/stack/plan.js'
import type { UnitFile } from '../../../src/text/unit-syntax.js'
import { CHECK_SERVICE, LONGEST_CHECK } from '../../../src/units/check.js'
import { collectUnits } from '../../../src/units/collect.js'
import { firstPassUnits } from '../../../src/units/first-pass.js'
import { WATCH_SERVICE } from '../../../src/units/trial.js'
import { makePlan } from '../../support/plan.js'

const GENERATOR = '/run/systemd/generator'
const TIMEOUT = 77
const trial = {
  ...{ name: 'trial' as const, attempt: 1, record: '', marks: [], failedUnits: 'warn' as const },
  place: { directory: '/var/hostext', state: '/var' },
  ...{ settle: 5, timeout: 600, inContainer: false },
}

/** Each unit, and whether it comes after the check of the root, by way of whatever other unit. */
function unitsOf(files: UnitFile[]): { name: string; text: string; isAfter: boolean }[] {
  const texts = new Map(
    files.flatMap((file) => ('text' in file ? [[file.path.replace(/.*\//, ''), file.text] as const] : [])),
  )
  const isAfter = (name: string): boolean =>
    name === CHECK_SERVICE ||
    [...(texts.get(name) ?? '').matchAll(/^After=(.*)$/gm)].some(([, names = '']) =>
      names.split(' ').some(isAfter),
    )
  return [...texts].map(([name, text]) => ({ name, text, isAfter: isAfter(name) }))
}
const numberOf = (text: string, key: string) => Number(text.match(new RegExp(`^${key}=(.*)$`, 'm'))?.[1])

t.test('the check of a disk does not count against Timeout=, and what comes after it does', async (t) => {
  const plans: Partial<Plan>[] = [
    {},
    { machineId: { closeRoot: true } },
    { machineId: { closeRoot: true }, state: [] },
    { indexes: ['modules'] },
    { safety: { kind: 'trial', trial } },
    { collected: true },
  ]
  for (const change of plans) {
    const files = firstPassUnits(makePlan({ checkRoot: true, timeout: TIMEOUT, ...change }), GENERATOR)
    const after = unitsOf(files).filter((unit) => unit.isAfter)
    t.ok(after.some(({ name }) => name === 'hostext-switch.service'))
    for (const { name, text } of after) {
      const what = `${name} of ${JSON.stringify(change)}`
      if (/^JobTimeoutSec=/m.test(text))
        t.equal(numberOf(text, 'JobTimeoutSec'), TIMEOUT + LONGEST_CHECK, what)
      // (The watch has a limit of its own, which it counts itself.)
      if (name.endsWith('.service') && name !== WATCH_SERVICE)
        t.equal(numberOf(text, 'JobRunningTimeoutSec'), TIMEOUT, what)
    }
  }
  const wait = {
    ...makePlan({ timeout: TIMEOUT }),
    ...{ paths: ['/data'], hoped: [], mounting: false, limits: [], optional: [], generators: [] },
    ...{ unlock: false, online: false, patient: false, preparing: ['wifi'], askers: [] },
    remount: { options: 'rw', check: true },
  }
  for (const { name, text, isAfter } of unitsOf(collectUnits(wait, GENERATOR)))
    if (isAfter && /^JobTimeoutSec=/m.test(text)) t.ok(numberOf(text, 'JobTimeoutSec') > LONGEST_CHECK, name)
})

t.test('no unit that PID 1 may refuse is required: it would boot nothing', async (t) => {
  for (const change of [
    {},
    { machineId: { closeRoot: true } },
    { safety: { kind: 'trial' as const, trial } },
  ])
    for (const { name, text } of unitsOf(firstPassUnits(makePlan({ checkRoot: true, ...change }), GENERATOR)))
      t.notMatch(text, new RegExp(`^(?:Requires|Requisite|BindsTo)=.*${CHECK_SERVICE}`, 'm'), name)
})

t.test('a trial is not watched while the disk is checked', async (t) => {
  const files = firstPassUnits(makePlan({ checkRoot: true, safety: { kind: 'trial', trial } }), GENERATOR)
  t.ok(unitsOf(files).find(({ name }) => name === WATCH_SERVICE)?.isAfter)
})

t.test('without a check, one limit is for all', async (t) => {
  for (const { name, text } of unitsOf(firstPassUnits(makePlan({ timeout: TIMEOUT }), GENERATOR))) {
    t.notMatch(text, 'JobRunningTimeoutSec', name)
    if (name === 'hostext.target') t.equal(numberOf(text, 'JobTimeoutSec'), TIMEOUT)
  }
})
