/**
 * `npm run bench`: what hostext costs at boot. Each measurement is of whole processes, in pairs run in turn
 * (A B A B …), so that the machine's other work weighs on both; medians, and the median of the pairs' ratios.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROJECT = join(import.meta.dirname, '..')
const DATA_ROOT = join(import.meta.dirname, 'data-roots/standard')
const runtimeDirectory = execFileSync(process.execPath, ['build.mjs', 'runtime'], {
  cwd: PROJECT,
  encoding: 'utf8',
}).trim()
const NODE = join(runtimeDirectory, 'node')
const BUNDLE = join(PROJECT, 'dist/hostext.cjs')
const STUB = join(PROJECT, 'generators/hostext-generator')

const work = mkdtempSync(join(tmpdir(), 'hostext-bench-'))
/** What a machine has on tmpfs: /run, where the units and the decision are written. */
const memory = mkdtempSync('/dev/shm/hostext-bench-')
process.on('exit', () => {
  for (const directory of [work, memory]) rmSync(directory, { recursive: true, force: true })
})
const empty = join(work, 'empty.js')
writeFileSync(empty, '')

/** A machine whose engine has `count` extension containers, each with a layer of its own. */
function machine(count: number): string {
  const root = join(work, `machine-${count}`)
  mkdirSync(join(root, 'proc/self'), { recursive: true })
  writeFileSync(join(root, 'proc/cmdline'), 'root=/dev/vda ro quiet\n')
  writeFileSync(
    join(root, 'proc/self/mountinfo'),
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.split(' ')[4] === '/') ?? '',
  )
  mkdirSync(join(root, 'usr/lib/systemd/system'), { recursive: true })
  writeFileSync(join(root, 'usr/lib/systemd/system/soft-reboot.target'), '')
  const data = join(root, 'var/lib/docker')
  const id = readdirSync(join(DATA_ROOT, 'containers')).find((id) =>
    readFileSync(join(DATA_ROOT, 'containers', id, 'config.v2.json'), 'utf8').includes('"/one-layer"'),
  ) as string
  const config = readFileSync(join(DATA_ROOT, 'containers', id, 'config.v2.json'), 'utf8')
  for (let index = 0; index < count; index++) {
    const hex = (kind: string) => `${kind}${String(index)}`.padStart(64, '0')
    const short = (kind: string) => `${kind}${String(index)}`.padStart(26, 'A')
    const write = (path: string, text: string) => {
      mkdirSync(join(data, path, '..'), { recursive: true })
      writeFileSync(join(data, path), text)
    }
    write(
      `containers/${hex('c')}/config.v2.json`,
      config.replaceAll(id, hex('c')).replaceAll('one-layer', `extension-${index}`),
    )
    write(`image/overlay2/layerdb/mounts/${hex('c')}/mount-id`, hex('e'))
    write(`image/overlay2/layerdb/mounts/${hex('c')}/init-id`, `${hex('e')}-init`)
    write(`overlay2/${hex('e')}/lower`, `l/${short('I')}:l/${short('L')}`)
    write(`overlay2/${hex('e')}-init/diff/.dockerenv`, '')
    write(`overlay2/${hex('d')}/diff/usr/file`, '')
    mkdirSync(join(data, 'overlay2/l'), { recursive: true })
    symlinkSync(`../${hex('e')}-init/diff`, join(data, 'overlay2/l', short('I')))
    symlinkSync(`../${hex('d')}/diff`, join(data, 'overlay2/l', short('L')))
  }
  if (count === 0)
    cpSync(DATA_ROOT, data, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.includes('overlay2'),
    })
  return root
}

type Command = { words: string[]; environment?: Record<string, string>; before?: () => void }

/** Milliseconds that one run takes, start to end. */
function time({ words, environment, before }: Command): number {
  before?.()
  const started = process.hrtime.bigint()
  const { status } = spawnSync(words[0] as string, words.slice(1), {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
    stdio: 'ignore',
  })
  const elapsed = Number(process.hrtime.bigint() - started) / 1e6
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}`)
  return elapsed
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

function compare(name: string, a: Command, b: Command, runs: number): void {
  const pairs = Array.from({ length: runs + 3 }, () => [time(a), time(b)] as const).slice(3)
  const [ours, theirs] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))]
  const ratio = median(pairs.map(([x, y]) => x / y))
  console.log(
    `${name.padEnd(58)} ${ours.toFixed(1).padStart(8)} ms ${theirs.toFixed(1).padStart(8)} ms   × ${ratio.toFixed(2)}`,
  )
}

/** The generator on a machine, with fresh output directories and a fresh /run. */
function generator(command: string[], root: string): Command {
  const out = join(memory, 'out')
  const run = join(memory, 'run')
  symlinkSync(run, join(root, 'run'))
  const directories = ['normal', 'early', 'late'].map((name) => join(out, name))
  return {
    words: [...command, ...directories],
    environment: { HOSTEXT_ROOT: root },
    before: () => {
      rmSync(out, { recursive: true, force: true })
      rmSync(run, { recursive: true, force: true })
      for (const directory of [run, ...directories]) mkdirSync(directory, { recursive: true })
    },
  }
}

console.log(`${'whole processes, medians'.padEnd(58)} ${'this'.padStart(11)} ${'other'.padStart(11)}   ratio`)
mkdirSync(join(work, 'none/proc'), { recursive: true })
writeFileSync(join(work, 'none/proc/cmdline'), 'ro\n')
const idle = machine(0)
for (const id of readdirSync(join(idle, 'var/lib/docker/containers'))) {
  const file = join(idle, 'var/lib/docker/containers', id, 'config.v2.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"Labels":\{.*?\}/, '"Labels":{}'))
}
compare(
  'stub, nothing to do (5 containers), vs. /bin/true',
  generator(['/bin/sh', STUB], idle),
  { words: ['/bin/true'] },
  41,
)
compare(
  'stub, no engine, vs. /bin/true',
  generator(['/bin/sh', STUB], join(work, 'none')),
  { words: ['/bin/true'] },
  41,
)
for (const count of [3, 20, 499]) {
  const name = `generator, ${count} extensions, vs. the bare runtime`
  compare(name, generator([NODE, BUNDLE], machine(count)), { words: [NODE, empty] }, count > 100 ? 11 : 31)
}
