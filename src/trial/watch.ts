import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import type { Root } from '../machine/files.js'
import { statLink } from '../machine/files.js'
import { FALLBACK, MARKED_GOOD } from '../machine/run-directory.js'
import { log } from '../text/log.js'

const PANIC = '/proc/sys/kernel/panic'
/**
 * Seconds until the kernel reboots after a panic, where it would wait for ever. A number that nobody else would choose: what is there
 * at the end tells whether it is still ours.
 */
const PANIC_TIMEOUT = '11'

/** How the watch reboots, and what it does about panics meanwhile. */
type Way = { begin: () => void; reboot: () => void; end: () => void }

/**
 * Reboots the machine after `seconds`, whatever state it is in: hostext-watch.service, while a stack is on trial. Ends
 * without that when it is told to (SIGTERM), or when the boot has turned to the plain root by then.
 *
 * Everything it needs is open before the root changes under it; it asks nobody, because who is asked may be what is broken.
 */
export function watch(root: Root, seconds: number, inContainer: boolean): Promise<number> {
  const way = inContainer ? restartContainer() : rebootMachine(root)
  return new Promise((resolve) => {
    const end = (): void => {
      way.end()
      resolve(0)
    }
    const timer = setTimeout(() => {
      if (statLink(root, FALLBACK) || statLink(root, MARKED_GOOD)) return end()
      log({
        level: 'error',
        text: `the host extensions on trial have not booted well within ${seconds} s: rebooting`,
      })
      way.reboot()
    }, seconds * 1000)
    process.once('SIGTERM', () => {
      clearTimeout(timer)
      end()
    })
    // Last: who ends the watch finds it ready to undo this.
    way.begin()
  })
}

/**
 * Of a container only its PID 1 is told, which takes SIGRTMIN+15 for "reboot immediately": systemd(1). The kernel is that of the
 * host, and where the container is privileged it would take orders.
 */
function restartContainer(): Way {
  return { begin() {}, reboot: tellPid1, end() {} }
}

function tellPid1(): void {
  const SIGRTMIN = 34
  process.kill(1, SIGRTMIN + 15)
}

/**
 * The kernel's own way: sync, remount read-only, boot (Documentation/admin-guide/sysrq.rst), of which it does the first two in its
 * own time. A panic, which the loss of PID 1 is, leads to a reboot, too, unless it does already.
 */
function rebootMachine(root: Root): Way {
  return {
    begin: () => replacePanic(root, '0', PANIC_TIMEOUT),
    reboot: findKeys(root),
    // Whatever sysctl.d or an administrator has set meanwhile stays.
    end: () => replacePanic(root, PANIC_TIMEOUT, '0'),
  }
}

/** The magic keys; a kernel can be made without them (CONFIG_MAGIC_SYSRQ). */
function findKeys(root: Root): () => void {
  let trigger: number
  try {
    trigger = openSync(`${root.prefix}/proc/sysrq-trigger`, 'w')
  } catch {
    return tellPid1
  }
  return () => {
    for (const [index, key] of ['s', 'u', 'b'].entries())
      setTimeout(() => writeSync(trigger, key), index * 2000)
  }
}

/** Sets `kernel.panic` to `to` where it is `from`. */
function replacePanic(root: Root, from: string, to: string): void {
  try {
    const value = readFileSync(root.prefix + PANIC, 'utf8').trim()
    if (value === from) writeFileSync(root.prefix + PANIC, to)
  } catch {
    // A kernel without it reboots as it does.
  }
}
