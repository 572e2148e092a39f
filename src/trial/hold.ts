import {
  createContainer,
  type Engine,
  findEngine,
  type ListedContainer,
  listContainers,
  removeContainer,
} from '../engine/api.js'
import { HOLDER_LABEL, HOLDER_LABELS } from '../image/labels.js'
import type { Root } from '../machine/files.js'
import type { HeldImage } from '../stack/plan.js'
import { printableList } from '../text/printable.js'
import { readHeld } from './held.js'

/**
 * Keeps the layers of the running root on the disk. The engine removes no layer that a container refers to,
 * so each stacked image gets a container, its *holder*, that is never started. Then the extension's own
 * container may be removed at once, and the image after the next boot.
 */

/** The changes that are needed. `for`: the names of the extensions that share an image. */
export type HoldPlan = {
  create: { image: string; for: string[] }[]
  remove: ListedContainer[]
  /** The names of extensions whose image is not known. */
  unknown: string[]
}

/** The timeout of each request to the engine, in milliseconds. */
const TIMEOUT = 30_000

/** Makes the engine hold what this boot has stacked, and nothing else. Prints; returns the exit status. */
export async function hold(root: Root, timeout = TIMEOUT): Promise<number> {
  const held = readHeld(root)
  if (!held) {
    process.stdout.write('nothing is stacked in this boot: nothing to hold\n')
    return 0
  }
  let failures = 0
  const fail = (text: string): void => {
    failures++
    // Not to the kernel log, unlike the generator: systemctl status shows the output of the service.
    process.stderr.write(`hostext: ${text}\n`)
  }
  const attempt = async (what: string, work: () => Promise<void>, otherwise: string): Promise<void> => {
    try {
      await work()
      process.stdout.write(`${what}\n`)
    } catch (error) {
      fail(`${otherwise}: ${(error as Error).message}`)
    }
  }

  let engine: Engine
  let plan: HoldPlan
  try {
    engine = await findEngine(root, held.dataRoot, timeout)
    plan = planHold(held.extensions, await listContainers(engine, HOLDER_LABEL))
  } catch (error) {
    const all = held.extensions.map(({ container }) => container)
    fail(
      `${all.length > 0 ? `not held: ${printableList(all)}` : 'no holder is removed'}: ${(error as Error).message}`,
    )
    return 1
  }
  for (const name of plan.unknown)
    fail(`not held: ${printableList([name])}: the engine had no ID for its image`)
  // Create first: a holder that is to be removed may be the last reference to a layer that is needed.
  for (const { image, for: extensions } of plan.create) {
    const name = holderName(image)
    await attempt(
      `held: ${printableList(extensions)}, by container ${name}`,
      () => createContainer(engine, name, image, HOLDER_LABELS),
      `not held: ${printableList(extensions)}`,
    )
  }
  for (const { id, imageId } of plan.remove) {
    const name = holderName(imageId)
    await attempt(
      `no longer held: removed container ${name}`,
      () => removeContainer(engine, id),
      `container ${name} could not be removed`,
    )
  }
  return failures > 0 ? 1 : 0
}

/** Which holders are missing among the containers with the label, and which are no longer needed. */
export function planHold(extensions: readonly HeldImage[], labelled: readonly ListedContainer[]): HoldPlan {
  const holders = labelled.filter(isHolder)
  const wanted = new Map<string, string[]>()
  for (const { container, image } of extensions) {
    if (image) wanted.set(image, [...(wanted.get(image) ?? []), container])
  }
  const isHeld = (image: string): boolean =>
    holders.some(({ imageId, state }) => imageId === image && state !== 'dead' && state !== 'removing')
  return {
    create: [...wanted].filter(([image]) => !isHeld(image)).map(([image, names]) => ({ image, for: names })),
    remove: holders.filter(({ imageId }) => !wanted.has(imageId)),
    unknown: extensions.filter(({ image }) => !image).map(({ container }) => container),
  }
}

/**
 * Whether we made it: any image may have the label, but its containers are not named after the image's ID.
 */
function isHolder({ names, labels, imageId }: ListedContainer): boolean {
  return labels[HOLDER_LABEL] === HOLDER_LABELS[HOLDER_LABEL] && names.includes(holderName(imageId))
}

/** `hostext-hold-4f0c1d2e3a4b` */
export function holderName(image: string): string {
  return `hostext-hold-${image.replace('sha256:', '').slice(0, 12)}`
}
