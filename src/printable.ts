/**
 * Text from metadata as it may appear in a log line or a unit's description: one line of printable
 * characters. Controls, and everything else a terminal or a parser could take for its own, become
 * `\xNN` (UTF-16 unit), so two different names never look the same.
 */
export function printable(text: string, longest = 300): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  const line = text.replace(/[\x00-\x1f\x7f-\x9f\\\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

/** Names for one line: `gpu, wifi`, each printable, the whole cut off at `longest` characters. */
export function printableList(names: readonly string[], longest = 700): string {
  const list = names.map((name) => printable(name, 60)).join(', ')
  return list.length > longest ? `${list.slice(0, longest)}…` : list
}
