import { isImageId } from '../engine/container.js'
import { type Root, readText } from '../machine/files.js'
import { HELD, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { HeldImage } from '../stack/plan.js'
import { parseObject } from '../text/json.js'

/** What the engine has to keep because this boot has stacked it. */
export type Held = {
  /** Where the engine keeps its data, which tells it from other engines. */
  dataRoot: string
  extensions: HeldImage[]
}

/**
 * The record of it. It is written when the boot is decided, because the engine's own metadata may change
 * after that.
 */
const PATH = `${RUN_DIRECTORY}/${HELD}`

/** JSON, one object on each line: the data root, then each extension. */
export function heldText({ dataRoot, extensions }: Held): string {
  return [{ dataRoot }, ...extensions].map((entry) => `${JSON.stringify(entry)}\n`).join('')
}

/**
 * Reads the record; undefined if this boot has none. Throws an Error if it is not what {@link heldText}
 * writes.
 */
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
  const json = parseObject(line)
  if (!json) throw new Error(`${PATH}: a line is not a JSON object`)
  return json
}
