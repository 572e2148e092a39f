import { isImageId, isObject } from '../engine/container.js'
import { checkLayer, isLayerName } from '../engine/layers.js'
import { findStranger } from '../engine/trust.js'
import { COMPATIBILITY_LABELS, findIncompatibility, type Host } from '../image/compatibility.js'
import { makeList, readContents } from '../image/contents.js'
import type { FindReplaced } from '../image/replaced.js'
import { listDirectory, type Root, readText } from '../machine/files.js'
import type { Extension, Rank } from '../stack/extension.js'
import { printable } from '../text/printable.js'

/**
 * What is remembered of the stacks of earlier boots, in `<data root>/hostext/`: on the file system of the layers
 * themselves, so that it is there when they are, and gone when they are.
 *
 *     trial.N    the stack that is tried, or that has failed, in its N-th boot
 *     good       the last stack that has booted well
 *     previous   the one before it
 *
 * Each is written beside its place, synchronized and renamed; a step from one to the next is a rename alone, which
 * needs no room on a full disk: generators/trial, generators/good.
 */
export const RECORDS = 'hostext'
export const GOOD = 'good'
export const PREVIOUS = 'previous'
export const TRIAL = /^trial\.([1-9]\d{0,5})$/

/** One extension of a recorded stack: enough to name it, and to stack it again without its container. */
export type RecordedExtension = {
  id: string
  /** Unchecked text, like that of the container, and no more of it than anyone reads. */
  name: string
  image: string
  /** Those that src/compatibility.ts asks for. */
  labels: [string, string][]
  imageId: string | undefined
  rank: Rank
  /** The layers, as the engine names them: they make the stack what it is. */
  lower: string[]
}

/** A stack, top first; `above`: how many of its extensions stand above the root. */
export type RecordedStack = { above: number; extensions: RecordedExtension[] }

/** A stack that has booted well; `source`: the file of its record. */
export type GoodStack = RecordedStack & { source: string }

export type Records = {
  /** The last one first. */
  good: GoodStack[]
  /** The stacks that have been tried and are not good, with the number of boots. */
  tried: { stack: RecordedStack; attempts: number }[]
  /** A record that cannot be read counts as absent; one line each. */
  problems: string[]
}

/** 499 extensions of 128 layers each are two megabytes, and as much again with the longest texts, all of them escaped. */
const LARGEST = 8 << 20
/** Characters of a text in a record. A record that no boot could read again would put its stack on trial for ever. */
const LONGEST = 200

export function recordStack(extensions: readonly Extension[], above: number): RecordedStack {
  return {
    above,
    extensions: extensions.map(({ container, layers, rank }) => ({
      id: container.id,
      name: container.name.slice(0, LONGEST),
      image: container.image.slice(0, LONGEST),
      labels: COMPATIBILITY_LABELS.flatMap((label): [string, string][] => {
        const value = container.labels.get(label)
        if (value === undefined) return []
        // A part of it might fit what the whole does not; nothing fits no text.
        return [[label, value.length > LONGEST ? '' : value]]
      }),
      imageId: container.imageId,
      rank,
      lower: layers.lower,
    })),
  }
}

/** JSON, an object a line: how many are above the root, then each extension. */
export function stackText({ above, extensions }: RecordedStack): string {
  return [{ above, extensions: extensions.length }, ...extensions]
    .map((entry) => `${JSON.stringify(entry)}\n`)
    .join('')
}

