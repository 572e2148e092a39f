import { CHANGES } from '../machine/etc-changes.js'
import { remountOptions } from '../machine/fstab.js'
import { isBelow } from '../machine/mountinfo.js'
import { BASE, INDEX_LOG, MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { Boot, Plan } from '../stack/plan.js'
import { withoutTrailingSlashes } from '../text/path.js'
import { execWord, literal, type UnitFile, unitName } from '../text/unit-syntax.js'
import { INDEXES } from '../trial/indexes.js'
import {
  DOCUMENTATION,
  layerUnitName,
  MOUNT_ENVIRONMENT,
  OVER_FILES,
  SWITCH_ENDS,
  showDirectory,
} from './layer.js'
import { changesBeforeSwitch, type Stack, stackOptions, stackSource, stacks } from './stack.js'
import { RECORD_SERVICE, recordUnit, WATCH_SERVICE, watchUnit } from './trial.js'

/**
 * Where the new root is mounted. A soft-reboot always uses /run/nextroot. A switch-root needs a directory
 * outside /run, because it moves /run into it.
 */
export function nextRoot(softReboot: boolean): string {
  return softReboot ? '/run/nextroot' : '/usr/lib/hostext/nextroot'
}

/**
 * systemd 252 moves the old root to /mnt when it switches, and unmounts everything below that. So what is to
 * be there is bound at another place first, and from there after the switch (units/locked.ts).
 */
export const ASIDE = `${RUN_DIRECTORY}/aside`
export function isTaken({ softReboot }: Pick<Plan, 'softReboot'>, path: string): boolean {
  return !softReboot && isBelow(path, '/mnt')
}

export const STATE = 'State of the base root'
export const CARRIED = 'Mounted by the initrd'
export const BOUND_DATA = "The engine's data, read-only"

/**
 * The units of the first pass on the plain root, except for the layers: they mount the overlays of the new
 * root, bind the state into it, and switch. The first transaction contains nothing else, because the early
 * default target is hostext.target. So no service of the system has started when the root changes.
 */
export function firstPassUnits(plan: Plan, normalDirectory: string): UnitFile[] {
  const root = nextRoot(plan.softReboot)
  const overlays = stacks(plan, root)
  const rootOf = (path: string): string => (isTaken(plan, path) ? ASIDE : root)
  const bind = (path: string, options: string, description: string) =>
    bindUnit(path, rootOf(path), options, description)
  const binds = [
    ...plan.state.map((path) => bind(path, 'bind', STATE)),
    ...plan.carried.map((path) => bind(path, 'bind', CARRIED)),
    ...plan.boundData.map((path) => bind(path, 'bind,ro', BOUND_DATA)),
    // It has set-uid programs that the root may hide.
    ...basePlaces(plan).map((path) => bindUnit(path, root, 'bind,ro,nosuid,nodev', 'Base root', BASE + path)),
  ]
  const mounts = [
    ...overlays.map(({ path }) => unitName(root + path, 'mount')),
    ...binds.map(({ name }) => name),
  ]
  const trial = 'trial' in plan.safety ? plan.safety.trial : undefined
  const needs = trial ? [...mounts, RECORD_SERVICE] : mounts

  return [
    ...overlays.map((stack) => stackUnit(stack, plan, root)),
    ...binds.map(({ file }) => file),
    ...(plan.indexes.length > 0
      ? [plan.index.kept ? keptIndexUnit(plan, plan.index.kept) : indexUnit(plan, overlays)]
      : []),
    ...(plan.etc.mode === 'persistent' ? [changesUnit(plan, root)] : []),
    ...(plan.machineId ? [machineIdUnit(plan, plan.machineId)] : []),
    ...(trial ? [recordUnit(plan, trial, rootOf(trial.place.directory), mounts), watchUnit(trial)] : []),
    {
      path: 'normal/hostext-switch.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Switch to the root with host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Requires=${needs.join(' ')}
${trial ? `Wants=${WATCH_SERVICE}\n` : ''}After=${[...needs, ...(trial ? [WATCH_SERVICE] : [])].join(' ')}
${plan.collected ? `OnFailure=hostext-fallback.service\nJobTimeoutSec=${plan.timeout}` : 'RefuseManualStart=yes'}

[Service]
Type=oneshot
${SWITCH_ENDS}
ExecStart=/usr/lib/hostext/switch ${[plan.softReboot ? 'soft-reboot' : 'switch-root', root, ...plan.closedBeforeSwitch].join(' ')}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
    },
    // If the data had to be mounted first, hostext.target belongs to that step: see units/collect.ts.
    ...(plan.collected ? quiet() : takeOver(plan, 'hostext-switch.service', normalDirectory)),
  ]
}

/**
 * Sends the output of the system's own units (the check of a disk, the device manager, the data's mount)
 * where it would go anyway, because the journal does not run yet. Without these drop-ins, which apply to all
 * units of a type (systemd.unit(5)), PID 1 warns for each unit that it cannot connect it to the journal. They
 * are in the early directory, so they apply to this pass only.
 */
function quiet(): UnitFile[] {
  return ['Service', 'Mount'].map((kind) => ({
    path: `early/${kind.toLowerCase()}.d/50-hostext.conf`,
    text: `# Written by hostext-generator.\n[${kind}]\n# The journal does not run yet.\nStandardOutput=null\n`,
  }))
}

export const AWAKE_SERVICE = 'hostext-awake.service'

/**
 * hostext.target in place of the boot's target; all it does is start `service`. Units that the target's links
 * would pull in are masked, because they belong to the normal boot after the switch. `timeout`: seconds that
 * it may take.
 */
export function takeOver(
  boot: Boot,
  service: string,
  normalDirectory: string,
  timeout = boot.timeout,
  isOnline = false,
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
Wants=${AWAKE_SERVICE}
Requires=${service}
After=${service}
OnFailure=hostext-fallback.service
JobTimeoutSec=${timeout}
`,
    },
    awakeUnit(),
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

/** What the locked system shows of the base root: the root, and a /usr that is mounted on it. */
export function basePlaces({ showsBase, separateUsr }: Pick<Plan, 'showsBase' | 'separateUsr'>): string[] {
  if (!showsBase) return []
  return separateUsr ? ['/', '/usr'] : ['/']
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

/** The mount unit of an overlay of the new root. */
function stackUnit(stack: Stack, plan: Plan, root: string): UnitFile {
  const layers = plan.extensions.map((_, index) => layerUnitName(index)).join(' ')
  const count = `${plan.extensions.length} host extension${plan.extensions.length === 1 ? '' : 's'}`
  const wants = [layers]
  if (plan.indexes.length > 0) wants.push(plan.index.kept ? KEPT_INDEX : 'hostext-index.service')
  const more: string[] = []
  // Before the mount, because a file below an overlay must not change
  // (Documentation/filesystems/overlayfs.rst).
  if (plan.machineId) wants.push(MACHINE_ID_SERVICE)
  if (stack.path === '/' && plan.checkRoot && plan.state.length > 0) {
    more.push('# The locked system remounts the state writable, so the disk is checked before that.')
    wants.push('systemd-fsck-root.service')
  }
  if (stack.path === '/etc' && plan.etc.mode === 'persistent')
    more.push('Requires=hostext-changes.service', 'After=hostext-changes.service')
  return {
    path: `normal/${unitName(root + stack.path, 'mount')}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${stack.path === '/' ? 'Root file system' : stack.path} with ${count}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
${[...more, `Wants=${wants.join(' ')}`, `After=${wants.join(' ')}`].join('\n')}

[Mount]
What=${stackSource(stack)}
Where=${root}${stack.path === '/' ? '' : stack.path}
Type=overlay
Options=${stackOptions(stack)}
WorkingDirectory=${RUN_DIRECTORY}
${MOUNT_ENVIRONMENT}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
${stack.path === '/' ? '' : OVER_FILES}`,
  }
}

/**
 * Rebuilds the indexes from the files of the root and all extensions. They go into directories that become
 * the uppermost layers of the new root. The overlays only want this service: if it fails, an index is the
 * root's own.
 */
function indexUnit(plan: Plan, overlays: Stack[]): UnitFile {
  const layers = plan.extensions.map((_, index) => layerUnitName(index)).join(' ')
  const all = overlays.map(({ path, lower }) => `${path}=${kept(plan, path)}${lower}`)
  return {
    path: 'normal/hostext-index.service',
    text: `# Written by hostext-generator.
[Unit]
Description=Rebuild the indexes for host extensions: ${plan.indexes.join(', ')}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Wants=${layers}
After=${layers}

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
function machineIdUnit(
  { checkRoot, rootOptions }: Pick<Plan, 'checkRoot' | 'rootOptions'>,
  { closeRoot }: { closeRoot: boolean },
): UnitFile {
  const check = checkRoot ? `Wants=systemd-fsck-root.service\nAfter=systemd-fsck-root.service\n` : ''
  return {
    path: `normal/${MACHINE_ID_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Write the machine ID to the disk
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
${check}
[Service]
Type=oneshot
ExecStart=mount -o ${execWord(remountOptions(rootOptions))} /
ExecStart=systemd-machine-id-setup --commit
${closeRoot ? 'ExecStopPost=mount -o remount,ro /\n' : ''}StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/**
 * Creates the directories for a persistent /etc. If they are on the base root's file system, it is made
 * writable first.
 */
function changesUnit(plan: Plan, root: string): UnitFile {
  const state = plan.etc.mode === 'persistent' ? plan.etc.state : undefined
  const needs: string[] = []
  if (state) needs.push(unitName(root + state, 'mount'))
  const check = plan.checkRoot && state ? ['systemd-fsck-root.service'] : []
  const words = [
    changesBeforeSwitch(plan, root),
    ...(state ? [root + state, remountOptions(plan.rootOptions)] : []),
  ]
  return {
    path: 'normal/hostext-changes.service',
    text: `# Written by hostext-generator.
[Unit]
Description=Prepare the directories for persistent changes to /etc
Documentation=${DOCUMENTATION}
DefaultDependencies=no
${state ? `Requires=${needs.join(' ')}\n` : ''}${check.length > 0 ? `Wants=${check.join(' ')}\n` : ''}${state ? `After=${[...needs, ...check].join(' ')}\n` : ''}
[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/changes ${words.map(execWord).join(' ')}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/** A bind mount of a directory of the base root in the new root. */
function bindUnit(
  path: string,
  root: string,
  options: string,
  description: string,
  where = path,
): { name: string; file: UnitFile } {
  const name = unitName(root + where, 'mount')
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
Where=${literal(withoutTrailingSlashes(root + where))}
Type=none
Options=${options}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
${OVER_FILES}`,
    },
  }
}
