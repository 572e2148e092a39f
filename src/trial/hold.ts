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
 * Keeps the layers of the running root: the engine removes none that a container refers to, so each stacked image
 * gets a container, its *holder*, that is never started. The extension's own container may be removed then, and the
 * image with it at the next boot.
 */

/** What is to be done for it. `for`: the names of the extensions of one image. */
export type HoldPlan = {
  create: { image: string; for: string[] }[]
  remove: ListedContainer[]
  /** Names of extensions whose image is not known. */
  unknown: string[]
}

/** For each request to the engine, in milliseconds. */
const TIMEOUT = 30_000

/** Has the engine hold what this boot has stacked, and nothing else. Prints; returns the exit status. */
export async function hold(root: Root, timeout = TIMEOUT): Promise<number> {
  const held = readHeld(root)
  if (!held) {
    process.stdout.write('nothing is stacked in this boot: nothing to hold\n')
    return 0
  }
  let failures = 0
  const fail = (text: string): void => {
    failures++
    // Not the kernel log, as for the generator: systemctl status shows what the service says itself.
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
  // First: what is to be removed may be the last that refers to a layer of what is to be held.
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

/** What is missing among the containers that have the label, and what is left over. */
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

/** Whether we made it: any image may carry the label, but its containers are not named after it. */
function isHolder({ names, labels, imageId }: ListedContainer): boolean {
  return labels[HOLDER_LABEL] === HOLDER_LABELS[HOLDER_LABEL] && names.includes(holderName(imageId))
}

/** `hostext-hold-4f0c1d2e3a4b` */
export function holderName(image: string): string {
  return `hostext-hold-${image.replace('sha256:', '').slice(0, 12)}`
}
