import { MOUNT_LOG } from '../machine/run-directory.js'
import type { Wait } from '../stack/plan.js'
import { execWord, pathWord, type UnitFile } from '../text/unit-syntax.js'
import { takeOver } from './first-pass.js'
import { DOCUMENTATION, SWITCH_ENDS } from './layer.js'

/** How many seconds the preparation of images may take. generators/steps/collect ends it then. */
export const LONGEST_PREPARATION = 1800

/**
 * The units of a boot that has something to do before it can decide: mount the engine's data, prepare images.
 * One service requires those file systems, as fstab or a unit defines them, and the device manager, which
 * finds their disks. It prepares what is not prepared yet, and reloads systemd, so that the generators run
 * again. Then it starts what they decide.
 *
 * Only what has to be mounted counts against the timeout of the boot, so that is a service of its own.
 */
export function collectUnits(wait: Wait, normalDirectory: string): UnitFile[] {
  const paths = wait.paths.map(pathWord).join(' ')
  const needs = wait.mounting ? [DATA_SERVICE] : []
  const wants = wait.mounting ? ['systemd-udevd.service', 'systemd-udev-trigger.service'] : []
  if (wait.remount?.check) wants.push('systemd-fsck-root.service')
  const after = [...needs, ...(wait.remount?.check ? ['systemd-fsck-root.service'] : [])]
  const lines = [
    `RequiresMountsFor=${paths}`,
    ...(needs.length > 0 ? [`Requires=${needs.join(' ')}`] : []),
    ...(wants.length > 0 ? [`Wants=${wants.join(' ')}`] : []),
    ...(after.length > 0 ? [`After=${after.join(' ')}`] : []),
  ]
  return [
    {
      path: 'normal/hostext-collect.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Prepare host extensions and decide on them
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
IgnoreOnIsolate=yes
${lines.join('\n')}

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/collect${wait.remount ? ` ${execWord(wait.remount.options)}` : ''}
${SWITCH_ENDS}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    },
    ...(wait.mounting
      ? [
          {
            path: `normal/${DATA_SERVICE}`,
            text: `# Written by hostext-generator.
[Unit]
Description=The file systems of the engine's data
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
IgnoreOnIsolate=yes
RequiresMountsFor=${paths}
JobTimeoutSec=${wait.timeout}

[Service]
Type=oneshot
ExecStart=/bin/true
StandardOutput=null
StandardError=null
`,
          },
        ]
      : []),
    ...takeOver(wait, 'hostext-collect.service', normalDirectory, wait.timeout + LONGEST_PREPARATION),
  ]
}

const DATA_SERVICE = 'hostext-data.service'
