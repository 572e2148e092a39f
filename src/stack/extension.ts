import type { Container } from '../engine/container.js'
import type { Layers } from '../engine/layers.js'
import type { Contents } from '../image/contents.js'
import { printable } from '../text/printable.js'

/** How an extension stands to the root's own files: replaces them in a given order, replaces them, only adds. */
export type Rank = { kind: 'override'; priority: number } | { kind: 'feature' } | { kind: 'overlay' }

/**
 * A container whose image becomes part of the root. `below`: the file of the root that it would replace and must not, so that it
 * stands below the root whatever its rank.
 */
export type Extension = {
  container: Container
  layers: Layers
  contents: Contents
  rank: Rank
  below: string | undefined
}

/** A container that is flagged as an extension, or may be, and takes no part: who and why. */
export type LeftOut = { who: string; why: string }

const FEATURE_LABELS = ['io.balena.features.host-extension', 'balena.io.features.host-extension']
const CLASS_LABEL = 'io.balena.image.class'
const OVERRIDE_LABEL = 'io.balena.image.override'

/** Marks a container that only keeps the image of a stacked extension from being removed: src/hold.ts. */
export const HOLDER_LABEL = 'io.hostext.hold'
/**
 * The labels of such a container. It inherits those of the image, and is no extension itself, to us and to anyone else
 * who reads them.
 */
export const HOLDER_LABELS: Readonly<Record<string, string>> = {
  [HOLDER_LABEL]: '1',
  ...Object.fromEntries(FEATURE_LABELS.map((label) => [label, ''])),
  [CLASS_LABEL]: 'hold',
}

/** What a container's labels say: where its files go, or why they go nowhere although it is flagged. */
export type Flagged = { rank: Rank; warning?: string } | { why: string }

/** Reads the labels; undefined if the container is not flagged as an extension. */
export function readRank(labels: ReadonlyMap<string, string>): Flagged | undefined {
  const feature = FEATURE_LABELS.some((label) => isSet(labels.get(label)))
  const imageClass = labels.get(CLASS_LABEL)
  if (!feature && imageClass !== 'overlay') return undefined
  // A class says what the image is: a service is none of ours, whatever else it carries.
  if (imageClass !== undefined && imageClass !== 'overlay') {
    return { why: `${CLASS_LABEL}=${printable(imageClass)} is not an extension` }
  }

  const override = labels.get(OVERRIDE_LABEL)
  if (override !== undefined) {
    if (/^[+-]?\d{1,15}$/.test(override)) return { rank: { kind: 'override', priority: Number(override) } }
    return {
      rank: { kind: 'override', priority: Number.POSITIVE_INFINITY },
      warning: `${OVERRIDE_LABEL}=${printable(override)} is not an integer: lowest priority`,
    }
  }
  // The feature label alone lets an image replace the root's files; with a class it only adds.
  return { rank: { kind: imageClass === 'overlay' ? 'overlay' : 'feature' } }
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.trim().toLowerCase())
}

const KIND_ORDER = { override: 0, feature: 1, overlay: 2 }

/** Whether an extension stands above the root. */
export function isAbove({ rank, below }: Extension): boolean {
  return rank.kind !== 'overlay' && below === undefined
}

/**
 * Stack order, top first: those above the root before those below it; overrides by priority, then feature-label extensions, then those that only
 * add (which stand below the root); by container name where that leaves a choice. Names are unique in
 * an engine and compared by code unit, so the order depends on labels and names alone.
 */
export function compareExtensions(a: Extension, b: Extension): number {
  const byRoot = Number(isAbove(b)) - Number(isAbove(a))
  if (byRoot) return byRoot
  const byKind = KIND_ORDER[a.rank.kind] - KIND_ORDER[b.rank.kind]
  if (byKind) return byKind
  if (a.rank.kind === 'override' && b.rank.kind === 'override' && a.rank.priority !== b.rank.priority) {
    return a.rank.priority < b.rank.priority ? -1 : 1
  }
  return compareText(a.container.name, b.container.name) || compareText(a.container.id, b.container.id)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A container as a person knows it: `wifi (wifi-drivers:2, 4f0c1d2e3a4b)`. */
export function describeContainer({ name, image, id }: Container): string {
  return `${printable(name)} (${printable(image)}, ${id.slice(0, 12)})`
}
