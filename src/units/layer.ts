import type { Extension } from '../image/extension.js'
import { treePath } from '../image/kept.js'
import { MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import { placeName } from '../stack/order.js'
import type { Plan } from '../stack/plan.js'
import type { FstabMount } from '../text/fstab-line.js'
import { printable } from '../text/printable.js'
import { literal, pathWord, type UnitFile } from '../text/unit-syntax.js'

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

/** Of a stack of `count` extensions. */
export function layerUnitName(index: number, count: number): string {
  return `run-hostext-${placeName(index, count)}.mount`
}

/**
 * Mounts the layers, all or all but the last one: of the first pass if indexes are built from them, and of
 * the second pass where a soft-reboot has lost them.
 */
export const LAYERS_SERVICE = 'hostext-layers.service'

/**
 * The units that have the layers mounted in the second pass. A soft-reboot loses them, so one service mounts
 * them again (units/mounts.ts), and the last one is mounted by its own unit: when the job of a mount unit
 * ends, PID 1 looks at the mount table, so it knows all of them. Otherwise they are still there.
 */
export function layersAgain({ extensions, softReboot }: Again): string[] {
  const names = extensions.map((_, index) => layerUnitName(index, extensions.length))
  return softReboot && names.length > 1 ? [LAYERS_SERVICE, ...names.slice(-1)] : names
}

type Again = { extensions: readonly Extension[]; softReboot: boolean }

/** The service of {@link layersAgain}. */
export function layersAgainUnits(plan: Again & Pick<Plan, 'dataRoot'>): UnitFile[] {
  const [service, last] = layersAgain(plan)
  if (service !== LAYERS_SERVICE) return []
  return [
    {
      path: `normal/${LAYERS_SERVICE}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Show the host extensions in ${RUN_DIRECTORY}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
RequiresMountsFor=${pathWord(plan.dataRoot)}
Before=${last}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/hostext/stack again
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    },
  ]
}

/** `Host extension wifi (wifi-drivers:2)` */
export function layerDescription({ container }: Extension): string {
  return `Host extension ${printable(container.name)} (${printable(container.image)})`
}

type Layered = { extensions: readonly Extension[]; dataRoot: string; bound: boolean }

/** A link in the run directory to where the kept trees are: mount options need short paths to them. */
export const TREES_LINK = 'trees'

/**
 * How each extension is mounted: its kept tree, for the run directory as working directory. On a file system
 * of its own (`bound`), the tree is bound, so that the root is one overlay deep and other overlays can be
 * mounted over it. On the root's own file system it needs an overlay of its own, because no layer of an
 * overlay may lie inside another one (ELOOP). The empty directory is the second layer that an overlay without
 * an upper directory must have.
 *
 * Every user can read this mount, including files that the root hides, for example an old set-uid program
 * that an update of the root has replaced. So it is mounted nosuid and nodev. The root is a mount of its own,
 * and there set-uid files of an extension work.
 */
export function layerMounts({ extensions, dataRoot, bound }: Layered): FstabMount[] {
  const seen = new Set<string>()
  return extensions.map(({ tree }, index) => {
    // One directory cannot be two layers of an overlay (ELOOP), so the second container of an image gets an
    // overlay of its own.
    const isFirst = !seen.has(tree)
    seen.add(tree)
    const where = `${RUN_DIRECTORY}/${placeName(index, extensions.length)}`
    return bound && isFirst
      ? { what: treePath(dataRoot, tree), where, type: 'none', options: 'bind,ro,nosuid,nodev' }
      : {
          what: `hostext-${index}`,
          where,
          type: 'overlay',
          options: `ro,nosuid,nodev,lowerdir=empty:${TREES_LINK}/${tree}/tree`,
        }
  })
}

/**
 * The mount units of all extensions, for both passes. Before the switch they are part of the stack,
 * afterwards they show what is stacked. What they say is mounted by lists (units/mounts.ts); the units name
 * it. One whose mount has failed is started, and fails.
 *
 * None names its tree for PID 1, which would look for a mount unit for each directory on the way there. They
 * are parts of the target and not wanted by it: `systemctl list-dependencies` shows them, but the target does
 * not start one that has failed, which the service that is Before= the target may be about to start.
 */
export function layerUnits(layered: Layered): UnitFile[] {
  const mounts = layerMounts(layered)
  return layered.extensions.map((extension, index) => {
    const { what, where, type, options } = mounts[index] as FstabMount
    return {
      path: `normal/${layerUnitName(index, layered.extensions.length)}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(layerDescription(extension))}
Documentation=${DOCUMENTATION}
SourcePath=${literal(extension.container.source)}
DefaultDependencies=no
# Listed with the target, but not started by it.
PartOf=hostext.target

[Mount]
What=${literal(what)}
Where=${where}
Type=${type}
Options=${options}
WorkingDirectory=${RUN_DIRECTORY}
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    }
  })
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
