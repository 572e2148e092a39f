import type { BootReport, ReportedExtension } from './boot-report.js'

/**
 * What another boot does with an extension: `added`; `removed`; `changed` (another image, or the same one
 * prepared anew, or another rank); `moved` in the stack; `unprepared`: it is stacked once it can be prepared.
 */
export type Difference = {
  kind: 'added' | 'removed' | 'changed' | 'moved' | 'unprepared'
  name: string
  image: string
  /** In words: `wifi:1 -> wifi:2`. */
  what: string
}

/** The differences between two boots, in the order of the second stack; what is removed comes last. */
export function compareBoots(from: BootReport | undefined, to: BootReport): Difference[] {
  const before = from?.extensions ?? []
  // Of one that is not decided yet, only this much is known.
  const isOpen = to.root === 'undecided'
  const byName = new Map(before.map((extension) => [extension.name, extension]))
  const after = new Set([...to.extensions, ...to.unprepared].map(({ name }) => name))
  const common = order(before, (name) => to.extensions.some((other) => other.name === name))
  const now = order(to.extensions, (name) => byName.has(name))
  const differences = to.extensions.flatMap((extension): Difference[] => {
    const { name, image } = extension
    const old = byName.get(name)
    if (!old) return [{ kind: 'added', name, image, what: describeRank(extension) }]
    const what = describeChange(old, extension)
    if (what) return [{ kind: 'changed', name, image, what }]
    const [was, is] = [common.indexOf(name), now.indexOf(name)]
    return was === is ? [] : [{ kind: 'moved', name, image, what: `place ${was} -> ${is}` }]
  })
  const unprepared = to.unprepared.map(
    ({ name, image }): Difference => ({
      ...{ kind: 'unprepared', name, image },
      what: byName.has(name) ? 'another image, to be prepared' : 'new, to be prepared',
    }),
  )
  const removed = before
    .filter(({ name }) => !after.has(name) && !(isOpen && to.unprepared.length === 0))
    .map(({ name, image }): Difference => {
      const why = to.leftOut.find((out) => out.name === name)?.why
      return { kind: 'removed', name, image, what: why ?? to.why ?? 'no such container' }
    })
  return [...differences, ...unprepared, ...removed]
}

function order(extensions: readonly ReportedExtension[], isCommon: (name: string) => boolean): string[] {
  return extensions.map(({ name }) => name).filter(isCommon)
}

function describeChange(old: ReportedExtension, extension: ReportedExtension): string {
  if (old.image !== extension.image) return `${old.image} -> ${extension.image}`
  const [was, is] = [describeRank(old), describeRank(extension)]
  if (was !== is) return `${was} -> ${is}`
  if (old.tree.split('.')[0] !== extension.tree.split('.')[0]) return 'another image of the same name'
  return old.tree === extension.tree ? '' : 'prepared anew, because the base root has changed'
}

/** `override=10, above the root`; text of our own, except for numbers. */
export function describeRank({ rank, priority, above }: ReportedExtension): string {
  const place = above ? 'above the root' : 'below the root'
  if (rank !== 'override') return `${rank}, ${place}`
  return `override${priority === 'lowest' ? ', lowest priority' : `=${priority}`}, ${place}`
}
