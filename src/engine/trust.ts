import type { Stats } from 'node:fs'
import { kindOf, type Root, statLink } from '../machine/files.js'

/**
 * What the engine keeps becomes part of the root, so it has to be root's as the root is: whoever can write to a file or
 * to a directory there, or put another in its place, is root at the next boot.
 */

/** Who runs this; 0 at boot. */
const USER = process.getuid?.() ?? 0

/**
 * Why a file or a directory is not root's alone, or undefined. A dry run takes the user who runs it for root, and the
 * group of whoever has a umask of 002 for nobody else.
 */
export function findOtherWriter({ uid, mode }: Stats): string | undefined {
  if (uid !== 0 && uid !== USER) return `belongs to user ${uid}, not to root`
  if (mode & (USER === 0 ? 0o022 : 0o002))
    return `can be written by users other than root (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
  return undefined
}

/** Why `path` is no directory that root alone can write to, a link to one included; undefined if it is, or is absent. */
export function findUnfitDirectory(root: Root, path: string): string | undefined {
  const stat = statLink(root, path)
  if (!stat) return undefined
  if (!stat.isDirectory()) return `not a directory but ${kindOf(stat)}`
  return findOtherWriter(stat)
}

/**
 * Whether others than root can get to a directory: nothing on the way keeps them out. Whoever owns a file in a layer, or may write
 * to it, changes it there then, and an overlay shows what its layers have: a file of a user in an image would be a
 * file of that user in the root, to be changed where the root itself is locked. Engines shut their stores from 20.10.9 on
 * (CVE-2021-41091). The group of whoever makes a dry run is his own; lists of access (ACLs) cannot be read here.
 */
export function isOpen(root: Root, directory: string): boolean {
  const names = directory.split('/').slice(1)
  return names.every((_, index) => {
    const stat = statLink(root, `/${names.slice(0, index + 1).join('/')}`)
    return stat !== undefined && letsIn(stat)
  })
}

function letsIn({ mode, gid }: Stats): boolean {
  return (mode & 0o001) !== 0 || ((mode & 0o010) !== 0 && gid !== 0 && USER === 0)
}
