import type { Stats } from 'node:fs'
import { posix } from 'node:path'
import { directoryPath } from '../machine/configuration.js'
import { listDirectory, type Root, resolveLinks, statLink } from '../machine/files.js'
import { findUnit, unitDirectories } from '../machine/unit-files.js'
import type { Message } from '../text/log.js'
import { once } from '../text/once.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { type ContainerdRoot, findContainerdRoots } from './containerd-conf.js'
import { DAEMONS, type Daemon, type DaemonSettings, readDaemon } from './daemon.js'
import { GRAPHROOT, readStorageConf } from './storage-conf.js'
import { findOtherWriter } from './trust.js'

/** Where hostext keeps trees, records and indexes: in an engine's store, on the file system of its layers. */
export const OWN_DIRECTORY = 'hostext'

/** balenaOS mounts its data partition below /mnt/data, and binds this directory to Docker's default. */
export const BALENA_OS = '/mnt/data/docker'

/** The engine that keeps its data as containers-storage.conf(5) says. */
export const PODMAN = 'Podman'

/** Where engines keep their containers if nothing says otherwise. */
export const DEFAULT_DATA_ROOTS = [BALENA_OS, ...DAEMONS.map(({ dataRoot }) => dataRoot), GRAPHROOT]

/**
 * What changes in a place when a container is made or removed: for Docker a directory, for Podman the
 * directory of a file that is replaced.
 */
export const CONTAINER_LISTS = ['containers', 'overlay-containers']

/**
 * What hostext reads in a place of an engine or in a root of containerd. All else there may be on any disk:
 * volumes, for one.
 */
export const READ_DIRECTORIES = [
  OWN_DIRECTORY,
  ...CONTAINER_LISTS,
  ...['image', 'overlay2'],
  ...['overlay', 'overlay-images', 'overlay-layers'],
  ...['io.containerd.content.v1.content', 'io.containerd.snapshotter.v1.overlayfs'],
]

/** A directory in which an engine may keep its containers. */
export type Place = {
  /** With symbolic links resolved. */
  path: string
  /** The engine whose place it is, as far as settings and defaults tell. */
  engine: string
  /** The setting that names it; undefined for a default. */
  source: string | undefined
  /** Why that engine no longer has what is there; undefined if it may have. */
  left: string | undefined
  /** What that engine was told about its store. */
  settings: Pick<DaemonSettings, 'containerd' | 'driver'>
}

/** Where to look for containers and their layers. Plain values only. */
export type DataRoots = {
  /** The most specific one first. */
  places: Place[]
  /** The roots of containerd. */
  containerd: ContainerdRoot[]
  /** The other stores in which Podman looks for images. */
  images: { path: string }[]
  /** Why nothing in Podman's storage can be stacked; undefined if it can. */
  podmanProblem: string | undefined
  /** Those that users other than root could replace, and why. */
  exposed: Record<string, string>
  messages: Message[]
}

/**
 * Where to look for containers: only `DataRoot=` if it is set; otherwise what the engines' own settings name,
 * then their defaults. Two names for one directory count once, whether a link or a mount makes them so.
 */
