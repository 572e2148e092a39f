import { dynamicEntries, offsetOf, text } from '../runtime/elf.mjs'
import { neededLibraries } from '../runtime/libraries.mjs'

/** Tags of the dynamic section, which the trimming does not need: "Symbol Versioning" of the LSB. */
const [DT_STRTAB, DT_VERNEED, DT_VERNEEDNUM] = [5, 0x6ffffffe, 0x6fffffff]

/**
 * The packages of Debian with the libraries that the official builds of Node are linked with, and how a
 * version of their symbols names a release: `GLIBC_2.28` is in glibc 2.28.
 */
const PACKAGES = [
  { name: 'libc6', library: /^(?:libc|libm|libdl|libpthread|librt)\.so\.\d+$|^ld-linux/, symbols: 'GLIBC_' },
  { name: 'libgcc-s1', library: /^libgcc_s\.so\.1$/, symbols: 'GCC_' },
  { name: 'libstdc++6', library: /^libstdc\+\+\.so\.6$/, symbols: 'GLIBCXX_3.4.' },
]

/**
 * The first release of GCC with these symbols of libstdc++: "GNU C++ ABI history" in GCC's manual, which has
 * a line for each version of GLIBCXX_3.4. Those in between are in the release that follows.
 */
const GCC_WITH = [
  [21, '5.1'],
  [22, '6.1'],
  [24, '7.2'],
  [25, '8.1'],
  [28, '9.3'],
  [29, '11.1'],
  [30, '12.1'],
  [32, '13.1'],
  [33, '14.1'],
]

/**
 * The `Depends:` of a Debian package with this program: the packages with its libraries, at least in the
 * releases that have the versions of the symbols that it asks for. dpkg-shlibdeps(1) does the same, but needs
 * the libraries of that architecture. Throws an Error that names a library that is not known here.
 * @param {import('../runtime/elf.mjs').Elf} elf
 * @returns {string}
 */
export function dependsOf(elf) {
  const versions = neededVersions(elf)
  for (const library of neededLibraries(elf))
    if (!PACKAGES.some((each) => each.library.test(library)))
      throw new Error(`it needs ${library}, and packaging/debian/depends.mjs does not know its package`)
  return PACKAGES.filter(({ library }) => neededLibraries(elf).some((name) => library.test(name)))
    .map(({ name, library, symbols }) => {
      const numbers = versions
        .filter((each) => library.test(each.library) && each.version.startsWith(symbols))
        .map((each) => each.version.slice(symbols.length))
        .sort(byNumber)
      const last = numbers.at(-1)
      if (last === undefined) return name
      return `${name} (>= ${name === 'libstdc++6' ? gccWith(Number(last)) : last})`
    })
    .join(', ')
}

/** @param {number} symbols the last part of GLIBCXX_3.4.N */
function gccWith(symbols) {
  const found = GCC_WITH.find(([number]) => symbols <= number)
  if (!found)
    throw new Error(`packaging/debian/depends.mjs does not know which GCC has GLIBCXX_3.4.${symbols}`)
  return found[1]
}

/** Orders `2.9` before `2.28`. */
function byNumber(one, other) {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number))
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * The versions of symbols that a program asks for, each with its library: DT_VERNEED.
 * @param {import('../runtime/elf.mjs').Elf} elf
 */
function neededVersions(elf) {
  const { bytes } = elf
  const entries = dynamicEntries(elf)
  const value = (wanted) => entries.find(({ tag }) => tag === wanted)?.value
  const strings = offsetOf(elf, value(DT_STRTAB))
  const found = []
  let at = offsetOf(elf, value(DT_VERNEED))
  for (let library = 0; library < value(DT_VERNEEDNUM); library++) {
    const name = text(bytes, strings + bytes.readUInt32LE(at + 4))
    let symbol = at + bytes.readUInt32LE(at + 8)
    for (let count = bytes.readUInt16LE(at + 2); count > 0; count--) {
      found.push({ library: name, version: text(bytes, strings + bytes.readUInt32LE(symbol + 8)) })
      symbol += bytes.readUInt32LE(symbol + 12)
    }
    at += bytes.readUInt32LE(at + 12)
  }
  return found
}
