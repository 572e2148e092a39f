import t from 'tap'
import type { Plan } from '../../../src/stack/plan.js'
import type { UnitFile } from '../../../src/text/unit-syntax.js'
import { CHECK_SERVICE, LONGEST_CHECK } from '../../../src/units/check.js'
import { collectUnits } from '../../../src/units/collect.js'
import { firstPassUnits } from '../../../src/units/first-pass.js'
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
      if (name.endsWith('.service')) t.equal(numberOf(text, 'JobRunningTimeoutSec'), TIMEOUT, what)
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

t.test('without a check, one limit is for all', async (t) => {
  for (const { name, text } of unitsOf(firstPassUnits(makePlan({ timeout: TIMEOUT }), GENERATOR))) {
    t.notMatch(text, 'JobRunningTimeoutSec', name)
    if (name === 'hostext.target') t.equal(numberOf(text, 'JobTimeoutSec'), TIMEOUT)
  }
})
