/**
 * What a decision has looked at on the disk, all of it: paths below the input root. A later boot in which the
 * same is there decides the same, without the runtime: generators/steps/known.sh.
 */
export type Seen = {
  /** Files whose text counts. */
  texts: Set<string>
  /** What counts is what is there, whose it is and who may write to it, and where a link leads. */
  stats: Set<string>
  /** Size and time count, too. */
  times: Set<string>
  /** Directories whose names count. */
  names: Set<string>
  /**
   * Directories with a directory for each container of Docker, and the storage drivers of these containers.
   * New ones without a label do not count.
   */
  containers: Map<string, string[]>
  /** How many bytes count at the beginning of a disk. */
  heads: Map<string, number>
}

/** Nothing seen yet. */
export function seeNothing(): Seen {
  return {
    texts: new Set(),
    stats: new Set(),
    times: new Set(),
    names: new Set(),
    containers: new Map(),
    heads: new Map(),
  }
}
