import { chmodSync, cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUNDLES, codeDirectory, codeName } from '../../packaging/code/code.mjs'
import { GENERATORS, PROJECT, STEPS } from './paths.js'
import { runtimeDirectory, TESTED } from './runtime.js'

/**
 * Puts what people type and what boots run into a directory, as it is in /usr/lib/hostext: the runtime, or a
 * link to it, the bundles with their compiled code, and the command.
 */
export function installLibrary(lib: string, isWhole = false): void {
  const runtime = runtimeDirectory(process.arch, TESTED)
  const dist = join(PROJECT, 'dist')
  if (isWhole) cpSync(join(runtime, 'node'), join(lib, 'node'))
  else symlinkSync(join(runtime, 'node'), join(lib, 'node'))
  for (const name of readdirSync(dist).filter((name) => name.endsWith('.cjs')))
    cpSync(join(dist, name), join(lib, name))
  for (const name of BUNDLES.map((name) => codeName(join(dist, name))))
    cpSync(join(codeDirectory(runtime), name), join(lib, name))
  cpSync(join(STEPS, 'runtime.sh'), join(lib, 'runtime.sh'))
  const text = readFileSync(join(GENERATORS, 'command'), 'utf8')
  writeFileSync(join(lib, 'command'), text.replace('library=/usr/lib/hostext', `library='${lib}'`))
  chmodSync(join(lib, 'command'), 0o755)
}
