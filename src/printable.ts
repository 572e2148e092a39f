/**
 * Text from metadata as it may appear in a log line or a unit's description: one line of printable
 * characters. Controls, what cannot be seen, and everything else a terminal or a parser could take for its
 * own become `\xNN` or `\u{NNNN}`, so two different names never look the same.
 */
export function printable(text: string, longest = 300): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\]/gu, (c) => {
    const code = (c.codePointAt(0) as number).toString(16)
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, '0')}`
  })
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

/** Names for one line: `gpu, wifi`, each printable, the whole cut off at `longest` characters. */
export function printableList(names: readonly string[], longest = 700): string {
  const list = names.map((name) => printable(name, 60)).join(', ')
  return list.length > longest ? `${list.slice(0, longest)}…` : list
}
