import { readdirSync } from 'node:fs'
import { unitName } from '../text/unit-syntax.js'
import { at, listDirectory, type Root, resolveLinks, statLink } from './files.js'

/** Where systemd finds units, without the generators' own directories: systemd.unit(5). */
export const UNIT_DIRECTORIES = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

/**
 * The links through which `target` pulls in units, as `<target>.wants/<unit>`, sorted and without duplicates.
 */
export function readPulledIn(root: Root, target: string): string[] {
  const links = new Set<string>()
  for (const directory of UNIT_DIRECTORIES.filter((path) => statLink(root, path))) {
    for (const kind of ['wants', 'requires', 'upholds']) {
      try {
        for (const name of listDirectory(root, `${directory}/${target}.${kind}`))
          links.add(`${target}.${kind}/${name}`)
      } catch {
        // systemd cannot read it either.
      }
    }
  }
  return [...links].sort()
}

/** Where systems and administrators put mount units: fewer places than units may be in. */
export const MOUNT_UNIT_DIRECTORIES = [
  '/etc/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

/**
 * The names of the system's own mount units, not those from fstab, sorted. If several directories have the
 * same name, the first one counts. A masked unit, a link to /dev/null, mounts nothing.
 */
export function readMountUnits(root: Root): string[] {
  const found = new Map<string, boolean>()
  for (const directory of MOUNT_UNIT_DIRECTORIES) {
    let names: string[]
    try {
      names = readdirSync(at(root, directory))
    } catch {
      // It does not exist, or systemd cannot read it either.
      continue
    }
    for (const name of names) {
      if (!name.endsWith('.mount') || found.has(name)) continue
      found.set(name, resolveLinks(root, `${directory}/${name}`) !== '/dev/null')
    }
  }
  return [...found].flatMap(([name, mounts]) => (mounts ? name : [])).sort()
}

/** Whether one of these mount units mounts something at `path`. */
export function hasMountUnit(mountUnits: readonly string[], path: string): boolean {
  return mountUnits.includes(unitName(path, 'mount'))
}
