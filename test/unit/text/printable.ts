import t from 'tap'
import { printable, printableList } from '../../../src/text/printable.js'

t.equal(printable('wifi-drivers_2.0'), 'wifi-drivers_2.0')
t.equal(printable('größe 木'), 'größe 木')
t.equal(printable('a\nb\tc\u001b[31m\u0000'), 'a\\x0ab\\x09c\\x1b[31m\\x00')
t.equal(printable('a\\nb'), 'a\\x5cnb', 'a backslash cannot pass for an escape, or continue a line')
t.equal(printable('abc\u202etxt\u2028'), 'abc\\u202etxt\\u2028', 'nothing changes the direction or the line')
t.not(printable('\u08e2'), printable('\u008e2'), 'an escape has an end')
t.equal(printable('x'.repeat(301)), `${'x'.repeat(300)}…`)
t.equal(printable('x'.repeat(300)), 'x'.repeat(300))
t.equal(printableList(['a\nb', 'c']), 'a\\x0ab, c')
t.equal(printableList(['x'.repeat(61), 'y']), `${'x'.repeat(60)}…, y`)
t.equal(printableList(['abc', 'def'], 5), 'abc, …')
t.equal(printableList(['\u{10000}', 'x'], 1), '…', 'no half of a pair')

t.test('every character is seen, or escaped', async (t) => {
  // Unicode's own lists, and what it has as blank or as a filler by name only.
  const unseen =
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Zs}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{13441}\u{13442}\u{16fe4}\u{1d159}]/u
  const wrong: string[] = []
  for (let code = 0; code <= 0x10ffff; code++) {
    const character = String.fromCodePoint(code)
    const isShown = printable(character) === character
    if (isShown === (character !== ' ' && (unseen.test(character) || character === '\\')))
      wrong.push(code.toString(16))
  }
  t.same(wrong, [])
  for (const character of ['\u034f', '\u2800', '\u00a0', '\ufffc', '\u3000', '\u115f', '\u{1d159}'])
    t.match(printable(`wifi${character}`), /^wifi\\[xu]/)
})
