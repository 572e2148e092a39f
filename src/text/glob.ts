/** One part of a pattern: `*`, or a test for one character. */
type Part = '*' | ((character: string) => boolean)

/**
 * Whether a text matches a shell pattern, as in glob(7) and fnmatch(3): `*`, `?`, `[a-z]`, `[!a-z]`. `*` also
 * matches dots and slashes. The steps are bounded by the two lengths multiplied: a hostile pattern that is
 * translated to a regular expression (path.matchesGlob()) could take hours.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  const parts = parse(pattern)
  let at = 0
  let part = 0
  /** The last `*` so far, and the end of what it matches: on a mismatch only that is tried again. */
  let star = -1
  let end = 0
  while (at < text.length) {
    const wanted = parts[part]
    if (wanted === '*') {
      star = part++
      end = at
    } else if (wanted?.(text[at] as string)) {
      at++
      part++
    } else if (star >= 0) {
      part = star + 1
      at = ++end
    } else return false
  }
  return parts.slice(part).every((rest) => rest === '*')
}

function parse(pattern: string): Part[] {
  const parts: Part[] = []
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] as string
    const set = character === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/.exec(pattern.slice(at)) : null
    if (set) {
      const [whole, not, members] = set as unknown as [string, string, string]
      parts.push((other) => isAmong(other, members) === (not === ''))
      at += whole.length - 1
    } else if (character === '*') parts.push('*')
    else parts.push(character === '?' ? () => true : (other) => other === character)
  }
  return parts
}

/** Whether a character is one of a set: `a-z._`. */
function isAmong(character: string, members: string): boolean {
  for (let at = 0; at < members.length; at++) {
    const first = members[at] as string
    const isRange = members[at + 1] === '-' && at + 2 < members.length
    const last = isRange ? (members[at + 2] as string) : first
    if (first <= character && character <= last) return true
    if (isRange) at += 2
  }
  return false
}
