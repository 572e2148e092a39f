import { isDocker, readDocker } from '../engine/docker.js'
import type { Engine } from '../engine/engine.js'
import type { DataRoots, Place } from '../engine/places.js'
import { isPodman, readPodman } from '../engine/podman.js'
import type { Root } from '../machine/files.js'

/** All labels of a container, and the layers of its image, top first; null if the engine does not have it. */
export function readLabels(
  root: Root,
  dataRoots: DataRoots | null,
  id: string | null,
): { labels: Record<string, string> | null; layers: string[] | null } {
  if (!dataRoots) return { labels: null, layers: null }
  const read = (place: Place): Engine | undefined => {
    try {
      if (isDocker(root, place.path)) return readDocker(root, place, dataRoots)
      const images = dataRoots.images.map(({ path }) => path)
      return isPodman(root, place.path) ? readPodman(root, place.path, images) : undefined
    } catch {
      return undefined
    }
  }
  for (const place of dataRoots.places) {
    const engine = read(place)
    const container = engine?.containers.find((other) => !('problem' in other) && other.id === id)
    if (!engine || !container || 'problem' in container) continue
    let layers: string[] | null = null
    try {
      const { directory, lower } = engine.layers(container)
      layers = lower.map((name) => (name.startsWith('/') ? name : `${directory}/${name}`))
    } catch {
      // The row says why it is left out.
    }
    return { labels: Object.fromEntries([...container.labels].sort()), layers }
  }
  return { labels: null, layers: null }
}
