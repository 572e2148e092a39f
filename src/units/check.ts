import type { Plan } from '../stack/plan.js'

/**
 * What checks the root. Wanted and not required: PID 1 boots nothing at all if what it requires is masked. A
 * script that is told to looks whether it has failed, because writing to a damaged file system would damage
 * it more.
 */
export const CHECK_SERVICE = 'systemd-fsck-root.service'

/** Tells generators/steps/stack and collect to look. */
export const CHECKED = `Environment=CHECKED=${CHECK_SERVICE}\n`

/** Seconds that the check of a large disk may take, or the wait for a passphrase. */
export const LONGEST_CHECK = 6 * 3600

/** Whether the first pass writes to the root file system, and fstab wants it checked before that. */
export function isChecked({ checkRoot, state, machineId }: Plan): boolean {
  return checkRoot && (state.length > 0 || machineId !== undefined)
}

/** How many seconds the whole first pass may take, with a check of the root. */
export function longestPass(plan: Plan): number {
  return plan.timeout + (isChecked(plan) ? LONGEST_CHECK : 0)
}

/**
 * What limits a service of the first pass after a check: a line of its unit. The limit of the whole pass has
 * room for the check; this one counts from when the service is started (systemd.unit(5)).
 */
export function runningLimit(plan: Plan): string {
  return isChecked(plan) ? `JobRunningTimeoutSec=${plan.timeout}\n` : ''
}
