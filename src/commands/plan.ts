import type { Root } from '../machine/files.js'
import { readAndDecide } from '../read.js'
import { describeReported, type ReportedExtension, reportDecision } from '../report/boot-report.js'
import { oneLine } from '../text/printable.js'
import type { Answer } from './answer.js'

/** `hostext plan`: what a boot would stack now, and what it would leave out and why. */
export function showPlan(root: Root, environment: NodeJS.ProcessEnv): Answer {
  const { facts, decision } = readAndDecide(root, environment)
  const report = reportDecision(facts, decision)
  const { why, extensions, writable, etc, messages } = report
  const document = { nextBoot: report }
  const lines = messages.map(({ level, text }) => `${level}: ${text}`)
  if (report.root === 'undecided') return { document, lines: [...lines, why ?? ''], status: 0 }
  if (report.root === 'plain')
    return { document, lines: [...lines, `plain root: ${oneLine(why ?? '')}`], status: 0 }
  const rows = extensions.map(describeRow)
  const above = extensions.filter((extension) => extension.above).length
  const stack = [...rows.slice(0, above), '   /  the root', ...rows.slice(above)]
  return {
    document,
    lines: [...lines, ...stack, `writable: ${writable.join(' ') || 'nothing'}`, `/etc: ${etc}`],
    status: 0,
  }
}

function describeRow(extension: ReportedExtension): string {
  const { number, rank, priority, tree } = extension
  const lowest = priority === 'lowest' ? ', lowest priority' : `=${priority}`
  const rule = rank === 'override' ? `override${lowest}` : rank
  return `${String(number).padStart(4)}  ${describeReported(extension)}, ${rule}, tree: ${tree}`
}
