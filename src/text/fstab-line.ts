/**
 * How text is escaped in a file that mount(8) reads like /etc/fstab: fstab(5). White space ends a field, and
 * a backslash starts an escape of three octal digits. (`#` starts a comment at the beginning of a line
 * only.)
 */
function field(text: string): string {
  return text.replace(/[\\\s]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
}

/** What is mounted: the fields of fstab(5). */
export type FstabMount = { what: string; where: string; type: string; options: string }

/** A line of such a file. */
export function fstabLine({ what, where, type, options }: FstabMount): string {
  return `${[what, where, type, options].map(field).join(' ')} 0 0\n`
}
