import type { ChildProcess } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Layers } from '../engine/engine.js'
import { at, type Root, reason } from '../machine/files.js'
import { cut, oneLine } from '../text/printable.js'

/**
 * Mounts the layers, says so, and waits. The mount namespace is its own, so nobody else sees the mount, and
 * it is gone when the process is. (Through mount(2), because a lowerdir= of fsconfig(2) has at most 256
 * bytes: util-linux from 2.39 on.)
 */
const MOUNT = 'mount -t overlay hostext-prepare -o "ro,lowerdir=$1" "$2" && echo mounted && read -r _'

/**
 * Calls `use` with a directory that shows an image as the kernel merges its layers: with whiteouts, opaque
 * directories and redirects resolved. `place`: an empty directory to mount them on. Throws an Error with the
 * output of mount(8) if they cannot be mounted.
 */
export async function withMerged<Result>(
  root: Root,
  { directory, lower }: Layers,
  place: string,
  use: (view: string) => Result,
): Promise<Result> {
  // A layer alone is the image; overlayfs would want a second one.
  if (lower.length === 1) return use(realpathSync(at(root, resolve(directory, lower[0] as string))))
  const find = (name: string): string => (name.startsWith('/') ? at(root, name) : name)
  const { spawn } = process.getBuiltinModule('node:child_process')
  const { once } = process.getBuiltinModule('node:events')
  const child = spawn(
    'unshare',
    ['-m', 'sh', '-c', MOUNT, 'sh', lower.map(find).join(':'), at(root, place)],
    {
      cwd: at(root, directory),
      env: { ...process.env, LIBMOUNT_FORCE_MOUNT2: 'always', LC_ALL: 'C' },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  try {
    await mounted(child)
    return use(`/proc/${child.pid}/root${at(root, place)}`)
  } finally {
    child.stdin?.destroy()
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      await once(child, 'close')
  }
}

/** Waits until the child has mounted the layers. */
async function mounted(child: ChildProcess): Promise<void> {
  const { once } = process.getBuiltinModule('node:events')
  const said: Buffer[] = []
  child.stderr?.on('data', (chunk: Buffer) => said.push(chunk))
  const failed = once(child, 'close').then(
    () => {
      const text = oneLine(cut(Buffer.concat(said).toString('utf8').trim(), 300))
      throw new Error(`its layers cannot be mounted: ${text}`)
    },
    (error: Error) => {
      throw new Error(`its layers cannot be mounted: unshare(1) cannot be run: ${reason(error)}`)
    },
  )
  // Whoever loses the race must not end the program.
  failed.catch(() => {})
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), failed])
}
