import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { reason } from '../machine/files.js'
import type { List } from './files.js'

/**
 * The most bytes of an image's /boot that are read, because each boot waits. A kernel and an initrd have a
 * tenth.
 */
const MOST_BYTES = 256 << 20
const CHUNK = 1 << 20

/**
 * Whether a tree has the kernel with the sha256 `id` (hexadecimal) as a regular file directly in its /boot.
 * Throws an Error that names what cannot be read or is too large. `hash`: how a file is read, if the tree is
 * not on the disk.
 */
export function hasKernel(tree: string, list: List, id: string, hash: Hash = hashFile): boolean {
  const wanted = id.toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(wanted)) return false
  if (!list(tree).some((entry) => entry.name === 'boot' && entry.isDirectory())) return false
  let left = MOST_BYTES
  for (const entry of list(`${tree}/boot`)) {
    if (!entry.isFile()) continue
    const found = hash(`${tree}/boot/${entry.name}`, left)
    if (found === undefined) throw new Error(`the files in its /boot have more than ${MOST_BYTES} bytes`)
    if (found.sha256 === wanted) return true
    left -= found.size
  }
  return false
}

/** Undefined if the file has more than `most` bytes. */
type Hash = (path: string, most: number) => { sha256: string; size: number } | undefined

const hashFile: Hash = (path, most) => {
  // Loaded only here: no other boot needs it.
  const sum = process.getBuiltinModule('node:crypto').createHash('sha256')
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { size } = fstatSync(descriptor)
    if (size > most) return undefined
    const chunk = Buffer.allocUnsafe(Math.min(size, CHUNK) || 1)
    for (let left = size; left > 0; ) {
      const length = readSync(descriptor, chunk, 0, Math.min(left, chunk.length), null)
      if (length === 0) break
      sum.update(chunk.subarray(0, length))
      left -= length
    }
    return { sha256: sum.digest('hex'), size }
  } catch (error) {
    throw new Error(`${path}: ${reason(error)}`)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
