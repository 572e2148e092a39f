import { describeContainer, type Named } from '../engine/engine.js'
import type { Extension } from '../image/extension.js'
import { treePath } from '../image/kept.js'
import type { BaseIdentity } from '../machine/base-identity.js'
import { findEngine } from '../stack/decide.js'
import type { Facts } from '../stack/facts.js'
import { chooseStack, countAbove } from '../stack/order.js'
import type { Decision, Plan, Said } from '../stack/plan.js'
import type { RecordedStack } from '../stack/record.js'
import { leaveOut, readSkips } from '../stack/skip.js'
import type { Level, Message } from '../text/log.js'
import { oneLine, printableList } from '../text/printable.js'
import { layerUnitName } from '../units/layer.js'

/**
 * What a boot does, for programs and for people: this one, the next one, or the last good one. Names are
 * unchecked text. Part of what `--json` prints: docs/hostext.schema.json.
 */
export type BootReport = {
  root: 'stacked' | 'plain' | 'undecided'
  /** Why it is not stacked; null if it is. */
  why: string | null
  /** Top first. */
  extensions: ReportedExtension[]
  /** Extensions whose images have to be prepared before it is known whether they are stacked. */
  unprepared: ReportedContainer[]
  leftOut: ReportedLeftOut[]
  safety: ReportedSafety
  /** Directories and files of the root that stay writable. */
  writable: string[]
  etc: string | null
  base: BaseIdentity | null
  /** Where the layers are, and what hostext keeps. */
  dataRoot: string | null
  messages: ReportedMessage[]
}

export type ReportedContainer = { name: string; image: string; id: string }

export type ReportedExtension = ReportedContainer & {
  /** Its place in the stack, from 0 at the top. */
  number: number
  /** Whether it is above the root, whose files it replaces. */
  above: boolean
  rank: 'override' | 'feature' | 'overlay'
  priority: number | 'lowest' | null
  imageId: string | null
  tree: string
  unit: string
}

/** `who`: the extension as messages name it. `onRequest`: the administrator wants it so. */
export type ReportedLeftOut = Partial<ReportedContainer> & { who: string; why: string; onRequest: boolean }

/**
 * `on trial`: boot `attempt` of `attempts`. `rolled back`: to the last good stack or to the plain root,
 * because of `culprits`; it may be on trial itself. `off`: stacks are not rolled back here.
 */
export type ReportedSafety = {
  kind: 'good' | 'on trial' | 'rolled back' | 'off' | 'none'
  attempt: number | null
  attempts: number | null
  culprits: string[]
  /** What was said about it. */
  line: string | null
}

export type ReportedMessage = { level: Level; text: string; leftOut: ReportedLeftOut | null }

const NO_SAFETY: ReportedSafety = {
  ...{ kind: 'none', attempt: null, attempts: null },
  ...{ culprits: [], line: null },
}

const NO_ENGINE = { extensions: [], unprepared: [] }

/** A report in which nothing is known yet. */
export const EMPTY_REPORT: BootReport = {
  ...{ root: 'plain', why: null, extensions: [], unprepared: [], leftOut: [], safety: NO_SAFETY },
  ...{ writable: [], etc: null, base: null, dataRoot: null, messages: [] },
}

