import { once } from 'node:events'
import { OWN_DIRECTORY } from '../engine/places.js'
import { at, type Root } from '../machine/files.js'

/** Milliseconds after which somebody should know what is waited for. */
const PATIENCE = 1000

/**
 * Does `work` while no other program does such work in the same data root, in which our own directory must
 * exist. `wait` is called if another one has to end first. The lock is on that directory, which only root can
 * open. A child holds it, flock(1), because Node.js has no call for it. It ends when this program ends.
 */
export async function withLock<Result>(
  root: Root,
  dataRoot: string,
  wait: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const { spawn } = process.getBuiltinModule('node:child_process')
  const words = [at(root, `${dataRoot}/${OWN_DIRECTORY}`), 'sh', '-c', 'echo locked && read -r _']
  const child = spawn('flock', words, { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'close').then(
    () => {
      throw new Error(`${dataRoot} cannot be locked`)
    },
    (error: Error) => {
      throw new Error(`${dataRoot} cannot be locked: flock(1) cannot be run: ${error.message}`)
    },
  )
  // Whoever loses the race must not end the program.
  ended.catch(() => {})
  const timer = setTimeout(wait, PATIENCE)
  try {
    await Promise.race([once(child.stdout, 'data'), ended])
    clearTimeout(timer)
    return await work()
  } finally {
    clearTimeout(timer)
    child.stdin.destroy()
    // Somebody may want to unmount the file system, as soon as this program has ended.
    await ended.catch(() => {})
  }
}
