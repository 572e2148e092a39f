import { writeFileSync, writeSync } from 'node:fs'

/** Kernel log levels in use: printk's, as in syslog(3). */
export type Level = 'error' | 'warning' | 'notice' | 'info'
const KERNEL_LEVELS: Record<Level, number> = { error: 3, warning: 4, notice: 5, info: 6 }

export type Message = { level: Level; text: string }

/**
 * Writes one message: to the kernel log when PID 1 started us (the journal is not there yet, and the
 * serial console shows it), to standard error otherwise. A message that cannot be written is lost, the
 * boot is not.
 */
export function log({ level, text }: Message): void {
  if (startedBySystemd()) {
    try {
      // /dev/kmsg takes one record a write: Documentation/ABI/testing/dev-kmsg.
      writeFileSync('/dev/kmsg', `<${KERNEL_LEVELS[level]}>hostext: ${text}\n`, { flag: 'a' })
      return
    } catch {
      // Containers have none.
    }
  }
  try {
    // Not process.stderr: setting up a stream takes as long as all the rest of a small run.
    writeSync(2, `hostext: ${level === 'info' || level === 'notice' ? '' : `${level}: `}${text}\n`)
  } catch {
    // Nobody listens.
  }
}

/**
 * PID 1 sets $SYSTEMD_EXEC_PID to the process it runs (sd_booted(3), systemd.exec(5)): us, or the stub,
 * which says so by $HOSTEXT_LOG.
 */
function startedBySystemd(): boolean {
  return process.env.HOSTEXT_LOG === 'kmsg' || process.env.SYSTEMD_EXEC_PID === String(process.pid)
}
