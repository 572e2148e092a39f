/** How text goes into unit files: systemd.syntax(7), systemd.unit(5) ("Specifiers", "String escaping"). */

/** A file of a generator directory: `path` is `normal/…`, `early/…` or `late/…`; a unit, a drop-in or a link. */
export type UnitFile = { path: string; text: string } | { path: string; link: string }

/** Doubles `%`, which starts a specifier in a unit file. */
export function literal(text: string): string {
  return text.replaceAll('%', '%%')
}

/**
 * The name of the unit for a path: `/run/nextroot/var` and `mount` give `run-nextroot-var.mount`. `template`: the
 * path is the instance of it.
 */
export function unitName(path: string, type: string, template = ''): string {
  const trimmed = path.replace(/^\/+|\/+$/g, '')
  if (!trimmed) return `${template}-.${type}`
  const bytes = Buffer.from(trimmed, 'utf8').toString('latin1')
  const escaped = bytes.replace(
    /^\.|[^A-Za-z0-9:_./]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `${template}${escaped.replaceAll('/', '-')}.${type}`
}

/** One word of an `ExecStart=` line: systemd.service(5), "Command lines". */
export function execWord(text: string): string {
  const escaped = literal(text).replaceAll('$', '$$$$')
  if (/^[A-Za-z0-9%$@_+=:,./-]+$/.test(escaped)) return escaped
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** One word of a list of paths, as in `RequiresMountsFor=`: systemd.syntax(7), "Quoting". */
export function pathWord(path: string): string {
  const escaped = literal(path)
  return /^[A-Za-z0-9%_./-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll('"', '\\"')}"`
}
