/**
 * `npm run bench`: what hostext costs at boot; `npm run bench -- FILE` also compares the boots of known-good stacks with those of another
 * bundle. Each measurement is of whole processes, in pairs run in turn
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
/** As the stub starts it. */
const FLAGS = ['--jitless', '--single-threaded', '--v8-pool-size=1', '--disable-sigusr1']
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

/** Runs in one sample; the shell that starts them forks as cheaply as PID 1 does. */
const LOOP = 10

/** LOOP views of a machine: its files, and a /run of its own in memory. */
function views(root: string): string[] {
  return Array.from({ length: LOOP }, (_, index) => {
    const view = join(work, `view-${root.split('/').at(-1)}-${index}`)
    rmSync(view, { recursive: true, force: true })
    // Not links to its directories: the generator follows links as those of the machine.
    execFileSync('cp', ['-al', root, view])
    symlinkSync(join(memory, String(index), 'run'), join(view, 'run'))
    return view
  })
}

/** Milliseconds that one run takes, start to end; each run finds an empty /run and empty output directories. */
function time(words: string[], machines: string[], arguments_: boolean): number {
  for (let index = 0; index < LOOP; index++) {
    rmSync(join(memory, String(index)), { recursive: true, force: true })
    for (const name of ['run', 'normal', 'early', 'late']) {
      mkdirSync(join(memory, String(index), name), { recursive: true })
    }
  }
  const outputs = arguments_
    ? ['normal', 'early', 'late'].map((name) => `${memory}/$i/${name}`).join(' ')
    : ''
  const script = `i=0
while [ $i -lt ${LOOP} ]; do
	export HOSTEXT_ROOT="$1"
	shift
	${words.join(' ')} ${outputs} || exit 1
	i=$((i + 1))
done`
  const started = process.hrtime.bigint()
  const { status } = spawnSync('/bin/sh', ['-c', script, 'sh', ...machines], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: 'ignore',
  })
  const elapsed = Number(process.hrtime.bigint() - started) / 1e6 / LOOP
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}`)
  return elapsed
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

function compare(
  name: string,
  root: string,
  ours: string[],
  theirs: string[],
  samples: number,
  theyWrite = false,
): void {
  const machines = views(root)
  const pairs = Array.from(
    { length: samples + 1 },
    () => [time(ours, machines, true), time(theirs, machines, theyWrite)] as const,
  ).slice(1)
  const figures = [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))]
  const columns = figures.map((value) => `${value.toFixed(2).padStart(8)} ms`).join(' ')
  console.log(`${name.padEnd(56)} ${columns}   × ${median(pairs.map(([a, b]) => a / b)).toFixed(2)}`)
}

console.log(`${'whole processes, medians'.padEnd(56)} ${'this'.padStart(11)} ${'other'.padStart(11)}   ratio`)
const none = join(work, 'none')
mkdirSync(join(none, 'proc'), { recursive: true })
writeFileSync(join(none, 'proc/cmdline'), 'ro\n')
compare('stub, no engine, vs. /bin/true', none, ['/bin/sh', STUB], ['/bin/true'], 15)
const idle = machine(0)
for (const id of readdirSync(join(idle, 'var/lib/docker/containers'))) {
  const file = join(idle, 'var/lib/docker/containers', id, 'config.v2.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"Labels":\{.*?\}/, '"Labels":{}'))
}
compare('stub, 5 containers, none an extension, vs. /bin/true', idle, ['/bin/sh', STUB], ['/bin/true'], 15)
const [other] = process.argv.slice(2)
for (const count of [3, 20, 499]) {
  const name = `generator, ${count} extensions, vs. the bare runtime`
  const samples = count > 100 ? 5 : 11
  const root = machine(count)
  compare(name, root, [NODE, ...FLAGS, BUNDLE], [NODE, empty], samples)
  if (other === undefined || count > 100) continue
  markGood(root)
  compare(
    `known-good, ${count} extensions, vs. ${other}`,
    root,
    [NODE, ...FLAGS, BUNDLE],
    [NODE, ...FLAGS, other],
    41,
    true,
  )
}

/** Makes the stack of a machine one that has booted well: with a state directory, in which that is on record. */
function markGood(root: string): void {
  mkdirSync(join(root, 'etc'))
  writeFileSync(join(root, 'etc/fstab'), '/dev/vda / ext4 rw 0 1\n')
  const first = mkdtempSync(join(memory, 'first-'))
  const outputs = ['normal', 'early', 'late'].map((name) => join(first, name))
  for (const path of [join(root, 'run'), ...outputs]) mkdirSync(path)
  execFileSync(NODE, [...FLAGS, BUNDLE, ...outputs], { env: { HOSTEXT_ROOT: root }, stdio: 'ignore' })
  const records = join(root, 'var/lib/docker/hostext')
  mkdirSync(records, { mode: 0o700 })
  cpSync(join(root, 'run/hostext/trial'), join(records, 'good'))
  rmSync(join(root, 'run'), { recursive: true })
}
