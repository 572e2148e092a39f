import { printableList } from '../text/printable.js'
import type { BootReport } from './boot-report.js'
import { compareBoots } from './difference.js'

/** What a machine is like, in one word for programs, and the exit status that says it. */
export const STATUSES = {
  'as intended': 0,
  incomplete: 1,
  plain: 3,
  'rolled back': 4,
  'on trial': 5,
  changed: 6,
  'not run': 0,
} as const

export type Verdict = { kind: keyof typeof STATUSES; line: string }

/**
 * The one thing that somebody has to know about a machine first. The gravest comes first: a rollback, a plain
 * root although there are extensions, an extension that is missing, a trial, a change at the next boot.
 * `now`: undefined if hostext has not run in this boot, as on a root file system that is not running. `once`:
 * the reason for a plain root that was asked of this boot alone: it is intended that the next one differs.
 */
export function judgeMachine(now: BootReport | undefined, next: BootReport, once?: string): Verdict {
  const hasChanged = compareBoots(now, next).length > 0
  const also = hasChanged ? '; the next boot differs ("hostext diff")' : ''
  if (!now) {
    const line = `hostext has not run in this boot; the next one ${describeNext(next)}`
    return { kind: 'not run', line }
  }
  const { safety, extensions, leftOut } = now
  const missing = leftOut.filter(({ onRequest }) => !onRequest)
  const count = `${extensions.length} host extension${extensions.length === 1 ? '' : 's'}`
  const names = printableList(extensions.map(({ name }) => name))
  const stacked = `${count} ${extensions.length === 1 ? 'is' : 'are'} stacked: ${names}`
  if (safety.kind === 'rolled back') {
    const where = now.root === 'stacked' ? `booted the last good stack: ${names}` : 'booted the plain root'
    // A line says more: of a base that has changed, or what could not be prepared.
    const line = safety.line?.replace(/^rolled back: /, '').split(': ', 1)[0]
    const why = safety.culprits.length > 0 ? `: because of ${printableList(safety.culprits)}` : `: ${line}`
    return { kind: 'rolled back', line: `rolled back${why}; ${where}${also}` }
  }
  if (now.root !== 'stacked') {
    const isAsked = once !== undefined && now.why === once
    const isMissing = missing.length > 0 || (!isAsked && next.extensions.length + next.unprepared.length > 0)
    if (isMissing)
      return { kind: 'plain', line: `plain root, although there are extensions: ${now.why}${also}` }
    if (hasChanged && !isAsked)
      return { kind: 'changed', line: `the root is plain: ${now.why}; the next boot ${describeNext(next)}` }
    const without = hasChanged ? `; without it, the next boot ${describeNext(next)}` : ''
    return { kind: 'as intended', line: `as intended: the root is plain: ${now.why}${without}` }
  }
  if (missing.length > 0) {
    const who = missing.map(({ name, who }) => name ?? who)
    return { kind: 'incomplete', line: `${stacked}; left out: ${printableList(who)}${also}` }
  }
  if (safety.kind === 'on trial') {
    const { attempt, attempts } = safety
    return { kind: 'on trial', line: `on trial, boot ${attempt} of ${attempts}: ${stacked}${also}` }
  }
  return hasChanged
    ? { kind: 'changed', line: `${stacked}${also}` }
    : { kind: 'as intended', line: `as intended: ${stacked}` }
}

/** `stacks 2 host extensions: gpu, wifi`; for a sentence about the next boot. */
function describeNext({ root, why, extensions, unprepared }: BootReport): string {
  const names = printableList([...extensions, ...unprepared].map(({ name }) => name))
  if (root === 'stacked') return `stacks ${names}`
  return root === 'plain' ? `stays plain: ${why}` : `decides when it has more: ${why}`
}
