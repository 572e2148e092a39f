import { type Place, PODMAN } from '../engine/places.js'
import { CONTAINERD_ALONE, type Unread } from '../engine/unread.js'
import type { EngineFacts } from '../image/engines.js'
import { printable } from '../text/printable.js'

/**
 * Says that no container is an extension: where was looked, how many containers were there, and what is there
 * and was not read. The stub says the same where it finds nothing, in the same words.
 */
export function describeNothing(
  places: readonly Pick<Place, 'path'>[],
  engines: readonly Pick<EngineFacts, 'place' | 'count' | 'name'>[],
  unread: readonly Unread[],
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
  return `no container is a host extension: ${looked.join(', ')}${rest}`
}
