import { seeded as numbers } from '../boot/cut.js'

/** The seed that is the same in each run. */
export const FIXED_SEED = 4

/** A new seed in each run, besides the fixed one; `HOSTEXT_TEST_SEED=N` repeats an earlier run. */
export const ROTATING_SEED = Number(process.env.HOSTEXT_TEST_SEED ?? 1 + Math.floor(Math.random() * 999_999))
if (!Number.isSafeInteger(ROTATING_SEED) || ROTATING_SEED < 0)
  throw new Error(`HOSTEXT_TEST_SEED=${process.env.HOSTEXT_TEST_SEED} is not a seed`)

/** Choices that look random and are the same for the same seed. */
export type Random = {
  /** A whole number from 0 to `below` - 1. */
  number(below: number): number
  pick<Value>(values: readonly Value[]): Value
}

export function seeded(seed: number): Random {
  const next = numbers(seed)
  const number = (below: number): number => Math.floor(next() * below)
  return {
    number,
    pick: (values) => {
      if (values.length === 0) throw new Error('nothing to pick from')
      return values[number(values.length)] as (typeof values)[number]
    },
  }
}
