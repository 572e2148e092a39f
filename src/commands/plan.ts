import { describeContainer } from '../engine/engine.js'
import type { Extension } from '../image/extension.js'
import type { Root } from '../machine/files.js'
import { readAndDecide } from '../read.js'
import { isAbove } from '../stack/order.js'
import { oneLine, printableList } from '../text/printable.js'

/**
 * `hostext plan`: what a boot would stack now, and what it would leave out and why. Returns the lines to
 * print.
 */
export function showPlan(root: Root, environment: NodeJS.ProcessEnv): string[] {
  const { decision } = readAndDecide(root, environment)
  const lines = decision.messages.map(({ level, text }) => `${level}: ${oneLine(text)}`)
  if ('plain' in decision) return [...lines, `plain root: ${oneLine(decision.plain)}`]
  if ('wait' in decision) {
    const { paths, hoped, mounting, preparing } = decision.wait
    const first = mounting
      ? `not mounted yet: ${oneLine([...paths, ...hoped].join(' '))}`
      : `not prepared yet: ${printableList(preparing)}: "hostext prepare" does it now, otherwise the next boot`
    return [...lines, first]
  }
  const { extensions, state, etc } = decision.plan
  const rows = extensions.map(describeRow)
  const above = extensions.filter(isAbove).length
  return [
    ...lines,
    ...rows.slice(0, above),
    '   /  the root',
    ...rows.slice(above),
    `writable: ${state.join(' ') || 'nothing'}`,
    `/etc: ${etc.mode}`,
  ]
}

function describeRow({ container, rank, tree }: Extension, index: number): string {
  const rule =
    rank.kind === 'override'
      ? rank.priority === 'lowest'
        ? 'override, lowest priority'
        : `override=${rank.priority}`
      : rank.kind
  return `${String(index).padStart(4)}  ${describeContainer(container)}, ${rule}, tree: ${tree}`
}
