import type { Test } from 'tap'
import type { Dialogue } from './disk-machine.js'
import { type Machine, type Outcome, reported } from './machine.js'
import type { Release } from './rootfs.js'
import type { Where } from './ways.js'

/** A machine, and what must be true when it has booted. */
export type Case = {
  name: string
  /** Where it is booted. The machine of a main case is a complete Debian; others are lean. */
  boot: Where
  /** The releases that can show it. Default: all. */
  releases?: Release[]
  /** Whether only the full run boots it: another case shows nearly the same. */
  fullOnly?: boolean
  machine: Omit<Machine, 'release'>
  dialogue?: Dialogue
  check: (t: Test, outcome: Outcome) => void
}

/**
 * Lines of a script that wait until the boot is complete, which may take minutes on a busy host. No unit
 * waits for udev's work, so they do; a container has no udev.
 */
export const COMPLETE = `
timeout 180 systemctl is-system-running --wait
for try in $(seq 600); do systemctl is-system-running | grep -qE "initializing|starting" || break; sleep 0.1; done
udevadm settle --timeout=60
`

/** A shell function that waits until the stack of this boot is marked good. */
export const MARKED = `
marked() { for try in $(seq 1200); do [ -e /run/hostext/good ] && break; sleep 0.1; done; }
`

export const BASE_REPORT = `
${COMPLETE}
report state systemctl is-system-running
report failed systemctl --failed --plain --no-legend
report why sh -c 'for unit in $(systemctl --failed --plain --no-legend | cut -d" " -f1); do systemctl status --no-pager "$unit"; done; cat /run/hostext/mount.log'
report root findmnt -no SOURCE,FSTYPE,OPTIONS /
report layers systemctl list-units --plain --no-legend 'run-hostext-[0-9]*.mount'
report decision cat /run/hostext.decision
report target systemctl is-active multi-user.target
report kmsg sh -c 'dmesg | grep hostext:'
report container systemd-detect-virt --container
report nextroot sh -c 'grep -E "nextroot|/run/hostext" /proc/self/mountinfo'
report jobs systemctl list-jobs --no-legend
`

/** Our lines in the kernel log. A container has no kernel log, only its console and the record. */
export function said(outcome: Outcome): string {
  return reported(outcome, 'container') === 'none'
    ? reported(outcome, 'kmsg')
    : `${outcome.console}\n${reported(outcome, 'decision')}`
}

/** One boot of several; `number` counts from 1. */
export function bootOf({ boots }: Outcome, number: number): Outcome {
  const boot = boots[number - 1]
  if (!boot) throw new Error(`no boot ${number} of ${boots.length}`)
  return { ...boot, boots: [boot] }
}

/** Checks that every boot left its disks with nothing to repair. */
export function isClean(t: Test, { boots }: Outcome): void {
  for (const [index, { clean }] of boots.entries())
    if (clean !== undefined) t.ok(clean, `the disks are clean after boot ${index + 1}`)
}

export function isStacked(t: Test, outcome: Outcome): void {
  isClean(t, outcome)
  t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/, 'the root is our overlay, read-only')
  t.equal(reported(outcome, 'state'), 'running', 'the system is running')
  t.equal(reported(outcome, 'failed'), '', 'no unit failed')
}

/** Mount points that come and go with services, or that are the kernel's. */
const PASSING = /^\/(?:proc|sys|dev|run\/credentials|run\/user|run\/hostext)(?:\/|$)/

/**
 * The lines of `findmnt -rno TARGET,SOURCE,FSTYPE,OPTIONS`, except for the root, the layers, what comes and
 * goes, and the other mounts of hostext (`ours`). The options of an automount are left out: they depend on
 * its daemon, PID 1.
 */
export function otherMounts(text: string, ours: readonly string[]): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/ autofs .*/, ' autofs'))
    .filter((line) => {
      const target = line.split(' ', 1)[0] as string
      return target !== '/' && !PASSING.test(target) && !ours.includes(target)
    })
    .sort()
}

/** Checks for a complete boot on the plain root that says why. `failed`: the units that may have failed. */
export function isPlain(t: Test, outcome: Outcome, why: RegExp, failed: RegExp[] = []): void {
  isClean(t, outcome)
  t.notMatch(reported(outcome, 'root'), /^hostext/, 'the root is the plain one')
  t.match(reported(outcome, 'root'), /ext4 +rw,/, 'the root is writable')
  t.equal(reported(outcome, 'target'), 'active', 'multi-user.target is reached')
  t.match(said(outcome), why, 'it says why')
  t.equal(reported(outcome, 'nextroot'), '', 'nothing of ours is left mounted')
  const units = reported(outcome, 'failed').split('\n').filter(Boolean)
  const others = units.filter((unit) => !failed.some((pattern) => pattern.test(unit)))
  t.same(others, [], 'no other unit failed')
  t.equal(reported(outcome, 'state'), units.length > 0 ? 'degraded' : 'running', 'the boot is complete')
}
