import { spawn } from 'node:child_process'
import { once } from 'node:events'
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

/** How many machines share a processor: half of a boot is waiting. */
export const SHARE = 2

/**
 * Runs a command on a processor to which fewer than {@link SHARE} other machines, of this or another run, are
 * pinned, none if possible; waits until there is one. `start` gets the words to put before the command.
 */
export async function onProcessor(start: (words: string[]) => Promise<Ran>): Promise<Ran> {
  for (;;) {
    for (let place = 1; place <= SHARE; place++)
      for (const number of processors()) {
        const release = await take(`/run/lock/hostext-test-processor-${number}-${place}`)
        if (!release) continue
        try {
          return await start(['taskset', '--cpu-list', String(number)])
        } finally {
          await release()
        }
      }
    await setTimeout(200)
  }
}

/**
 * Takes a lock. Returns what gives it back; undefined if somebody else has it. Not the command itself holds
 * it, which may use the descriptor for something else, but a child that ends with this process.
 */
async function take(lock: string): Promise<(() => Promise<void>) | undefined> {
  const words = ['--nonblock', lock, 'sh', '-c', 'echo taken && read -r _']
  const child = spawn('flock', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close').then(() => false)
  if (!(await Promise.race([once(child.stdout, 'data'), ended]))) return undefined
  return async () => {
    child.stdin.destroy()
    await ended
  }
}
