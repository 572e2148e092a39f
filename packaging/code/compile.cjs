// `node FLAGS --hash-seed=1 compile.cjs BUNDLE OUT RUNS`: runs a bundle, and writes what V8 has compiled by
// then. RUNS: JSON, a list of {root, words, status}. Functions that none of these runs calls are not in it.
'use strict'
const { readFileSync, writeFileSync } = require('node:fs')
const { basename } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { Script } = require('node:vm')

const [, , bundle, out, runs] = process.argv
// Nothing that was compiled is thrown away before it is written.
setFlagsFromString('--no-flush-bytecode')
// Wherever it is here: the name is part of the code.
const filename = `/usr/lib/hostext/${basename(bundle)}`
const script = new Script(readFileSync(bundle, 'latin1'), { filename })
Object.assign(globalThis, { require, module, __dirname })

const ENDED = new Error('the bundle has ended')
const exit = process.exit
process.exit = (status) => {
  process.exitCode = status
  throw ENDED
}
// What people type ends in a promise.
process.on('unhandledRejection', (error) => {
  if (error !== ENDED) throw error
})

async function main() {
  for (const { root, words, status } of JSON.parse(runs)) {
    process.argv = [process.execPath, bundle, ...words]
    process.env.HOSTEXT_ROOT = root
    process.exitCode = undefined
    try {
      script.runInThisContext()
    } catch (error) {
      if (error !== ENDED) throw error
    }
    // After its promises.
    await new Promise(setImmediate)
    if ((process.exitCode ?? 0) !== status) throw new Error(`${words.join(' ')}: status ${process.exitCode}`)
  }
  // V8 takes code only with the flags of the process that compiled it. The seed is fixed here so that a text
  // is always compiled to the same bytes.
  for (const flag of ['--flush-bytecode', '--hash-seed=0']) setFlagsFromString(flag)
  const code = script.createCachedData()
  // Twice, the second time backwards: so src/start.ts sees a damage, also where a file system keeps equal
  // blocks only once.
  writeFileSync(out, Buffer.concat([code, Buffer.from(code).reverse()]))
  exit(0)
}

main().catch((error) => {
  console.error(error.message)
  exit(1)
})
