import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { hashOf } from '../hash.mjs'
import { moveInto } from '../runtime/official.mjs'
import { makeMachine, outputs, stackMachine } from './machine.mjs'

/** The flags with which the stub and `hostext` start a bundle. V8 takes compiled code only with the same. */
export const FLAGS = [
  ...['--jitless', '--single-threaded', '--v8-pool-size=1'],
  // Node wants the source positions of all functions, which V8 then searches for in its heap in each start.
  '--no-enable-lazy-source-positions',
  // More than what is allocated for a few extensions, so that nothing has to be collected.
  '--min-semi-space-size=4',
]

/** Each bundle, and what is run of it: what a boot with a changed stack does, and what people ask for. */
const RUNS = {
  'hostext.cjs': ({ trial, good }) =>
    [trial, good].map((root) => ({ root, words: outputs(root), status: 0 })),
  'commands.cjs': ({ stacked }) =>
    [['status'], ['list'], ['which', '/usr/share/extension-1'], ['diff'], ['version']].map((words) => ({
      root: stacked,
      words,
      status: words[0] === 'status' ? ON_TRIAL : 0,
    })),
}

/** The bundles that are compiled: not that for whole images, which runs without these flags. */
export const BUNDLES = Object.keys(RUNS)

/** The exit status of `hostext status` where a stack is on trial. */
const ON_TRIAL = 5

/**
 * The name of the file with the compiled code of a bundle: src/start.ts.
 * @param {string} bundle Its path.
 */
export function codeName(bundle) {
  const id = readFileSync(bundle, 'latin1').slice(-13, -1)
  return `${bundle.slice(bundle.lastIndexOf('/') + 1, -'.cjs'.length)}-${id}.code`
}

/**
 * Where the code for a runtime is, in its directory. Another one if how it is made has changed.
 * @param {string} runtime
 */
export const codeDirectory = (runtime) => join(runtime, `code-${hashOf(import.meta.dirname)}`)

/** What qemu-user(1) calls the architectures of Node. */
const EMULATED = { x64: 'x86_64', arm64: 'aarch64' }

/**
 * The words before a program of an architecture to run it here: none on a machine of that architecture;
 * otherwise qemu-user(1), with the libraries of Debian's packages for cross compilers. Undefined if they are
 * not there.
 * @param {string} arch
 * @returns {string[] | undefined}
 */
export function emulator(arch) {
  if (arch === process.arch) return []
  const name = EMULATED[arch]
  const program = `/usr/bin/qemu-${name}`
  const libraries = `/usr/${name}-linux-gnu`
  return existsSync(program) && existsSync(libraries) ? [program, '-L', libraries] : undefined
}

/**
 * Compiles the bundles for the runtime in `runtime`, and keeps their code there; what is there already is not
 * made again. The same bundles and the same runtime give the same bytes. Returns whether the code is there;
 * it cannot be made where nothing runs a program of that architecture. Throws an Error if it fails.
 * @param {string} dist Where the bundles are.
 * @param {string} runtime A directory of `build.mjs runtime`.
 * @param {string} arch
 * @returns {boolean}
 */
export function compileBundles(dist, runtime, arch) {
  const directory = codeDirectory(runtime)
  const missing = BUNDLES.filter((name) => !existsSync(join(directory, codeName(join(dist, name)))))
  if (missing.length === 0) return true
  const before = emulator(arch)
  if (!before) return false
  const work = mkdtempSync(join(dirname(runtime), '.code-'))
  try {
    const machines = makeMachines(work, join(dist, 'hostext.cjs'))
    for (const name of missing) {
      const bundle = join(dist, name)
      const out = join(work, codeName(bundle))
      const words = [
        join(import.meta.dirname, 'compile.cjs'),
        bundle,
        out,
        JSON.stringify(RUNS[name](machines)),
      ]
      run([...before, join(runtime, 'node'), ...FLAGS, '--hash-seed=1', ...words])
      moveInto(out, join(directory, codeName(bundle)))
    }
    return true
  } finally {
    rmSync(work, { recursive: true })
  }
}

/**
 * Machines with two extensions: in the first boot of this stack, in a later one, after it has proved good,
 * and one that is stacked.
 */
function makeMachines(work, bundle) {
  const machine = join(work, 'machine')
  makeMachine(machine, 2)
  for (const place of ['nextroot', 'base'])
    mkdirSync(join(machine, 'usr/lib/hostext', place), { recursive: true })
  run([process.execPath, bundle, 'prepare'], machine)
  const copy = (name, from) => {
    const root = join(work, name)
    execFileSync('cp', ['-a', from, root])
    return root
  }
  const boot = (root) => {
    for (const directory of outputs(root)) mkdirSync(directory, { recursive: true })
    return root
  }
  const trial = boot(copy('trial', machine))
  const stacked = boot(copy('stacked', machine))
  run([process.execPath, bundle, ...outputs(stacked)], stacked)
  const good = copy('good', machine)
  cpSync(join(stacked, 'run/hostext/trial'), join(good, 'var/lib/docker/hostext/good'))
  stackMachine(stacked)
  return { trial, good: boot(good), stacked }
}

function run(words, root = '') {
  // An empty environment: NODE_OPTIONS and the like of whoever builds must not apply.
  const environment = ['-i', `PATH=${process.env.PATH}`, `HOSTEXT_ROOT=${root}`]
  try {
    execFileSync('env', [...environment, ...words], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new Error(`the bundles cannot be compiled: ${error.stderr || error.message}`)
  }
}
