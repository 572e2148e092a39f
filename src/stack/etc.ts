import type { Index } from '../image/contents.js'
import { listDirectory, type Root, statLink } from '../machine/files.js'

/** `[Root] Etc=`: hostext.conf(5). */
export type EtcSetting = 'auto' | 'read-only' | 'volatile' | 'persistent'

/**
 * What /etc of the locked system is: part of the root; an overlay whose changes are gone at reboot; an overlay
 * whose changes are kept. `state`: the state directory through which the changes are reached before the switch;
 * undefined if they are on a file system of their own. `kept`: there are changes from earlier boots.
 */
export type Etc =
  | { mode: 'read-only' }
  | { mode: 'volatile' }
  | { mode: 'persistent'; state: string | undefined; kept: boolean }

/** Where the changes to a persistent /etc are: upper/ and work/ of an overlay. */
export const CHANGES = '/var/lib/hostext/etc'

/** Where {@link CHANGES} is: in a state directory, on a file system that is mounted, or that will be; whether it is there. */
type Place = { state: string | undefined; mounted: boolean; willBeMounted: boolean; kept: boolean }

/**
 * The mode of /etc. `auto` is volatile where the root would be writable without us. Changes that no writable
 * file system could keep are volatile, with a warning. `wait`: their file system has to be mounted first.
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
    warning: `Etc=persistent: ${CHANGES} is on no writable file system: changes to /etc are lost at reboot`,
  }
}

/** The indexes that kept changes have a say in; those in the changes themselves are removed and made anew. */
export function persistedIndexes(root: Root): Index[] {
  const has = (path: string): boolean => statLink(root, `${CHANGES}/upper/${path}`) !== undefined
  const indexes: Index[] = []
  if (['ld.so.cache', 'ld.so.conf', 'ld.so.conf.d'].some(has)) indexes.push('libraries')
  if (['udev/hwdb.bin', 'udev/hwdb.d'].some(has)) indexes.push('hardware')
  return indexes
}

/** What the first pass reads from the base root, so that a kept change to it has no effect there: one line each. */
export function describeShadowed(root: Root): string[] {
  const changed = ['fstab', 'hostext.conf', 'docker/daemon.json'].filter((path) =>
    statLink(root, `${CHANGES}/upper/${path}`),
  )
  const directory = `${CHANGES}/upper/hostext.conf.d`
  const dropIns = statLink(root, directory)?.isDirectory() ? listDirectory(root, directory) : []
  return [...changed, ...dropIns.map((name) => `hostext.conf.d/${name}`)].map(
    (path) => `/etc/${path} is changed in ${CHANGES}/upper, and stacking goes by that of the base root`,
  )
}
