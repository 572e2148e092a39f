import { type Root, statLink } from '../machine/files.js'
import { printable } from '../text/printable.js'
import { readContainers, readHostConfig } from './container.js'
import { openSnapshots, type Snapshots } from './containerd.js'
import { OWN_CONTAINERD } from './containerd-conf.js'
import type { Engine } from './engine.js'
import { hasLayer, hasOwn, readLayers } from './overlay2.js'
import { type DataRoots, OWN_DIRECTORY, type Place } from './places.js'
import { CONTAINERD, chooseStore, findStale, OVERLAY2 } from './store.js'
import { findUnfitDirectory, isOpen } from './trust.js'

/** Whether an engine keeps containers as Docker does there, or something else has the name `containers`. */
export function isDocker(root: Root, path: string): boolean {
  return statLink(root, `${path}/containers`) !== undefined
}

/**
 * The directories that lead to an engine's containers, their layers and what hostext keeps. None may be a
 * symbolic link, which could lead anywhere.
 */
const OWN_DIRECTORIES = [OWN_DIRECTORY, `${OWN_DIRECTORY}/trees`]
const DIRECTORIES = [
  ...OWN_DIRECTORIES,
  'containers',
  'overlay2',
  'overlay2/l',
  'image',
  'image/overlay2',
  'image/overlay2/layerdb',
  'image/overlay2/layerdb/mounts',
]

/**
 * Why nothing below a data root of Docker can be trusted; undefined if it can: {@link findUnfitDirectory},
 * {@link isOpen}.
 */
export function findUnfitDocker(root: Root, dataRoot: string): string | undefined {
  return findUnfit(root, dataRoot, DIRECTORIES) ?? findOpen(root, `${dataRoot}/overlay2`)
}

function findUnfit(root: Root, place: string, directories: readonly string[]): string | undefined {
  for (const name of directories) {
    const why = findUnfitDirectory(root, `${place}/${name}`)
    if (why) return `${place}/${name}: ${why}`
  }
  return undefined
}

function findOpen(root: Root, layers: string): string | undefined {
  if (!isOpen(root, layers)) return undefined
  return `${layers}: users other than root can enter it, and change what they own in the images; "chmod go-x ${layers}" keeps them out`
}

/**
 * Reads what Docker, or an engine that keeps containers as it does, has at a place: with its images in a
 * storage driver of its own, or in containerd's store. Throws an Error if the containers cannot be listed.
 */
export function readDocker(root: Root, place: Place, { containerd: all, exposed }: DataRoots): Engine {
  // Not what another place's dockerd has started for itself.
  const own = `${place.path}${OWN_CONTAINERD}`
  const containerd = all.filter(({ path }) => !path.endsWith(OWN_CONTAINERD) || path === own)
  const containers = readContainers(root, place.path)
  const drivers = new Set(containers.flatMap((container) => ('driver' in container ? container.driver : [])))
  const store = chooseStore(place.settings, drivers)
  for (const container of containers) {
    if ('problem' in container) continue
    container.refused ??=
      place.left ?? findStale(container.driver, store) ?? findUnstackable(container.driver)
  }
  const byId = new Map(
    containers.flatMap((container) => ('id' in container ? [[container.id, container]] : [])),
  )

  let opened: { root: string; snapshots: Snapshots }[] | undefined
  /** The stores of containerd that are there. Throws an Error if one cannot be read or trusted. */
  const stores = (): { root: string; snapshots: Snapshots }[] => {
    opened ??= containerd.flatMap(({ path, snapshots: own }) => {
      const snapshots = openSnapshots(root, { root: path, ...(own !== undefined && { snapshots: own }) })
      return snapshots ? [{ root: path, snapshots }] : []
    })
    return opened
  }
  const storeOf = (id: string): { root: string; snapshots: Snapshots } => {
    const found = stores().filter(({ snapshots }) => snapshots.has(id))
    const [one, other] = found
    if (one && !other) return one
    const where = containerd.map(({ path }) => path).join(' or ')
    throw new Error(
      one && other
        ? `containerd has its layers both in ${one.root} and in ${other.root}`
        : `containerd has no layers of it in ${where}; if it keeps them elsewhere, name that as root in /etc/containerd/config.toml`,
    )
  }
  const fit = new Set<string>()
  const checked = new Map<string, string>()
  const homeOf = (id: string): string => {
    const { root: home } = storeOf(id)
    const unfit = exposed[home] ?? (fit.has(home) ? undefined : findUnfit(root, home, OWN_DIRECTORIES))
    if (unfit) throw new Error(unfit)
    fit.add(home)
    return home
  }
  return {
    name: place.engine,
    homes: [place.path, ...containerd.map(({ path }) => path)],
    containers,
    home: ({ id }) => (byId.get(id)?.driver === CONTAINERD ? homeOf(id) : place.path),
    hostConfig: ({ id }) => readHostConfig(root, place.path, id),
    layers({ id, imageId }, isKnown) {
      const container = byId.get(id)
      if (container?.driver !== CONTAINERD) return readLayers(root, place.path, id, checked)
      return storeOf(id).snapshots.layers({ id, manifest: container.manifest, imageId }, isKnown)
    },
    // The ID is the hash of a configuration that names the layers, and the store has each chain of layers
    // once. (In containerd's store, it may be that of an index, which has an image for each platform.)
    hasLayers: ({ id }, key) =>
      byId.get(id)?.driver === OVERLAY2 && hasOwn(root, place.path, id) && hasLayer(root, place.path, key),
  }
}

/** Why an overlay cannot stack the layers of a driver as they are on the disk; undefined if it can. */
function findUnstackable(driver: string): string | undefined {
  if (driver === OVERLAY2 || driver === CONTAINERD) return undefined
  return `its storage driver is "${printable(driver, 40)}", not ${OVERLAY2} or ${CONTAINERD} (containerd's store)`
}
