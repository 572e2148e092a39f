import fs, { readdirSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

/** Does `work` on a machine whose power is cut when the first name in a directory that it removes is gone. */
export function cutRemovals(work: () => void): void {
  const { rmSync } = fs
  fs.rmSync = (path, options) => {
    const [first = ''] = readdirSync(path as string)
    rmSync(join(path as string, first), options)
    throw new Error('the power is cut')
  }
  syncBuiltinESMExports()
  try {
    work()
  } finally {
    fs.rmSync = rmSync
    syncBuiltinESMExports()
  }
}
