import { readFileSync } from 'node:fs'
import { Script } from 'node:vm'

/**
 * `start.cjs BUNDLE [WORD]…` runs a bundle, with the code that V8 compiled of it when hostext was built, if
 * that is there. Without it, or if it is damaged, or if V8 does not take it because it is of another V8, the
 * bundle is compiled again, which takes longer and does the same. Compiled by packaging/code/.
 */
const [, , bundle = ''] = process.argv
// As if the bundle had been started.
process.argv.splice(1, 1)
const text = readFileSync(bundle, 'latin1')
const cachedData = codeOf(bundle, text)
// What is global in a module, and not in a script.
Object.assign(globalThis, { require, module, __dirname })
new Script(text, { filename: bundle, ...(cachedData && { cachedData }) }).runInThisContext()

/**
 * The compiled code of a bundle. V8 knows a text by its length alone, so the name of the file has the ID of
 * the bundle, which is its last line. Nor does V8 check the code, so the file has it twice, the second time
 * backwards.
 */
function codeOf(bundle: string, text: string): Buffer | undefined {
  try {
    const both = readFileSync(`${bundle.slice(0, -'.cjs'.length)}-${text.slice(-13, -1)}.code`)
    const code = both.subarray(0, both.length >> 1)
    return code.equals(both.subarray(code.length).reverse()) ? code : undefined
  } catch {
    return undefined
  }
}
