import { printable } from '../text/printable.js'

/**
 * What an extension does to the root's own files: replaces them in a given order, replaces them, or only
 * adds.
 */
export type Rank =
  | { kind: 'override'; priority: number | 'lowest' }
  | { kind: 'feature' }
  | { kind: 'overlay' }

export const FEATURE_LABELS = ['io.balena.features.host-extension', 'balena.io.features.host-extension']
export const CLASS_LABEL = 'io.balena.image.class'
export const OVERRIDE_LABEL = 'io.balena.image.override'

/** What a container's labels say: where its files go, or why it is left out although it is flagged. */
export type Flagged = { rank: Rank; warning?: string } | { why: string }

/** Reads the labels; undefined if the container is not flagged as an extension. */
export function readRank(labels: ReadonlyMap<string, string>): Flagged | undefined {
  const feature = FEATURE_LABELS.some((label) => isSet(labels.get(label)))
  const imageClass = labels.get(CLASS_LABEL)
  if (!feature && imageClass !== 'overlay') return undefined
  // A class says what the image is: a service is never an extension, whatever other labels it has.
  if (imageClass !== undefined && imageClass !== 'overlay') {
    return { why: `${CLASS_LABEL}=${printable(imageClass)} is not an extension` }
  }

  const override = labels.get(OVERRIDE_LABEL)
  if (override !== undefined) {
    if (/^[+-]?\d{1,15}$/.test(override)) return { rank: { kind: 'override', priority: Number(override) } }
    return {
      rank: { kind: 'override', priority: 'lowest' },
      warning: `${OVERRIDE_LABEL}=${printable(override)} is not an integer: lowest priority`,
    }
  }
  // With the feature label alone an image replaces the root's files; with the class it only adds files.
  return { rank: { kind: imageClass === 'overlay' ? 'overlay' : 'feature' } }
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.trim().toLowerCase())
}
