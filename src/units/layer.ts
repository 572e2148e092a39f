import type { Extension } from '../extension.js'
import { printable } from '../printable.js'
import { literal, type UnitFile } from './text.js'

/** The tmpfs directory with our mount points, one a layer, and the units this boot has set aside. */
export const RUN_DIRECTORY = '/run/hostext'
/**
 * What this boot decided, in the words of the log; where it exists, the boot is decided. Beside the directory and
 * not in it, so that the stub needs no mkdir(1) on the many boots that have nothing to stack.
 */
export const DECISION = '/run/hostext.decision'
/** What mount(8) has to say goes here: the journal is not there yet. */
export const MOUNT_LOG = `${RUN_DIRECTORY}/mount.log`
export const DOCUMENTATION = 'man:hostext(7)'

/**
 * Mount units keep to mount(2): with fsconfig(2), which util-linux 2.39 prefers, one value may have 256
 * bytes, and a lowerdir= of ten layers has more.
 */
export const MOUNT_ENVIRONMENT = 'Environment=LIBMOUNT_FORCE_MOUNT2=always'

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
 * `locked`: the unit for the running system. There the mount only shows what is stacked, and goes away
 * at shutdown before the file system it is on. Before the switch it belongs to the first transaction.
 */
export function layerUnit(extension: Extension, index: number, locked: boolean): UnitFile {
  const { container, layers } = extension
  return {
    path: `normal/${layerUnitName(index)}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(layerDescription(extension))}
Documentation=${DOCUMENTATION}
SourcePath=${literal(container.source)}
${locked ? '' : 'DefaultDependencies=no\n'}
[Mount]
What=hostext-${index}
Where=${RUN_DIRECTORY}/${index}
Type=overlay
Options=ro,lowerdir=${RUN_DIRECTORY}/empty:${layers.lower.join(':')}
WorkingDirectory=${literal(layers.directory)}
${MOUNT_ENVIRONMENT}
${locked ? '' : `StandardError=append:${MOUNT_LOG}\n`}`,
  }
}
