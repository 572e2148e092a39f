import { at, listDirectory, type Root, statLink } from './files.js'
import type { Index } from './indexes.js'
import { isTmpMasked } from './unit-files.js'

/** Where the changes to a persistent /etc are: upper/ and work/ of an overlay. */
export const CHANGES = '/var/lib/hostext/etc'

/** The changes to /etc that earlier boots have kept. */
export type EtcChanges = {
  /** Whether there are any. */
  kept: boolean
  /** Whether /etc/machine-id is among them. */
  machineId: boolean
  /** Whether tmp.mount is masked with them: {@link isTmpMasked}. */
  masksTmp: boolean
  /** The indexes that have to be rebuilt because what they are made from was changed. */
  indexes: Index[]
  /**
   * Changed files, as paths below /etc, that the first pass reads from the base root. There the change has no
   * effect.
   */
  shadowed: string[]
}

/**
 * The root as the engine of the stacked system finds its settings: with the changes to /etc that are kept.
 */
export function withChanges(root: Root, changes: Pick<EtcChanges, 'kept'> | undefined): Root {
  return changes?.kept ? { ...root, changes: at(root, `${CHANGES}/upper`) } : root
}

/**
 * Reads them. `hasTmp`: the base root has something mounted at /tmp. Throws an Error that names a directory
 * that cannot be read.
 */
export function readEtcChanges(root: Root, hasTmp: boolean): EtcChanges {
  const upper = `${CHANGES}/upper`
  const has = (path: string): boolean => statLink(root, `${upper}/${path}`) !== undefined
  const indexes: Index[] = []
  // Not the indexes themselves, which services of the system write too: a kept copy is removed.
  if (['ld.so.conf', 'ld.so.conf.d'].some(has)) indexes.push('libraries')
  if (has('udev/hwdb.d')) indexes.push('hardware')
  const dropIns = statLink(root, `${upper}/hostext.conf.d`)?.isDirectory()
    ? listDirectory(root, `${upper}/hostext.conf.d`)
    : []
  const kept = statLink(root, upper)?.isDirectory() ?? false
  return {
    kept,
    machineId: has('machine-id'),
    masksTmp: isTmpMasked(withChanges(root, { kept }), hasTmp),
    indexes,
    shadowed: [...['fstab', 'hostext.conf'].filter(has), ...dropIns.map((name) => `hostext.conf.d/${name}`)],
  }
}
