import { type Place, PODMAN } from '../engine/places.js'
import { CONTAINERD_ALONE, type Unread } from '../engine/unread.js'
import type { EngineFacts } from '../image/engines.js'
import { printable, printableList } from '../text/printable.js'

/**
 * Says that no container is an extension: where was looked, how many containers were there, and what is there
 * and was not read. `generators`: those that may mount an engine's data, if none has been seen. The stub
 * says the same where it finds nothing, in the same words; but without the generators where no engine is
 * installed.
 */
export function describeNothing(
  places: readonly Pick<Place, 'path'>[],
  engines: readonly Pick<EngineFacts, 'place' | 'count' | 'name'>[],
  unread: readonly Unread[],
  generators: readonly string[] = [],
): string {
  const counts = engines.map(({ place, count }) => `${count} in ${printable(place)}`)
  const empty = places.map(({ path }) => path).filter((path) => !engines.some(({ place }) => place === path))
  const looked = [
    ...counts,
    ...(empty.length > 0 ? [`no engine in ${empty.map((path) => printable(path)).join(' ')}`] : []),
  ]
  const hasDocker = engines.some(({ name }) => name !== PODMAN)
  const alone = unread.filter(({ name }) => name !== CONTAINERD_ALONE || !hasDocker)
  const others = alone.map(({ name, path }) => `${name} in ${printable(path)}`)
  const rest = others.length > 0 ? `; not read: ${others.join(', ')}` : ''
  const isUnknown = engines.length === 0 && generators.length > 0
  const unknown = isUnknown ? `; not known yet: the mounts of ${printableList(generators)}` : ''
  return `no container is a host extension: ${looked.join(', ')}${rest}${unknown}`
}
