import { LONGEST_LIST } from '../image/compatibility.js'
import type { Extension } from '../image/extension.js'
import type { Rank } from '../image/labels.js'
import { type BaseIdentity, IDENTITY_FIELDS } from '../machine/base-identity.js'
import { countAbove } from './order.js'

/** One extension of a recorded stack: enough to name it, and to stack it again without its container. */
export type RecordedExtension = {
  id: string
  /** Unchecked text, like the container's own, and cut off. */
  name: string
  image: string
  /** The labels that image/compatibility.ts judges. */
  labels: [string, string][]
  imageId: string | undefined
  rank: Rank
  /** The name of its kept tree, which says which image it is, and for which base root. */
  tree: string
}

/**
 * A stack, top first. `above`: how many of its extensions are above the root. `base`: the base that it was
 * booted with; undefined if a version of hostext has written it that did not record that.
 */
export type RecordedStack = { above: number; extensions: RecordedExtension[]; base?: BaseIdentity }

/**
 * The most characters of a text in a record. A record that is too long to be read would keep its stack on
 * trial for ever.
 */
const LONGEST = 200

/** A stack with its base, as a boot of now would record it. */
export type Recorded = RecordedStack & { base: BaseIdentity }

export function recordOn(base: BaseIdentity, stack: readonly Extension[]): Recorded {
  return { ...recordStack(stack), base }
}

export function recordStack(stack: readonly Extension[]): RecordedStack {
  return {
    above: countAbove(stack),
    extensions: stack.map(({ container, tree, rank, labels }) => ({
      id: container.id,
      name: recordedName(container.name),
      image: container.image.slice(0, LONGEST),
      // An image with a longer label was not stacked, unless only the label's presence matters.
      labels: labels.map(([label, value]) => [label, value.slice(0, LONGEST_LIST)]),
      imageId: container.imageId,
      rank,
      tree,
    })),
  }
}

/** As much of a container's name as a record has. */
export function recordedName(name: string): string {
  return name.slice(0, LONGEST)
}

/** JSON, one object on each line: the numbers of extensions and the base, then each extension. */
export function stackText({ above, extensions, base }: RecordedStack): string {
  return [{ above, extensions: extensions.length, base }, ...extensions]
    .map((entry) => `${JSON.stringify(entry)}\n`)
    .join('')
}

/** Whether two bases are the same. One that is not on record is no other's. */
export function isSameBase(a: BaseIdentity | undefined, b: BaseIdentity | undefined): boolean {
  return a !== undefined && b !== undefined && IDENTITY_FIELDS.every((name) => a[name] === b[name])
}

/** Whether two records are of the same stack on the same base. */
export function isSameRecord(a: RecordedStack, b: RecordedStack): boolean {
  return isSameBase(a.base, b.base) && isSameStack(a, b)
}

/** Whether two stacks show the same files: the same trees in the same order around the root. */
export function isSameStack(a: RecordedStack, b: RecordedStack): boolean {
  return (
    a.above === b.above &&
    a.extensions.length === b.extensions.length &&
    a.extensions.every((extension, index) => isSameImage(extension, b.extensions[index] as RecordedExtension))
  )
}

function isSameImage(a: RecordedExtension, b: RecordedExtension): boolean {
  return a.tree === b.tree
}

/**
 * The image of an extension, and its place among others: what the administrator has chosen. Another base may
 * make another tree of the image, and put it below the root.
 */
export function choiceOf({ tree, rank }: RecordedExtension): string {
  return `${tree.slice(0, tree.indexOf('.'))} ${rank.kind} ${rank.kind === 'override' ? rank.priority : ''}`
}

/** Whether two stacks are made of the same images in the same order, whatever their bases make of them. */
export function isSameChoice(a: RecordedStack, b: RecordedStack): boolean {
  const choices = ({ extensions }: RecordedStack): string => extensions.map(choiceOf).sort().join('\n')
  return choices(a) === choices(b)
}
