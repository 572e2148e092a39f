/**
 * Deliberate faults: `tsx test/faults.ts [--seed N] [--count N]` makes small changes to src and generators,
 * one at a time in a copy of the checkout, and says which of them the unit tier catches. `--only 3,7` makes
 * the third and the seventh of them alone.
 *
 * What does not compile, or leaves the compiled file as it is, is no fault, and another is made in its place.
 * The tests run in a sandbox: a fault in what reboots machines would otherwise reboot this one.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import minimist from 'minimist'
import ts from 'typescript'
import { type Fault, faultsOf, shellFaultsOf } from './faults/places.js'
import { compile } from './support/compile.js'
import { PROJECT } from './support/paths.js'
import { seeded } from './support/seeded.js'

const { seed, count, only } = minimist(process.argv.slice(2), {
  string: ['only'],
  default: { seed: 1, count: 40 },
})
const wanted = new Set(only?.split(',').map(Number))

mkdirSync(join(PROJECT, 'build'), { recursive: true })
const copy = mkdtempSync(join(PROJECT, 'build/faults-'))
const compiled = join(copy, 'build/tests')
process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
execFileSync(
  'sh',
  ['-c', 'git ls-files -z ":!biome.json" | xargs -0 cp -a --parents -t "$0"; cp -al node_modules "$0"', copy],
  {
    cwd: PROJECT,
  },
)
compile(copy, compiled)

const below = (directory: string, of: RegExp): string[] =>
  readdirSync(join(copy, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => of.test(name))
    .sort()
    .map((name) => join(directory, name))

type Place = Fault & { file: string }
const places: Place[] = [
  ...below('src', /\.ts$/).flatMap((file) => faultsOf(read(file)).map((fault) => ({ ...fault, file }))),
  ...below('generators', /^(?:hostext[\w.-]+|steps\/[\w.-]+)$/).flatMap((file) =>
    shellFaultsOf(read(file), /\.(?:service|path)$/.test(file)).map((fault) => ({ ...fault, file })),
  ),
]
const kinds = [...new Set(places.map(({ kind }) => kind))].sort()

function read(file: string): string {
  return readFileSync(join(copy, file), 'utf8')
}

const { config } = ts.readConfigFile(join(copy, 'tsconfig.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, copy)
const host = ts.createCompilerHost(options)
const parsed = new Map<string, ts.SourceFile | undefined>()
const parse = host.getSourceFile
host.getSourceFile = (name, ...more) => {
  if (!parsed.has(name)) parsed.set(name, parse(name, ...more))
  return parsed.get(name)
}

/** Why the file, as it is now, is none that could be shipped, or undefined. */
function flaw(file: string): string | undefined {
  if (/\.(?:service|path)$/.test(file)) return undefined
  if (!file.endsWith('.ts')) {
    const { status, stderr } = spawnSync('sh', ['-n', join(copy, file)], { encoding: 'utf8' })
    return status === 0 ? undefined : stderr
  }
  parsed.delete(join(copy, file))
  const program = ts.createProgram(
    [join(copy, file)],
    { ...options, noUnusedLocals: false, noUnusedParameters: false },
    host,
  )
  const source = program.getSourceFile(join(copy, file))
  parsed.delete(join(copy, file))
  const [problem] = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
  return problem && ts.flattenDiagnosticMessageText(problem.messageText, ' ')
}

/**
 * Runs in a mount and PID namespace of its own, with a root that cannot be written and nothing that reboots.
 */
const SANDBOX = `set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount -t proc proc /proc
[ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/vm/drop_caches /proc/sys/vm/drop_caches
mount -o remount,bind,ro /proc/sys
for directory in /run /tmp /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$directory"; done
mkdir /run/lock
mount -o remount,bind,ro /
cd "$0"
exec "$@"`

