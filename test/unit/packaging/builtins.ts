import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keptBuiltins, USED } from '../../../packaging/runtime/builtins.mjs'
import { BUNDLE, COMMANDS_BUNDLE, PROJECT } from '../../support/paths.js'

/** The built-in modules that a text imports or asks for. */
const namesIn = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom|\bimport\(?|\brequire\(|\.getBuiltinModule\()\s*["']node:([\w/]+)["']/g)].map(
    ([, name]) => name as string,
  )

t.test('what the program uses is in the runtime', async (t) => {
  const sources = readdirSync(join(PROJECT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(PROJECT, 'src', path), 'utf8'))
  t.ok(sources.length > 40, 'files are found')
  const used = [...new Set(sources.flatMap(namesIn))].sort()
  t.same(used, USED, 'USED in packaging/runtime/builtins.mjs has what src/ imports, and nothing else')
  const bundled = new Set(namesIn(readFileSync(BUNDLE, 'utf8')))
  t.ok(bundled.has('fs'), 'modules are found in the bundle')
  t.same(
    [...bundled].filter((name) => !USED.includes(name)),
    [],
  )
})

t.test('nothing asks for the data of ICU, which is not there', async (t) => {
  const asks = /\.(?:localeCompare|toLocale[A-Z]\w*)\b|\bIntl\b|\bNFK[CD]\b|\.transcode\(/
  for (const text of [
    'a.localeCompare(b)',
    'date.toLocaleString()',
    'new Intl.Collator()',
    "normalize('NFKC')",
  ])
    t.match(text, asks)
  t.notMatch(readFileSync(BUNDLE, 'utf8'), asks)
})

t.test('nothing asks for what the minimal runtime does not have', async (t) => {
  // All that packaging/minimal/crypto.js has of the module; and without ICU a syntax error.
  const others = /\.getBuiltinModule\(['"]node:crypto['"]\)(?!\.createHash\(['"]sha256['"]\))|\\p\{/
  for (const text of [
    "process.getBuiltinModule('node:crypto').randomUUID()",
    'process.getBuiltinModule("node:crypto").createHash("md5")',
    '/\\p{Cc}/u',
  ])
    t.match(text, others)
  for (const bundle of [BUNDLE, COMMANDS_BUNDLE]) {
    const text = readFileSync(bundle, 'utf8')
    t.notMatch(text, others, bundle)
    t.ok(text.includes('.createHash("sha256")'), bundle)
  }
})

const used = Object.fromEntries(USED.map((name) => [name, '']))

t.test('what a module loads is kept, all the way down', async (t) => {
  const kept = keptBuiltins({
    ...used,
    fs: `const one = require('internal/one'); function late() { return require( "node:two" ) }`,
    'internal/one': `defineLazy(globalThis, 'internal/three', ['Three'])`,
    two: `require('absent'); required('four')`,
    'internal/three': `require('fs')`,
    four: '',
  })
  t.same([...kept].sort(), [...USED, 'internal/one', 'internal/three', 'two'].sort())
})

t.test('subsystems that nobody uses go, and what only they load', async (t) => {
  const kept = keptBuiltins({
    ...used,
    fs: `function late() { require('internal/webstreams/readablestream') }\nconst util = require('internal/util')`,
    'internal/webstreams/readablestream': `require('internal/util'); require('internal/only/here')`,
    'internal/only/here': '',
    'internal/util': '',
  })
  t.same([...kept].sort(), [...USED, 'internal/util'].sort())
})

t.test('what a module loads at once is kept, whatever it is of', async (t) => {
  const kept = keptBuiltins({
    ...used,
    fs: `'use strict'\n\nconst {\n  one,\n} = require('internal/repl/one');\nfunction late() {\n  require('repl')\n}`,
    zlib: `const stream = require('stream/web').stream`,
    crypto: `module.exports = require('internal/test/two')`,
    events: `require('http')`,
    ...Object.fromEntries(
      ['internal/repl/one', 'repl', 'stream/web', 'internal/test/two', 'http'].map((name) => [name, '']),
    ),
  })
  t.same([...kept].sort(), [...USED, 'http', 'internal/repl/one', 'internal/test/two', 'stream/web'].sort())
})

t.test('what Node starts with is kept', async (t) => {
  const start = ['internal/bootstrap/node', 'internal/main/run_main_module', 'internal/main/eval_string']
  const texts = { ...used, ...Object.fromEntries([...start, 'internal/main/repl'].map((name) => [name, ''])) }
  t.same([...keptBuiltins(texts)].sort(), [...USED, ...start].sort())
})

t.test('a version of Node without one of them', async (t) => {
  const { zlib: _, ...texts } = used
  t.throws(() => keptBuiltins(texts), { message: 'it has no built-in module zlib' })
})
