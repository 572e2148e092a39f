import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { oneLine } from './printable.js'

/** Kernel log levels in use: printk's, as in syslog(3). */
export type Level = 'error' | 'warning' | 'notice' | 'info'
const KERNEL_LEVELS: Record<Level, number> = { error: 3, warning: 4, notice: 5, info: 6 }

export type Message = { level: Level; text: string }

/**
 * Writes one message: to the kernel log if PID 1 started us (the journal does not run yet, and the serial
 * console shows the kernel log), to standard error otherwise. Never throws: a message that cannot be written
 * is lost, but the boot goes on.
 */
export function log(message: Message): void {
  const { level } = message
  const text = oneLine(message.text)
  if (startedBySystemd()) {
    try {
      // Not created: a container without it would get a file that stops its journal.
      const kernelLog = openSync('/dev/kmsg', constants.O_WRONLY)
      writeSync(kernelLog, kernelRecord({ level, text }))
      closeSync(kernelLog)
      return
    } catch {
      // A container may have no /dev/kmsg.
    }
  }
  try {
    // Not process.stderr: creating the stream takes as long as the rest of a small run.
    writeSync(2, `hostext: ${level === 'info' || level === 'notice' ? '' : `${level}: `}${text}\n`)
  } catch {
    // Nobody listens.
  }
}

/** How many messages of one boot go to the log: a serial console shows about 100 each second. */
const MOST_MESSAGES = 500

/**
 * Writes the messages of a boot; the last one sums it up. If there are too many, the file `record` has them
 * all.
 */
export function logAll(messages: readonly Message[], record: string): void {
  const shown = messages.slice(0, -1).slice(0, MOST_MESSAGES)
  for (const message of shown) log(message)
  const more = messages.length - 1 - shown.length
  if (more > 0) log({ level: 'warning', text: `${more} more lines are in ${record}` })
  for (const message of messages.slice(-1)) log(message)
}

/**
 * A message in the form that /dev/kmsg takes: one record for each write, of less than 1024 bytes, or the
 * write fails (Documentation/ABI/testing/dev-kmsg; PRINTKRB_RECORD_MAX). What is cut off is in
 * /run/hostext.decision.
 */
export function kernelRecord({ level, text }: Message): Buffer {
  const record = Buffer.from(`<${KERNEL_LEVELS[level]}>hostext: ${text}`)
  return record.length <= LONGEST_RECORD
    ? record
    : Buffer.concat([record.subarray(0, LONGEST_RECORD - 3), Buffer.from('...')])
}
const LONGEST_RECORD = 960

/**
 * PID 1 sets $SYSTEMD_EXEC_PID to the ID of the process that it starts (sd_booted(3), systemd.exec(5)): us,
 * or the stub, which then sets $HOSTEXT_LOG. A service that runs beside others sets it to something else.
 */
function startedBySystemd(): boolean {
  const { HOSTEXT_LOG, SYSTEMD_EXEC_PID } = process.env
  return HOSTEXT_LOG === undefined ? SYSTEMD_EXEC_PID === String(process.pid) : HOSTEXT_LOG === 'kmsg'
}
