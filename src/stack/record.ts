import { LONGEST_LIST } from '../image/compatibility.js'
import type { Extension } from '../image/extension.js'
import type { Rank } from '../image/labels.js'
import { countAbove } from './order.js'

/** One extension of a recorded stack: enough to name it, and to stack it again without its container. */
export type RecordedExtension = {
  id: string
  /** Unchecked text, like that of the container, and no more of it than anyone reads. */
  name: string
  image: string
  /** Those that image/compatibility.ts asks for. */
  labels: [string, string][]
  imageId: string | undefined
  rank: Rank
  /** The layers, as the engine names them: they make the stack what it is. */
  lower: string[]
}

/** A stack, top first; `above`: how many of its extensions stand above the root. */
export type RecordedStack = { above: number; extensions: RecordedExtension[] }

/** Characters of a text in a record. A record that no boot could read again would put its stack on trial for ever. */
const LONGEST = 200

export function recordStack(stack: readonly Extension[]): RecordedStack {
  return {
    above: countAbove(stack),
    extensions: stack.map(({ container, layers, rank, labels }) => ({
      id: container.id,
      name: container.name.slice(0, LONGEST),
      image: container.image.slice(0, LONGEST),
      // None that is longer has been stacked, but of those that say nothing beyond being there.
      labels: labels.map(([label, value]) => [label, value.slice(0, LONGEST_LIST)]),
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
