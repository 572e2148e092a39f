/**
 * How text is escaped in unit files: systemd.syntax(7), systemd.unit(5) ("Specifiers", "String escaping").
 */

import { withoutTrailingSlashes } from './path.js'

/**
 * A file in a generator directory: a unit, a drop-in or a link. `path` is `normal/…`, `early/…` or `late/…`.
 */
export type UnitFile = { path: string; text: string } | { path: string; link: string }

/**
 * Whether a path can be written into a unit as it is, and be part of a unit's name. Paths that cannot are
 * sorted out before units are made. A control character ends a line, trailing white space is lost, a trailing
 * backslash continues the line, and a file name has at most 255 bytes.
 */
export function isUnitPath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  return !/[\x00-\x1f\x7f]|[\s\\]$/.test(path) && unitName(path, 'mount').length <= 200
}

/**
 * Doubles `%`, which starts a specifier in a unit file. The text must be one line: {@link isUnitPath},
 * printable().
 */
export function literal(text: string): string {
  return text.replaceAll('%', '%%')
}

/**
 * The name of the unit for a path: `/run/nextroot/var` and `mount` give `run-nextroot-var.mount`. With a
 * `template` such as `systemd-fsck@`, the path is the instance.
 */
export function unitName(path: string, type: string, template = ''): string {
  const trimmed = withoutTrailingSlashes(path).replace(/^\/+/, '')
  if (!trimmed) return `${template}-.${type}`
  const bytes = Buffer.from(trimmed, 'utf8').toString('latin1')
  const escaped = bytes.replace(
    /^\.|[^A-Za-z0-9:_./]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `${template}${escaped.replaceAll('/', '-')}.${type}`
}

/** The path of a mount unit: the reverse of {@link unitName}. Undefined for a name that stands for none. */
export function mountPointOf(name: string): string | undefined {
  const escaped = /^(.+)\.mount$/.exec(name)?.[1]
  if (escaped === undefined) return undefined
  if (escaped === '-') return '/'
  const bytes = escaped
    .replaceAll('-', '/')
    .replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const path = `/${Buffer.from(bytes, 'latin1').toString('utf8')}`
  return unitName(path, 'mount') === name ? path : undefined
}

/** One word of an `ExecStart=` line: systemd.service(5), "Command lines". */
export function execWord(text: string): string {
  const escaped = literal(text).replaceAll('$', '$$$$')
  if (/^[A-Za-z0-9%$@_+=:,./-]+$/.test(escaped)) return escaped
  return `"${escapeControls(escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"'))}"`
}

/** Writes a line feed as `\x0a`: systemd.syntax(7), "Quoting". */
function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  return text.replace(/[\x01-\x1f\x7f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** One word of a list of paths, as in `RequiresMountsFor=`: systemd.syntax(7), "Quoting". */
export function pathWord(path: string): string {
  const escaped = literal(path)
  return /^[A-Za-z0-9%_./-]+$/.test(escaped)
    ? escaped
    : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
