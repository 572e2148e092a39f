import { mountPointOf } from '../text/unit-syntax.js'
import { at, listDirectory, type Root, statLink } from './files.js'
import type { Index } from './indexes.js'
import { isTmpMasked, list, readUnit } from './unit-files.js'

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
  /** The same of units for mounts and swap, and of the links that start them. */
  units: UnitChange[]
}

/**
 * `place`: where the unit mounts something; undefined for swap. `isMounted`: that is a possible directory of
 * state, and the second pass mounts it for sure: a changed link has a boot start it, and it has no condition.
 */
export type UnitChange = { file: string; place?: string; isMounted: boolean }

/** The directories with links of what every boot starts. */
const STARTS = /^(?:local-fs|remote-fs|multi-user|graphical|default)\.target\.(?:wants|requires|upholds)$/

/** Without the units of devices, and of the kernel's file systems, on which no decision depends. */
const UNIT = /^(?!(?:dev|proc|run|sys|tmp)[-.])(.+)\.(?:(?:auto)?mount|swap)(?:\.d)?$/

/**
 * The root as the engine of the stacked system finds its settings: with the changes to /etc that are kept.
 */
export function withChanges(root: Root, changes: Pick<EtcChanges, 'kept'> | undefined): Root {
  return changes?.kept ? { ...root, changes: at(root, `${CHANGES}/upper`) } : root
}

/**
 * Reads them. `hasTmp`: the base root has something mounted at /tmp. `state`: the possible directories of
 * state. Throws an Error that names a directory that cannot be read.
 */
export function readEtcChanges(root: Root, hasTmp: boolean, state: readonly string[]): EtcChanges {
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
  const changed = withChanges(root, { kept })
  return {
    kept,
    machineId: has('machine-id'),
    masksTmp: isTmpMasked(changed, hasTmp),
    indexes,
    shadowed: [
      ...['fstab', 'crypttab', 'hostext.conf'].filter(has),
      ...dropIns.map((name) => `hostext.conf.d/${name}`),
    ],
    units: kept ? readUnitChanges(root, changed, state) : [],
  }
}

/** The root as it is, and as it is `changed`. */
function readUnitChanges(root: Root, changed: Root, state: readonly string[]): UnitChange[] {
  const directory = 'systemd/system'
  const upper = `${CHANGES}/upper/${directory}`
  const names = list(root, upper)
  const links = names.flatMap((name) =>
    /\.(?:wants|requires|upholds)$/.test(name)
      ? list(root, `${upper}/${name}`).map((link) => ({ file: `${name}/${link}`, link, in: name }))
      : [],
  )
  const others = links.filter(({ link }) => !names.includes(link))
  return [...names, ...others.map(({ file }) => file)].flatMap((file) => {
    const stem = UNIT.exec(file.slice(file.lastIndexOf('/') + 1))?.[1]
    if (stem === undefined) return []
    const name = `${stem}.mount`
    const place = /\.swap(?:\.d)?$/.test(file) ? undefined : mountPointOf(name)
    const isStarted = links.some(
      (started) => STARTS.test(started.in) && [name, `${stem}.automount`].includes(started.link),
    )
    const unit =
      isStarted && place !== undefined && state.includes(place) ? readUnit(changed, name) : undefined
    return {
      file: `${directory}/${file}`,
      ...(place !== undefined && { place }),
      isMounted: unit !== undefined && !unit.assignments.some(([key]) => /^(?:Condition|Assert)/.test(key)),
    }
  })
}
