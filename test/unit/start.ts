import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { codeDirectory, codeName, compileBundles, emulator, FLAGS } from '../../packaging/code/code.mjs'
import { makeMachine, outputs } from '../../packaging/code/machine.mjs'
import { OFFICIAL } from '../../packaging/runtime/official.mjs'
import { installLibrary } from '../support/library.js'
import { PROJECT } from '../support/paths.js'
import { cannotFetch, runtimeDirectory, TESTED } from '../support/runtime.js'
import { makeTree, readTree } from '../support/tree.js'

const skip = cannotFetch ?? (process.arch in OFFICIAL.integrity ? false : `no runtime for ${process.arch}`)

/** What is installed, in a directory of its own: bundles, what starts them, and their compiled code. */
function installed(t: Test): string {
  const lib = makeTree(t)
  installLibrary(lib)
  return lib
}

const node = (): string => join(runtimeDirectory(process.arch, TESTED), 'node')

/** Runs a bundle as the stub and `hostext` do. */
function start(lib: string, bundle: string, words: readonly string[], root: string, by = 'start.cjs') {
  const { status, stdout, stderr } = spawnSync(
    node(),
    [...FLAGS, join(lib, by), join(lib, bundle), ...words],
    // Code that is damaged may run for ever.
    { encoding: 'utf8', env: { PATH: process.env.PATH, HOSTEXT_ROOT: root }, timeout: 20_000 },
  )
  return { status, stdout, stderr }
}

const IS_TAKEN = `
  const { readFileSync } = require('node:fs')
  const { Script } = require('node:vm')
  const [bundle, code] = process.argv.slice(1)
  const both = readFileSync(code)
  const cachedData = both.subarray(0, both.length / 2)
  const { cachedDataRejected } = new Script(readFileSync(bundle, 'latin1'), { filename: bundle, cachedData })
  process.exit(cachedDataRejected ? 1 : 0)`

/** Whether V8 takes the compiled code of a bundle. */
function isTaken(lib: string, bundle: string, code = codeName(join(lib, bundle))): boolean {
  return spawnSync(node(), [...FLAGS, '-e', IS_TAKEN, join(lib, bundle), join(lib, code)]).status === 0
}

/** Runs a bundle with whatever its code is. */
const UNCHECKED = `
const { readFileSync } = require('node:fs')
const bundle = process.argv.splice(1, 1) && process.argv[1]
const text = readFileSync(bundle, 'latin1')
const both = readFileSync(bundle.slice(0, -4) + '-' + text.slice(-13, -1) + '.code')
Object.assign(globalThis, { require, module, __dirname })
new (require('node:vm').Script)(text, { filename: bundle, cachedData: both.subarray(0, both.length >> 1) }).runInThisContext()`

const OTHER = process.arch === 'x64' ? 'arm64' : 'x64'
const cannotEmulate = emulator(OTHER) ? false : `nothing runs programs for ${OTHER}`

