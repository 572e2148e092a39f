import { inputRoot } from '../machine/files.js'
import { compareBoots, type Difference } from '../report/difference.js'
import { readDisk } from '../report/next-boot.js'
import { readThisBoot } from '../report/this-boot.js'
import type { Answer, Call } from './answer.js'

const MARKS: Record<Difference['kind'], string> = {
  added: '+',
  removed: '-',
  changed: '~',
  moved: '>',
  unprepared: '+',
}
const HUES: Partial<Record<Difference['kind'], 'red' | 'green'>> = { added: 'green', removed: 'red' }

/** `hostext diff`: what the next boot does in another way than this one. */
export function showDifference({ root, environment }: Call): Answer {
  const now = readThisBoot(inputRoot(environment))
  const { next } = readDisk(root, environment)
  const differences = compareBoots(now, next)
  const lines = differences.map(({ kind, name, image, what }) => {
    const line = `${MARKS[kind]} ${name} (${image}): ${what}`
    const hue = HUES[kind]
    return hue ? { colour: hue, text: line } : line
  })
  const plain =
    next.root === 'stacked' || (now?.root ?? 'plain') === next.root
      ? []
      : [`the next boot: ${next.root}: ${next.why}`]
  const isSame = differences.length + plain.length === 0
  return {
    document: { differences, nextBoot: { root: next.root, why: next.why } },
    lines: isSame ? ['the next boot is the same as this one'] : [...lines, ...plain],
    status: isSame ? 0 : 6,
  }
}
