import { DT, dynamicEntries, offsetOf, PT, text } from './elf.mjs'

/**
 * The names of the libraries that a program is linked with, and of its interpreter, sorted: DT_NEEDED and
 * PT_INTERP in elf(5).
 * @param {import('./elf.mjs').Elf} elf
 * @returns {string[]}
 */
export function neededLibraries(elf) {
  const entries = dynamicEntries(elf)
  const strings = entries.find(({ tag }) => tag === DT.STRTAB)
  const interpreter = elf.segments.find(({ type }) => type === PT.INTERP)
  if (!strings || !interpreter) throw new Error('it is not linked with shared libraries')
  const start = offsetOf(elf, strings.value)
  const names = entries
    .filter(({ tag }) => tag === DT.NEEDED)
    .map(({ value }) => text(elf.bytes, start + value))
  const loader = text(elf.bytes, interpreter.offset).split('/').at(-1)
  return [...new Set([...names, String(loader)])].sort()
}