t.test('with compiled code', { skip }, async (t) => {
  const lib = installed(t)
  const root = join(makeTree(t), 'machine')
  makeMachine(root, 2)
  mkdirSync(join(root, 'usr/lib/hostext/nextroot'), { recursive: true })
  const prepared = spawnSync(node(), [join(lib, 'hostext.cjs'), 'prepare'], { env: { HOSTEXT_ROOT: root } })
  t.equal(prepared.status, 0)

  t.test('V8 takes it', async (t) => {
    for (const bundle of ['hostext.cjs', 'commands.cjs']) t.ok(isTaken(lib, bundle), bundle)
  })

  t.test('so does that of the other architecture', { skip: cannotEmulate }, async (t) => {
    const runtime = runtimeDirectory(OTHER)
    for (const bundle of ['hostext.cjs', 'commands.cjs']) {
      const path = join(lib, bundle)
      const code = join(codeDirectory(runtime), codeName(path))
      cpSync(code, join(lib, `${OTHER}-${codeName(path)}`))
      const words = [...FLAGS, '-e', IS_TAKEN, path, code]
      const [program = '', ...rest] = [...(emulator(OTHER) ?? []), join(runtime, 'node'), ...words]
      t.equal(spawnSync(program, rest).status, 0, bundle)
    }
    t.notOk(isTaken(lib, 'commands.cjs', `${OTHER}-${codeName(join(lib, 'commands.cjs'))}`), 'but not here')
  })

  t.test('the same bytes are made in another place', async (t) => {
    const other = join(makeTree(t), 'runtime')
    mkdirSync(other)
    cpSync(node(), join(other, 'node'))
    cpSync(join(PROJECT, 'dist'), join(other, '../elsewhere/dist'), { recursive: true })
    t.ok(compileBundles(join(other, '../elsewhere/dist'), other, process.arch))
    const names = readdirSync(codeDirectory(other))
    t.equal(names.length, 2)
    for (const name of names)
      t.ok(readFileSync(join(codeDirectory(other), name)).equals(readFileSync(join(lib, name))), name)
  })

  /** What is asked, and what a boot makes, with what is in `lib`. */
  const everything = (lib: string, name: string) => {
    const machine = join(makeTree(t), name)
    cpSync(root, machine, { recursive: true, verbatimSymlinks: true })
    for (const directory of outputs(machine)) mkdirSync(directory, { recursive: true })
    const boot = start(lib, 'hostext.cjs', outputs(machine), machine)
    return {
      boot,
      units: JSON.stringify(readTree(join(machine, 'run/systemd'))).replaceAll(machine, ''),
      decision: readFileSync(join(machine, 'run/hostext.decision'), 'utf8'),
      status: start(lib, 'commands.cjs', ['status'], machine),
      wrong: start(lib, 'commands.cjs', ['nothing'], machine),
    }
  }
  const expected = everything(lib, 'with')
  t.equal(expected.boot.status, 0)
  t.equal(expected.status.status, 5, 'on trial')
  t.match(expected.status.stdout, /^on trial/)
  t.match(expected.units, 'generator/run-hostext-1.mount')
  t.equal(expected.wrong.status, 2)

  t.test('as people start it', async (t) => {
    const { status, stdout, stderr } = spawnSync(join(lib, 'command'), ['status'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
    })
    // Nothing has booted there: the runtime knows all the flags.
    t.same({ status, stderr }, { status: 0, stderr: '' })
    t.match(stdout, 'has not run in this boot')
  })

  t.test('without it, everything is the same', async (t) => {
    const lib = makeTree(t)
    for (const name of ['start.cjs', 'hostext.cjs', 'commands.cjs'])
      cpSync(join(PROJECT, 'dist', name), join(lib, name))
    t.same(everything(lib, 'without'), expected)
  })

  t.test('damaged code is not run', async (t) => {
    const bundle = join(lib, 'commands.cjs')
    const path = join(lib, codeName(bundle))
    const whole = readFileSync(path)
    const { status } = expected
    const damages: [string, Buffer][] = [
      ['empty', Buffer.alloc(0)],
      ['cut off in its header', whole.subarray(0, 20)],
      ['cut off', whole.subarray(0, whole.length - 8)],
      ['half of it', whole.subarray(0, whole.length >> 1)],
      ['zeros', Buffer.alloc(whole.length)],
      ['zeros at its end', Buffer.concat([whole.subarray(0, -4096), Buffer.alloc(4096)])],
      ['more than it was', Buffer.concat([whole, whole.subarray(0, 2)])],
      ['the code of the other bundle', readFileSync(join(lib, codeName(join(lib, 'hostext.cjs'))))],
    ]
    // A flipped bit, at places all over the file.
    for (let index = 0; index < 30; index++) {
      const at = Math.floor(((index + 0.5) / 30) * whole.length)
      const flipped = Buffer.from(whole)
      flipped[at] = (flipped[at] as number) ^ (1 << (index % 8))
      damages.push([`bit ${index % 8} of byte ${at} is another one`, flipped])
    }
    const machine = join(makeTree(t), 'damaged')
    cpSync(root, machine, { recursive: true, verbatimSymlinks: true })
    for (const directory of outputs(machine)) mkdirSync(directory, { recursive: true })
    start(lib, 'hostext.cjs', outputs(machine), machine)
    const unchecked = join(lib, 'unchecked.cjs')
    writeFileSync(unchecked, UNCHECKED)
    let crashes = 0
    for (const [what, bytes] of damages) {
      writeFileSync(path, bytes)
      t.same(start(lib, 'commands.cjs', ['status'], machine), status, what)
      const { stdout } = start(lib, 'commands.cjs', ['status'], machine, 'unchecked.cjs')
      if (stdout !== status.stdout) crashes++
    }
    t.ok(crashes > 0, 'V8 does not see it')
    writeFileSync(path, whole)
    t.ok(isTaken(lib, 'commands.cjs'))
  })

  t.test('a bundle of the same length is another one', async (t) => {
    const changed = makeTree(t)
    cpSync(lib, changed, { recursive: true })
    const bundle = join(changed, 'commands.cjs')
    const text = readFileSync(bundle, 'utf8')
    // As a build would: with another ID.
    writeFileSync(
      bundle,
      `${text.replaceAll('has not run in', 'HAS NOT RUN IN').slice(0, -13)}0123456789ab\n`,
    )
    const empty = makeTree(t)
    t.match(start(lib, 'commands.cjs', ['status'], empty).stdout, 'has not run in')
    t.match(start(changed, 'commands.cjs', ['status'], empty).stdout, 'HAS NOT RUN IN')
  })
})
