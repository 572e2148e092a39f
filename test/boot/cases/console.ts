import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isStacked } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'
import { dataDisk, moveToDataPartition } from './faults.js'

/**
 * The kernel log with priorities, and the journal, which has the messages of PID 1 and services once it runs.
 */
const SCRIPT = `${BASE_REPORT}
report log dmesg --raw
report journal journalctl -b -q --no-pager -p warning -o cat _PID=1
`
/**
 * The lowest priority that counts. systemd's message about a mount over files is only a notice, but looks
 * like a fault.
 */
const WARNING = 4
const NOTICE = /to mount over is not empty/
/** Messages about the disk of user-mode Linux, which lacks features that a file system probes for. */
const DISK = /operation not supported error, dev ubd|^blk_print_req_error: .* callbacks suppressed/

/**
 * The messages of the kernel and PID 1 that people may take for a fault, each once, without times, numbers
 * and the like.
 */
function complaints(outcome: Outcome): Set<string> {
  const kernel = reported(outcome, 'log')
    .split('\n')
    .flatMap((line) => {
      const [, priority, text] = /^<(\d+)>\[[ .\d]*\] (.*)/.exec(line) ?? []
      return text !== undefined && ((Number(priority) & 7) <= WARNING || NOTICE.test(text)) ? text : []
    })
  const status = outcome.console.match(/\[(?:FAILED|DEPEND| TIME | WARN )\].*/g) ?? []
  const lines = [...kernel, ...status, ...reported(outcome, 'journal').split('\n')]
  return new Set(
    lines
      .map((line) => line.replace(/^systemd\[1\]: /, '').replaceAll(/0x[0-9a-f]+|\d+/g, '#'))
      .filter((line) => line !== '' && !DISK.test(line)),
  )
}

function isQuiet(t: Test, outcome: Outcome): void {
  const [plain, stacked] = [bootOf(outcome, 1), bootOf(outcome, 2)]
  isStacked(t, stacked)
  const before = complaints(plain)
  t.same(
    [...complaints(stacked)].filter((line) => !before.has(line)),
    [],
  )
}

/** A boot with extensions complains about nothing that a boot without them does not complain about. */
export function cases(): Case[] {
  const machine: Case['machine'] = {
    dataRoot: standardDataRoot,
    boots: [{ commandLine: ['balena.nohostext'] }, {}],
    script: SCRIPT,
  }
  const onDataPartition: Case['machine'] = {
    ...machine,
    prepare: moveToDataPartition,
    disks: [dataDisk],
    fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 defaults 0 2\n`,
  }
  const name = 'the console is as quiet as that of a plain boot'
  return [
    { name, boot: 'uml', machine, check: isQuiet },
    { name: `${name}, with a data partition`, boot: 'uml', machine: onDataPartition, check: isQuiet },
  ]
}
