import type { Identity, Layers, Named } from '../engine/engine.js'
import type { Contents } from './contents.js'
import type { TreeFacts } from './kept.js'
import type { Rank } from './labels.js'

/** A container whose image becomes part of the root. Plain values only, so that it can be kept as JSON. */
export type Extension = {
  container: Identity
  /** The name of its kept tree, and what is known of it: image/kept.ts. */
  tree: string
  facts: TreeFacts
  contents: Contents
  rank: Rank
  /** Its compatibility labels, as pairs of name and value. */
  labels: [string, string][]
  /** The file of the root that it must not replace but would, so it goes below the root whatever its rank. */
  below: string | undefined
  /** The places that it has files in although the root has a mount point or a link there. */
  covered: string[]
}

/** An extension whose image has to be prepared first. `change`: why the tree that there is will not do. */
export type Unprepared = { container: Identity; layers: Layers; change: string | undefined }

/**
 * A container that is, or may be, flagged as an extension but is not stacked: which one, and why.
 * `container`: absent if it is not known, or if there are several. `onRequest`: the administrator wants it
 * so.
 */
export type LeftOut = { who: string; why: string; container?: Named; onRequest?: true }
