import type { BaseIdentity } from '../machine/base-identity.js'
import { printable } from '../text/printable.js'

/** What differs between two bases, in words: `the kernel`; `kernel 6.1.0-1`, `6.1.0-2`. */
export type BaseChange = { what: string; was: string; is: string }

/**
 * What has changed between the base that a stack was booted with and the one of now. An earlier version of
 * hostext recorded no base.
 */
export function findBaseChange(was: BaseIdentity | undefined, is: BaseIdentity): BaseChange {
  if (!was) return { what: 'hostext', was: 'an earlier version of hostext', is: describe(['hostext'], is) }
  const differs = (name: keyof BaseIdentity): boolean => was[name] !== is[name]
  const shown = (['kernel', 'system', 'root', 'hostext'] as const).filter(differs) as Shown[]
  // These say less, and only to those who look for them.
  if (differs('kernelBuild') && !shown.includes('kernel')) shown.unshift('kernelBuild')
  if (differs('changed') && !shown.includes('system') && !shown.includes('root')) shown.push('changed')
  const parts = [...new Set(shown.map((name) => PARTS[name]))]
  return { what: listed(parts), was: describe(shown, was), is: describe(shown, is) }
}

/** Why a stack that has booted well before is on trial. */
export function describeBooted({ was, is }: BaseChange): string {
  return `this stack booted well with ${was}; now ${is}`
}

/** What is known about a base, in words for people: `kernel 6.1.0-1, debian 12`. */
export function describeBase(base: BaseIdentity | undefined): string {
  if (!base) return 'an earlier version of hostext'
  // A root file system that has not booted has no kernel yet.
  const known = (['kernel', 'system', 'hostext'] as const).filter((name) => base[name] !== '')
  return describe(known, base)
}

type Shown = keyof BaseIdentity

const PARTS: Record<Shown, string> = {
  kernel: 'the kernel',
  kernelBuild: 'the kernel',
  system: 'the base root',
  root: 'the base root',
  changed: 'the base root',
  hostext: 'hostext',
}

const WORDS: Record<Shown, (base: BaseIdentity) => string> = {
  kernel: ({ kernel }) => `kernel ${text(kernel)}`,
  kernelBuild: ({ kernel, kernelBuild }) => `kernel ${text(kernel)} (${text(kernelBuild)})`,
  system: ({ system }) => text(system),
  root: ({ root }) => `the root ${text(root)}`,
  changed: ({ changed }) => `a base root of ${newest(changed)}`,
  hostext: ({ hostext }) => `hostext ${text(hostext)}`,
}

function describe(shown: readonly Shown[], base: BaseIdentity): string {
  return shown.map((name) => WORDS[name](base)).join(', ')
}

function text(value: string): string {
  return printable(value, 120) || 'without a name'
}

/** The newest of the times: `2026-11-28 10:08:46`. */
function newest(times: string): string {
  const seconds = Math.max(...times.split(' ').map((time) => Number(time) || 0))
  // The last time that a Date can have.
  return seconds > 0 && seconds <= 8.64e12
    ? new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
    : 'unknown time'
}

function listed(parts: readonly string[]): string {
  return parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}` : (parts[0] ?? 'nothing')
}
