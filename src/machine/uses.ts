import { type Root, resolveLinks, statLink } from './files.js'
import { isReadOnly } from './fstab.js'
import type { PlannedMount } from './planned.js'

/**
 * Something of the root's own file system that another mount, or swap, writes to: the directory that is bound
 * elsewhere, the one with the upper directory of an overlay, an image file, a swap file. `written`: the path
 * as the machine has it, if links lead from there.
 */
export type Use = { path: string; kind: 'directory' | 'file' | 'swap'; written?: string }

/** What a package or the system itself has there is not for an entry of fstab to write to. */
const SYSTEM = /^\/(?:(?:usr|etc|boot|bin|sbin|lib\w*|proc|sys|dev|run|tmp)(?:\/|$)|$)/

/**
 * What planned mounts and swap files (`swaps`) write to, sorted, as far as it exists, where symbolic links
 * lead. Paths that systemd itself provides, and those of the system's own files, are left out.
 */
export function readUses(root: Root, planned: readonly PlannedMount[], swaps: readonly string[]): Use[] {
  const found = new Map<string, Use>()
  const add = (written: string | undefined, kind: Use['kind'] | undefined): void => {
    if (!written?.startsWith('/') || SYSTEM.test(written)) return
    const path = resolveLinks(root, written)
    if (SYSTEM.test(path) || found.has(path)) return
    const stat = statLink(root, path)
    const isDirectory = stat?.isDirectory() ?? false
    if (!(isDirectory || stat?.isFile()) || (kind === 'swap' && isDirectory)) return
    found.set(path, {
      ...{ path, kind: kind ?? (isDirectory ? 'directory' : 'file') },
      ...(path !== written && { written }),
    })
  }
  for (const { source, type, options } of planned) {
    if (type === 'overlay') add(upperOf(options), undefined)
    else if (!isReadOnly(options)) add(source, undefined)
  }
  for (const path of swaps) add(path, 'swap')
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/**
 * The directory that has both the upper and the work directory of an overlay, which must be on one mount:
 * Documentation/filesystems/overlayfs.rst.
 */
function upperOf(options: readonly string[]): string | undefined {
  const { upperdir, workdir } = overlayDirectories(options)
  if (upperdir === undefined || workdir === undefined) return undefined
  const [upper, work] = [upperdir.split('/'), workdir.split('/')]
  const same = upper.findIndex((name, index) => name !== work[index])
  const common = upper.slice(0, same < 0 ? upper.length : same).join('/')
  // One inside the other is refused by the kernel.
  return common === upperdir || common === workdir ? undefined : common || undefined
}

export type OverlayDirectories = { lowerdir: string[]; upperdir?: string; workdir?: string }

/** The directories in the options of an overlay. A `:` or `,` in a path may have a backslash before it. */
export function overlayDirectories(options: readonly string[]): OverlayDirectories {
  const value = (key: string): string | undefined =>
    options.findLast((option) => option.startsWith(`${key}=`))?.slice(key.length + 1)
  const lowerdir = value('lowerdir')?.split(/(?<!\\):/) ?? []
  const [upperdir, workdir] = [value('upperdir'), value('workdir')]
  return { lowerdir, ...(upperdir !== undefined && { upperdir }), ...(workdir !== undefined && { workdir }) }
}
