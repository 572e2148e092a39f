import { posix } from 'node:path'
import type { Machine } from '../machine/machine.js'
import { printable } from '../text/printable.js'

/** What an image may ask for of the machine that it becomes part of, and what the machine asks of it. */
export type Host = {
  /** The running kernel's, as in uname(2). */
  release: string
  /** `balena_kernel_abi=` of the kernel command line. */
  kernelAbi: string | undefined
  /** VERSION_ID of os-release(5). */
  versionId: string | undefined
  /** A container that has been started may be an extension: `Started=`. */
  takesStarted: boolean
}

/** What images may ask for of a machine, and whether it takes those of containers that have been started. */
export function hostOf({ release, commandLine, configuration, os }: Machine): Host {
  const { started } = configuration
  return {
    release,
    kernelAbi: commandLine.kernelAbi,
    versionId: os.versionId,
    // The supervisor of balenaOS starts its extensions.
    takesStarted: started === 'auto' ? os.id === 'balena-os' : started,
  }
}

const KERNEL_VERSION_LABEL = 'io.balena.image.kernel-version'
const KERNEL_ABI_LABEL = 'io.balena.image.kernel-abi-id'
const OS_VERSION_LABEL = 'io.balena.image.os-version'
export const COMPATIBILITY_LABELS = [KERNEL_VERSION_LABEL, KERNEL_ABI_LABEL, OS_VERSION_LABEL]

/**
 * Why an image does not fit this machine, by its labels: what it wants and what the machine has; undefined if it fits.
 * `carriesModules`: it has modules for the running kernel, which the ABI is for. A label that is not there asks for nothing.
 */
export function findIncompatibility(
  labels: ReadonlyMap<string, string>,
  carriesModules: boolean,
  host: Host,
): string | undefined {
  const kernelVersion = labels.get(KERNEL_VERSION_LABEL)
  const running = host.release.split('-', 1)[0] as string
  if (kernelVersion !== undefined && kernelVersion !== running)
    return `it is for kernel ${printable(kernelVersion, 80)}, and ${printable(running)} is running`

  const abi = labels.get(KERNEL_ABI_LABEL)
  if (abi !== undefined && carriesModules && abi !== host.kernelAbi)
    return `its modules are for kernel ABI ${printable(abi, 80)}, and the kernel command line has ${
      host.kernelAbi === undefined
        ? 'no balena_kernel_abi='
        : `balena_kernel_abi=${printable(host.kernelAbi, 80)}`
    }`

  const globs = labels.get(OS_VERSION_LABEL)
  if (globs === undefined) return undefined
  const { versionId } = host
  if (versionId !== undefined && globs.split(',').some((glob) => matches(versionId, glob.trim())))
    return undefined
  const here =
    versionId === undefined ? 'os-release has no VERSION_ID' : `this is ${printable(versionId, 80)}`
  return `it is for OS version ${printable(globs, 200)}, and ${here}`
}

/** What VERSION_ID may have, os-release(5), and the wildcards of glob(7); and no more than a matcher takes in no time. */
const GLOB = /^(?=[^*]*(?:\*[^*]*){0,8}$)[A-Za-z0-9._~^+*?[\]!-]{1,64}$/
const LONGEST_VERSION = 64

/** glob(7); `*` matches dots, too. What is no such pattern matches nothing. */
function matches(version: string, glob: string): boolean {
  return (
    GLOB.test(glob) &&
    !glob.startsWith('!') &&
    version.length <= LONGEST_VERSION &&
    posix.matchesGlob(version, glob)
  )
}
