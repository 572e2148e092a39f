import { MOUNT_LOG } from '../machine/run-directory.js'
import type { Limit, Wait } from '../stack/plan.js'
import { execWord, pathWord, type UnitFile, unitName } from '../text/unit-syntax.js'
import { CHECK_SERVICE, CHECKED, LONGEST_CHECK } from './check.js'
import { takeOver } from './first-pass.js'
import { DOCUMENTATION, SWITCH_ENDS } from './layer.js'

/** How many seconds the preparation of images may take. generators/steps/collect ends it then. */
export const LONGEST_PREPARATION = 1800

/**
 * In seconds. If a device appears in time, the rest has no limit of its own: a disk check, a passphrase. But
 * a machine must not wait for ever.
 */
function longest({ timeout, patient, remount }: Wait): number {
  return timeout + LONGEST_PREPARATION + (patient || remount?.check ? LONGEST_CHECK : 0)
}

/**
 * The units of a boot that has something to do before it can decide: mount the engine's data, prepare images.
 * One service requires those file systems, as fstab or a unit defines them, and the device manager, which
 * finds their disks. It prepares what is not prepared yet, and reloads systemd, so that the generators run
 * again. Then it starts what they decide.
 *
 * What has to be mounted is a service of its own, so that a message can say whether it was that.
 */
export function collectUnits(wait: Wait, normalDirectory: string): UnitFile[] {
  const paths = wait.paths.map(pathWord).join(' ')
  const mounts = wait.hoped.map((path) => unitName(path, 'mount')).join(' ')
  const hoped = mounts && `Wants=${mounts}\nAfter=${mounts}\n`
  const needs = wait.mounting ? [DATA_SERVICE] : []
  const checks = wait.remount?.check ? [CHECK_SERVICE] : []
  const wants = [...(wait.mounting ? [...DEVICES, ...wait.askers] : []), ...checks]
  const after = [...needs, ...checks]
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
${checks.length > 0 ? CHECKED : ''}${SWITCH_ENDS}
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
${hoped}${wait.unlock ? 'Wants=cryptsetup.target\n' : ''}${wait.optional.length > 0 ? `Wants=${SETTLE_SERVICE}\n` : ''}
[Service]
Type=oneshot
ExecStart=/bin/true
StandardOutput=null
StandardError=null
`,
          },
        ]
      : []),
    ...(wait.optional.length > 0 ? [settleUnit(wait)] : []),
    ...wait.limits.map(limitOf),
    ...takeOver(wait, 'hostext-collect.service', normalDirectory, {
      timeout: longest(wait),
      isOnline: wait.online,
    }),
  ]
}

const DATA_SERVICE = 'hostext-data.service'
const SETTLE_SERVICE = 'hostext-settle.service'

/** What finds the disks, and asks for a passphrase: on the console, or where plymouth has taken that. */
const DEVICES = [
  'systemd-udevd.service',
  'systemd-udev-trigger.service',
  'systemd-ask-password-console.path',
  'systemd-ask-password-plymouth.path',
]

/**
 * How long a device may take to appear. Not the mount: its disk may be checked first, or its passphrase asked
 * for, which takes as long as it takes. The name is after that of systemd-fstab-generator's own drop-in.
 */
function limitOf({ unit, seconds }: Limit): UnitFile {
  return {
    path: `early/${unit}.d/60-hostext.conf`,
    text: `# Written by hostext-generator.\n[Unit]\nJobRunningTimeoutSec=${seconds}\n`,
  }
}

/** Gives up the mounts that the machine can do without, once it is known that their devices are not there. */
function settleUnit({ optional, timeout }: Wait): UnitFile {
  const words = optional.flatMap(({ unit, device }) => [unit, device, unitName(device, 'device')])
  return {
    path: `normal/${SETTLE_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Look whether the disks of the engine's data are there
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
IgnoreOnIsolate=yes
After=systemd-udev-trigger.service

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/settle ${[String(timeout), ...words].map(execWord).join(' ')}
${SWITCH_ENDS}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}
