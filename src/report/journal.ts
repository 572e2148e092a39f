import { printable } from '../text/printable.js'
import type { BootReport, ReportedMessage } from './boot-report.js'

/**
 * What programs look for in the journal, and its MESSAGE_ID: sd_journal_send(3). Texts for `journalctl -x`
 * are in generators/hostext.catalog.
 */
export const MESSAGE_IDS = {
  stacked: '57556405dab54ee1af12b13129345a4d',
  plain: '244bd622141a489e87adc437e8a004f3',
  leftOut: '1d851dc4d29d406f86f115b378eb9998',
  onTrial: '6fab299120a44930a0cc0f8b32065dd6',
  rolledBack: 'a86d924161e343c2b4a3474b5b72c1e3',
  /** Of generators/steps/good. */
  good: '4aa2f357f0cd4bd390c443a73542056e',
  /** Of generators/steps/fallback. */
  fallback: 'f2ebc2f8707349dba874df0983cc97d9',
}

/** The most entries of one boot: each is sent by a process of its own. */
const MOST = 50

const PRIORITIES = { error: 3, warning: 4, notice: 5, info: 6 }

/**
 * The entries of a boot, each as a file for `logger --journald`: a field in each line. None for a stack that
 * is known to be good, or is not tried at all, and complete: nothing has happened.
 */
export function journalEntries({ root, safety, leftOut, messages }: BootReport): string[] {
  if (root === 'stacked' && ['good', 'off'].includes(safety.kind) && leftOut.length === 0) return []
  const last = messages.at(-1)
  return messages
    .slice(0, -1)
    .flatMap((message): string[] => {
      if (message.leftOut) return [entry(message, 'leftOut')]
      if (message.text === safety.line) return [entry(message, 'rolledBack')]
      return message.text.startsWith('on trial: ') ? [entry(message, 'onTrial')] : []
    })
    .slice(0, MOST)
    .concat(last ? [entry(last, root === 'stacked' ? 'stacked' : 'plain')] : [])
}

function entry({ level, text, leftOut }: ReportedMessage, event: keyof typeof MESSAGE_IDS): string {
  const fields: Record<string, string | number | undefined> = {
    MESSAGE: text,
    PRIORITY: PRIORITIES[level],
    MESSAGE_ID: MESSAGE_IDS[event],
    SYSLOG_IDENTIFIER: 'hostext',
    // So that `systemctl status hostext.target` shows it: systemd.journal-fields(7).
    OBJECT_SYSTEMD_UNIT: 'hostext.target',
    HOSTEXT_EXTENSION: leftOut?.name && printable(leftOut.name),
    HOSTEXT_IMAGE: leftOut?.image && printable(leftOut.image),
    HOSTEXT_CONTAINER: leftOut?.id,
  }
  return Object.entries(fields)
    .flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}\n`))
    .join('')
}
