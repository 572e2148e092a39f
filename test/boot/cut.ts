/**
 * When a machine loses its power: `after` milliseconds after `at` was seen on its console or in its reports;
 * without `at`, after its start. Blocks that it has not flushed to its disks are lost, except for those for
 * which `random` is below a half; without `random`, all of them.
 */
export type Cut = { at?: string; after?: number; random?: () => number }

/** Milliseconds between two looks at a machine whose power is to be cut. */
export const CUT_PERIOD = 20

/** How a boot ended; `unknown`: without help, but the console does not say how. */
export type Ending = 'poweroff' | 'reboot' | 'cut' | 'unknown'

/** Tells whether the time has come, from everything seen so far and a clock in milliseconds. */
export function cutter({ at, after = 0 }: Cut): (seen: string, now: number) => boolean {
  let since: number | undefined
  return (seen, now) => {
    if (since === undefined && (at === undefined || seen.includes(at))) since = now
    return since !== undefined && now - since >= after
  }
}

/**
 * How a boot ended, according to the kernel's last line on the console: kernel/reboot.c, drivers/tty/sysrq.c.
 */
export function endingOf(console: string): Ending {
  const last = console
    .slice(-4000)
    .match(/reboot: (?:Power down|System halted|Restarting system)|sysrq: Resetting/g)
    ?.at(-1)
  if (last === undefined) return 'unknown'
  return /Restarting|Resetting/.test(last) ? 'reboot' : 'poweroff'
}

/**
 * Numbers from 0 up to 1, the same ones for the same seed: mulberry32. They are random enough to choose
 * moments with, and a run can be repeated.
 */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
