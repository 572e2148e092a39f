import type { Identity } from '../engine/container.js'
import type { Layers } from '../engine/layers.js'
import type { Contents } from './contents.js'
import type { Rank } from './labels.js'

/** A container whose image becomes part of the root: values alone, as JSON has them. */
export type Extension = {
  container: Identity
  layers: Layers
  contents: Contents
  rank: Rank
  /** Its compatibility labels: name and value. */
  labels: [string, string][]
  /** The file of the root that it would replace and must not, so that it stands below the root whatever its rank. */
  below: string | undefined
  /** Which of the places where something may be mounted, or a link of the root is, it has files in. */
  covered: string[]
}

/** A container that is flagged as an extension, or may be, and takes no part: who and why. */
export type LeftOut = { who: string; why: string }
