import { describeContainer } from '../engine/container.js'
import type { Extension, LeftOut } from '../image/extension.js'

/** OVL_MAX_STACK in fs/overlayfs/params.h is 500 lower layers; one of them is the root. */
export const MOST_EXTENSIONS = 499

const KIND_ORDER = { override: 0, feature: 1, overlay: 2 }

/** Whether an extension stands above the root: the one place where that is decided. */
export function isAbove({ rank, below }: Pick<Extension, 'rank' | 'below'>): boolean {
  return rank.kind !== 'overlay' && below === undefined
}

/** How many extensions of a stack, which is in stack order, stand above the root. */
export function countAbove(stack: readonly Pick<Extension, 'rank' | 'below'>[]): number {
  return stack.filter(isAbove).length
}

/**
 * Stack order, top first: those above the root before those below it; overrides by priority, then feature-label extensions, then those that only
 * add (which stand below the root); by container name where that leaves a choice. Names are unique in
 * an engine and compared by code unit, so the order depends on labels and names alone.
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
 * The stack the kernel can take: `most` extensions, in stack order, which is the order of worth: of more, what only adds
 * goes first, then the lowest priority.
 */
export function chooseStack(
  extensions: readonly Extension[],
  most = MOST_EXTENSIONS,
): { stack: Extension[]; leftOut: LeftOut[] } {
  const sorted = [...extensions].sort(compareExtensions)
  const leftOut = sorted.slice(most).map(({ container }) => ({
    who: describeContainer(container),
    why: `the kernel stacks at most ${most} extensions${most < MOST_EXTENSIONS ? ' besides the rebuilt indexes' : ''}, and ${extensions.length} are flagged`,
  }))
  return { stack: sorted.slice(0, most), leftOut }
}
