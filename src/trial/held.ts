import { isImageId, isObject } from '../engine/container.js'
import { type Root, readText } from '../machine/files.js'
import type { Extension } from '../stack/extension.js'
import { RUN_DIRECTORY } from '../units/layer.js'

/** What this boot has stacked, as far as the engine has to know it. */
export type Held = {
  /** Where the engine keeps its data, which tells it from any other. */
  dataRoot: string
  extensions: HeldImage[]
}

/** The image of one extension. `container` is unchecked text; without `image` it cannot be asked for. */
export type HeldImage = { container: string; image: string | undefined }

/** The record of it in the run directory, written when the boot is decided: the engine changes what it has of it. */
export const HELD = 'held'

const PATH = `${RUN_DIRECTORY}/${HELD}`

/** JSON, an object a line: the data root, then each extension. */
export function heldText({ dataRoot, extensions }: Held): string {
  return [{ dataRoot }, ...extensions].map((entry) => `${JSON.stringify(entry)}\n`).join('')
}

export function heldImage({ container }: Extension): HeldImage {
  return { container: container.name, image: container.imageId }
}

/** Reads the record; undefined if this boot has none. Throws if it is not what {@link heldText} writes. */
export function readHeld(root: Root): Held | undefined {
  const text = readText(root, PATH)
  if (text === undefined) return undefined
  if (text instanceof Error) throw text
  const [head, ...entries] = text.split('\n').filter(Boolean).map(parseLine)
  if (typeof head?.dataRoot !== 'string') throw new Error(`${PATH}: no dataRoot`)
  const extensions = entries.map(({ container, image }) => {
    if (typeof container !== 'string') throw new Error(`${PATH}: no container`)
    return { container, image: isImageId(image) ? image : undefined }
  })
  return { dataRoot: head.dataRoot, extensions }
}

function parseLine(line: string): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {}
  if (!isObject(json)) throw new Error(`${PATH}: a line is no JSON object`)
  return json
}
