import type { Stats } from 'node:fs'
import { kindOf, type Root, statLink } from '../machine/files.js'

/**
 * What the engine keeps becomes part of the root, so it must belong to root like the root itself. Whoever can
 * write to a file or a directory there, or replace it, is root at the next boot.
 */

/** The user who runs this; 0 at boot. */
const USER = process.getuid?.() ?? 0

/**
 * Why users other than root could change a file or a directory; undefined if they cannot. In a dry run the
 * user who runs it counts as root, and a file may be writable by its group (umask 002).
 */
export function findOtherWriter({ uid, mode }: Stats): string | undefined {
  if (uid !== 0 && uid !== USER) return `belongs to user ${uid}, not to root`
  if (mode & (USER === 0 ? 0o022 : 0o002))
    return `can be written by users other than root (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
  return undefined
}

/** Why `path` is not a real directory that only root can write to; undefined if it is, or does not exist. */
export function findUnfitDirectory(root: Root, path: string): string | undefined {
  const stat = statLink(root, path)
  if (!stat) return undefined
  if (!stat.isDirectory()) return `not a directory but ${kindOf(stat)}`
  return findOtherWriter(stat)
}

/**
 * Whether users other than root can reach a directory, because no directory on the way keeps them out.
 * Whoever owns a file in a layer, or may write to it, could then change it there, and the overlay shows what
 * its layers contain: they could change a file of the locked root. Engines close their stores from 20.10.9 on
 * (CVE-2021-41091). In a dry run, group permissions are ignored. Access control lists (ACLs) cannot be read
 * here.
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
