import { writeSync } from 'node:fs'
import { cut, oneLine } from './printable.js'

/** The most characters of a line to print: more than anyone reads. Scripts may have written longer ones. */
const LONGEST_LINE = 4096

/** Prints lines of which the terminal takes nothing for its own. */
export function printLines(lines: readonly string[]): void {
  print(lines.map((line) => `${clean(line)}\n`).join(''))
}

/** A line without anything that a terminal could take for its own. */
export function clean(line: string): string {
  return oneLine(cut(line, LONGEST_LINE))
}

/**
 * Prints a text to standard output, or to another descriptor. Not by process.stdout: creating the stream
 * takes as long as the rest of a small run. A reader that has ended, as `head` does, is no failure.
 */
export function print(text: string, descriptor = 1): void {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') return
      // Whoever started us has a pipe that does not block.
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}
