/**
 * What a terminal, a log or a parser could take for its own, or what nobody sees: controls, formats (those of the direction of text
 * among them), separators, blanks other than the space, halves of surrogate pairs, what a font need not show
 * (Default_Ignorable_Code_Point), and what it shows as nothing: the blank of Braille, the object replacement character, fillers.
 * By Unicode 17, written out: a runtime without ICU has no \p{…}.
 */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: and single characters of what makes up others
  /[\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{13441}\u{13442}\u{16fe4}\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu

/**
 * Text from metadata as it may appear in a log line or a unit's description: one line of printable
 * characters. Others become `\xNN`, `\uNNNN` or `\u{N}`, and so do backslashes: two different names never look the
 * same unless they are cut off, and none ends a line in a backslash, which would continue it.
 */
export function printable(text: string, longest = 300): string {
  const line = oneLine(cut(text, longest).replaceAll('\\', '\\x5c'))
  return text.length > longest || line.length > longest ? `${cut(line, longest)}…` : line
}

/** At most the first `longest` characters, and no half of a pair. */
export function cut(text: string, longest: number): string {
  return text.length > longest ? text.slice(0, longest).replace(/[\ud800-\udbff]$/, '') : text
}

/** A line that has paths and words of others in it, each of its characters to be seen. Backslashes stay. */
export function oneLine(text: string): string {
  // Nearly all text is like this, and the other question is slow.
  if (/^[ -~]*$/.test(text)) return text
  return text.replace(UNSEEN, (c) => {
    const code = (c.codePointAt(0) as number).toString(16)
    if (code.length > 4) return `\\u{${code}}`
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
  })
}

/** Names for one line: `gpu, wifi`, each printable, the whole cut off at `longest` characters. */
export function printableList(names: readonly string[], longest = 700): string {
  const list = names.map((name) => printable(name, 60)).join(', ')
  return list.length > longest ? `${cut(list, longest)}…` : list
}
