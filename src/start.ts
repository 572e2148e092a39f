import { readFileSync } from 'node:fs'
import { Script } from 'node:vm'

/**
 * `start.cjs BUNDLE [WORD]…` runs a bundle, with the code that V8 compiled of it when hostext was built, if
 * that is there. Without it, or if V8 does not take it because it is damaged or of another V8, the bundle is
 * compiled again, which takes longer and does the same. Compiled by packaging/code/.
 */
const [, , bundle = ''] = process.argv
// As if the bundle had been started.
process.argv.splice(1, 1)
const text = readFileSync(bundle, 'latin1')
// What is global in a module, and not in a script.
Object.assign(globalThis, { require, module, __dirname })
new Script(text, { filename: bundle, ...codeOf(bundle, text) }).runInThisContext()

/**
 * The compiled code of a bundle. V8 knows a text by its length alone, so the name has the bundle's ID, which
 * is its last line.
 */
function codeOf(bundle: string, text: string): { cachedData: Buffer } | undefined {
  try {
    return { cachedData: readFileSync(`${bundle.slice(0, -'.cjs'.length)}-${text.slice(-13, -1)}.code`) }
  } catch {
    return undefined
  }
}
