import { fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { Script } from 'node:vm'

/**
 * `start.cjs BUNDLE [WORD]…` runs a bundle, with the code that V8 compiled of it when hostext was built, if
 * that is there. Without it, or if it is damaged, or if V8 does not take it because it is of another V8, the
 * bundle is compiled again, which takes longer and does the same. Compiled by packaging/code/.
 */

/** Bytes of the code that are compared at once. */
const PIECE = 1 << 16

const [, , bundle = ''] = process.argv
// As if the bundle had been started.
process.argv.splice(1, 1)
// ASCII: V8 keeps a byte for each character.
const text = readFileSync(bundle, 'utf8')
const cachedData = codeOf(bundle, text)
// What is global in a module, and not in a script.
Object.assign(globalThis, { require, module, __dirname })
new Script(text, { filename: bundle, ...(cachedData && { cachedData }) }).runInThisContext()

/**
 * The compiled code of a bundle. V8 knows a text by its length alone, so the name of the file has the ID of
 * the bundle, which is its last line. Nor does V8 check the code, so the file has it twice, the second time
 * backwards: read in pieces, because each new page of memory takes as long as reading it.
 */
function codeOf(bundle: string, text: string): Buffer | undefined {
  try {
    const file = openSync(`${bundle.slice(0, -'.cjs'.length)}-${text.slice(-13, -1)}.code`, 'r')
    const code = Buffer.allocUnsafeSlow(fstatSync(file).size >> 1)
    if (readSync(file, code) !== code.length) return undefined
    const piece = Buffer.allocUnsafeSlow(PIECE)
    for (let end = code.length; end > 0; end -= PIECE) {
      const start = Math.max(0, end - PIECE)
      const backwards = piece.subarray(0, end - start)
      if (readSync(file, backwards) !== backwards.length) return undefined
      if (backwards.reverse().compare(code, start, end) !== 0) return undefined
    }
    // A process that ends soon closes it.
    return code
  } catch {
    return undefined
  }
}
