import type { Sink } from '../engine/decoder.js'
import { addMore, type Node } from './memory.js'

/** What is read of a file: its text, its hash, or nothing. */
export type Wanted = 'text' | 'hash' | undefined

/** The users, the system, and what systemd reads: paths below the image, without its first slash. */
const TEXTS =
  /^(?:etc\/(?:passwd|group|os-release)|usr\/lib\/os-release|(?:etc|(?:usr\/)?(?:local\/)?lib)\/(?:systemd\/system|sysusers\.d|tmpfiles\.d|modules-load\.d)\/.*)$/
/** A kernel is known by its hash: image/kernel.ts. */
const KERNELS = /^boot\/[^/]+$/

const LONGEST_TEXT = 4 << 20
/** All texts of an image. A whole system has a few megabytes. */
const MOST_TEXT = 32 << 20

/** Says which files of an image are read. `hashKernels`: whether it matters which kernel the image has. */
export function wantedFiles(hashKernels: boolean): (path: string, size: number) => Wanted {
  let left = MOST_TEXT
  return (path, size) => {
    if (hashKernels && KERNELS.test(path)) return 'hash'
    if (size > Math.min(LONGEST_TEXT, left) || !TEXTS.test(path)) return undefined
    left -= size
    return 'text'
  }
}

/** Takes the contents of a file and keeps them, or their hash, with the file. */
export function keepContents(node: Node, wanted: 'text' | 'hash'): Sink {
  if (wanted === 'hash') {
    const sum = process.getBuiltinModule('node:crypto').createHash('sha256')
    return {
      push: (chunk) => void sum.update(chunk),
      end: () => addMore(node, { sha256: sum.digest('hex') }),
    }
  }
  const chunks: Buffer[] = []
  return {
    push: (chunk) => void chunks.push(Buffer.from(chunk)),
    end: () => addMore(node, { text: Buffer.concat(chunks) }),
  }
}
