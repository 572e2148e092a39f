import { literal } from '../text/unit-syntax.js'

/** A path of the state: a directory with its owner, a symbolic link with its target, or a file. */
export type StateEntry = { path: string; link?: string; directory?: { uid: number } }

/**
 * Directories below which systemd-tmpfiles(8) does nothing: those in a directory that belongs to a user other
 * than root and than their own owner, who could put a link in their place (unsafe_transition() in its
 * src/basic/chase.c). `state`: parents first. What is in them is copied only together with them.
 */
export function findUnsafe(state: readonly StateEntry[]): string[] {
  const owners = new Map<string, number>()
  for (const { path, directory } of state) if (directory) owners.set(path, directory.uid)
  return [...owners].flatMap(([path, uid]) => {
    const above = owners.get(path.slice(0, path.lastIndexOf('/'))) ?? 0
    return above !== 0 && above !== uid ? [path] : []
  })
}

/**
 * A tmpfiles.d(5) file that copies an image's state to its place. Every path has a line, so that what is
 * missing is copied, and what is there stays as it is. What is below unsafe directories is left out, and so
 * are paths with control characters and links whose target begins or ends in a blank: their lines cannot say
 * that.
 */
export function stateLines(state: readonly StateEntry[]): string {
  // Directories in which nothing has a line.
  const closed = new Set(findUnsafe(state))
  const lines = state.flatMap(({ path, link, directory }) => {
    if (closed.has(path.slice(0, path.lastIndexOf('/')))) {
      if (directory) closed.add(path)
      return []
    }
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
