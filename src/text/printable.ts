/**
 * Characters that a terminal, a log or a parser could interpret, or that nobody sees: controls, format
 * characters (those for the direction of text included), separators, white space other than the space, lone
 * surrogates, characters that a font need not show (Default_Ignorable_Code_Point), and characters that look
 * like nothing: the Braille blank, the object replacement character, fillers. Written out from Unicode 17,
 * because a runtime without ICU has no \p{…}.
 */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: and single characters of what makes up others
  /[\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{13441}\u{13442}\u{16fe4}\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu

/**
 * Makes text from metadata safe for a log line or a unit's description: one line of printable characters. All
 * others become `\xNN`, `\uNNNN` or `\u{N}`, and so do backslashes. So two different names never look the
 * same unless they are cut off, and no line ends in a backslash, which would continue it.
 */
export function printable(text: string, longest = 300): string {
  const line = oneLine(cut(text, longest).replaceAll('\\', '\\x5c'))
  return text.length > longest || line.length > longest ? `${cut(line, longest)}…` : line
}

/** At most the first `longest` characters, without splitting a surrogate pair. */
export function cut(text: string, longest: number): string {
  return text.length > longest ? text.slice(0, longest).replace(/[\ud800-\udbff]$/, '') : text
}

/**
 * Makes every character of a line visible, because it contains paths and words from outside. Backslashes
 * stay.
 */
export function oneLine(text: string): string {
  // Nearly all text is plain ASCII, and the other expression is slow.
  if (/^[ -~]*$/.test(text)) return text
  return text.replace(UNSEEN, (c) => {
    const code = (c.codePointAt(0) as number).toString(16)
    if (code.length > 4) return `\\u{${code}}`
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
  })
}

/**
 * Names on one line: `gpu, wifi`. Each is made printable, and the list is cut off at `longest` characters.
 */
export function printableList(names: readonly string[], longest = 700): string {
  const list = names.map((name) => printable(name, 60)).join(', ')
  return list.length > longest ? `${cut(list, longest)}…` : list
}
