import { isImageId } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import { findOtherWriter } from '../engine/trust.js'
import type { Extension } from '../image/extension.js'
import { type Look, readImage } from '../image/image.js'
import { findMisfit, isTreeName, readTreeFacts, treePath } from '../image/kept.js'
import type { Rank } from '../image/labels.js'
import { type BaseIdentity, IDENTITY_FIELDS } from '../machine/base-identity.js'
import { type FileProblem, listDirectory, type Root, readText } from '../machine/files.js'
import { GOOD_NAMES, type GoodName, type RecordFacts, TRIAL_NAMES, type TrialName } from '../stack/facts.js'
import type { RecordedExtension, RecordedStack } from '../stack/record.js'
import { isObject, parseObject } from '../text/json.js'
import { printable } from '../text/printable.js'

/**
 * The records of the stacks of earlier boots, in `<data root>/hostext/`. They are on the file system of the
 * layers, so they exist exactly as long as the layers do.
 *
 *     trial.N     the stack that is tried, or that has failed, in its N-th boot
 *     back.N      a good stack of another base, tried in the place of one that has failed
 *     reduced.N   a stack of which the kernel command line has left something out
 *     good        the last stack that has booted well
 *     previous    the one before it
 *     other       the last one that has booted well on another base
 *     reduced     the last one of which something was left out
 *     spare       one of these, on its way to become `good` again
 *
 * Each is written beside its place, synchronized and renamed; a step from one to the next is a rename alone,
 * which needs no room on a full disk: generators/steps/trial, generators/steps/good.
 */
export const TRIAL = new RegExp(`^(${TRIAL_NAMES.join('|')})\\.([1-9]\\d{0,5})$`)

/**
 * 499 extensions of 128 layers each take two megabytes; with the longest texts, all escaped, five times as
 * much.
 */
const LARGEST = 16 << 20
/** Parses what {@link stackText} writes; undefined for anything else, even a part of it. */
export function parseStack(text: string): RecordedStack | undefined {
  const lines = text.split('\n')
  if (lines.pop() !== '') return undefined
  const [first = '', ...rest] = lines
  const head = parseObject(first)
  if (!head || !Number.isSafeInteger(head.above) || head.extensions !== rest.length) return undefined
  const above = head.above as number
  if (above < 0 || above > rest.length || rest.length === 0) return undefined
  const extensions: RecordedExtension[] = []
  // The first line that is wrong is the last to be parsed: sixteen million of them would take a minute.
  for (const line of rest) {
    const extension = parseExtension(parseObject(line))
    if (!extension) return undefined
    extensions.push(extension)
  }
  // An extension that only adds files is never above the root.
  if (extensions.slice(0, above).some(({ rank }) => rank.kind === 'overlay')) return undefined
  const base = parseBase(head.base)
  return { above, extensions, ...(base && { base }) }
}

/** Of a base that another version of hostext has recorded in another form, nothing is known. */
function parseBase(value: unknown): BaseIdentity | undefined {
  if (!isObject(value)) return undefined
  const fields = IDENTITY_FIELDS.map((name) => [name, value[name]])
  return fields.every(([, text]) => typeof text === 'string') ? Object.fromEntries(fields) : undefined
}

function parseExtension(entry: Record<string, unknown> | undefined): RecordedExtension | undefined {
  const { id, name, image, labels = [], imageId, rank, tree } = entry ?? {}
  if (typeof id !== 'string' || !/^[0-9a-f]{64}$/.test(id)) return undefined
  if (typeof name !== 'string' || typeof image !== 'string') return undefined
  if (!isTreeName(tree)) return undefined
  if (!Array.isArray(labels) || !labels.every(isLabel)) return undefined
  const parsed = parseRank(rank)
  if (!parsed) return undefined
  return { id, name, image, labels, imageId: isImageId(imageId) ? imageId : undefined, rank: parsed, tree }
}

function isLabel(pair: unknown): pair is [string, string] {
  return Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string')
}

