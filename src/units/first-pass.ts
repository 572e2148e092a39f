import { CHANGES } from '../machine/etc-changes.js'
import { remountOptions } from '../machine/fstab.js'
import { INDEX_LOG, MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { Boot, Plan } from '../stack/plan.js'
import { execWord, type UnitFile } from '../text/unit-syntax.js'
import { INDEXES } from '../trial/indexes.js'
import { CHECK_SERVICE, CHECKED, isChecked, longestPass, runningLimit } from './check.js'
import {
  DOCUMENTATION,
  LAYERS_SERVICE,
  MOUNT_ENVIRONMENT,
  OVER_FILES,
  SWITCH_ENDS,
  showDirectory,
} from './layer.js'
import { ASIDE, isTaken } from './mounts.js'
import { changesBeforeSwitch, type Stack, stacks } from './stack.js'
import { RECORD_SERVICE, recordUnit, WATCH_SERVICE, watchUnit } from './trial.js'

/**
 * Where the new root is mounted. A soft-reboot always uses /run/nextroot. A switch-root needs a directory
 * outside /run, because it moves /run into it.
 */
export function nextRoot(softReboot: boolean): string {
  return softReboot ? '/run/nextroot' : '/usr/lib/hostext/nextroot'
}

export const STATE = 'State of the base root'
export const CARRIED = 'Mounted by the initrd'
export const BOUND_DATA = "The engine's data, read-only"

export const STACK_SERVICE = 'hostext-stack.service'

/**
 * The units of the first pass on the plain root: services that mount the new root with all that is in it, and
 * switch. The first transaction contains nothing else, because the early default target is hostext.target. So
 * no service of the system has started when the root changes.
 */
export function firstPassUnits(plan: Plan, normalDirectory: string): UnitFile[] {
  const root = nextRoot(plan.softReboot)
  const overlays = stacks(plan, root)
  const trial = 'trial' in plan.safety ? plan.safety.trial : undefined
  const building = plan.indexes.length > 0 && !plan.index.kept
  const isAlone = isOneService(plan)
  const stack = stackWords(plan, root, building ? 'root' : 'all')
  const switching = [plan.softReboot ? 'soft-reboot' : 'switch-root', root, ...plan.closedBeforeSwitch]
  const needs = isAlone ? [] : [STACK_SERVICE, ...(trial ? [RECORD_SERVICE] : [])]
  const after = [...needs, ...(trial ? [WATCH_SERVICE] : [])]
  const before = beforeStack(plan)

  return [
    ...(isAlone ? [] : [stackUnit(plan, stack)]),
    ...(building ? [layersUnit(plan), indexUnit(plan, overlays)] : []),
    ...(plan.indexes.length > 0 && plan.index.kept ? [keptIndexUnit(plan, plan.index.kept)] : []),
    ...(plan.machineId ? [machineIdUnit(plan, plan.machineId)] : []),
    ...(trial
      ? [
          recordUnit(plan, trial, isTaken(plan, trial.place.directory) ? ASIDE : root, [STACK_SERVICE]),
          watchUnit(trial),
        ]
      : []),
    {
      path: 'normal/hostext-switch.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Switch to the root with host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
${runningLimit(plan)}${isAlone ? before : `Requires=${needs.join(' ')}\n`}${trial ? `Wants=${WATCH_SERVICE}\n` : ''}${isAlone ? '' : `After=${after.join(' ')}\n`}${plan.collected ? `OnFailure=hostext-fallback.service\nJobTimeoutSec=${longestPass(plan)}` : 'RefuseManualStart=yes'}

[Service]
Type=oneshot
${SWITCH_ENDS}
ExecStart=${[...(isAlone ? stack : []), '/usr/lib/hostext/switch', ...switching.map(execWord)].join(' ')}
${plan.softReboot && !plan.collected ? 'ExecStart=/usr/lib/hostext/refused\n' : ''}${isAlone ? `${isChecked(plan) ? CHECKED : ''}${MOUNT_ENVIRONMENT}\n` : ''}StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    },
    // If the data had to be mounted first, hostext.target belongs to that step: see units/collect.ts.
    ...(plan.collected
      ? quiet()
      : takeOver(plan, 'hostext-switch.service', normalDirectory, {
          timeout: longestPass(plan),
          isAwake: !isAlone,
        })),
  ]
}

/**
 * Whether one service does all of the first pass, as in a boot that is known: nothing is recorded or built
 * between the mounts and the switch, and nothing else runs.
 */
function isOneService({ safety, indexes, index, machineId, collected }: Plan): boolean {
  const building = indexes.length > 0 && !index.kept
  return !('trial' in safety && safety.trial) && !building && !machineId && !collected
}

/** The command that mounts: generators/steps/stack. `what`: `all`, or `root` if the layers are mounted. */
function stackWords(plan: Plan, root: string, what: 'all' | 'root'): string[] {
  const { etc } = plan
  const isKept = etc.mode === 'persistent'
  const directory = isKept ? changesBeforeSwitch(plan, root) : '-'
  const [state, options] =
    isKept && etc.state ? [root + etc.state, remountOptions(plan.rootOptions)] : ['-', '-']
  return ['/usr/lib/hostext/stack', what, ...[directory, state, options].map(execWord)]
}

/** What comes before the mounts: lines of a unit. */
function beforeStack(plan: Plan): string {
  const wants: string[] = []
  if (plan.indexes.length > 0) wants.push(plan.index.kept ? KEPT_INDEX : 'hostext-index.service')
  // Before the mount, because a file below an overlay must not change
  // (Documentation/filesystems/overlayfs.rst).
  if (plan.machineId) wants.push(MACHINE_ID_SERVICE)
  if (isChecked(plan)) wants.push(CHECK_SERVICE)
  if (wants.length === 0) return ''
  const why = isChecked(plan) ? '# Before the state is remounted writable.\n' : ''
  return `${why}Wants=${wants.join(' ')}\nAfter=${wants.join(' ')}\n`
}

/**
 * Mounts the new root. The switch requires it. (An index that cannot be made, and a layer that does not
 * mount, are missing in the root; the rest has to be there.)
 */
function stackUnit(plan: Plan, words: string[]): UnitFile {
  const count = `${plan.extensions.length} host extension${plan.extensions.length === 1 ? '' : 's'}`
  return {
    path: `normal/${STACK_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Mount the root file system with ${count}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
${runningLimit(plan)}${beforeStack(plan)}
[Service]
Type=oneshot
ExecStart=${words.join(' ')}
${isChecked(plan) ? CHECKED : ''}${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/** Mounts the layers before the indexes are built from them. */
function layersUnit(plan: Plan): UnitFile {
  return {
    path: `normal/${LAYERS_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Mount the host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
${runningLimit(plan)}
[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/stack layers
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/**
 * Sends the output of the system's own units (the check of a disk, the device manager, the data's mount)
 * where it would go anyway, because the journal does not run yet. Without these drop-ins, which apply to all
 * units of a type (systemd.unit(5)), PID 1 warns for each unit that it cannot connect it to the journal. They
 * are in the early directory, so they apply to this pass only. Not to the shell that a failed check of the
 * root opens on the console: a link of that name masks the drop-in.
 */
function quiet(): UnitFile[] {
  const name = '50-hostext.conf'
  return [
    ...['Service', 'Mount'].map((kind) => ({
      path: `early/${kind.toLowerCase()}.d/${name}`,
      text: `# Written by hostext-generator.\n[${kind}]\n# The journal does not run yet.\nStandardOutput=null\n`,
    })),
    { path: `early/emergency.service.d/${name}`, link: '/dev/null' },
  ]
}

export const AWAKE_SERVICE = 'hostext-awake.service'

/**
 * hostext.target in place of the boot's target; all it does is start `service`. Units that the target's links
 * would pull in are masked, because they belong to the normal boot after the switch. `timeout`: seconds that
 * it may take. `isAwake`: whether a service keeps PID 1 awake; else the only service does it itself.
 */
export function takeOver(
  boot: Boot,
  service: string,
  normalDirectory: string,
  { timeout, isOnline = false, isAwake = true }: { timeout: number; isOnline?: boolean; isAwake?: boolean },
): UnitFile[] {
  return [
    {
      path: 'normal/hostext.target',
      text: `# Written by hostext-generator.
[Unit]
Description=Host extensions over the root
Documentation=${DOCUMENTATION}
DefaultDependencies=no
AllowIsolate=yes
RefuseManualStart=yes
${isAwake ? `Wants=${AWAKE_SERVICE}\n` : ''}Requires=${service}
After=${service}
OnFailure=hostext-fallback.service
JobTimeoutSec=${timeout}
`,
    },
    ...(isAwake ? [awakeUnit()] : []),
    takenUnit(boot.target),
    { path: `normal/basic.target.wants/${TAKEN_SERVICE}`, link: `../${TAKEN_SERVICE}` },
    ...quiet(),
    ...boot.pulledIn.map((path) => ({ path: `early/${path}`, link: '/dev/null' })),
    // Once this link exists, the boot starts hostext.target.
    { path: `early/${boot.target}`, link: `${normalDirectory}/hostext.target` },
    // Without that link, PID 1 could not boot with this one.
    ...standStill(boot, isOnline),
  ]
}

/**
 * What keeps the rest of the system from starting with a target that the kernel command line names. Another
 * generator may link any unit to that target, and its links are links of hostext.target then. (Those that are
 * known are masked by their names; systemd 252 starts a unit even if what it requires cannot start.) All but
 * a few units require sysinit.target, unless they say otherwise (systemd.unit(5), DefaultDependencies=);
 * while it is masked, they cannot start. Not for default.target, to which nobody links units: if another
 * generator took its place then, PID 1 would find nothing that it can boot. `isOnline`: the network, which is
 * made of such units, has to start before the switch.
 */
function standStill({ target }: Boot, isOnline: boolean): UnitFile[] {
  return target === 'default.target' || isOnline ? [] : [{ path: 'early/sysinit.target', link: '/dev/null' }]
}

const TAKEN_SERVICE = 'hostext-taken.service'

/**
 * Says that another generator has taken the place of the early target: then the normal boot starts at once,
 * and nothing else would say why nothing is stacked.
 */
function takenUnit(target: string): UnitFile {
  return {
    path: `normal/${TAKEN_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Say that host extensions are not stacked
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
ConditionPathExists=!${RUN_DIRECTORY}/attempted

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/taken ${execWord(target)}
StandardOutput=null
`,
  }
}

/** Wakes PID 1 while it makes the mounts: generators/steps/awake says why. */
function awakeUnit(): UnitFile {
  return {
    path: `normal/${AWAKE_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Keep systemd awake while the file systems are mounted
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes

[Service]
ExecStart=/usr/lib/hostext/awake
${SWITCH_ENDS}
StandardOutput=null
StandardError=null
`,
  }
}

/**
 * Rebuilds the indexes from the files of the root and all extensions. They go into directories that become
 * the uppermost layers of the new root. The new root only wants this service: if it fails, an index is the
 * root's own.
 */
function indexUnit(plan: Plan, overlays: Stack[]): UnitFile {
  const all = overlays.map(({ path, lower }) => `${path}=${kept(plan, path)}${lower}`)
  return {
    path: 'normal/hostext-index.service',
    text: `# Written by hostext-generator.
[Unit]
Description=Rebuild the indexes for host extensions: ${plan.indexes.join(', ')}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Wants=${LAYERS_SERVICE}
After=${LAYERS_SERVICE}

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/index ${plan.indexes.join(',')} ${all.join(' ')}
WorkingDirectory=${RUN_DIRECTORY}
# Nothing else sees its mounts, and they end with it.
PrivateMounts=yes
${MOUNT_ENVIRONMENT}
TimeoutStartSec=${Math.ceil(plan.timeout * 0.75)}
StandardOutput=null
StandardError=append:${INDEX_LOG}
`,
  }
}

const KEPT_INDEX = 'run-hostext-index.mount'

/** Shows the indexes that an earlier boot has made from the same files. */
function keptIndexUnit({ dataRoot, bound }: Plan, name: string): UnitFile {
  return {
    path: `normal/${KEPT_INDEX}`,
    text: `# Written by hostext-generator.
[Unit]
Description=The indexes of an earlier boot of these host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no

[Mount]
${showDirectory(`${dataRoot}/${INDEXES}/${name}`, 'index', bound)}
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
${OVER_FILES}`,
  }
}

/**
 * Kept changes to /etc count for the indexes. They are read from the base root, because the state bind comes
 * later.
 */
function kept({ etc }: Pick<Plan, 'etc'>, path: string): string {
  return path === '/etc' && etc.mode === 'persistent' && etc.kept ? `${CHANGES}/upper:` : ''
}

const MACHINE_ID_SERVICE = 'hostext-machine-id.service'

/**
 * Writes a new machine ID to the disk, as systemd-machine-id-commit.service does on the plain root. In the
 * locked system, a volatile /etc would forget the ID, and every boot would get another one; a persistent one
 * would keep it from the plain root. If this fails, the machine keeps the ID it has for this boot.
 */
function machineIdUnit(plan: Plan, { closeRoot }: { closeRoot: boolean }): UnitFile {
  const check = plan.checkRoot ? `Wants=${CHECK_SERVICE}\nAfter=${CHECK_SERVICE}\n` : ''
  return {
    path: `normal/${MACHINE_ID_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Write the machine ID to the disk
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
${runningLimit(plan)}${check}
[Service]
Type=oneshot
ExecCondition=/bin/sh -c "! systemctl is-failed --quiet ${CHECK_SERVICE}"
ExecStart=mount -o ${execWord(remountOptions(plan.rootOptions))} /
ExecStart=systemd-machine-id-setup --commit
${closeRoot ? 'ExecStopPost=mount -o remount,ro /\n' : ''}StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}