/** Reads what {@link stackText} writes; undefined for everything else, a part of it included. */
export function parseStack(text: string): RecordedStack | undefined {
  const lines = text.split('\n')
  if (lines.pop() !== '') return undefined
  const [head, ...entries] = lines.map(parseObject)
  if (!head || !Number.isSafeInteger(head.above) || head.extensions !== entries.length) return undefined
  const extensions = entries.map(parseExtension)
  const above = head.above as number
  if (above < 0 || above > extensions.length || extensions.length === 0) return undefined
  return extensions.every((entry) => entry !== undefined) ? { above, extensions } : undefined
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(line)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

function parseExtension(entry: Record<string, unknown> | undefined): RecordedExtension | undefined {
  const { id, name, image, labels = [], imageId, rank, lower } = entry ?? {}
  if (typeof id !== 'string' || !/^[0-9a-f]{64}$/.test(id)) return undefined
  if (typeof name !== 'string' || typeof image !== 'string') return undefined
  if (!Array.isArray(lower) || lower.length === 0 || !lower.every(isLayerName)) return undefined
  if (!Array.isArray(labels) || !labels.every(isLabel)) return undefined
  const parsed = parseRank(rank)
  if (!parsed) return undefined
  return { id, name, image, labels, imageId: isImageId(imageId) ? imageId : undefined, rank: parsed, lower }
}

function isLabel(pair: unknown): pair is [string, string] {
  return Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string')
}

function parseRank(rank: unknown): Rank | undefined {
  if (!isObject(rank)) return undefined
  if (rank.kind === 'feature' || rank.kind === 'overlay') return { kind: rank.kind }
  // JSON has no infinity: what is no number was the lowest priority.
  const priority = typeof rank.priority === 'number' ? rank.priority : Number.POSITIVE_INFINITY
  return rank.kind === 'override' ? { kind: 'override', priority } : undefined
}

/** Whether two stacks show the same files: the same layers in the same order around the root. */
export function isSameStack(a: RecordedStack, b: RecordedStack): boolean {
  return (
    a.above === b.above &&
    a.extensions.length === b.extensions.length &&
    a.extensions.every((extension, index) => isSameImage(extension, b.extensions[index] as RecordedExtension))
  )
}

export function isSameImage(a: RecordedExtension, b: RecordedExtension): boolean {
  return a.lower.join(':') === b.lower.join(':')
}

/**
 * Whether a record ({@link stackText}) is, to the byte, that of the last good stack, as in all boots but a few. Then none has
 * to be looked into, which takes much longer.
 */
export function isLastGood(root: Root, dataRoot: string, record: string): boolean {
  return readText(root, `${dataRoot}/${RECORDS}/${GOOD}`, LARGEST, findStranger) === record
}

/** Reads the records of a data root. Never fails: what cannot be read is named and counts as absent. */
export function readRecords(root: Root, dataRoot: string): Records {
  const directory = `${dataRoot}/${RECORDS}`
  const records: Records = { good: [], tried: [], problems: [] }
  const problem = (path: string, what: string): void =>
    void records.problems.push(`${printable(path)}: ${what}: this record counts as absent`)
  const read = (name: string): RecordedStack | undefined => {
    const path = `${directory}/${name}`
    const text = readText(root, path, LARGEST, findStranger)
    if (text === undefined) return undefined
    if (text instanceof Error) return problem(path, text.message.slice(path.length + 2)) as undefined
    const stack = parseStack(text)
    if (!stack) problem(path, 'not a record of a stack')
    return stack
  }
  let names: string[] = []
  try {
    names = listDirectory(root, directory)
  } catch (error) {
    problem(directory, (error as Error).message.slice(directory.length + 2))
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

/**
 * A recorded stack as extensions again, checked as those of containers are, whether the engine still has a container for
 * each or not: their layers (src/engine/layers.ts), and whether they fit the machine as it is now, which may have another
 * kernel or root than the one they booted well on. Throws an Error that names the first one that cannot be stacked.
 */
export function restoreStack(
  root: Root,
  dataRoot: string,
  stack: GoodStack,
  host: Host,
  findReplaced: FindReplaced,
): Extension[] {
  const directory = `${dataRoot}/overlay2`
  return stack.extensions.map(({ id, name, image, labels: pairs, imageId, rank, lower }, index) => {
    const who = printable(name, 60)
    const layers = { directory, lower }
    const labels = new Map(pairs)
    const list = makeList()
    try {
      for (const layer of lower) checkLayer(root, directory, layer)
    } catch (error) {
      throw new Error(`${who} is not there any more: ${(error as Error).message}`)
    }
    const contents = readContents(root, layers, host.release, list)
    const unfit = findIncompatibility(labels, contents.indexes.has('modules'), host)
    if (unfit !== undefined) throw new Error(`${who} does not fit: ${unfit}`)
    const replaced = index < stack.above ? findReplaced(layers, list) : undefined
    if (replaced !== undefined)
      throw new Error(`${who} would replace ${printable(replaced)}, which the machine needs to boot`)
    return {
      container: {
        id,
        name,
        image,
        imageId,
        driver: 'overlay2',
        labels,
        start: 'never',
        isBuildStep: false,
        dying: undefined,
        source: stack.source,
      },
      layers,
      contents,
      rank,
      below: undefined,
    }
  })
}
