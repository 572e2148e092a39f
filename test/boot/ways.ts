import { RELEASES, type Release } from './rootfs.js'

/** The ways to boot, the cheapest first: systemd-nspawn, user-mode Linux (uml.ts), emulation (qemu.ts). */
export type Way = 'container' | 'uml' | 'vm'

/**
 * The cheapest way that can show a case; each run boots it so on one release, in turn. Of a main case: all ways in which
 * each run boots it, on each release.
 */
export type Where = Way | Way[]

/**
 * The releases on which a run boots a case in this way; `number`: the case's among all. The full run boots all of them
 * on every release, what a container shows in user-mode Linux as well.
 */
export function releasesOf({ boot }: { boot: Where }, way: Way, number: number, full: boolean): Release[] {
  const ways = [boot].flat()
  const isWanted = ways.includes(way) || (full && way === 'uml' && ways.includes('container'))
  if (!isWanted) return []
  return full || Array.isArray(boot) ? [...RELEASES] : [RELEASES[number % RELEASES.length] as Release]
}
