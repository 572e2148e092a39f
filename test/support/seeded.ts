import { seeded as numbers } from '../boot/cut.js'

/** Choices that look random and are the same in each run, of a seed. */
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
