import { offsetOf, symbolNamed } from './elf.mjs'

/** What Abseil does about a deadlock: absl::OnDeadlockCycle in its synchronization/mutex.h. */
const [IGNORE, ABORT] = [0, 2]

/**
 * Turns off Abseil's search for deadlocks. V8's mutexes are Abseil's, and the official build of Node is
 * compiled as if it were to be debugged (without NDEBUG), so it keeps a graph of all locks in a megabyte of
 * memory, and looks for cycles in it each time that one is locked: a tenth of the start. This is the value
 * that the variable would have otherwise. Throws an Error if it is not where its symbol is.
 * @param {import('./elf.mjs').Elf} elf
 */
export function ignoreDeadlocks(elf) {
  const name = /^_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE$/
  const at = offsetOf(elf, symbolNamed(elf, ['.symtab', '.strtab'], name).address)
  const value = elf.bytes.readInt32LE(at)
  if (value !== ABORT) throw new Error(`Abseil does ${value} about a deadlock, not ${ABORT}`)
  elf.bytes.writeInt32LE(IGNORE, at)
}
