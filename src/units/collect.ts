import type { Wait } from '../stack/plan.js'
import { pathWord, type UnitFile } from '../text/unit-syntax.js'
import { takeOver } from './first-pass.js'
import { DOCUMENTATION, SWITCH_ENDS } from './layer.js'

/**
 * The units of a boot that has to mount the engine's data before it can decide. One service requires those
 * file systems, as fstab or a unit defines them, and the device manager, which finds their disks. It reloads
 * systemd, so that the generators run again and see the data, and then starts what they decide.
 */
export function collectUnits(wait: Wait, normalDirectory: string): UnitFile[] {
  return [
    {
      path: 'normal/hostext-collect.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Decide on host extensions once the engine's data is mounted
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
IgnoreOnIsolate=yes
RequiresMountsFor=${wait.paths.map(pathWord).join(' ')}
Wants=systemd-udevd.service systemd-udev-trigger.service

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/collect
${SWITCH_ENDS}
StandardOutput=null
StandardError=null
`,
    },
    ...takeOver(wait, 'hostext-collect.service', normalDirectory),
  ]
}
