import { writeFileSync } from 'node:fs'
import type { BaseIdentity } from '../machine/base-identity.js'
import { inputRoot } from '../machine/files.js'
import { type BootReport, describeReported } from '../report/boot-report.js'
import { compareBoots, describeRank } from '../report/difference.js'
import { drawFigure } from '../report/figure.js'
import { type Disk, readDisk } from '../report/next-boot.js'
import { readNotes } from '../report/notes.js'
import { drawPicture } from '../report/picture.js'
import { type Colour, field, type Line } from '../report/screen.js'
import { readThisBoot } from '../report/this-boot.js'
import { judgeMachine, STATUSES, type Verdict } from '../report/verdict.js'
import { describeBase } from '../stack/base-change.js'
import type { Answer, Call } from './answer.js'

/**
 * `hostext status`: what is stacked, what is not and why, and what the next boot does. Throws an Error if
 * this boot's decision cannot be read.
 */
export function showStatus({ root, environment, options, screen }: Call): Answer {
  const now = readThisBoot(inputRoot(environment))
  const disk = readDisk(root, environment)
  const verdict = judgeMachine(now, disk.next, disk.once)
  const status = STATUSES[verdict.kind]
  const notes = now ? readNotes(root, now, disk) : []
  const document = {
    verdict,
    thisBoot: now ?? null,
    nextBoot: disk.next,
    lastGood: disk.good,
    notes,
  }
  const shown = now ?? disk.next
  if (typeof options.svg === 'string') {
    writeFileSync(options.svg, drawPicture(shown, verdict.line))
    return { document, lines: [`the picture is in ${options.svg}`], status }
  }
  const lines = [
    colourOf(verdict),
    '',
    ...(options.graph ? drawFigure(shown, screen) : describeBlocks(now, disk)),
    ...(options.graph ? [] : notes.map(({ name, note }) => `note: ${name}: ${note}`)),
  ]
  return { document, lines, status }
}

const COLOURS: Partial<Record<Verdict['kind'], Colour>> = {
  'as intended': 'green',
  plain: 'red',
  'rolled back': 'red',
  incomplete: 'yellow',
  'on trial': 'yellow',
  changed: 'yellow',
}

function colourOf({ kind, line }: Verdict): Line {
  const colour = COLOURS[kind]
  return colour ? { colour, text: line } : line
}

function describeBlocks(now: BootReport | undefined, { next, good }: Disk): Line[] {
  const isSame = now !== undefined && now.root === next.root && compareBoots(now, next).length === 0
  const isGood = good !== null && (now ? compareBoots(now, good).length === 0 : false)
  return [
    ...block('This boot', now ? describeBoot(now) : ['hostext has not run in it']),
    ...block('The next boot', isSame ? ['the same'] : describeBoot(next)),
    ...block(
      'The last good boot',
      good === null ? ['none is on record'] : isGood ? ['the same as this one'] : describeBoot(good),
    ),
  ]
}

function block(title: string, lines: string[]): Line[] {
  return [{ colour: 'bold', text: title }, ...lines.map((line) => `  ${line}`), '']
}

function describeBoot(report: BootReport): string[] {
  const { root, why, extensions, unprepared, leftOut, writable, etc, base, messages } = report
  const isAbove = extensions.filter(({ above }) => above)
  const row = (extension: (typeof extensions)[number]): string =>
    `${String(extension.number).padStart(3)}  ${describeReported(extension)}, ${describeRank(extension)}`
  const isOther = ({ level, text, leftOut }: (typeof messages)[number]): boolean =>
    !leftOut && text !== report.safety.line && ['error', 'warning'].includes(level)
  const warnings = messages.filter(isOther)
  return [
    field('root', root === 'stacked' ? 'stacked' : `${root}: ${why}`),
    ...(extensions.length > 0
      ? [...isAbove.map(row), '  /  the root', ...extensions.filter(({ above }) => !above).map(row)]
      : []),
    ...unprepared.map((container) => field('unprepared', describeReported(container))),
    ...leftOut.map(({ who, why }) => field('left out', `${who}: ${why}`)),
    ...describeSafety(report),
    ...(writable.length > 0 ? [field('writable', writable.join(' '))] : []),
    ...(etc === null ? [] : [field('/etc', etc)]),
    ...(base === null ? [] : [field('base', describeBase(base satisfies BaseIdentity))]),
    ...warnings.map(({ level, text }) => field(level, text)),
  ]
}

function describeSafety({ safety: { kind, attempt, attempts, line } }: BootReport): string[] {
  const trial = attempt === null ? '' : `boot ${attempt} of ${attempts}`
  if (kind === 'on trial') return [field('safety', `on trial: ${trial}`)]
  if (kind === 'good') return [field('safety', 'this stack has booted well')]
  if (kind === 'off') return [field('safety', 'stacks are not rolled back here')]
  if (kind === 'none') return []
  return [field('safety', `${line}${trial ? `; on trial: ${trial}` : ''}`)]
}
