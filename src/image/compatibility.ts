import type { Machine } from '../machine/machine.js'
import { matchesGlob } from '../text/glob.js'
import { printable } from '../text/printable.js'

/** The properties of the machine that decide whether an image fits it. */
export type Host = {
  /** The running kernel; undefined where nobody knows which one it will be. */
  kernel: Kernel | undefined
  /** VERSION_ID of os-release(5). */
  versionId: string | undefined
  /** Whether a container that has been started may be an extension: `Started=`. */
  takesStarted: boolean
  /** Whether whole systems other than this one are left out: `ForeignSystem=skip`. */
  skipsForeign: boolean
}

export type Kernel = {
  /** Its release, as in uname(2). */
  release: string
  /** `balena_kernel_abi=` of the kernel command line. */
  abi: string | undefined
}

/** Takes from the facts about the machine what decides whether an image fits it. */
export function hostOf({ release, commandLine, configuration, os }: Machine): Host {
  const { started, foreignSystem } = configuration
  return {
    // A root without /proc is that of a machine that is not running.
    kernel: release === '' ? undefined : { release, abi: commandLine.kernelAbi },
    versionId: os.versionId,
    // The supervisor of balenaOS starts its extensions.
    takesStarted: started === 'auto' ? os.id === 'balena-os' : started,
    skipsForeign: foreignSystem === 'skip',
  }
}

export const KERNEL_VERSION_LABEL = 'io.balena.image.kernel-version'
const KERNEL_ABI_LABEL = 'io.balena.image.kernel-abi-id'
export const OS_VERSION_LABEL = 'io.balena.image.os-version'
export const COMPATIBILITY_LABELS = [KERNEL_VERSION_LABEL, KERNEL_ABI_LABEL, OS_VERSION_LABEL]

/**
 * What an image contains: whether modules for the running kernel, and whether the kernel with this ABI ID.
 */
export type Carried = { modules: boolean; kernel: (id: string) => boolean }

/**
 * Why an image does not fit this machine: what it asks for and what the machine has. Or, if it fits, the
 * warnings.
 */
export type Fit = { unfit: string } | { warnings: string[] }

/**
 * Judges the labels that say which machine an image is for. A label that is missing or empty asks for
 * nothing.
 */
export function judgeFit(labels: ReadonlyMap<string, string>, carried: Carried, host: Host): Fit {
  const warnings: string[] = []
  for (const judge of [judgeKernelVersion, judgeKernelAbi, judgeOsVersion]) {
    const found = judge(labels, host, carried)
    if (found && 'unfit' in found) return found
    if (found) warnings.push(found.warning)
  }
  return { warnings }
}

type Judge = (
  labels: ReadonlyMap<string, string>,
  host: Host,
  carried: Carried,
) => { unfit: string } | { warning: string } | undefined

const judgeKernelVersion: Judge = (labels, { kernel }) => {
  const version = labels.get(KERNEL_VERSION_LABEL)
  const running = kernel?.release.split('-', 1)[0]
  if (!version || running === undefined || version === running) return undefined
  return { unfit: `it is for kernel ${printable(version, 80)}, but ${printable(running)} is running` }
}

/**
 * Modules fit only the kernel that they were built with. If the boot loader says which kernel is running
 * (balenaOS), the kernel file in the image decides, not the label. If it does not, modules with such a label
 * are for another kind of machine.
 */
const judgeKernelAbi: Judge = (labels, { kernel: running }, { modules, kernel }) => {
  if (!modules || !running) return undefined
  const label = labels.get(KERNEL_ABI_LABEL)
  const { abi } = running
  if (abi === undefined) {
    if (!label) return undefined
    const unfit = `its modules are for kernel ABI ${printable(label, 80)}, but the kernel command line has no balena_kernel_abi=`
    return { unfit }
  }
  const shown = printable(abi, 80)
  if (!kernel(abi)) {
    const unfit = `its modules are for another kernel: no file in its /boot has the sha256 given by balena_kernel_abi=${shown}`
    return { unfit }
  }
  if (label === abi) return undefined
  const differs = label ? `is ${printable(label, 80)}` : 'is missing'
  return { warning: `its kernel matches balena_kernel_abi=${shown}, but ${KERNEL_ABI_LABEL} ${differs}` }
}

/** The most characters that the list of patterns may have, because each pattern is tried in each boot. */
export const LONGEST_LIST = 1024

const judgeOsVersion: Judge = (labels, { versionId }) => {
  const list = labels.get(OS_VERSION_LABEL) ?? ''
  if (list.trim() === '') return undefined
  if (list.length > LONGEST_LIST)
    return { unfit: `${OS_VERSION_LABEL} has ${list.length} characters, more than ${LONGEST_LIST}` }
  const globs = list
    .split(',')
    .map((glob) => glob.trim())
    .filter((glob) => GLOB.test(glob) && !glob.startsWith('!'))
  if (globs.length === 0)
    return {
      warning: `${OS_VERSION_LABEL}=${printable(list, 200)} has no valid pattern: the label is ignored`,
    }
  if (globs.some((glob) => glob === '*' || (versionId !== undefined && matchesGlob(versionId, glob))))
    return undefined
  const here =
    versionId === undefined ? 'os-release has no VERSION_ID' : `this is ${printable(versionId, 80)}`
  return { unfit: `it is for OS version ${printable(list, 200)}, but ${here}` }
}

/** The characters of VERSION_ID, os-release(5), and the wildcards of glob(7). */
const GLOB = /^[A-Za-z0-9._~^+*?[\]!-]{1,64}$/
