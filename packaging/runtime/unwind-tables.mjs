import { offsetOf, PT, sectionNamed } from './elf.mjs'

/**
 * Empties the tables that say how C++ exceptions unwind the stack, and takes away the program header that
 * points at them. Node is compiled without exceptions; only what it has of the C++ library's file system and
 * of one kind of stream catches them, to clean up or to report that memory ran out. Without the tables the
 * C++ library finds no handler and calls terminate(), as it does with them for what nobody catches; a fatal
 * error prints no native frames. Returns what need not be loaded.
 * @param {import('./elf.mjs').Elf} elf
 * @returns {import('./layout.mjs').Hole[]}
 */
export function emptyUnwindTables(elf) {
  const holes = ['.eh_frame_hdr', '.eh_frame', '.gcc_except_table'].map((name) => {
    const { address, size } = sectionNamed(elf, name)
    const start = offsetOf(elf, address)
    elf.bytes.fill(0, start, start + size)
    return { from: address, to: address + size }
  })
  elf.segments = elf.segments.filter(({ type }) => type !== PT.GNU_EH_FRAME)
  // There is nothing else between them, so that they are one hole.
  return [{ from: holes[0].from, to: holes[2].to }]
}
