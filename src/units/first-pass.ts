import type { Plan } from '../plan.js'
import { DOCUMENTATION, layerUnitName, MOUNT_ENVIRONMENT, MOUNT_LOG, RUN_DIRECTORY } from './layer.js'
import { literal, type UnitFile, unitName } from './text.js'

/**
 * Where the new root is mounted. A soft-reboot takes what it finds at /run/nextroot; switch-root wants a
 * directory outside /run, because it moves /run into it.
 */
export function nextRoot(softReboot: boolean): string {
  return softReboot ? '/run/nextroot' : '/usr/lib/hostext/nextroot'
}

/**
 * The units of the first pass besides the layers, on the plain root: mount the layers, the root overlay and the state into
 * it, switch. They are all there is in the first transaction, because the early default target is
 * hostext.target; nothing of the system has started when the root changes.
 */
export function firstPassUnits(plan: Plan, normalDirectory: string): UnitFile[] {
  const root = nextRoot(plan.softReboot)
  const rootUnit = unitName(root, 'mount')
  const layers = plan.extensions.map((_, index) => layerUnitName(index))
  const binds = [
    ...plan.state.map((path) => bindUnit(path, root, 'bind', 'State of the base root')),
    ...(plan.bindDataRoot
      ? [bindUnit(plan.bindDataRoot, root, 'bind,ro', "The engine's data, read-only")]
      : []),
  ]
  const mounts = [rootUnit, ...binds.map(({ name }) => name)].join(' ')
  const check = plan.checkRoot && plan.state.length > 0

  return [
    {
      path: `normal/${rootUnit}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Root file system with ${layers.length} host extension${layers.length === 1 ? '' : 's'}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Wants=${layers.join(' ')}
After=${layers.join(' ')}
${check ? '# The locked system remounts the state writable; the disk is checked while it is not.\nWants=systemd-fsck-root.service\nAfter=systemd-fsck-root.service\n' : ''}
[Mount]
What=hostext
Where=${root}
Type=overlay
Options=ro,lowerdir=${lowerdir(plan)}
WorkingDirectory=${RUN_DIRECTORY}
${MOUNT_ENVIRONMENT}
StandardError=append:${MOUNT_LOG}
`,
    },
    ...binds.map(({ file }) => file),
    {
      path: 'normal/hostext-switch.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Switch to the root with host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
Requires=${mounts}
After=${mounts}

[Service]
Type=oneshot
# The switch may end its own command before that has.
SuccessExitStatus=SIGTERM
ExecStart=/usr/lib/hostext/switch ${plan.softReboot ? 'soft-reboot' : 'switch-root'} ${root}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    },
    {
      path: 'normal/hostext.target',
      text: `# Written by hostext-generator.
[Unit]
Description=Host extensions over the root
Documentation=${DOCUMENTATION}
DefaultDependencies=no
AllowIsolate=yes
RefuseManualStart=yes
Requires=hostext-switch.service
After=hostext-switch.service
OnFailure=hostext-fallback.service
JobTimeoutSec=${plan.timeout}
`,
    },
    // What the target's links pull in belongs to the boot after the switch.
    ...plan.pulledIn.map((path) => ({ path: `early/${path}`, link: '/dev/null' })),
    // Last: from here on this boot starts hostext.target.
    { path: `early/${plan.target}`, link: `${normalDirectory}/hostext.target` },
  ]
}

/** lowerdir= of the root overlay, relative to the run directory: `0:1:/:2`. Left wins. */
function lowerdir({ extensions, above }: Plan): string {
  const numbers = extensions.map((_, index) => String(index))
  return [...numbers.slice(0, above), '/', ...numbers.slice(above)].join(':')
}

/** A bind of a directory of the base root into the new one. */
function bindUnit(
  path: string,
  root: string,
  options: string,
  description: string,
): { name: string; file: UnitFile } {
  const name = unitName(`${root}${path}`, 'mount')
  return {
    name,
    file: {
      path: `normal/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(`${description}: ${path}`)}
Documentation=${DOCUMENTATION}
DefaultDependencies=no

[Mount]
What=${literal(path)}
Where=${literal(`${root}${path}`)}
Type=none
Options=${options}
StandardError=append:${MOUNT_LOG}
`,
    },
  }
}