function parseRank(rank: unknown): Rank | undefined {
  if (!isObject(rank)) return undefined
  if (rank.kind === 'feature' || rank.kind === 'overlay') return { kind: rank.kind }
  // Anything but a number means the lowest priority, for which earlier versions wrote null.
  const priority = typeof rank.priority === 'number' ? rank.priority : 'lowest'
  return rank.kind === 'override' ? { kind: 'override', priority } : undefined
}

/**
 * The text of the last good record, to be compared byte for byte: in almost every boot nothing more is
 * needed.
 */
export function readLastGood(root: Root, dataRoot: string): string | undefined {
  const text = readText(root, `${dataRoot}/${OWN_DIRECTORY}/${GOOD_NAMES[0]}`, LARGEST, findOtherWriter)
  return typeof text === 'string' ? text : undefined
}

/** A good record on the disk; `source`: its file. */
export type SourcedStack = RecordedStack & { name: GoodName; source: string }

/** Reads the records of a data root. Never throws: a record that cannot be read is named and ignored. */
export function readRecords(
  root: Root,
  dataRoot: string,
): Omit<RecordFacts, 'good'> & { good: SourcedStack[] } {
  const directory = `${dataRoot}/${OWN_DIRECTORY}`
  const records: ReturnType<typeof readRecords> = { good: [], tried: [], problems: [] }
  const problem = (path: string, what: string): void =>
    void records.problems.push(`${printable(path)}: ${what}: this record is ignored`)
  const read = (name: string): RecordedStack | undefined => {
    const path = `${directory}/${name}`
    const text = readText(root, path, LARGEST, findOtherWriter)
    if (text === undefined) return undefined
    const stack = typeof text === 'string' ? parseStack(text) : undefined
    if (!stack) problem(path, typeof text === 'string' ? 'not a record of a stack' : text.why)
    return stack
  }
  let names: string[] = []
  try {
    names = listDirectory(root, directory)
  } catch (error) {
    problem(directory, (error as FileProblem).why)
  }
  for (const name of GOOD_NAMES.filter((name) => names.includes(name))) {
    const stack = read(name)
    if (stack) records.good.push({ ...stack, name, source: `${directory}/${name}` })
  }
  for (const file of names) {
    const [, name, attempts] = TRIAL.exec(file) ?? []
    const stack = name === undefined ? undefined : read(file)
    if (stack) records.tried.push({ name: name as TrialName, stack, attempts: Number(attempts) })
  }
  return records
}

/** Stands for the file that a recorded extension would have replaced: the record does not say which one. */
const RECORDED = '(as recorded)'

/**
 * Turns a recorded stack into extensions again, even if the engine no longer has their containers. They are
 * checked like those of containers: whether their trees are there and whether they fit the machine, which may
 * have another kernel or root by now. Throws an Error that names the first one that cannot be stacked.
 */
export function restoreStack(
  root: Root,
  dataRoot: string,
  stack: RecordedStack & { source: string },
  look: Look,
): Extension[] {
  return stack.extensions.map(({ id, name, image, labels, imageId, rank, tree }, index) => {
    const who = printable(name, 60)
    const facts = readTreeFacts(root, dataRoot, tree)
    if (!facts) throw new Error(`${who} is gone: there is no tree ${tree}`)
    const change = findMisfit(facts, look.base)
    if (change !== undefined) throw new Error(`${who} was prepared for another base root: ${change}`)
    const isAbove = index < stack.above
    const path = treePath(dataRoot, tree)
    const { contents, unfit, replaced, covered } = readImage(
      root,
      path,
      new Map(labels),
      isAbove,
      facts,
      look,
    )
    if (unfit !== undefined) throw new Error(`${who} does not fit this machine: ${unfit}`)
    if (replaced !== undefined)
      throw new Error(`${who} would replace ${printable(replaced)}, which the machine needs to boot`)
    return {
      container: { id, name, image, imageId, source: stack.source },
      tree,
      facts,
      contents,
      rank,
      labels,
      below: isAbove || rank.kind === 'overlay' ? undefined : RECORDED,
      covered,
    }
  })
}
