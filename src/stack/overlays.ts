import type { Extension } from '../image/extension.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, mountOf } from '../machine/mountinfo.js'
import { describePlanned, isRemote, type PlannedMount } from '../machine/planned.js'
import { BASE, RUN_DIRECTORY } from '../machine/run-directory.js'
import { overlayDirectories } from '../machine/uses.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { isApi, isFromInitrd } from './mounts.js'
import { countAbove, placeName } from './order.js'

/**
 * An overlay of the machine's own over directories of the root. On the stacked root it would be one level too
 * deep for the kernel (FILESYSTEM_MAX_STACK_DEPTH in include/linux/fs.h), so it gets the same directories of
 * the extensions and of the base root as its layers.
 */
export type PlannedOverlay = { mount: PlannedMount; lower: string[]; options: string[] }

/**
 * Mount options that are for systemd and mount(8), and not in the unit that systemd makes: systemd.mount(5).
 */
const NOT_FOR_MOUNT = /^(?:x-|comment=|(?:no)?auto$|nofail$|defaults$)/

/** Whether a path is on the root that will be stacked: below no other mount, and no directory of state. */
function isOnRoot(
  { mounts, planned }: Pick<Machine, 'mounts' | 'planned'>,
  state: readonly string[],
  path: string,
): boolean {
  return (
    !isApi(path) &&
    ![...state, ...planned.map(({ mountPoint }) => mountPoint)].some((place) => isBelow(path, place)) &&
    (mountOf(mounts, path)?.mountPoint ?? '/') === '/'
  )
}

/** The lower directories of planned overlays: images are asked whether they have files there. */
export function findLowers({ planned }: Pick<Machine, 'planned'>): string[] {
  return planned
    .filter(({ type }) => type === 'overlay')
    .flatMap(({ options }) => overlayDirectories(options).lowerdir)
    .filter((path) => /^\/[^\\]*$/.test(path) && !isApi(path))
}

/**
 * The overlays that need other layers; `lost`: those that cannot be mounted over the stacked root, and why.
 * One that the initrd has mounted is carried over, and is not mounted again.
 */
export function planOverlays(
  machine: Pick<Machine, 'mounts' | 'planned' | 'hasBase' | 'softReboot'>,
  state: readonly string[],
  stack: readonly Extension[],
  isBound: boolean,
): { overlays: PlannedOverlay[]; lost: { mount: PlannedMount; why: string }[] } {
  const overlays: PlannedOverlay[] = []
  const lost: { mount: PlannedMount; why: string }[] = []
  const above = countAbove(stack)
  const isDeepBase = mountOf(machine.mounts, '/')?.type === 'overlay'
  for (const mount of machine.planned) {
    if (mount.type !== 'overlay' || isFromInitrd(machine, mount)) continue
    const { lowerdir, upperdir, workdir } = overlayDirectories(mount.options)
    // Its own mount point covers nothing that it is made of.
    const others = { ...machine, planned: machine.planned.filter((other) => other !== mount) }
    const readOnly = [upperdir, workdir].find((path) => path !== undefined && isOnRoot(others, state, path))
    if (readOnly !== undefined) {
      lost.push({ mount, why: `${readOnly} is on the root, which is read-only then` })
      continue
    }
    const onRoot = lowerdir.filter((path) => isOnRoot(others, state, path))
    if (onRoot.length > 0 && !isUnitText(mount)) {
      lost.push({ mount, why: 'no unit can have its options' })
      continue
    }
    if (onRoot.length === 0 || (isBound && !isDeepBase)) continue
    if (!machine.hasBase || onRoot.some((path) => /[\\:,]/.test(path))) {
      lost.push({ mount, why: 'the kernel stacks overlays at most two deep' })
      continue
    }
    const lower = lowerdir.flatMap((path) => {
      if (!onRoot.includes(path)) return path
      const part = (extension: Extension, number: number): string[] =>
        extension.covered.includes(path) ? [`${RUN_DIRECTORY}/${placeName(number, stack.length)}${path}`] : []
      const parts = stack.map(part)
      return [...parts.slice(0, above).flat(), BASE + path, ...parts.slice(above).flat()]
    })
    const rest = mount.options.filter((option) => !NOT_FOR_MOUNT.test(option))
    const options = rest.map((option) =>
      option.startsWith('lowerdir=') ? `lowerdir=${lower.join(':')}` : option,
    )
    overlays.push({ mount, lower, options })
  }
  return { overlays, lost }
}

/** Whether its mount point and options can be written into a unit as they are. */
function isUnitText({ mountPoint, options }: PlannedMount): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  return isUnitPath(mountPoint) && !/[\x00-\x1f\x7f"']|[\s\\]$/.test(options.join(','))
}

/** Whether the boot goes on without it: fstab(5) `nofail`, and what is on another machine. */
export function isDispensable(mount: PlannedMount): boolean {
  return mount.options.includes('nofail') || isRemote(mount)
}

/** Why the boot stays plain for a mount that cannot be had on the stacked root. */
export function describeLost({ mount, why }: { mount: PlannedMount; why: string }): string {
  return `${describePlanned(mount)} cannot be mounted over the stacked root: ${why}`
}
