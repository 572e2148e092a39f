import { existsSync, statfsSync } from 'node:fs'

/**
 * The environment of a program that makes and removes thousands of small files: temporary ones go to memory, if
 * `bytes` are free there. A disk takes seven times as long over them.
 */
export function inMemory(bytes = 2 ** 30): { TMPDIR?: string } {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return {}
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > bytes ? { TMPDIR: memory } : {}
}
