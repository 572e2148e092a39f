import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import type { Root } from '../machine/files.js'
import { statLink } from '../machine/files.js'
import { FALLBACK, MARKED_GOOD } from '../machine/run-directory.js'
import { log } from '../text/log.js'

const PANIC = '/proc/sys/kernel/panic'
/**
 * Seconds after which the kernel reboots from a panic, if it would otherwise wait for ever. A number that
 * nobody else would choose, so that the watch can tell at its end whether the value is still its own.
 */
const PANIC_TIMEOUT = '11'

/** How the watch reboots, and what it sets for panics meanwhile. */
type Way = { begin: () => void; reboot: () => void; end: () => void }

/**
 * Reboots the machine after `seconds`, whatever state it is in. Run by hostext-watch.service while a stack is
 * on trial. Ends without a reboot on SIGTERM, or if the stack is marked good or the boot fell back to the
 * plain root by then.
 *
 * It opens everything it needs before the root changes. It asks no other process, because that process may be
 * what is broken.
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
    // Last: by now the watch is ready for SIGTERM, and undoes this.
    way.begin()
  })
}

/**
 * In a container only its PID 1 is told: to systemd, SIGRTMIN+15 means "reboot immediately" (systemd(1)). The
 * kernel is the host's, and a privileged container could reboot it.
 */
function restartContainer(): Way {
  return { begin() {}, reboot: tellPid1, end() {} }
}

function tellPid1(): void {
  const SIGRTMIN = 34
  process.kill(1, SIGRTMIN + 15)
}

/**
 * Reboots with the kernel's magic keys: sync, remount read-only, reboot
 * (Documentation/admin-guide/sysrq.rst). The kernel does the first two in the background. A panic, which is
 * also what the loss of PID 1 causes, leads to a reboot, too.
 */
function rebootMachine(root: Root): Way {
  return {
    begin: () => replacePanic(root, '0', PANIC_TIMEOUT),
    reboot: findKeys(root),
    // A value that sysctl.d or an administrator has set meanwhile stays.
    end: () => replacePanic(root, PANIC_TIMEOUT, '0'),
  }
}

/** Opens the magic keys. A kernel may be built without them (CONFIG_MAGIC_SYSRQ); then PID 1 is told. */
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

/** Sets `kernel.panic` to `to` if it is `from`. */
function replacePanic(root: Root, from: string, to: string): void {
  try {
    const value = readFileSync(root.prefix + PANIC, 'utf8').trim()
    if (value === from) writeFileSync(root.prefix + PANIC, to)
  } catch {
    // Without this setting the kernel keeps its own behaviour.
  }
}
