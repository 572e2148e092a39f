import type { Root } from '../machine/files.js'
import type { BootReport, ReportedContainer, ReportedExtension } from './boot-report.js'
import { compareBoots, describeRank } from './difference.js'
import type { Disk } from './next-boot.js'
import { readFacts } from './notes.js'

/**
 * What becomes of an extension. `stacked`: in this boot and in the next one. `pending`: in the next one.
 * `removed`: no longer in the next one. `left out`: in neither, although it is an extension. `kept`: only a
 * stack that has booted well has it. `bad`: it is, or may be, why a stack did not boot well.
 */
export type ListedState = 'stacked' | 'pending' | 'removed' | 'left out' | 'kept' | 'bad'

export type Listed = {
  name: string
  image: string
  id: string | null
  /** Its place in the stack of this boot, or else of the next one. */
  number: number | null
  /** `override=10, above the root`. */
  rank: string | null
  state: ListedState
  /** In its files. */
  bytes: number | null
  files: number | null
  tree: string | null
  why: string | null
}

/**
 * All extensions: those of this boot in stack order, then those to come, then all others. `now`: undefined if
 * hostext has not run in this boot. `isAll`: also those that are only on record.
 */
export function list(root: Root, now: BootReport | undefined, disk: Disk, isAll: boolean): Listed[] {
  const { next, recorded } = disk
  const rows = new Map<string, Listed>()
  const add = (row: Listed, key = row.name): void => void (rows.has(key) || rows.set(key, row))
  const differences = new Map(compareBoots(now, next).map((difference) => [difference.name, difference]))
  const culprits = new Set([...next.safety.culprits, ...(now?.safety.culprits ?? [])])
  const bad = 'a stack with it did not boot well'

  for (const extension of now?.extensions ?? []) {
    const difference = differences.get(extension.name)
    const isRemoved = difference?.kind === 'removed'
    const why = difference ? (isRemoved ? difference.what : `the next boot: ${difference.what}`) : null
    add(stackedRow(root, now as BootReport, extension, disk, isRemoved ? 'removed' : 'stacked', why))
  }
  for (const extension of next.extensions)
    add(stackedRow(root, next, extension, disk, 'pending', now?.root === 'plain' ? now.why : null))
  for (const container of next.unprepared) add(row(container, 'pending', 'not prepared yet'))
  const coming = new Set<string | null>(next.extensions.map(({ id }) => id))
  // What is only left out because of a rollback is bad.
  const leftOutRows = (report: BootReport | undefined): Listed[] =>
    (report?.leftOut ?? []).flatMap(({ name, image = '', id = '', who, why }) =>
      name !== undefined && culprits.has(name) ? [] : row({ name: name ?? who, image, id }, 'left out', why),
    )
  for (const leftOut of leftOutRows(next)) {
    // Two engines may have containers of one name, and those that cannot be read have none.
    const other = rows.get(leftOut.name)
    const isOther = other !== undefined && (leftOut.id === null || other.id !== leftOut.id)
    const isAnother = isOther && (other.state === 'left out' || coming.has(other.id))
    add(leftOut, isAnother ? `${leftOut.id ?? leftOut.name}: ${leftOut.why}` : leftOut.name)
  }
  for (const leftOut of leftOutRows(now)) add(leftOut)
  for (const stack of recorded.bad)
    for (const extension of stack.extensions)
      if (culprits.has(extension.name)) add(stackedRow(root, stack, extension, disk, 'bad', bad, null))
  for (const name of culprits) add(row({ name, image: '', id: '' }, 'bad', bad))
  if (isAll)
    for (const stack of recorded.kept)
      for (const extension of stack.extensions)
        add(stackedRow(root, stack, extension, disk, 'kept', 'a stack that has booted well has it', null))
  return [...rows.values()]
}

function row({ name, image, id }: ReportedContainer, state: ListedState, why: string | null): Listed {
  return {
    ...{ name, image, id: id || null, number: null, rank: null, state },
    ...{ bytes: null, files: null, tree: null, why },
  }
}

function stackedRow(
  root: Root,
  report: BootReport,
  extension: ReportedExtension,
  disk: Disk,
  state: ListedState,
  why: string | null,
  number: number | null = extension.number,
): Listed {
  const facts = readFacts(root, report, extension, disk)
  return {
    ...row(extension, state, why),
    ...{ number, rank: describeRank(extension), tree: extension.tree },
    ...{ bytes: facts?.bytes ?? null, files: facts?.files ?? null },
  }
}
