import type { Extension } from '../image/extension.js'
import { MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import { printable } from '../text/printable.js'
import { literal, type UnitFile } from '../text/unit-syntax.js'

export const DOCUMENTATION = 'man:hostext(7)'

/**
 * Mount units keep to mount(2): with fsconfig(2), which util-linux 2.39 prefers, one value may have 256
 * bytes, and a lowerdir= of ten layers has more.
 */
export const MOUNT_ENVIRONMENT = 'Environment=LIBMOUNT_FORCE_MOUNT2=always'

/** For a mount over a directory that is not empty. PID 1 takes notice of that (`to mount over is not empty`); here it is meant. */
export const OVER_FILES = 'LogLevelMax=warning\n'

/** For a service that ends itself: the switch, or another target, terminates what runs and kills it soon after. */
export const SWITCH_ENDS = 'SuccessExitStatus=SIGTERM SIGKILL'

export function layerUnitName(index: number): string {
  return `run-hostext-${index}.mount`
}

/** `Host extension wifi (wifi-drivers:2)` */
export function layerDescription({ container }: Extension): string {
  return `Host extension ${printable(container.name)} (${printable(container.image)})`
}

/**
 * The mount unit of one extension: its image's layers as an overlay of their own, so that no layer of
 * the root overlay lies inside another, and so that what the image deleted is deleted in the image
 * alone.
 *
 * The empty directory on top gives the merged top directory root's owner and mode, whatever the image
 * has; it is also the second layer that an overlay without an upper directory must have.
 *
 * Everybody can look into it, at files as well that the root hides, or that an update of the root has put its own in the place
 * of: so nothing is set-uid there and no node is a device. In the root, which is a mount of its own, what the extension ships is.
 *
 * The same unit serves both passes: before the switch it is part of the stack, afterwards it shows what is
 * stacked (a soft-reboot loses the mounts below /run, so it is mounted again then).
 */
export function layerUnit(extension: Extension, index: number): UnitFile {
  const { container, layers } = extension
  return {
    path: `normal/${layerUnitName(index)}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(layerDescription(extension))}
Documentation=${DOCUMENTATION}
SourcePath=${literal(container.source)}
DefaultDependencies=no

[Mount]
What=hostext-${index}
Where=${RUN_DIRECTORY}/${index}
Type=overlay
Options=ro,nosuid,nodev,lowerdir=${RUN_DIRECTORY}/empty:${layers.lower.join(':')}
WorkingDirectory=${literal(layers.directory)}
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}
