import { printable } from '../text/printable.js'

/** What became of something of an image: it is not, or not as it is, in the root. */
export type Note = {
  kind: 'dropped' | 'moved' | 'not taken' | 'as in the root'
  /** Its path; undefined if it is not one file. Unchecked text. */
  path?: string
  /** The rest of the line: why, or where to. One line of printable characters. */
  text: string
}

/** `dropped: /etc/hostname: it belongs to the machine`. */
export function noteLine({ kind, path, text }: Note): string {
  const what = path === undefined ? text : `${printable(path)}${kind === 'moved' ? '' : ':'} ${text}`
  return kind === 'as in the root' ? what : `${kind}: ${what}`
}
