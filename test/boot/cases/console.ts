import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isStacked } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'
import { dataDisk, moveToDataPartition } from './faults.js'

/** Kernel log, with the priorities; the journal has what PID 1 and services say once it is there. */
const SCRIPT = `${BASE_REPORT}
report log dmesg --raw
report journal journalctl -b -q --no-pager -p warning -o cat _PID=1
`
/** The least of what counts; what systemd says of a mount over files is a notice, and looks like a fault. */
const WARNING = 4
const NOTICE = /to mount over is not empty/
/** The disk of user-mode Linux, which cannot do what a file system asks of it to see whether it can. */
const DISK = /operation not supported error, dev ubd/

/** What the kernel and PID 1 say that somebody may take for a fault, without times, numbers and the like; each once. */
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

/** A boot with extensions complains of nothing that a boot without them does not complain of. */
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
