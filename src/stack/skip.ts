import { describeContainer, named } from '../engine/engine.js'
import type { EngineFacts } from '../image/engines.js'
import type { Extension, LeftOut, Unprepared } from '../image/extension.js'
import { SKIP } from '../machine/kernel-command-line.js'
import type { Machine } from '../machine/machine.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import type { GoodStack } from './facts.js'
import { recordedName } from './record.js'

/** The names of containers that are left out on request, each with the place that says so. */
export type Skips = ReadonlyMap<string, string>

/** Reads what is requested, for one boot or for all. */
export function readSkips({
  commandLine,
  configuration,
}: Pick<Machine, 'commandLine' | 'configuration'>): Skips {
  const from = (names: readonly string[], where: string): [string, string][] =>
    names.map((name) => [name, where])
  return new Map([
    ...from(commandLine.skip ?? [], SKIP),
    ...from(configuration.skip, 'Skip= in hostext.conf'),
  ])
}

/** What is left of an engine's extensions, and what is left out. */
export function leaveOut(
  { extensions, unprepared }: Pick<EngineFacts, 'extensions' | 'unprepared'>,
  skips: Skips,
): {
  extensions: Extension[]
  unprepared: Unprepared[]
  skipped: LeftOut[]
  /** Whether it is less than without the kernel command line. That is for one boot; a setting stays. */
  isReduced: boolean
} {
  const isKept = ({ container }: Extension | Unprepared): boolean => !skips.has(container.name)
  const skipped = [...extensions, ...unprepared].flatMap(({ container }) => {
    const why = skips.get(container.name)
    return why === undefined
      ? []
      : ({ who: describeContainer(container), why, container: named(container), onRequest: true } as const)
  })
  return {
    extensions: extensions.filter(isKept),
    unprepared: unprepared.filter(isKept),
    skipped,
    isReduced: skipped.some(({ why }) => why === SKIP),
  }
}

/**
 * A warning for each name that no extension has. One that is left out for another reason has a line already.
 */
export function findUnknown(skips: Skips, engines: readonly EngineFacts[]): Message[] {
  if (skips.size === 0) return []
  const names = new Set(
    engines.flatMap(({ extensions, unprepared }) =>
      [...extensions, ...unprepared].map(({ container }) => container.name),
    ),
  )
  const others = engines.flatMap(({ leftOut }) => leftOut.map(({ who }) => who))
  return [...skips].flatMap(([name, where]): Message[] => {
    const shown = printable(name)
    if (names.has(name) || others.some((who) => who.startsWith(`${shown} (`))) return []
    return [{ level: 'warning', text: `${where}: no extension has the name ${shown}` }]
  })
}

/** The good stacks, of which those with an extension that is to be left out cannot be booted. */
export function refuseSkipped(good: readonly GoodStack[], skips: Skips): GoodStack[] {
  const recorded = new Map([...skips].map(([name, where]) => [recordedName(name), where]))
  return good.map((stack) => {
    const name = stack.extensions.map(({ name }) => name).find((name) => recorded.has(name))
    if (name === undefined) return stack
    return { ...stack, restored: { problem: `it has ${printable(name, 60)}: ${recorded.get(name)}` } }
  })
}