/** What a decision means. `last`: the line that sums it up, if it is not among its messages. */
export function reportDecision(
  { machine, engines = [] }: Facts,
  decision: Decision,
  last?: Message,
): BootReport {
  const said = [...decision.messages, ...(last ? [last] : [])]
  const messages = said.map(reportMessage)
  const report: BootReport = {
    ...EMPTY_REPORT,
    base: machine.identity,
    dataRoot: findEngine(engines)?.dataRoot ?? null,
    leftOut: messages.flatMap(({ leftOut }) => leftOut ?? []),
    messages,
  }
  if ('plain' in decision) {
    const { plain, rolledBack } = decision
    return {
      ...report,
      why: plain,
      safety: rolledBack ? rolledBackSafety(rolledBack) : NO_SAFETY,
    }
  }
  if ('wait' in decision) {
    const { paths, hoped, mounting, preparing } = decision.wait
    const { extensions, unprepared } = leaveOut(findEngine(engines) ?? NO_ENGINE, readSkips(machine))
    const { stack } = chooseStack(extensions)
    return {
      ...report,
      root: 'undecided',
      why: mounting
        ? `not mounted yet: ${oneLine([...paths, ...hoped].join(' '))}`
        : `not prepared yet: ${printableList(preparing)}: "hostext prepare" does it now, otherwise the next boot`,
      extensions: reportExtensions(stack),
      unprepared: unprepared.map(({ container }) => reportContainer(container)),
    }
  }
  const { plan } = decision
  return {
    ...report,
    root: 'stacked',
    extensions: reportExtensions(plan.extensions),
    safety: reportSafety(plan, machine.configuration.attempts),
    writable: plan.state,
    etc: plan.etc.mode,
    dataRoot: plan.dataRoot,
  }
}

/** A stack that is on record as good: what is known of it. */
export function reportRecord({ extensions, above, base }: RecordedStack, dataRoot: string): BootReport {
  return {
    ...EMPTY_REPORT,
    root: 'stacked',
    extensions: extensions.map((extension, number) => ({
      ...reportContainer(extension),
      ...{ number, above: number < above },
      ...reportRank(extension),
      imageId: extension.imageId ?? null,
      tree: extension.tree,
      unit: layerUnitName(number, extensions.length),
    })),
    safety: { ...NO_SAFETY, kind: 'good' },
    base: base ?? null,
    dataRoot,
  }
}

/** Where the files of an extension are kept. */
export function reportedTree({ dataRoot }: BootReport, { tree }: ReportedExtension): string {
  return treePath(dataRoot ?? '', tree)
}

/** `wifi (wifi-drivers:2, 4f0c1d2e3a4b)` */
export function describeReported({ name, image, id }: ReportedContainer): string {
  return describeContainer({ name, image, id })
}

function reportExtensions(stack: readonly Extension[]): ReportedExtension[] {
  const above = countAbove(stack)
  return stack.map(({ container, rank, tree }, number) => ({
    ...reportContainer(container),
    ...{ number, above: number < above },
    ...reportRank({ rank }),
    ...{ imageId: container.imageId ?? null, tree, unit: layerUnitName(number, stack.length) },
  }))
}

function reportContainer({ name, image, id }: Named): ReportedContainer {
  return { name, image, id }
}

function reportRank({ rank }: Pick<Extension, 'rank'>): Pick<ReportedExtension, 'rank' | 'priority'> {
  return { rank: rank.kind, priority: rank.kind === 'override' ? rank.priority : null }
}

function reportMessage({ level, text, leftOut }: Said): ReportedMessage {
  if (!leftOut) return { level, text: oneLine(text), leftOut: null }
  const { who, why, container, onRequest = false } = leftOut
  return {
    ...{ level, text: oneLine(text) },
    leftOut: { ...(container && reportContainer(container)), who, why: oneLine(why), onRequest },
  }
}

function reportSafety({ safety }: Plan, attempts: number): ReportedSafety {
  if (safety.kind === 'known') return { ...NO_SAFETY, kind: safety.keep || safety.mark ? 'good' : 'off' }
  if (safety.kind === 'restored')
    return { ...rolledBackSafety(safety), attempt: safety.trial?.attempt ?? null, attempts }
  return { ...NO_SAFETY, kind: 'on trial', attempt: safety.trial.attempt, attempts }
}

function rolledBackSafety({ line, culprits }: { line: string; culprits: string[] }): ReportedSafety {
  return { ...NO_SAFETY, kind: 'rolled back', culprits, line: oneLine(line) }
}
