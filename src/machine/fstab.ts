import { simplifyPath } from '../text/path.js'

/** fstab(5): what the machine mounts. */

export type FstabEntry = {
  source: string
  mountPoint: string
  type: string
  options: string[]
  passno: number
}

/** Parses fstab(5). Lines with fewer than two fields are skipped, as mount(8) and systemd do. */
export function parseFstab(text: string): FstabEntry[] {
  const entries: FstabEntry[] = []
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/[ \t]+/)
    const [source, mountPoint, type, options, , passno] = fields
    if (!source || source.startsWith('#') || !mountPoint) continue
    entries.push({
      source: unescapeOctal(source),
      mountPoint: simplifyPath(unescapeOctal(mountPoint)),
      type: type ?? 'auto',
      options: unescapeOctal(options ?? 'defaults')
        .split(',')
        .filter(Boolean),
      passno: Number.parseInt(passno ?? '0', 10) || 0,
    })
  }
  return entries
}

/**
 * Whether the boot mounts the entry, at once or on first access: neither swap nor `noauto` without automount.
 */
export function isAutomatic({ mountPoint, options }: FstabEntry): boolean {
  return (
    mountPoint.startsWith('/') && (!options.includes('noauto') || options.includes('x-systemd.automount'))
  )
}

/** `ro` and `rw`; mount(8) also has them for the mount or the file system only: `ro=vfs`. */
const ACCESS = /^(?:ro|rw)(?:=|$)/

/** Whether options mount read-only: the last of those that say it counts. */
export function isReadOnly(options: readonly string[]): boolean {
  return options.findLast((option) => ACCESS.test(option))?.startsWith('ro') ?? false
}

/** The options of a remount that makes a file system writable and keeps fstab's other options. */
export function remountOptions(options: readonly string[]): string {
  return ['remount', ...options.filter((option) => !ACCESS.test(option)), 'rw'].join(',')
}

/**
 * Where udev links the device that a tag names: fstab(5), "The first field". Names are in udev's encoding.
 */
const TAGS: Record<string, string> = {
  LABEL: 'by-label',
  UUID: 'by-uuid',
  PARTLABEL: 'by-partlabel',
  PARTUUID: 'by-partuuid',
}

/**
 * The path of an entry's device, as systemd names its unit; undefined if the source is not a device (`tmpfs`,
 * a directory).
 */
export function devicePath(source: string): string | undefined {
  const [, tag, value] = /^([A-Z]+)="?(.*?)"?$/.exec(source) ?? []
  if (tag === undefined) return source.startsWith('/dev/') ? source : undefined
  const directory = TAGS[tag]
  const encoded = (value as string).replace(/[^0-9A-Za-z#+\-.:=@_\u0080-\uffff]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return directory && `/dev/disk/${directory}/${encoded}`
}

/**
 * Decodes `\040` and the like: how fstab(5) and mountinfo (proc_pid_mountinfo(5)) write white space and
 * backslashes.
 */
export function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text
  // A file name cannot contain NUL. Bytes, not characters: an escaped byte may be part of a UTF-8 sequence.
  const bytes = Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/\\((?!000)[0-3][0-7]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
