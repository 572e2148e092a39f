import { printable } from '../text/printable.js'

/**
 * What an adapter reads of one store of one engine: which containers there are, and where the layers of their
 * images are. Nothing else of hostext knows one engine from another.
 */
export type Engine = {
  /** What it is called in messages: `Docker`. */
  name: string
  /**
   * The directory, on the file system of a container's layers, in which hostext keeps its own: OWN_DIRECTORY
   * in engine/places.ts. Throws an Error if it cannot be told or trusted.
   */
  home: (container: Container) => string
  /** All such directories that its containers may have or may have had. */
  homes: string[]
  /** In the order of their IDs. */
  containers: (Container | UnreadableContainer)[]
  /** How a container was created. Throws an Error that names the file. */
  hostConfig: (container: Container) => HostConfig
  /**
   * The layers of a container's image. Throws an Error that names the file. `isKnown`: whether these are
   * known to be the layers of that image; otherwise an engine that says twice what they are is asked twice.
   */
  layers: (container: Container, isKnown?: (layers: Layers) => boolean) => Layers
  /**
   * Whether these are the layers of a container's image as the engine has it now, as far as the image's ID
   * alone tells: then they need not be looked up. `key`: {@link Layers}. False if the ID does not tell, if
   * the engine has other files for it, because it has pulled the image once more, or if it has lost the
   * container.
   */
  hasLayers: (container: Container, key: string) => boolean
}

/** What an engine says about one container, as far as it matters here. */
export type Container = {
  /** 64 hexadecimal digits. */
  id: string
  /** Without the engine's leading slash. Unchecked text: pass it through printable() before showing it. */
  name: string
  /** The image as it was named when the container was created, or its digest. Unchecked text. */
  image: string
  /** `sha256:` and 64 hexadecimal digits: which image that name meant. Undefined if it has another form. */
  imageId: string | undefined
  labels: ReadonlyMap<string, string>
  /** Whether its program has ever run, or an attempt to start it failed. */
  start: 'never' | 'tried' | 'done'
  /** Whether it is a step of the classic builder, which leaves such containers behind when a build fails. */
  isBuildStep: boolean
  /** Why it does not count, whatever its labels say; undefined if it does. */
  refused: string | undefined
  /** The file that says all this, below the input root. */
  source: string
}

/** A container whose metadata could not be read: which file, and why. */
export type UnreadableContainer = { source: string; problem: string }

/** How a container was created, as far as it matters here. */
export type HostConfig = {
  /** The OCI runtime that runs it. Unchecked text. */
  runtime: string | undefined
  /** Whether the engine removes it when it ends: `--rm`. */
  isTemporary: boolean
  /** Whether nothing keeps what its program prints (the log driver `none`). */
  isUnlogged: boolean
}

/**
 * The layers of an image, top first: names relative to `directory`, or absolute paths. None has a character
 * that the options of a mount would have to escape.
 */
export type Layers = {
  directory: string
  lower: string[]
  /** The engine's own name for the uppermost layer, by which it knows the whole chain: letters and digits. */
  key: string
  /** What a kept tree records as its image: the same for the same layers, and another one for any others. */
  chain: string
}

const IMAGE_ID = /^sha256:[0-9a-f]{64}$/

export function isImageId(value: unknown): value is string {
  return typeof value === 'string' && IMAGE_ID.test(value)
}

/** How a container is called, and the file that says so. */
export type Identity = Pick<Container, 'id' | 'name' | 'image' | 'imageId' | 'source'>

/** What a container is called. */
export type Named = Pick<Container, 'id' | 'name' | 'image'>

/** What of it that is. */
export function named({ id, name, image }: Named): Named {
  return { id, name, image }
}

/** A container as people know it: `wifi (wifi-drivers:2, 4f0c1d2e3a4b)`. */
export function describeContainer({ name, image, id }: Named): string {
  return `${printable(name)} (${printable(image)}, ${id.slice(0, 12)})`
}
