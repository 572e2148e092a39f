import { existsSync, statfsSync } from 'node:fs'

/**
 * The environment for a program that creates and removes thousands of small files. Temporary files go to
 * memory if `bytes` are free there. A disk takes seven times as long.
 */
export function inMemory(bytes = 2 ** 30): { TMPDIR?: string } {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return {}
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > bytes ? { TMPDIR: memory } : {}
}
