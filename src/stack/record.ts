import { LONGEST_LIST } from '../image/compatibility.js'
import type { Extension } from '../image/extension.js'
import type { Rank } from '../image/labels.js'
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

/** A stack, top first. `above`: how many of its extensions are above the root. */
export type RecordedStack = { above: number; extensions: RecordedExtension[] }

/**
 * The most characters of a text in a record. A record that is too long to be read would keep its stack on
 * trial for ever.
 */
const LONGEST = 200

export function recordStack(stack: readonly Extension[]): RecordedStack {
  return {
    above: countAbove(stack),
    extensions: stack.map(({ container, tree, rank, labels }) => ({
      id: container.id,
      name: container.name.slice(0, LONGEST),
      image: container.image.slice(0, LONGEST),
      // An image with a longer label was not stacked, unless only the label's presence matters.
      labels: labels.map(([label, value]) => [label, value.slice(0, LONGEST_LIST)]),
      imageId: container.imageId,
      rank,
      tree,
    })),
  }
}

/** JSON, one object on each line: the numbers of extensions, then each extension. */
export function stackText({ above, extensions }: RecordedStack): string {
  return [{ above, extensions: extensions.length }, ...extensions]
    .map((entry) => `${JSON.stringify(entry)}\n`)
    .join('')
}

/** Whether two stacks show the same files: the same trees in the same order around the root. */
export function isSameStack(a: RecordedStack, b: RecordedStack): boolean {
  return (
    a.above === b.above &&
    a.extensions.length === b.extensions.length &&
    a.extensions.every((extension, index) => isSameImage(extension, b.extensions[index] as RecordedExtension))
  )
}

export function isSameImage(a: RecordedExtension, b: RecordedExtension): boolean {
  return a.tree === b.tree
}
