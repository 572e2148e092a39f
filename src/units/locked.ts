import { CONTAINER_LISTS, DEFAULT_DATA_ROOTS } from '../engine/places.js'
import { remountOptions } from '../machine/fstab.js'
import { BASE, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { PlannedOverlay } from '../stack/overlays.js'
import type { Plan } from '../stack/plan.js'
import { withoutTrailingSlashes } from '../text/path.js'
import { printable } from '../text/printable.js'
import { execWord, literal, type UnitFile, unitName } from '../text/unit-syntax.js'
import { dropIn } from './drop-in.js'
import { AWAKE_SERVICE, BOUND_DATA, CARRIED, STATE } from './first-pass.js'
import {
  DOCUMENTATION,
  layersAgain,
  layersAgainUnits,
  MOUNT_ENVIRONMENT,
  OVER_FILES,
  SWITCH_ENDS,
} from './layer.js'
import { leftOutUnits, REPORT_SERVICE } from './left-out.js'
import { ASIDE, basePlaces, isTaken } from './mounts.js'
import { packageUnits } from './packages.js'
import { stackOptions, stackSource, stacks } from './stack.js'
import { goodUnits, keepUnits, rollbackUnits, syncUnits, watchUnit } from './trial.js'

/** How many extensions a description names; the rest are only counted. */
const NAMED = 8

/**
 * The units of the locked system, except for the layers: units that show the stack, and drop-ins for services
 * that would remount, check or grow the root.
 */
export function lockedUnits(plan: Plan): UnitFile[] {
  const layers = layersAgain(plan)
  const leftOut = leftOutUnits(plan.leftOut)
  const files: UnitFile[] = [
    ...layersAgainUnits(plan),
    {
      path: 'normal/hostext.target',
      text: `# Written by hostext-generator.
[Unit]
Description=Host extensions: ${literal(story(plan))}
Documentation=${DOCUMENTATION}
Wants=${[...layers, ...leftOut.names].join(' ')}
After=${layers.join(' ')}
${plan.online.length > 0 ? '# Not before local-fs.target: the layers wait for the network, which comes after that.' : 'Before=local-fs.target'}
# The layers would stop with it: it stays to the end, like the root.
DefaultDependencies=no
RefuseManualStop=yes
IgnoreOnIsolate=yes
`,
    },
    ...leftOut.files,
    ...(hasNews(plan)
      ? [
          {
            path: `normal/hostext.target.wants/${REPORT_SERVICE}`,
            link: `/usr/lib/systemd/system/${REPORT_SERVICE}`,
          },
        ]
      : []),
    { path: 'normal/local-fs.target.wants/hostext.target', link: '../hostext.target' },
    dropIn(
      '-.mount',
      `[Unit]
Description=Root file system, locked by hostext (read-only until shutdown), with ${literal(stackedNames(plan))}
Documentation=${DOCUMENTATION}
`,
    ),
    remountDropIn(plan),
    dropIn(
      'systemd-fsck-root.service',
      `[Unit]
# An overlay has no device to check; the base root was checked before the switch.
ConditionPathExists=!/run/hostext
`,
    ),
    ...growDropIns(plan),
    ...trimDropIn(plan),
    ...updateDropIns(plan),
    ...plan.state.map((path) => stateUnit(plan, path)),
    ...takenUnits(plan),
    ...plan.overlays.map((overlay) => plannedOverlay(overlay, plan)),
    ...plan.swapFiles.map((path) =>
      dropIn(
        unitName(path, 'swap'),
        '[Unit]\n# It is on the file system that is made writable there.\nAfter=systemd-remount-fs.service\n',
      ),
    ),
    ...basePlaces(plan).map((path) =>
      stateUnit(plan, path, withoutTrailingSlashes(BASE + path), 'bind,ro,nosuid,nodev'),
    ),
    ...overlayUnits(plan),
    ...firstPassServices(plan),
    ...packageUnits(plan),
    ...safetyUnits(plan),
    ...watchedUnits(plan),
    // What this boot has built is kept for the next one.
    ...(plan.index.key !== undefined && !plan.index.kept
      ? [
          {
            path: `normal/${plan.target}.wants/hostext-prepare.service`,
            link: '/usr/lib/systemd/system/hostext-prepare.service',
          },
        ]
      : []),
  ]
  if (plan.state.length > 0) {
    files.push({
      path: 'normal/local-fs.target.wants/systemd-remount-fs.service',
      link: '/usr/lib/systemd/system/systemd-remount-fs.service',
    })
  }
  files.push(...dataUnits(plan))
  if (plan.tmp) files.push(...tmpUnits())
  return files
}

/** generators/steps/hostext-prepare.path says why. */
const WATCHED = '/proc/1/root'

/** The shipped path unit watches the usual data roots only. */
function watchedUnits({ enginePlace }: Pick<Plan, 'enginePlace'>): UnitFile[] {
  if (DEFAULT_DATA_ROOTS.includes(enginePlace)) return []
  const watched = CONTAINER_LISTS.map((name) => `PathChanged=${WATCHED}${literal(enginePlace)}/${name}\n`)
  return [dropIn('hostext-prepare.path', `[Path]\n${watched.join('')}`)]
}

/** Whether there is anything that the journal should have: report/journal.ts. */
function hasNews({ safety, leftOut }: Plan): boolean {
  return leftOut.length > 0 || safety.kind !== 'known'
}

function safetyUnits({ safety, target, copied }: Pick<Plan, 'safety' | 'target' | 'copied'>): UnitFile[] {
  const trial = 'trial' in safety ? safety.trial : undefined
  // If rollback is off, any boot may be the first one of a stack.
  const mayBeFirst = trial || (safety.kind === 'known' && !safety.keep && !safety.mark)
  return [
    ...(mayBeFirst && copied.length > 0 ? syncUnits(copied, target) : []),
    ...(trial ? [watchUnit(trial), ...goodUnits(trial, target)] : []),
    ...(safety.kind === 'known' && safety.mark ? goodUnits(safety.mark, target) : []),
    ...(safety.kind === 'known' && safety.keep ? keepUnits(safety.keep, target) : []),
    ...(safety.kind === 'restored' ? rollbackUnits(safety.line, target) : []),
  ]
}

/**
 * The services of the first pass that the switch may stop before their commands end. PID 1 learns about this
 * in the second pass. Without a unit file it would count as a failure.
 */
function firstPassServices({ collected }: Pick<Plan, 'collected'>): UnitFile[] {
  const services = [
    'hostext-switch.service',
    AWAKE_SERVICE,
    ...(collected ? ['hostext-collect.service'] : []),
  ]
  return services.map((name) => ({
    path: `normal/${name}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Switch to the root with host extensions (done in the first pass)
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes

[Service]
Type=oneshot
${SWITCH_ENDS}
ExecStart=/bin/true
`,
  }))
}

/** `gpu, wifi, zram`: the names of the first few. */
function names(list: readonly string[]): string {
  const more = list.length - NAMED
  const shown = list.slice(0, NAMED).map((name) => printable(name, 60))
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function stackedNames({ extensions }: Pick<Plan, 'extensions'>): string {
  return names(extensions.map(({ container }) => container.name))
}

/** What `systemctl status hostext.target` says first. */
function story({ extensions, leftOut, safety }: Plan): string {
  const trial = 'trial' in safety && safety.trial ? `; on trial (boot ${safety.trial.attempt})` : ''
  const back = safety.kind === 'restored' ? '; the last good stack, in the place of another one' : ''
  const out = leftOut.map(({ who, container }) => container?.name ?? who)
  return `${stackedNames({ extensions })}${out.length > 0 ? `; left out: ${names(out)}` : ''}${back}${trial}`
}

/**
 * Describes the bind mount that the first pass made. A unit file and not a drop-in, because systemd (252,
 * 257) reads no drop-ins for a mount that it only knows from mountinfo.
 */
function stateUnit(
  plan: Pick<Plan, 'softReboot'>,
  path: string,
  where = path,
  options = 'bind',
  description = STATE,
): UnitFile {
  const isAgain = isTaken(plan, where)
  return {
    path: `normal/${unitName(where, 'mount')}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(`${path === where ? description : 'Base root'}: ${path}`)}
Documentation=${DOCUMENTATION}
# Stays mounted until the last step of the shutdown, which remounts it read-only: the overlay holds the
# file system, and unmounting it earlier would leave it dirty.
DefaultDependencies=no
${isAgain ? 'Before=local-fs-pre.target systemd-remount-fs.service\n' : ''}
[Mount]
What=${literal(isAgain ? ASIDE + path : path)}
Where=${literal(where)}
Type=none
Options=${options}
`,
  }
}

/** What the switch of systemd 252 takes away is bound again: see isTaken(). */
function takenUnits(plan: Plan): UnitFile[] {
  const others = [
    ...plan.carried.map((path) => ({ path, options: 'bind', description: CARRIED })),
    ...plan.boundData.map((path) => ({ path, options: 'bind,ro', description: BOUND_DATA })),
  ].filter(({ path }) => isTaken(plan, path))
  const taken = [...plan.state.filter((path) => isTaken(plan, path)), ...others.map(({ path }) => path)]
  return [
    ...others.map(({ path, options, description }) => stateUnit(plan, path, path, options, description)),
    ...taken
      .map((path) => unitName(path, 'mount'))
      .map((name) => ({
        path: `normal/local-fs.target.wants/${name}`,
        link: `../${name}`,
      })),
  ]
}

/** The layers of an overlay of the machine's own: see PlannedOverlay. */
function plannedOverlay({ mount, options }: PlannedOverlay, plan: Plan): UnitFile {
  const layers = layersAgain(plan).join(' ')
  return dropIn(
    unitName(mount.mountPoint, 'mount'),
    `[Unit]
# The stacked root is two overlays deep, so its layers take its place: ${literal(printable(mount.from))}
Wants=${layers}
After=${layers}

[Mount]
Options=${literal(options.join(','))}
${MOUNT_ENVIRONMENT}
`,
  )
}

/** Describes /etc and /usr if they are overlays of their own; the first pass has mounted them. */
function overlayUnits(plan: Plan): UnitFile[] {
  const overlays = stacks(plan, '').filter(({ path }) => path !== '/')
  return overlays.map((stack) => {
    const description = `${stack.path} with host extensions${stack.upper ? `, ${plan.etc.mode}` : ''}`
    if (stack.path === '/usr' && plan.separateUsr && plan.separateUsr.hasUnit) {
      return dropIn('usr.mount', `[Unit]\nDescription=${description}\nDocumentation=${DOCUMENTATION}\n`)
    }
    return {
      path: `normal/${unitName(stack.path, 'mount')}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${description}
Documentation=${DOCUMENTATION}
# Stays mounted until the last step of the shutdown, like the root and its state.
DefaultDependencies=no
RefuseManualStart=yes
RefuseManualStop=yes

[Mount]
What=${stackSource(stack)}
Where=${stack.path}
Type=overlay
Options=${stackOptions(stack)}
WorkingDirectory=${RUN_DIRECTORY}
`,
    }
  })
}

/**
 * systemd updates /etc after an update of /usr, which it detects by time stamps that extensions change
 * (ConditionNeedsUpdate= in systemd.unit(5)). Extensions do not need these services: their indexes are
 * rebuilt before the switch, and their users are created in any case. So if the root itself is up to date,
 * the services are skipped.
 */
function updateDropIns({ sysusers, upToDate, etc }: Pick<Plan, 'sysusers' | 'upToDate' | 'etc'>): UnitFile[] {
  const files: UnitFile[] = []
  if (sysusers && etc.mode !== 'read-only') {
    files.push(
      dropIn(
        'systemd-sysusers.service',
        `[Unit]
# Extensions ship users: create them whatever the condition says.
ConditionNeedsUpdate=
`,
      ),
      {
        path: 'normal/sysinit.target.wants/systemd-sysusers.service',
        link: '/usr/lib/systemd/system/systemd-sysusers.service',
      },
    )
  }
  const skipped = ['systemd-hwdb-update.service', 'ldconfig.service']
  if (!sysusers) skipped.push('systemd-sysusers.service')
  if (upToDate) {
    for (const unit of skipped) {
      files.push(
        dropIn(unit, `[Unit]\n# The root has no update to apply.\nConditionPathExists=!${RUN_DIRECTORY}\n`),
      )
    }
  }
  return files
}

/**
 * systemd-remount-fs(8) would fail on the root. A drop-in does its work with explicit commands: fstab's
 * options for the root are applied to the state that takes its place, and the other mounts are remounted as
 * usual.
 */
function remountDropIn(plan: Plan): UnitFile {
  const { state, remount } = plan
  const options = remountOptions(plan.rootOptions)
  const words = [options, ...state, '--', ...remount]
  return dropIn(
    'systemd-remount-fs.service',
    words.length > 2
      ? `[Unit]
Description=Remount State and Kernel File Systems
${state.length > 0 ? `After=${state.map((path) => unitName(path, 'mount')).join(' ')}\n` : ''}
[Service]
ExecStart=
ExecStart=/usr/lib/hostext/remount ${words.map(execWord).join(' ')}
`
      : `[Unit]
# The root is locked, and fstab has nothing else to remount.
ConditionPathExists=!/run/hostext
`,
  )
}

/** What systemd adds for a mount that needs the network: systemd.mount(5), "Default Dependencies". */
const AFTER_NETWORK = `Wants=network-online.target
After=remote-fs-pre.target network.target network-online.target
Before=remote-fs.target
`

/**
 * The layers keep the file systems they are on busy. If such a file system were unmounted at shutdown, it
 * would stay writable although nothing could reach it any more, and the disk would be left dirty. So it stays
 * mounted until the last step of the shutdown, like the state. Its check service would stop at shutdown and
 * stop the mount with it, so it is replaced; the check itself was done before the switch. What the initrd has
 * mounted gets a unit file, see {@link stateUnit}.
 */
function dataUnits(plan: Plan): UnitFile[] {
  const { dataMounts, online, checkedDevices, carried, state, overlays } = plan
  const keep = (path: string): UnitFile | [] => {
    if (state.includes(path)) return []
    if (carried.includes(path)) return isTaken(plan, path) ? [] : stateUnit(plan, path, path, 'bind', CARRIED)
    return dropIn(
      unitName(path, 'mount'),
      `[Unit]
# The stack keeps its file system busy: it stays mounted until the last step of the shutdown.
DefaultDependencies=no
${online.includes(path) ? AFTER_NETWORK : 'After=local-fs-pre.target\nBefore=local-fs.target\n'}`,
      // An overlay of the machine may have one already.
      overlays.some(({ mount }) => mount.mountPoint === path) ? 51 : 50,
    )
  }
  return [
    ...dataMounts.flatMap(keep),
    ...checkedDevices.map((device) => ({
      path: `normal/${unitName(device, 'service', 'systemd-fsck@')}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(`File system check of ${printable(device)}, done before the switch`)}
Documentation=${DOCUMENTATION}
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
# Not the slice of the template, which stops at shutdown and would stop this unit too.
Slice=system.slice
`,
    })),
  ]
}

/**
 * x-systemd.growfs on the root: the file system is grown through the state, which is on it. The unit has two
 * names: the systemd-fstab-generator of 252 makes it an instance of the template for other file systems.
 */
function growDropIns(plan: Pick<Plan, 'state' | 'swapFiles'>): UnitFile[] {
  const directory = findOnRoot(plan)
  const text =
    directory !== undefined
      ? `[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-growfs ${execWord(directory)}
`
      : `[Unit]
# No part of the file system is mounted writable.
ConditionPathExists=!/run/hostext
`
  return ['systemd-growfs-root.service', 'systemd-growfs@-.service'].map((unit) => dropIn(unit, text))
}

/** A directory on the file system of the root that stays writable. */
function findOnRoot({ state, swapFiles }: Pick<Plan, 'state' | 'swapFiles'>): string | undefined {
  return state.find((path) => !swapFiles.includes(path))
}

/**
 * fstrim(8) takes the root from fstab, where it finds an overlay now, and the state is not in fstab. So it is
 * called once more, with the state. Where it fails or there is none (`-`), the service is what it was. (With
 * a second ExecStart=, systemd would refuse a service that is not of Type=oneshot.)
 */
function trimDropIn(plan: Pick<Plan, 'state' | 'swapFiles'>): UnitFile[] {
  const directory = findOnRoot(plan)
  if (directory === undefined) return []
  const command = `ExecStartPost=-fstrim --quiet-unsupported ${execWord(directory)}`
  return [dropIn('fstrim.service', `[Service]\n${command}\n`)]
}

/** A writable /tmp, unless the system has its own unit for it: the late directory has the lowest priority. */
function tmpUnits(): UnitFile[] {
  return [
    {
      path: 'late/tmp.mount',
      text: `# Written by hostext-generator: /tmp was on the root, which is locked now.
[Unit]
Description=Temporary Directory /tmp
Documentation=${DOCUMENTATION}
ConditionPathIsSymbolicLink=!/tmp
DefaultDependencies=no
Conflicts=umount.target
Before=local-fs.target umount.target
After=swap.target

[Mount]
What=tmpfs
Where=/tmp
Type=tmpfs
Options=mode=1777,strictatime,nosuid,nodev,size=50%%,nr_inodes=1m
${OVER_FILES}`,
    },
    { path: 'normal/local-fs.target.wants/tmp.mount', link: '../../generator.late/tmp.mount' },
  ]
}
