import type { Case } from '../checks.js'
import { reported } from '../machine.js'

/** The reports, on which all other cases rely. */
export function cases(): Case[] {
  return [
    {
      name: 'a report of a megabyte arrives whole',
      boot: 'uml',
      machine: { script: 'report long seq 150000\nreport error sh -c "echo out; exit 3"\n' },
      check(t, outcome) {
        const lines = reported(outcome, 'long').split('\n')
        t.equal(lines.length, 150_000)
        t.ok(lines.every((line, index) => line === String(index + 1)))
        t.equal(reported(outcome, 'error'), 'out')
        t.equal(outcome.reports.get('error.status'), '3')
      },
    },
  ]
}
