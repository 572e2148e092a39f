import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { GONE } from '../runtime/builtin-texts.mjs'
import { keptBuiltins } from '../runtime/builtins.mjs'

/** What node.gyp embeds from other projects. Debian has most of them in packages of their own. */
const OTHERS = [
  'deps/acorn/acorn/dist/acorn.js',
  'deps/acorn/acorn-walk/dist/walk.js',
  'deps/minimatch/index.js',
  'deps/undici/undici.js',
]

/**
 * Replaces the JavaScript of the built-in modules that the runtime does not keep, in a source tree of Node.
 * The rule is that of the trimmed runtime, and they throw the same error. What needs OpenSSL goes too:
 * crypto.js, which is there already, does not.
 * @param {string} tree
 */
export function dropBuiltins(tree) {
  const lib = join(tree, 'lib')
  const paths = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js'))
  const texts = Object.fromEntries(
    paths.map((path) => [path.slice(0, -'.js'.length), readFileSync(join(lib, path), 'utf8')]),
  )
  const kept = keptBuiltins(texts)
  const gone = Object.keys(texts).filter((name) => !kept.has(name) || name.startsWith('internal/crypto/'))
  for (const path of [...gone.map((name) => `lib/${name}.js`), ...OTHERS]) {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    writeFileSync(join(tree, path), `${GONE}\n`)
  }
}
