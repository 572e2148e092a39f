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
