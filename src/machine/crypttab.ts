import { devicePath } from './fstab.js'

/** A line of crypttab(5): an encrypted volume that the boot opens. `device`: the path of what it is on. */
export type Volume = { name: string; source: string; device: string }

/** Parses crypttab(5). Volumes that the boot does not open (`noauto`) are left out. */
export function readCrypttab(text: string): Volume[] {
  return text.split('\n').flatMap((line): Volume[] => {
    const [name, source, , options] = line.trim().split(/[ \t]+/)
    if (!name || name.startsWith('#') || !source || options?.split(',').includes('noauto')) return []
    return [{ name, source, device: devicePath(source) ?? source }]
  })
}
