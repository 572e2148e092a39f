import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import type { Root } from '../machine/files.js'
import { statLink } from '../machine/files.js'
import { FALLBACK, MARKED_GOOD } from '../machine/run-directory.js'
import { log } from '../text/log.js'

const PANIC = '/proc/sys/kernel/panic'
/** Seconds until the kernel reboots after a panic, where it would wait for ever. */
const PANIC_TIMEOUT = '10'

/**
 * Reboots the machine after `seconds`, whatever state it is in: hostext-watch.service, while a stack is on trial. Ends
 * without that when it is told to (SIGTERM), or when the boot has turned to the plain root by then. Meanwhile a panic
 * of the kernel, which the loss of PID 1 is, leads to a reboot, too.
 *
 * Everything it needs is open before the root changes under it; it asks nobody, because who is asked may be what is broken.
 */
export function watch(root: Root, seconds: number): Promise<number> {
  const reboot = findReboot(root)
  const panic = readPanic(root)
  if (panic === '0') setPanic(root, PANIC_TIMEOUT)
  return new Promise((resolve) => {
    const end = (): void => {
      if (panic === '0') setPanic(root, panic)
      resolve(0)
    }
    const timer = setTimeout(() => {
      if (statLink(root, FALLBACK) || statLink(root, MARKED_GOOD)) return end()
      log({
        level: 'error',
        text: `the host extensions on trial have not booted well in ${seconds} s: rebooting`,
      })
      reboot()
    }, seconds * 1000)
    process.once('SIGTERM', () => {
      clearTimeout(timer)
      end()
    })
  })
}

/**
 * The way to reboot: the kernel's, sync, remount read-only, boot (Documentation/admin-guide/sysrq.rst), of which it does
 * the first two in its own time. A container has no such; its PID 1 takes SIGRTMIN+15 for "reboot immediately": systemd(1).
 */
function findReboot(root: Root): () => void {
  let trigger: number
  try {
    trigger = openSync(`${root.prefix}/proc/sysrq-trigger`, 'w')
  } catch {
    const SIGRTMIN = 34
    return () => void process.kill(1, SIGRTMIN + 15)
  }
  return () => {
    for (const [index, key] of ['s', 'u', 'b'].entries())
      setTimeout(() => writeSync(trigger, key), index * 2000)
  }
}

function readPanic(root: Root): string | undefined {
  try {
    return readFileSync(root.prefix + PANIC, 'utf8').trim()
  } catch {
    return undefined
  }
}

function setPanic(root: Root, value: string): void {
  try {
    writeFileSync(root.prefix + PANIC, value)
  } catch {
    // In a container it is not ours to set.
  }
}
