import { oneLine } from '../text/printable.js'

/**
 * JSON of several lines. What a terminal could take for its own is escaped as JSON does, because people look
 * at it, too.
 */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  const escaped = (c: string): string => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `${text.replace(/[^\n -~]/g, (c) => (oneLine(c) === c ? c : escaped(c)))}\n`
}
