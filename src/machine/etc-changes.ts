import { listDirectory, type Root, statLink } from './files.js'
import type { Index } from './indexes.js'

/** Where the changes to a persistent /etc are: upper/ and work/ of an overlay. */
export const CHANGES = '/var/lib/hostext/etc'

/** What there is of changes that earlier boots have kept. */
export type EtcChanges = {
  /** There are any. */
  kept: boolean
  /** /etc/machine-id is among them. */
  machineId: boolean
  /** The indexes that they have a say in; those in the changes themselves are removed and made anew. */
  indexes: Index[]
  /**
   * Files that the first pass reads from the base root, so that a kept change to them has no effect there: paths
   * below /etc.
   */
  shadowed: string[]
}

/** Reads what there is. Throws an Error that names a directory which cannot be read. */
export function readEtcChanges(root: Root): EtcChanges {
  const upper = `${CHANGES}/upper`
  const has = (path: string): boolean => statLink(root, `${upper}/${path}`) !== undefined
  const indexes: Index[] = []
  if (['ld.so.cache', 'ld.so.conf', 'ld.so.conf.d'].some(has)) indexes.push('libraries')
  if (['udev/hwdb.bin', 'udev/hwdb.d'].some(has)) indexes.push('hardware')
  const dropIns = statLink(root, `${upper}/hostext.conf.d`)?.isDirectory()
    ? listDirectory(root, `${upper}/hostext.conf.d`)
    : []
  return {
    kept: statLink(root, upper)?.isDirectory() ?? false,
    machineId: has('machine-id'),
    indexes,
    shadowed: [
      ...['fstab', 'hostext.conf', 'docker/daemon.json'].filter(has),
      ...dropIns.map((name) => `hostext.conf.d/${name}`),
    ],
  }
}
