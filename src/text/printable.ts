/**
 * What a terminal, a log or a parser could take for its own, or what nobody sees: controls and formats, those of
 * the direction of text included, separators of lines, selectors, tags, halves of surrogate pairs.
 */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: and single characters of what makes up others
  /[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu

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
