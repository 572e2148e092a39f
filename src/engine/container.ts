import { listDirectory, type Root, readText, seeContainer, unseen } from '../machine/files.js'
import { isObject, parseObject } from '../text/json.js'
import { printable } from '../text/printable.js'
import { type Container, type HostConfig, isImageId, type UnreadableContainer } from './engine.js'
import { findOtherWriter, findUnfitDirectory } from './trust.js'

/** A container of Docker, and what only Docker says about it. */
export type DockerContainer = Container & {
  /** The storage driver. */
  driver: string
  /** The digest of its image's manifest, if its image is in containerd's store and it is one. */
  manifest: string | undefined
}

const CONTAINER_ID = /^[0-9a-f]{64}$/
/** The largest one seen has 40 KB, with every port of a range published. */
const LARGEST_CONFIG = 4 << 20
/**
 * Far more than an engine can handle. A line for each of a million would take an hour on a serial console.
 */
const MOST_CONTAINERS = 10_000

/**
 * Reads the metadata of every container below `dataRoot`, in the order of their IDs. A container that cannot
 * be read comes back as unreadable, and the others are still read. Throws an Error only if the list of
 * containers itself cannot be read or is too long.
 */
export function readContainers(root: Root, dataRoot: string): (DockerContainer | UnreadableContainer)[] {
  const directory = `${dataRoot}/containers`
  const ids = listDirectory(root, directory)
  if (ids.length > MOST_CONTAINERS)
    throw new Error(`${directory}: ${ids.length} containers, more than ${MOST_CONTAINERS}`)
  const quiet = unseen(root)
  const containers = ids.map((id) => {
    const container = readContainer(quiet, dataRoot, id)
    if ('problem' in container) seeContainer(root, `${directory}/${id}/config.v2.json`)
    return container
  })
  root.seen?.names.delete(directory)
  const drivers = containers.flatMap((container) => ('driver' in container ? container.driver : []))
  root.seen?.containers.set(directory, [...new Set(drivers)])
  return containers
}

function readContainer(root: Root, dataRoot: string, id: string): DockerContainer | UnreadableContainer {
  const source = `${dataRoot}/containers/${id}/config.v2.json`
  const unreadable = (problem: string): UnreadableContainer => ({ source: printable(source), problem })
  if (!CONTAINER_ID.test(id)) return unreadable('the name of the directory is not a container ID')

  const unfit = findUnfitDirectory(root, `${dataRoot}/containers/${id}`)
  if (unfit) return unreadable(`its directory: ${unfit}`)
  const text = readText(root, source, LARGEST_CONFIG, findOtherWriter)
  if (text === undefined) return unreadable('no such file')
  if (text instanceof Error) return unreadable(text.why)

  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return unreadable(`not valid JSON, ${text.length} characters: truncated or damaged`)
  }
  if (!isObject(json)) return unreadable('not a JSON object')

  const config = json.Config
  const state = json.State
  if (json.ID !== id)
    return unreadable(`ID is ${typeof json.ID === 'string' ? printable(json.ID) : 'not a string'}`)
  if (typeof json.Name !== 'string' || json.Name.length < 2) return unreadable('no Name')
  if (typeof json.Driver !== 'string') return unreadable('no Driver')
  if (!isObject(config)) return unreadable('no Config')
  if (!isObject(state)) return unreadable('no State')
  const labels = config.Labels ?? {}
  if (!isObject(labels)) return unreadable('Labels is not an object')
  const pairs = Object.entries(labels)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')) {
    return unreadable('a label is not a string')
  }

  const dying = ['Dead', 'RemovalInProgress'].find((flag) => state[flag] === true)
  return {
    id,
    name: json.Name.replace(/^\//, ''),
    image:
      [config.Image, json.Image].find(
        (image): image is string => typeof image === 'string' && image !== '',
      ) ?? 'no image',
    imageId: isImageId(json.Image) ? json.Image : undefined,
    driver: json.Driver,
    labels: new Map(pairs),
    start: startOf(json, state),
    isBuildStep: Array.isArray(config.Cmd) && config.Cmd.some((word) => word === BUILD_STEP),
    refused: dying && `the engine is removing it (State.${dying})`,
    manifest:
      isObject(json.ImageManifest) && isImageId(json.ImageManifest.digest)
        ? json.ImageManifest.digest
        : undefined,
    source,
  }
}

/**
 * Starts the command of a build step that runs nothing; the line of the Dockerfile follows:
 * builder/dockerfile in moby.
 */
const BUILD_STEP = '#(nop) '

/** What Go writes for a time that is not set. */
const NEVER = '0001-01-01T00:00:00Z'

function startOf(
  { HasBeenStartedBefore }: Record<string, unknown>,
  { StartedAt, Running, ExitCode, Error: error }: Record<string, unknown>,
): Container['start'] {
  // Whatever is not clearly "never" counts as started.
  const isAbsent = StartedAt === undefined || StartedAt === '' || StartedAt === NEVER
  const before = HasBeenStartedBefore ?? false
  if (before !== false || !isAbsent || (Running ?? false) !== false) return 'done'
  return (ExitCode ?? 0) === 0 && (error ?? '') === '' ? 'never' : 'tried'
}

/**
 * Reads hostconfig.json of a container; without one nothing is known. Throws an Error that names the file.
 */
export function readHostConfig(root: Root, dataRoot: string, id: string): HostConfig {
  const path = `${dataRoot}/containers/${id}/hostconfig.json`
  const text = readText(root, path, LARGEST_CONFIG, findOtherWriter)
  if (text === undefined) return { runtime: undefined, isTemporary: false, isUnlogged: false }
  if (text instanceof Error) throw text
  const json = parseObject(text)
  if (!json) throw new Error(`${path}: not a JSON object: truncated or damaged`)
  return {
    runtime: typeof json.Runtime === 'string' ? json.Runtime : undefined,
    isTemporary: json.AutoRemove === true,
    isUnlogged: isObject(json.LogConfig) && json.LogConfig.Type === 'none',
  }
}
