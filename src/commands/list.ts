import { inputRoot } from '../machine/files.js'
import { type Listed, list } from '../report/listed.js'
import { readDisk } from '../report/next-boot.js'
import { table } from '../report/table.js'
import { readThisBoot } from '../report/this-boot.js'
import { oneLine } from '../text/printable.js'
import type { Answer, Call } from './answer.js'

/** `hostext list`: a row for each extension; with `--all`, also for those that only records know. */
export function showList({ root, environment, options, screen }: Call): Answer {
  const now = readThisBoot(inputRoot(environment))
  const disk = readDisk(root, environment)
  const rows = list(root, now, disk, options.all === true)
  const document = { extensions: rows }
  if (options.names) return { document, lines: [...new Set(rows.map(({ name }) => name))], status: 0 }
  const lines =
    rows.length > 0
      ? table(rows.map(describe), screen)
      : [oneLine(disk.next.why ?? 'no container is a host extension')]
  return { document, lines, status: 0 }
}

function describe({ name, image, number, rank, state, bytes, why }: Listed): Record<string, string> {
  return {
    no: number === null ? '-' : String(number),
    name,
    image,
    rank: rank?.split(', ', 1)[0] ?? '-',
    state,
    size: bytes === null ? '-' : size(bytes),
    why: why ?? '',
  }
}

/** `12.3 MiB`: at most four digits. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const index = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)))
  const value = bytes / 1024 ** index
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[index]}`
}
