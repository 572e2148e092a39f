import type { EtcSetting } from '../machine/configuration.js'
import { CHANGES, type EtcChanges } from '../machine/etc-changes.js'
import type { Machine } from '../machine/machine.js'
import { isBelow, isMountedWritable, mountOf } from '../machine/mountinfo.js'
import { isRemote, type PlannedMount } from '../machine/planned.js'
import type { Message } from '../text/log.js'
import { hasWritableRoot, type RootFacts } from './state.js'

/**
 * What /etc of the locked system is: part of the root, a mount of the machine's own, an overlay whose changes
 * are lost at reboot, or an overlay whose changes are kept. `state`: the state directory that contains the
 * changes before the switch; undefined if they are on a file system of their own. `kept`: there are changes
 * from earlier boots.
 */
export type Etc =
  | { mode: 'read-only' }
  /** The machine itself mounts something there. */
  | { mode: 'mounted' }
  | { mode: 'volatile' }
  | { mode: 'persistent'; state: string | undefined; kept: boolean }

/**
 * Where {@link CHANGES} is: in a state directory, or on a file system that is or will be mounted; of which
 * type; whether it exists.
 */
export type Place = {
  state: string | undefined
  mounted: boolean
  willBeMounted: boolean
  type: string | undefined
  kept: boolean
}

/** Finds that place. `unmounted`: the mount that it will be on, which is not there yet. */
export function findChangesPlace(
  { mounts, collected, etcChanges }: Pick<Machine, 'mounts' | 'collected' | 'etcChanges'>,
  state: readonly string[],
  unmounted: PlannedMount | undefined,
): Place {
  const mount = mountOf(mounts, CHANGES)
  const where = mount?.mountPoint ?? '/'
  return {
    // State is bound without what is mounted below it.
    state: unmounted ? undefined : state.find((path) => isBelow(CHANGES, path) && isBelow(path, where)),
    mounted: where !== '/' && isMountedWritable(mount) && !unmounted,
    willBeMounted: unmounted !== undefined && !isRemote(unmounted) && !collected,
    type: mount?.type,
    kept: etcChanges?.kept ?? false,
  }
}

/**
 * File systems that forget, and those that an overlay cannot have its upper directory on
 * (Documentation/filesystems/overlayfs.rst: extended attributes, file types in directories, no NFS).
 */
const UNFIT_TYPES = [
  'tmpfs',
  'ramfs',
  'overlay',
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  '9p',
  'vfat',
  'exfat',
  'ntfs3',
]

/** Whether changes to /etc are kept, as far as there is a place for them: `Etc=` in hostext.conf(5). */
export function keepsEtc(machine: Pick<Machine, RootFacts | 'configuration'>): boolean {
  const { etc } = machine.configuration
  return etc === 'persistent' || (etc === 'auto' && hasWritableRoot(machine))
}

/**
 * Chooses the mode of /etc. `auto` is persistent if the root would be writable without us, as people expect
 * of such a root. If no file system can keep the changes, /etc is volatile, and `lost` says so. `wait`: their
 * file system has to be mounted first. `ownMount`: what mounts something at /etc, before PID 1 or later; then
 * that is what keeps the changes.
 */
export function chooseEtc(
  setting: EtcSetting,
  rootWritable: boolean,
  { state, mounted, willBeMounted, type, kept }: Place,
  ownMount?: string,
): { etc: Etc; wait?: true; lost?: Message } {
  if (ownMount !== undefined) {
    const text = `Etc=${setting}: ${ownMount} mounts /etc, which stays as it is`
    return { etc: { mode: 'mounted' }, ...(setting !== 'auto' && { lost: { level: 'warning', text } }) }
  }
  const mode = setting === 'auto' ? (rootWritable ? 'persistent' : 'read-only') : setting
  if (mode !== 'persistent') return { etc: { mode } }
  const etc: Etc = { mode: 'volatile' }
  if (willBeMounted) return { etc, wait: true }
  const isUnfit = type !== undefined && UNFIT_TYPES.includes(type)
  if ((state || mounted) && !isUnfit) return { etc: { mode, state, kept } }
  const why = isUnfit ? `on ${type}, which cannot keep them` : 'not on a writable file system'
  // Nobody asked for `auto`, but nobody expects it either.
  const level = setting === 'auto' ? 'notice' : 'warning'
  return { etc, lost: { level, text: `changes to /etc are lost at reboot: ${CHANGES} is ${why}` } }
}

/**
 * Which of `state` give way to a mount unit that was changed on the stacked machine: what is bound already
 * would not be mounted by its unit. Not where that would hide something `needed`, or the changes.
 */
export function findMountedLater(
  { units }: Pick<EtcChanges, 'units'>,
  state: readonly string[],
  needed: readonly string[],
): string[] {
  return state.filter(
    (path) =>
      units.some(({ place, isMounted }) => isMounted && place === path) &&
      ![CHANGES, ...needed].some((other) => isBelow(other, path)),
  )
}

/**
 * The kept changes that stacking does not see, below /etc. Of units only those that mount something at, above
 * or below one of `looked`, and not at `mountedLater`: elsewhere, as for snaps, it is as it would be.
 */
export function findShadowed(
  { shadowed, units }: Pick<EtcChanges, 'shadowed' | 'units'>,
  looked: readonly string[],
  mountedLater: readonly string[],
): string[] {
  const concerns = (place: string): boolean =>
    !mountedLater.includes(place) && looked.some((path) => isBelow(path, place) || isBelow(place, path))
  const files = units.flatMap(({ file, place }) => (place === undefined || concerns(place) ? file : []))
  return [...shadowed, ...files]
}

/** The warning about a kept change that has no effect on stacking; `path` is below /etc. */
export function describeShadowed(path: string): string {
  return `/etc/${path} is changed in ${CHANGES}/upper, but the decision uses the base root's file`
}