export function findDataRoots(root: Root, configured: string | undefined): DataRoots {
  const messages: Message[] = []
  const warn = (text: string): void => void messages.push({ level: 'warning', text })
  const exposed: Record<string, string> = {}
  /** What is at each path: most places have their upper directories in common. */
  const look = once((path) => statLink(root, path))
  /**
   * Follows the links of a path, and notes whether others could replace it. Undefined: no unit can name it.
   */
  const resolve = (path: string): string | undefined => {
    let problem: string | undefined
    // Sticky directories such as /tmp are no exception: the first user to create a name there owns it.
    const visit = (place: string): Stats | undefined => {
      const stat = look(place)
      const why = stat?.isDirectory() ? findOtherWriter(stat) : undefined
      if (why) problem ??= `${printable(place)} ${why}`
      return stat
    }
    visit('/')
    const resolved = resolveLinks(root, path, visit)
    if (!isUnitPath(resolved)) {
      warn(`${printable(path)} leads to ${printable(resolved)}, which no unit can name; ignored`)
      return undefined
    }
    if (problem) exposed[resolved] = problem
    return resolved
  }

  /** The same for two names of one directory. */
  const identify = (path: string): string => {
    const resolved = resolveLinks(root, path, look)
    const stat = look(resolved)
    return stat?.isDirectory() ? `${stat.dev}:${stat.ino}` : resolved
  }

  const places = new Map<string, Place>()
  const add = (path: string, place: Omit<Place, 'path'>): void => {
    const identity = identify(path)
    if (places.has(identity)) return
    const resolved = resolve(path)
    if (resolved !== undefined) places.set(identity, { path: resolved, ...place })
  }
  const directories = unitDirectories(root)
  const daemons = DAEMONS.map((daemon) => ({ daemon, settings: readDaemon(root, daemon, directories) }))
  const named: Named[] = daemons.map((said) => ({ ...said, path: namedRoot(said.settings, warn) }))
  const storage = readStorageConf(root)
  messages.push(...storage.messages)
  const [docker, balena] = named as [Named, Named]
  const isBalenaOs =
    balena.path === undefined && balena.daemon.units.some((name) => findUnit(root, name, directories))
  /** Whose a place is: that decides which settings count. On balenaOS, Docker's default leads there, too. */
  const findOwner = (place: string): Named | undefined => {
    if (isBalenaOs && identify(place) === identify(BALENA_OS)) return balena
    return named.find(({ daemon, path }) =>
      [path, daemon.dataRoot].some((own) => own !== undefined && identify(own) === identify(place)),
    )
  }
  const ofDefault = (owner: Named): Omit<Place, 'path'> => {
    const { daemon, settings } = owner
    return { engine: daemon.name, source: undefined, left: leftFor(owner), settings }
  }
  if (configured !== undefined) {
    const { settings, daemon } = findOwner(configured) ?? docker
    add(configured, { engine: daemon.name, source: 'DataRoot=', left: undefined, settings })
  } else {
    for (const { daemon, settings, path } of named)
      if (path !== undefined)
        add(path, { engine: daemon.name, source: settings.dataRoot?.where, left: undefined, settings })
    const owner = findOwner(BALENA_OS)
    add(BALENA_OS, owner ? ofDefault(owner) : { ...ofDefault(balena), left: undefined })
    for (const owner of named) add(owner.daemon.dataRoot, ofDefault(owner))
    add(storage.graphroot, { engine: PODMAN, source: storage.file, left: undefined, settings: {} })
  }

  const all = [...places.values()]
  for (const { path } of all)
    for (const name of remapped(root, path))
      warn(
        `${path}/${name}: the data of an engine with user namespaces (userns-remap) is not read; its extensions are left out`,
      )
  const containerd = findContainerdRoots(
    root,
    all.map(({ path }) => path),
    directories,
  )
  messages.push(...containerd.messages)
  const resolveStores = <Store extends { path: string; snapshots?: string }>(found: Store[]): Store[] => {
    const identities = found.map(({ path }) => identify(path))
    const stores = found.filter((_, index) => identities.indexOf(identities[index] as string) === index)
    return stores.flatMap((store) => {
      const path = resolve(store.path)
      const snapshots = store.snapshots === undefined ? undefined : resolve(store.snapshots)
      if (path === undefined || (store.snapshots !== undefined && snapshots === undefined)) return []
      // What is in the one says what is in the other.
      const problem = snapshots === undefined ? undefined : exposed[snapshots]
      if (problem !== undefined) exposed[path] ??= problem
      return [{ ...store, path, ...(snapshots !== undefined && { snapshots }) }]
    })
  }
  return {
    places: all,
    containerd: resolveStores(containerd.roots),
    images: resolveStores(storage.others.map((path) => ({ path }))),
    podmanProblem: storage.problem,
    exposed,
    messages,
  }
}

/** All directories in which hostext may keep its own. */
export function findHomes({ places, containerd }: Pick<DataRoots, 'places' | 'containerd'>): string[] {
  return [...new Set([...places, ...containerd].map(({ path }) => path))]
}

/** The data root that a daemon's settings name; undefined if they name none that can be used. */
function namedRoot({ dataRoot, problem }: DaemonSettings, warn: (text: string) => void): string | undefined {
  if (problem !== undefined) warn(`${problem}; ignored`)
  if (dataRoot === undefined) return undefined
  const { value, where } = dataRoot
  const path = directoryPath(value)
  if (path !== null) return path
  // With `..` in it, it is followed like the links on the way.
  if (value.startsWith('/') && directoryPath(posix.normalize(value)) !== null) return value
  warn(`${where}: data-root is not an absolute path: ${printable(value)}; ignored`)
  return undefined
}

/** A daemon, what it was told, and the data root that its settings name. */
type Named = { daemon: Daemon; settings: DaemonSettings; path: string | undefined }

/** Why a daemon no longer has what is in its default data root. */
function leftFor({ daemon: { name, dataRoot }, settings, path }: Named): string | undefined {
  if (path === undefined || path === dataRoot) return undefined
  return `${name} keeps its data in ${printable(path)} now (${settings.dataRoot?.where})`
}

/** The directories in which dockerd keeps everything if it maps users (`userns-remap`): `100000.100000`. */
function remapped(root: Root, dataRoot: string): string[] {
  try {
    return listDirectory(root, dataRoot).filter(
      (name) => /^\d+\.\d+$/.test(name) && statLink(root, `${dataRoot}/${name}/containers`) !== undefined,
    )
  } catch {
    // If it matters, somebody else says that it cannot be read.
    return []
  }
}
