import { describeContainer, named } from '../engine/engine.js'
import type { Extension, LeftOut } from '../image/extension.js'

/** OVL_MAX_STACK in fs/overlayfs/params.h is 500 lower layers; one of them is the root. */
export const MOST_EXTENSIONS = 499

const KIND_ORDER = { override: 0, feature: 1, overlay: 2 }

/** Whether an extension goes above the root. This is the only place that decides it. */
export function isAbove({ rank, below }: Pick<Extension, 'rank' | 'below'>): boolean {
  return rank.kind !== 'overlay' && below === undefined
}

/** How many extensions of a stack go above the root. */
export function countAbove(stack: readonly Pick<Extension, 'rank' | 'below'>[]): number {
  return stack.filter(isAbove).length
}

/**
 * What an extension's place in a stack of `count` is called, in its unit and in its mount point: `7`, or `07`
 * in a stack of more than ten. Names of one length are in stack order wherever names are sorted, for example
 * by `systemctl list-dependencies`.
 */
export function placeName(number: number, count: number): string {
  return String(number).padStart(String(count - 1).length, '0')
}

/**
 * Stack order, top first: those above the root before those below it, then overrides by priority, then
 * extensions with the feature label, then those that only add files (they go below the root), then by
 * container name. Names are unique in an engine and compared by code unit, so the order depends on labels and
 * names alone.
 */
export function compareExtensions(a: Extension, b: Extension): number {
  return (
    Number(isAbove(b)) - Number(isAbove(a)) ||
    KIND_ORDER[a.rank.kind] - KIND_ORDER[b.rank.kind] ||
    compare(priorityOf(a), priorityOf(b)) ||
    compare(a.container.name, b.container.name) ||
    compare(a.container.id, b.container.id)
  )
}

function priorityOf({ rank }: Extension): number {
  if (rank.kind !== 'override') return 0
  return rank.priority === 'lowest' ? Number.POSITIVE_INFINITY : rank.priority
}

function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * The first `most` extensions in stack order, which is all that the kernel can stack. So those that only add
 * files are left out first, then those with the lowest priority.
 */
export function chooseStack(
  extensions: readonly Extension[],
  most = MOST_EXTENSIONS,
): { stack: Extension[]; leftOut: LeftOut[] } {
  const sorted = [...extensions].sort(compareExtensions)
  const leftOut = sorted.slice(most).map(({ container }) => ({
    who: describeContainer(container),
    container: named(container),
    why: `the kernel stacks at most ${most} extensions${most < MOST_EXTENSIONS ? ' besides the rebuilt indexes' : ''}, and ${extensions.length} are flagged`,
  }))
  return { stack: sorted.slice(0, most), leftOut }
}
