import { isImageId } from '../engine/engine.js'
import { OWN_DIRECTORY } from '../engine/places.js'
import { findOtherWriter } from '../engine/trust.js'
import type { Extension } from '../image/extension.js'
import { type Look, readImage } from '../image/image.js'
import { findChange, isTreeName, readTreeFacts, treePath } from '../image/kept.js'
import type { Rank } from '../image/labels.js'
import { type FileProblem, listDirectory, type Root, readText } from '../machine/files.js'
import type { RecordFacts } from '../stack/facts.js'
import type { RecordedExtension, RecordedStack } from '../stack/record.js'
import { isObject, parseObject } from '../text/json.js'
import { printable } from '../text/printable.js'

/**
 * The records of the stacks of earlier boots, in `<data root>/hostext/`. They are on the file system of the
 * layers, so they exist exactly as long as the layers do.
 *
 *     trial.N    the stack that is tried, or that has failed, in its N-th boot
 *     good       the last stack that has booted well
 *     previous   the one before it
 *
 * Each is written beside its place, synchronized and renamed; a step from one to the next is a rename alone,
 * which needs no room on a full disk: generators/steps/trial, generators/steps/good.
 */
export const GOOD = 'good'
export const PREVIOUS = 'previous'
export const TRIAL = /^trial\.([1-9]\d{0,5})$/

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
  return { above, extensions }
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
  const text = readText(root, `${dataRoot}/${OWN_DIRECTORY}/${GOOD}`, LARGEST, findOtherWriter)
  return typeof text === 'string' ? text : undefined
}

/** A record on the disk; `source`: its file. */
export type SourcedStack = RecordedStack & { source: string }

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
  for (const name of [GOOD, PREVIOUS].filter((name) => names.includes(name))) {
    const stack = read(name)
    if (stack) records.good.push({ ...stack, source: `${directory}/${name}` })
  }
  for (const name of names) {
    const attempts = Number(TRIAL.exec(name)?.[1])
    const stack = attempts > 0 ? read(name) : undefined
    if (stack) records.tried.push({ stack, attempts })
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
export function restoreStack(root: Root, dataRoot: string, stack: SourcedStack, look: Look): Extension[] {
  return stack.extensions.map(({ id, name, image, labels, imageId, rank, tree }, index) => {
    const who = printable(name, 60)
    const facts = readTreeFacts(root, dataRoot, tree)
    if (!facts) throw new Error(`${who} is gone: there is no tree ${tree}`)
    const change = findChange(facts, look.base)
    if (change !== undefined) throw new Error(`${who} was prepared for another base root: ${change}`)
    const isAbove = index < stack.above
    const path = treePath(dataRoot, tree)
    const { contents, unfit, replaced, covered } = readImage(root, path, new Map(labels), isAbove, look)
    if (unfit !== undefined) throw new Error(`${who} does not fit this machine: ${unfit}`)
    if (replaced !== undefined)
      throw new Error(`${who} would replace ${printable(replaced)}, which the machine needs to boot`)
    return {
      container: { id, name, image, imageId, source: stack.source },
      tree,
      contents,
      rank,
      labels,
      below: isAbove || rank.kind === 'overlay' ? undefined : RECORDED,
      covered,
    }
  })
}
