import { statSync } from 'node:fs'
import type { Extent, MadeDisk } from './disks.js'

/** What happens to reads and writes there: guest/initramfs-mapper. */
export type Kind = 'error' | 'unwritable'

/** All sectors of a disk. */
export function wholeDisk({ file }: MadeDisk): Extent[] {
  return [{ start: 0, count: statSync(file).size / 512 }]
}

/**
 * The kernel's word that makes /dev/mapper/`name` from the whole `disk`, with `extents` (sectors) that fail.
 */
export function mapperWord(name: string, disk: MadeDisk, extents: readonly Extent[], kind: Kind): string {
  const [{ count }] = wholeDisk(disk) as [Extent]
  return `test.mapper=${name}:${disk.device}:${segments(count, extents, kind).join(',')}`
}

/** A table of `length` sectors without gaps: everything between the extents is linear. */
export function segments(length: number, extents: readonly Extent[], kind: Kind): string[] {
  const table: string[] = []
  let end = 0
  for (const { start, count } of extents.toSorted((a, b) => a.start - b.start)) {
    if (start < end) throw new Error(`sector ${start} is in two extents`)
    if (start > end) table.push(`${end}+${start - end}+linear`)
    table.push(`${start}+${count}+${kind}`)
    end = start + count
  }
  if (end > length) throw new Error(`sector ${end} of ${length}`)
  if (end < length) table.push(`${end}+${length - end}+linear`)
  return table
}
