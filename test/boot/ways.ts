import type { Case } from './checks.js'
import { RELEASES, type Release } from './rootfs.js'

/** The ways to boot, the cheapest first: systemd-nspawn, user-mode Linux (uml.ts), emulation (qemu.ts). */
export type Way = 'container' | 'uml' | 'vm'

/**
 * The cheapest way that can show a case. Each run boots it like this on one release, in turn. For a main
 * case: all the ways in which each run boots it, on each release.
 */
export type Where = Way | Way[]

/**
 * The releases on which a run boots a case in this way. `number`: the number of the case. The full run boots
 * every case on every release.
 */
export function releasesOf(
  { boot, releases = [...RELEASES], fullOnly = false }: Pick<Case, 'boot' | 'releases' | 'fullOnly'>,
  way: Way,
  number: number,
  full: boolean,
): Release[] {
  if (![boot].flat().includes(way) || (fullOnly && !full)) return []
  return full || Array.isArray(boot) ? releases : [releases[number % releases.length] as Release]
}