function start(file: string): ChildProcess {
  const words = ['--import=./test/support/strict.mjs', join(compiled, file.replace(/\.ts$/, '.js'))]
  return spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', SANDBOX, copy, process.execPath, ...words],
    {
      env: { PATH: process.env.PATH, TMPDIR: '/dev/shm', TAP_TIMEOUT: '0', HOME: '/root' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
}

/**
 * Runs the tests, two files at a time; returns the first of them that fails, with the first line that says
 * so.
 */
async function firstFailure(files: string[]): Promise<string | undefined> {
  const waiting = [...files]
  let failure: string | undefined
  const running = new Set<ChildProcess>()
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined && failure === undefined; file = waiting.shift()) {
      if (isBundleStale && usesBundle(file)) buildBundle()
      const child = start(file)
      running.add(child)
      let output = ''
      child.stdout?.on('data', (chunk) => (output += chunk))
      child.stderr?.on('data', () => {})
      const timer = setTimeout(() => child.kill('SIGKILL'), 300_000)
      const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
      clearTimeout(timer)
      running.delete(child)
      if (status === 0 || failure !== undefined) continue
      failure = `${file}: ${/^ *not ok (?:\d+ - )?(.*)$/m.exec(output)?.[1] ?? `status ${status}`}`
      for (const other of running) other.kill('SIGKILL')
    }
  }
  await Promise.all([work(), work()])
  return failure
}

const SLOW = /unit\/(?:broken|trial\/watch|build|packaging\/runtime)\.ts$/
// Those in test/tools are about the harness.
const all = below('test/unit', /\.ts$/)

/** The test of the same name first, then those of the same room, the slow ones last. */
function inOrder(file: string): string[] {
  const twin = `test/unit/${relative('src', file)}`
  const rank = (test: string): number =>
    test === twin || test === `test/unit/${file}.ts` || basename(test, '.ts') === basename(file, '.ts')
      ? 0
      : SLOW.test(test)
        ? 3
        : test.startsWith(join(twin, '..')) && !usesBundle(test)
          ? 1
          : 2
  return [...all].sort((one, other) => rank(one) - rank(other))
}

let isBundleStale = false

function buildBundle(): void {
  execFileSync(process.execPath, ['build.mjs'], { cwd: copy, stdio: 'ignore' })
  isBundleStale = false
}

function usesBundle(test: string): boolean {
  return /\bBUNDLE\b|build\.mjs|'dist'/.test(read(test))
}

/**
 * What the tests import of the file, or run in its place, becomes what it is now. Returns whether that
 * differs.
 */
function apply(file: string): boolean {
  if (!file.endsWith('.ts')) return true
  const code = () => read(join('build/tests', file.replace(/\.ts$/, '.js'))).replace(/\n\/\/# source.*/, '')
  const before = code()
  compile(copy, compiled, [file])
  isBundleStale = true
  return code() !== before
}

/** Line and column of a fault, and what it does. */
function describe({ file, kind, start, end, text }: Place): string {
  const source = read(file)
  const line = source.slice(0, start).split('\n').length
  const short = (part: string) => JSON.stringify(part.length > 90 ? `${part.slice(0, 90)}…` : part)
  return `${file}:${line}: ${kind}: ${short(source.slice(start, end))} -> ${short(text)}`
}

console.log(`seed ${seed}: ${count} of ${places.length} places, of ${kinds.length} kinds`)
const sound = await firstFailure(inOrder('src/main.ts'))
if (sound) throw new Error(`without a fault: ${sound}`)

const random = seeded(seed)
const missed: string[] = []
let made = 0
let tried = 0
while (made < count) {
  const kind = random.pick(kinds)
  const place = random.pick(places.filter((place) => place.kind === kind))
  const source = read(place.file)
  const said = describe(place)
  writeFileSync(join(copy, place.file), source.slice(0, place.start) + place.text + source.slice(place.end))
  try {
    if (flaw(place.file) !== undefined || !apply(place.file)) continue
    const number = ++made
    if (wanted.size > 0 && !wanted.has(number)) continue
    tried++
    const failure = await firstFailure(inOrder(place.file))
    if (failure === undefined) missed.push(`${number}. ${said}`)
    console.log(`${number}. ${failure === undefined ? 'MISSED' : 'caught'} ${said}\n   ${failure ?? ''}`)
  } finally {
    writeFileSync(join(copy, place.file), source)
    apply(place.file)
  }
}
console.log(`\nseed ${seed}: ${tried - missed.length} of ${tried} caught`)
for (const each of missed) console.log(`missed: ${each}`)
