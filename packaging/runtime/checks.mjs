import { PF, PT, readElf, SIZES } from './elf.mjs'

/**
 * As many program headers as fit into 4 KiB: before Linux 5.18 the kernel refuses a program with more than a
 * page of them (load_elf_phdrs() in fs/binfmt_elf.c).
 */
export const MOST_HEADERS = 73

/**
 * Checks a finished file against what the kernel requires of a program (load_elf_binary() in
 * fs/binfmt_elf.c), also before Linux 5.18 and 6.6, which changed that. Returns what is wrong, a line for
 * each.
 * @param {Buffer} bytes
 * @param {object} limits
 * @param {number} limits.page the largest page of a kernel for this architecture, in bytes
 * @param {number} limits.size the largest size of the file, in bytes
 * @returns {string[]}
 */
export function findFaults(bytes, { page, size }) {
  const { entry, segments } = readElf(bytes)
  const loads = segments.filter(({ type }) => type === PT.LOAD)
  const parts = segments.filter(({ type, fileSize }) => type !== PT.LOAD && fileSize > 0)
  return [
    ...(bytes.length > size ? [`it has ${bytes.length} bytes, more than ${size}`] : []),
    ...(segments.length > MOST_HEADERS
      ? [`it has ${segments.length} program headers; some kernels take ${MOST_HEADERS}`]
      : []),
    ...faultsOfHeaders(bytes, loads, segments.length),
    ...loads.flatMap((load, index) => faultsOfLoad(load, loads[index - 1], bytes.length, page)),
    ...parts
      .filter((part) => !loads.some((load) => contains(load, part)))
      .map(({ type }) => `${nameOf(type)} is not in a loaded segment`),
    ...(loads.some(
      ({ flags, address, fileSize }) =>
        (flags & PF.X) !== 0 && address <= entry && entry < address + fileSize,
    )
      ? []
      : ['the program starts where no code is loaded']),
  ]
}

/** Before Linux 5.18 the kernel takes for granted that the headers are in the first segment (AT_PHDR). */
function faultsOfHeaders(bytes, [first], count) {
  const table = Number(bytes.readBigUInt64LE(32))
  if (first?.offset === 0 && table + count * SIZES.segment <= first.fileSize) return []
  return ['the first segment does not begin with the program headers, at offset 0']
}

function faultsOfLoad(load, previous, length, page) {
  const { flags, offset, address, fileSize, memorySize } = load
  const name = `the segment at 0x${address.toString(16)}`
  const faults = []
  if (offset % page !== address % page) faults.push(`${name} has an offset that does not fit its page`)
  if (offset + fileSize > length) faults.push(`${name} reaches beyond the end of the file`)
  // The kernel maps whole pages.
  if (previous && Math.ceil((previous.address + previous.memorySize) / page) > Math.floor(address / page))
    faults.push(`${name} is not after the end of the segment before it`)
  if ((flags & PF.W) !== 0 && (flags & PF.X) !== 0) faults.push(`${name} is writable and executable`)
  // The kernel fills the rest of the last page with zeros, which it can only if that is writable; whole pages
  // of zeros are always writable, and executable if the segment is.
  if (memorySize > fileSize && (flags & PF.W) === 0) {
    if ((address + fileSize) % page !== 0) faults.push(`${name} ends with zeros that begin amid a page`)
    if ((flags & PF.X) !== 0) faults.push(`${name} ends with zeros that are executable`)
  }
  return faults
}

function contains(load, part) {
  return (
    load.offset <= part.offset &&
    part.offset + part.fileSize <= load.offset + load.fileSize &&
    part.address - load.address === part.offset - load.offset
  )
}

function nameOf(type) {
  const known = Object.entries(PT).find(([, value]) => value === type)
  return known ? `PT_${known[0]}` : `the part of type 0x${type.toString(16)}`
}
