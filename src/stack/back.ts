import type { Extension } from '../image/extension.js'
import type { BaseIdentity } from '../machine/base-identity.js'
import { type BaseChange, findBaseChange } from './base-change.js'
import type { RecordFacts } from './facts.js'
import { isSameBase, recordOn } from './record.js'
import { judge } from './verdict.js'

/**
 * A good stack that is booted in place of another one. `trial`: set if it has booted well with another base
 * only, and so is tried on this one.
 */
export type Back = { stack: Extension[]; trial: { attempt: number; change: BaseChange } | undefined }

/**
 * Finds the good stack that a boot can go back to, and says why those before it cannot be booted. One that
 * has booted well on this base comes first. Otherwise, if `triesOthers`, the first one that still fits is
 * tried: it may be the base that has broken the other stack. Only one is tried, because the record of one
 * such trial is kept.
 */
export function findBack(
  { good, tried }: Pick<RecordFacts, 'good' | 'tried'>,
  base: BaseIdentity,
  attempts: number,
  triesOthers: boolean,
): { back: Back | undefined; problems: string[] } {
  const problems: string[] = []
  const here = good.filter((stack) => isSameBase(stack.base, base))
  const others = triesOthers ? good.filter((stack) => !isSameBase(stack.base, base)) : []
  for (const other of [...here, ...others]) {
    const { restored } = other
    if (!Array.isArray(restored)) {
      problems.push(restored.problem)
      continue
    }
    if (here.includes(other)) return { back: { stack: restored, trial: undefined }, problems }
    const change = findBaseChange(other.base, base)
    const verdict = judge(recordOn(base, restored), { good, tried }, attempts, 'back')
    if (verdict.kind !== 'bad') {
      const trial = verdict.kind === 'trial' ? { attempt: verdict.attempt, change } : undefined
      return { back: { stack: restored, trial }, problems }
    }
    const { was, is } = change
    problems.push(`it booted well with ${was}; now ${is}: did not boot well in ${verdict.attempts} boots`)
    break
  }
  return { back: undefined, problems }
}
