/** Numbers that look random and are the same in each run: mulberry32, of a seed. */
export type Random = {
  /** A whole number from 0 to `below` - 1. */
  number(below: number): number
  pick<Value>(values: readonly Value[]): Value
}

export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const number = (below: number): number => Math.floor(next() * below)
  return {
    number,
    pick: (values) => {
      if (values.length === 0) throw new Error('nothing to pick from')
      return values[number(values.length)] as (typeof values)[number]
    },
  }
}
