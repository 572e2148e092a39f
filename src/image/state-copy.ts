import { literal } from '../text/unit-syntax.js'
import type { MadeTree } from './tree.js'

/**
 * A tmpfiles.d(5) file that copies an image's state to its place. Every path has a line, so that what is
 * missing is copied, and what is there stays as it is. Paths with control characters are left out, and links
 * whose target begins or ends in a blank: their lines cannot say that.
 */
export function stateLines(state: MadeTree['state']): string {
  const lines = state.flatMap(({ path, link }) => {
    const words = [path, ...(link === undefined ? [] : [link])]
    // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
    if (words.some((word) => /[\x00-\x1f\x7f]/.test(word))) return []
    if (link === undefined) return `C ${word(path)}`
    // The argument is the rest of the line: it has specifiers and escapes, but no quotes.
    const target = literal(link.replaceAll('\\', '\\\\'))
    return /^\s|\s$/.test(link) ? [] : `L ${word(path)} - - - - ${target}`
  })
  if (lines.length === 0) return ''
  return `# Made by hostext: the state that the image brings, for what the machine lacks.\n${lines.join('\n')}\n`
}

/** One word of a line: tmpfiles.d(5) knows specifiers, and quotes as in systemd.syntax(7). */
function word(text: string): string {
  const escaped = literal(text)
  if (/^[A-Za-z0-9%_@+=:,./-]+$/.test(escaped)) return escaped
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
