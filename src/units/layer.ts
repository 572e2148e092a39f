import type { Extension } from '../image/extension.js'
import { MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import { printable } from '../text/printable.js'
import { literal, type UnitFile } from '../text/unit-syntax.js'

export const DOCUMENTATION = 'man:hostext(7)'

/**
 * Makes mount(8) use mount(2). With fsconfig(2), which util-linux prefers from 2.39 on, a value may have only
 * 256 bytes, and a lowerdir= of ten layers has more.
 */
export const MOUNT_ENVIRONMENT = 'Environment=LIBMOUNT_FORCE_MOUNT2=always'

/**
 * For a mount on a directory that is not empty on purpose: otherwise PID 1 reports
 * `to mount over is not empty`.
 */
export const OVER_FILES = 'LogLevelMax=warning\n'

/**
 * For a service that ends itself by what it starts: a switch or an isolate terminates running services, then
 * kills them.
 */
export const SWITCH_ENDS = 'SuccessExitStatus=SIGTERM SIGKILL'

export function layerUnitName(index: number): string {
  return `run-hostext-${index}.mount`
}

/** `Host extension wifi (wifi-drivers:2)` */
export function layerDescription({ container }: Extension): string {
  return `Host extension ${printable(container.name)} (${printable(container.image)})`
}

/**
 * The mount unit of one extension: its image's layers as an overlay of their own. So no layer of the root
 * overlay lies inside another one, and what the image deletes is deleted only in the image.
 *
 * The empty directory on top gives the merged top directory the owner root and a normal mode, whatever the
 * image has. It is also the second layer that an overlay without an upper directory must have.
 *
 * Every user can read this mount, including files that the root hides, for example an old set-uid program
 * that an update of the root has replaced. So it is mounted nosuid and nodev. The root is a mount of its own,
 * and there set-uid files of an extension work.
 *
 * The same unit serves both passes. Before the switch it is part of the stack. Afterwards it shows what is
 * stacked; a soft-reboot loses the mounts below /run, so it is mounted again.
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
