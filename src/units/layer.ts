import type { Extension } from '../image/extension.js'
import { treePath } from '../image/kept.js'
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

/** The mount units of all extensions. */
export function layerUnits({ extensions, dataRoot, bound }: Layered): UnitFile[] {
  const seen = new Set<string>()
  return extensions.map((extension, index) => {
    // One directory cannot be two layers of an overlay (ELOOP), so the second container of an image gets an
    // overlay of its own.
    const isFirst = !seen.has(extension.tree)
    seen.add(extension.tree)
    return layerUnit(extension, index, dataRoot, bound && isFirst)
  })
}

type Layered = { extensions: readonly Extension[]; dataRoot: string; bound: boolean }

/**
 * The mount unit of one extension: its kept tree. On a file system of its own (`bound`), the tree is bound,
 * so that the root is one overlay deep and other overlays can be mounted over it. On the root's own file
 * system it needs an overlay of its own, because no layer of an overlay may lie inside another one (ELOOP).
 * The empty directory is the second layer that an overlay without an upper directory must have.
 *
 * Every user can read this mount, including files that the root hides, for example an old set-uid program
 * that an update of the root has replaced. So it is mounted nosuid and nodev. The root is a mount of its own,
 * and there set-uid files of an extension work.
 *
 * The same unit serves both passes. Before the switch it is part of the stack. Afterwards it shows what is
 * stacked; a soft-reboot loses the mounts below /run, so it is mounted again.
 */
function layerUnit(extension: Extension, index: number, dataRoot: string, bound: boolean): UnitFile {
  const { container, tree } = extension
  const mount = showDirectory(treePath(dataRoot, tree), String(index), bound)
  return {
    path: `normal/${layerUnitName(index)}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(layerDescription(extension))}
Documentation=${DOCUMENTATION}
SourcePath=${literal(container.source)}
DefaultDependencies=no

[Mount]
${mount}
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/**
 * The lines of a mount unit that shows a directory of the engine's file system, read-only, at the mount point
 * `name` in the run directory.
 */
export function showDirectory(path: string, name: string, bound: boolean): string {
  const slash = path.lastIndexOf('/')
  return bound
    ? `What=${literal(path)}
Where=${RUN_DIRECTORY}/${name}
Type=none
Options=bind,ro,nosuid,nodev`
    : `What=hostext-${name}
Where=${RUN_DIRECTORY}/${name}
Type=overlay
Options=ro,nosuid,nodev,lowerdir=${RUN_DIRECTORY}/empty:${path.slice(slash + 1)}
WorkingDirectory=${literal(path.slice(0, slash))}`
}
