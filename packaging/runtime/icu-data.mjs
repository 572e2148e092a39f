import { offsetOf, symbolNamed } from './elf.mjs'

/** Where the format of ICU's data says what it is: struct MappedData in ICU's ucmndata.h. */
const MAGIC = { at: 2, value: 0x27da }
/** What of the data is kept, as zeros: ICU looks at it before it believes the rest. */
const HEADER = 32

/**
 * Empties the data of ICU, a third of the file. Only `Intl` and what is built on it needs it:
 * `localeCompare()`, `toLocaleString()`, `normalize('NFKC')`; some of that throws, some ends the process.
 * With a header of zeros ICU finds no data; regular expressions with `\p{…}` and `normalize('NFC')` have
 * tables of their own. Returns what need not be loaded. Throws an Error if the data is not where its symbol
 * is.
 * @param {import('./elf.mjs').Elf} elf
 * @returns {import('./layout.mjs').Hole[]}
 */
export function emptyIcuData(elf) {
  const { bytes } = elf
  const { address, size } = symbolNamed(elf, ['.dynsym', '.dynstr'], /^icudt\d+_dat$/)
  const start = offsetOf(elf, address)
  if (bytes.readUInt16LE(start + MAGIC.at) !== MAGIC.value)
    throw new Error('the data of ICU does not begin with its header')
  bytes.fill(0, start, start + size)
  return [{ from: address + HEADER, to: address + size }]
}
