import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { Ran } from './process.js'

/** The numbers in a list as the kernel writes it: `0-1,4`. */
export function numbersIn(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

/** The processors that this process may use. */
export function processors(): number[] {
  const [, list = '0'] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return numbersIn(list)
}

/** The exit status of flock if another process has the lock; no program here uses it. */
const TAKEN = 175

/**
 * Runs a command on a processor to which no other machine, of this or another run, is pinned; waits until
 * there is one. `start` gets the words to put before the command. The started process holds the lock for as
 * long as it runs, however it ends.
 */
export async function onProcessor(start: (words: string[]) => Promise<Ran>): Promise<Ran> {
  for (;;) {
    for (const number of processors()) {
      const lock = `/run/lock/hostext-test-processor-${number}`
      const flock = ['flock', '--no-fork', '--nonblock', '--conflict-exit-code', String(TAKEN), lock]
      const ran = await start([...flock, 'taskset', '--cpu-list', String(number)])
      if (ran.code !== TAKEN) return ran
    }
    await setTimeout(200)
  }
}
