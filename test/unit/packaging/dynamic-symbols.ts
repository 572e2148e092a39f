import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isOfCxxLibrary } from '../../../packaging/runtime/dynamic-symbols.mjs'
import {
  dynamicEntries,
  type Elf,
  offsetOf,
  readElf,
  sectionNamed,
  text,
  word,
} from '../../../packaging/runtime/elf.mjs'
import { cannotFetch, officialNode, runtimeDirectory } from '../../support/runtime.js'

const [STRTAB, SYMTAB, GNU_HASH] = [5, 6, 0x6ffffef5]

/**
 * What a library finds in a program: the address of a name, as ld.so(8) looks it up. undefined if it does
 * not.
 */
function lookUp(elf: Elf, name: string): number | undefined {
  const { bytes } = elf
  const table = (tag: number): number =>
    offsetOf(elf, (dynamicEntries(elf).find((entry) => entry.tag === tag) as { value: number }).value)
  const [strings, symbols, at] = [table(STRTAB), table(SYMTAB), table(GNU_HASH)]
  const [buckets, first, words, shift] = [0, 4, 8, 12].map((place) => bytes.readUInt32LE(at + place)) as [
    number,
    number,
    number,
    number,
  ]
  const hash = [...Buffer.from(name, 'latin1')].reduce((sum, byte) => (Math.imul(sum, 33) + byte) >>> 0, 5381)
  const filter = bytes.readBigUInt64LE(at + 16 + 8 * (Math.floor(hash / 64) % words))
  const has = (bit: number): boolean => ((filter >> BigInt(bit)) & 1n) === 1n
  if (!has(hash % 64) || !has((hash >>> shift) % 64)) return undefined
  const bucketsAt = at + 16 + 8 * words
  let index = bytes.readUInt32LE(bucketsAt + 4 * (hash % buckets))
  if (index === 0) return undefined
  for (; ; index++) {
    const chained = bytes.readUInt32LE(bucketsAt + 4 * buckets + 4 * (index - first))
    const symbol = symbols + 24 * index
    if (chained >>> 1 === hash >>> 1 && text(bytes, strings + bytes.readUInt32LE(symbol)) === name)
      return word(bytes, symbol + 8)
    if ((chained & 1) === 1) return undefined
  }
}

/** The names in the dynamic symbol table of an official build or a library. */
function namesIn({
  bytes,
  sections,
}: Pick<Elf, 'bytes' | 'sections'>): { name: string; isDefined: boolean }[] {
  const [symbols, strings] = ['.dynsym', '.dynstr'].map((name) =>
    sectionNamed({ bytes, sections, entry: 0, segments: [] }, name),
  ) as [Elf['sections'][0], Elf['sections'][0]]
  return Array.from({ length: symbols.size / 24 - 1 }, (_, index) => {
    const at = symbols.offset + 24 * (index + 1)
    return {
      name: text(bytes, strings.offset + bytes.readUInt32LE(at)),
      isDefined: bytes.readUInt16LE(at + 6) !== 0,
    }
  })
}

t.test('names of the C++ library', async (t) => {
  for (const name of [
    '_ZNSt6vectorIN4node9Utf8ValueESaIS1_EE17_M_realloc_insertE',
    '_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE4findEcm',
    '_ZNKRSt7__cxx1115basic_stringbufIcSt11char_traitsIcESaIcEE3strEv',
    '_ZSt4cout',
    '_ZTVSt9basic_iosIcSt11char_traitsIcEE',
    '_ZTINSt10filesystem7__cxx1116filesystem_errorE',
    '_ZTv0_n24_NSiD0Ev',
    '_ZThn16_NSdD1Ev',
    '_ZGVNSt7__cxx118numpunctIcE2idE',
    '_ZZNSt8__detail18__to_chars_10_implIjEEvPcjT_E8__digits',
    '_ZNSs4_Rep20_S_empty_rep_storageE',
    '_ZN9__gnu_cxx13stdio_filebufIcSt11char_traitsIcEED0Ev',
    '_ZTVN10__cxxabiv117__class_type_infoE',
    '_Znwm',
    '_ZdaPv',
    '__cxa_throw',
  ])
    t.ok(isOfCxxLibrary(name), name)
  for (const name of [
    '_ZN4node5StartEiPPc',
    '_ZN2v87Isolate3NewERKNS0_12CreateParamsE',
    '_ZTVN4node10BaseObjectE',
    '_ZZN4node5StartEiPPcE4once',
    '_ZN6icu_787UObjectD0Ev',
    'EVP_sha256',
    'deflate',
    'napi_create_object',
    'uv_run',
  ])
    t.notOk(isOfCxxLibrary(name), name)
})

t.test('what can be found in the runtime', { skip: cannotFetch ?? false }, async (t) => {
  for (const arch of ['x64', 'arm64']) {
    const official = readElf(readFileSync(officialNode(arch)))
    const trimmed = readElf(readFileSync(join(runtimeDirectory(arch), 'node')))
    const exported = namesIn(official).filter(({ isDefined }) => isDefined)
    t.ok(exported.length > 30_000, `${arch}: ${exported.length} names in the official build`)
    for (const name of ['environ', '__environ', '_ZSt4cout', 'stdout'])
      t.equal(lookUp(trimmed, name), lookUp(official, name), name)
    t.type(lookUp(trimmed, 'environ'), 'number')
    const lost = exported.filter(({ name }) => isOfCxxLibrary(name) && lookUp(trimmed, name) === undefined)
    t.same(lost, [], `${arch}: all of the C++ library's names`)
    for (const name of ['napi_create_object', 'EVP_sha256', '_ZN4node5StartEiPPc', 'no such name'])
      t.equal(lookUp(trimmed, name), undefined, name)
    if (arch !== process.arch) continue

    const paths = execFileSync('ldd', [officialNode(arch)], { encoding: 'utf8' }).matchAll(/(\/\S+) \(/g)
    const libraries = [...paths].map(([, path]) => path as string)
    t.ok(libraries.length > 4, `libraries: ${libraries.join(' ')}`)
    const asked = new Set(libraries.flatMap((path) => namesIn(readLibrary(path)).map(({ name }) => name)))
    const common = exported.filter(({ name }) => asked.has(name))
    t.ok(common.length > 100, `${common.length} names that a library may ask for`)
    t.same(
      common.filter(({ name }) => lookUp(trimmed, name) !== lookUp(official, name)),
      [],
      'a library finds the same for each of its names',
    )
  }
})

/** A library as far as its symbols go: readElf() takes programs only. */
function readLibrary(path: string): Pick<Elf, 'bytes' | 'sections'> {
  const bytes = Buffer.from(readFileSync(path))
  const ET_EXEC = 2
  bytes.writeUInt16LE(ET_EXEC, 16)
  return readElf(bytes)
}
