import { remountOptions } from '../machine/fstab.js'
import { MOUNT_LOG, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { Plan } from '../stack/plan.js'
import type { Mark, Place, Trial } from '../stack/verdict.js'
import { execWord, literal, type UnitFile } from '../text/unit-syntax.js'
import { CHECK_SERVICE, runningLimit } from './check.js'
import { DOCUMENTATION, SWITCH_ENDS } from './layer.js'

export const RECORD_SERVICE = 'hostext-trial.service'
export const WATCH_SERVICE = 'hostext-watch.service'

/**
 * Records, as the last step before the switch, that this stack is on trial. The switch requires it: without a
 * record, a bad stack could fail in every boot for ever.
 */
export function recordUnit(
  plan: Plan,
  { name, attempt, place }: Trial,
  root: string,
  mounts: string[],
): UnitFile {
  const { directory, state } = place
  const needs = [...mounts, ...(plan.checkRoot && state ? [CHECK_SERVICE] : [])]
  const words = state
    ? [name, String(attempt), root + directory, root + state, remountOptions(plan.rootOptions)]
    : [name, String(attempt), directory]
  return {
    path: `normal/${RECORD_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Record that the stack of host extensions is on trial
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
${runningLimit(plan)}Requires=${mounts.join(' ')}
After=${needs.join(' ')}

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/trial ${words.map(execWord).join(' ')}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`,
  }
}

/**
 * How the runtime is started if its run is too short for compiled code, and threads that compile it, to pay
 * off. The stub starts it in the same way, with more that makes a start faster. Without
 * `--no-rehash-snapshot`: that would save a seventh of the start, but then the names of labels have the same
 * hashes in every process, and whoever makes an image can give it labels that collide (docs/design.md,
 * "Fast").
 */
export const RUNTIME_FLAGS = ['--jitless', '--single-threaded', '--v8-pool-size=1']

/** The runtime would end if /etc/ssl/openssl.cnf were damaged, or with options that somebody gives to all. */
const RUNTIME_ENVIRONMENT = 'Environment=OPENSSL_CONF=/dev/null NODE_OPTIONS='

/**
 * Reboots a trial that is not marked good in time. A process and not a timer, because an extension may break
 * PID 1 itself. It starts before the switch and survives it: PID 1 does not kill a process whose name starts
 * with `@` (https://systemd.io/ROOT_STORAGE_DAEMONS), and nothing stops its unit. The same unit serves both
 * passes. Its time begins when the disk is checked: a reboot would only have the check begin anew.
 */
export function watchUnit({ timeout, inContainer }: Trial): UnitFile {
  return {
    path: `early/${WATCH_SERVICE}`,
    text: `# Written by hostext-generator.
[Unit]
Description=Reboot unless the host extensions boot well
Documentation=${DOCUMENTATION}
DefaultDependencies=no
IgnoreOnIsolate=yes
After=${CHECK_SERVICE}

[Service]
Type=exec
# An extension that uses up the memory must not get the watch killed: systemd.exec(5).
OOMScoreAdjust=-1000
${RUNTIME_ENVIRONMENT}
ExecStart=@/usr/lib/hostext/node @hostext-watch ${RUNTIME_FLAGS.join(' ')} /usr/lib/hostext/hostext.cjs watch ${timeout}${inContainer ? ' container' : ''}
${SWITCH_ENDS}
StandardOutput=null
StandardError=null
`,
  }
}

/** Marks the stack good some time after the boot is complete: boot-complete.target in systemd.special(7). */
export function goodUnits({ place, marks, failedUnits, settle }: Mark, target: string): UnitFile[] {
  const words = [place.directory, failedUnits, ...marks.flat()]
  return [
    {
      path: 'early/hostext-good.timer',
      text: `# Written by hostext-generator.
[Unit]
Description=Wait before marking the host extensions good
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Requires=boot-complete.target
After=boot-complete.target ${target}
Conflicts=shutdown.target
Before=shutdown.target

[Timer]
OnActiveSec=${settle}
AccuracySec=1s
`,
    },
    {
      path: 'early/hostext-good.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Mark the host extensions good
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathExists=!${RUN_DIRECTORY}/good

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/good ${words.map(execWord).join(' ')}
StandardOutput=journal
`,
    },
    { path: `early/${target}.wants/hostext-good.timer`, link: '../hostext-good.timer' },
  ]
}

/**
 * Writes the state that is copied in a first boot to the disk. systemd-tmpfiles(8) does not: a power cut soon
 * after would leave names without contents, which no later boot copies again. Nothing waits for it.
 */
export function syncUnits(copied: readonly string[], target: string): UnitFile[] {
  const name = 'hostext-sync.service'
  return [
    {
      path: `early/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Write the state of host extensions to the disk
Documentation=${DOCUMENTATION}
DefaultDependencies=no
After=systemd-tmpfiles-setup.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
TimeoutStartSec=60
ExecStart=-/bin/sync -f ${copied.map(execWord).join(' ')}
`,
    },
    { path: `early/${target}.wants/${name}`, link: `../${name}` },
  ]
}

/** Keeps what this boot has decided for those that follow, when it is over: src/trial/known.ts. */
export function keepUnits({ directory }: Place, target: string): UnitFile[] {
  return [
    {
      path: 'early/hostext-keep.service',
      text: `# Written by hostext-generator.
[Unit]
Description=Keep what was decided about host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
After=${target}
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathExists=${RUN_DIRECTORY}/known

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/keep ${execWord(directory)}
StandardOutput=journal
`,
    },
    { path: `early/${target}.wants/hostext-keep.service`, link: '../hostext-keep.service' },
  ]
}

/** A unit that fails, so that the system is degraded and `systemctl --failed` says why. */
export function rollbackUnits(line: string, target: string): UnitFile[] {
  return [
    {
      path: 'normal/hostext-rollback.service',
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(`Host extensions ${line}`)}
Documentation=${DOCUMENTATION}
Before=getty.target

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/rolled-back
`,
    },
    { path: `normal/${target}.wants/hostext-rollback.service`, link: '../hostext-rollback.service' },
  ]
}
