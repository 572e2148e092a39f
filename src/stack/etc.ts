import type { EtcSetting } from '../machine/configuration.js'
import { CHANGES } from '../machine/etc-changes.js'

/**
 * What /etc of the locked system is: part of the root, an overlay whose changes are lost at reboot, or an
 * overlay whose changes are kept. `state`: the state directory that contains the changes before the switch;
 * undefined if they are on a file system of their own. `kept`: there are changes from earlier boots.
 */
export type Etc =
  | { mode: 'read-only' }
  | { mode: 'volatile' }
  | { mode: 'persistent'; state: string | undefined; kept: boolean }

/**
 * Where {@link CHANGES} is: in a state directory, or on a file system that is or will be mounted; whether it
 * exists.
 */
type Place = { state: string | undefined; mounted: boolean; willBeMounted: boolean; kept: boolean }

/**
 * Chooses the mode of /etc. `auto` is volatile if the root would be writable without us. If no writable file
 * system can keep the changes, /etc is volatile, with a warning. `wait`: their file system has to be mounted
 * first.
 */
export function chooseEtc(
  setting: EtcSetting,
  rootWritable: boolean,
  { state, mounted, willBeMounted, kept }: Place,
): { etc: Etc; wait?: true; warning?: string } {
  if (setting === 'auto') return { etc: { mode: rootWritable ? 'volatile' : 'read-only' } }
  if (setting !== 'persistent') return { etc: { mode: setting } }
  if (state || mounted) return { etc: { mode: 'persistent', state, kept } }
  const etc: Etc = { mode: 'volatile' }
  if (willBeMounted) return { etc, wait: true }
  return {
    etc,
    warning: `Etc=persistent: ${CHANGES} is not on a writable file system: changes to /etc are lost at reboot`,
  }
}

/** The warning about a kept change that has no effect on stacking; `path` is below /etc. */
export function describeShadowed(path: string): string {
  return `/etc/${path} is changed in ${CHANGES}/upper, but the decision uses the base root's file`
}
