import { dropBuiltins } from './builtin-texts.mjs'
import { keptBuiltins } from './builtins.mjs'
import { findFaults, MOST_HEADERS } from './checks.mjs'
import { dropCodeCaches } from './code-caches.mjs'
import { ignoreDeadlocks } from './deadlock-checks.mjs'
import { compactDynamicSymbols } from './dynamic-symbols.mjs'
import { readElf } from './elf.mjs'
import { emptyIcuData } from './icu-data.mjs'
import { writeWithoutHoles } from './layout.mjs'
import { emptyUnwindTables } from './unwind-tables.mjs'

const MIB = 2 ** 20

/** For each architecture the largest page of its kernels, and how large the runtime may be. */
export const TARGETS = {
  x64: { page: 2 ** 12, size: 57 * MIB },
  arm64: { page: 2 ** 16, size: 54 * MIB },
}

/**
 * Takes out of an official build of Node what hostext does not need: the data of ICU, unwind tables, symbols,
 * sections, checks for deadlocks, and the built-in modules that builtins.mjs does not keep. Throws an Error
 * if something is not where it is expected, or if the result breaks a rule of checks.mjs.
 * @param {Buffer} official the executable file
 * @param {Record<string, string>} texts the JavaScript of its built-in modules, by name
 * @param {'x64' | 'arm64'} arch
 * @returns {Buffer}
 */
export function trimNode(official, texts, arch) {
  const elf = readElf(Buffer.from(official))
  const { page, size } = TARGETS[arch]
  const kept = keptBuiltins(texts)
  ignoreDeadlocks(elf)
  const holes = [
    // Before its symbol is gone.
    ...emptyIcuData(elf),
    ...emptyUnwindTables(elf),
    ...compactDynamicSymbols(elf),
    ...dropBuiltins(elf, texts, kept),
    ...dropCodeCaches(elf, texts, kept),
  ]
  const trimmed = writeWithoutHoles(elf, holes, { page, headers: MOST_HEADERS })
  const faults = findFaults(trimmed, { page, size })
  if (faults.length > 0) throw new Error(`the trimmed Node is not usable: ${faults.join('; ')}`)
  return trimmed
}
