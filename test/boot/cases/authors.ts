import type { Test } from 'tap'
import { shows } from '../../support/examples.js'
import { BASE_REPORT, type Case, isStacked } from '../checks.js'
import { prepareImages } from '../extensions.js'
import { guideDataRoot, guideExample, typedThere } from '../guide.js'
import { type Outcome, reported } from '../machine.js'

/** Checks that the machine has printed what the guide shows. */
function isAsShown(t: Test, outcome: Outcome, name: string): void {
  for (const [index, { command, shown }] of guideExample(name).boot.entries()) {
    const printed = reported(outcome, `${name}-${index}`)
    t.ok(shows(shown, printed), `${command}: the guide shows:\n${shown}\nand this is printed:\n${printed}`)
  }
}

/** The guide for authors: its files, built as it says, and what it says of the machine then. */
export function cases(): Case[] {
  return [
    {
      name: 'guide: a package of the distribution',
      boot: 'container',
      machine: {
        ownNetwork: true,
        dataRoot: (release, kernel) => guideDataRoot(['web'], release, kernel),
        script: `${BASE_REPORT}${typedThere('web')}`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isAsShown(t, outcome, 'web')
      },
    },
    {
      // A module needs Debian's own kernel; the other one comes along.
      name: 'guide: a program with a service and a udev rule, and a kernel module',
      boot: 'vm',
      machine: {
        dataRoot: (release, kernel) => guideDataRoot(['disklog', 'answer'], release, kernel),
        // Emulated, the index of modules takes half a minute, and more on a busy host.
        files: { 'etc/hostext.conf': '[Boot]\nTimeout=5min\n' },
        // As hostext does it on a running machine, after docker create.
        prepare: prepareImages,
        script: `${BASE_REPORT}${typedThere('disklog')}${typedThere('answer')}`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        for (const name of ['disklog', 'answer']) isAsShown(t, outcome, name)
      },
    },
  ]
}
