/**
 * `npm run bench`: what hostext costs at boot; `npm run bench -- DIRECTORY` also compares all that it does in
 * the boot of a known-good stack, in both passes, with what another checkout of it does. Each measurement is
 * of whole processes, in pairs run in turn (A B A B …), so that the machine's other work weighs on both;
 * medians, and the median of the pairs' ratios.
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
import { RUNTIME_FLAGS } from '../src/units/trial.js'

const PROJECT = join(import.meta.dirname, '..')
const DATA_ROOT = join(import.meta.dirname, 'data-roots/standard')
const runtimeDirectory = execFileSync(process.execPath, ['build.mjs', 'runtime'], {
  cwd: PROJECT,
  encoding: 'utf8',
}).trim()
const NODE = join(runtimeDirectory, 'node')
const BUNDLE = join(PROJECT, 'dist/hostext.cjs')
/** As the stub starts it. */
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
function machine(count: number, name = `machine-${count}`): string {
  const root = join(work, name)
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
    mkdirSync(join(data, 'overlay2'), { recursive: true, mode: 0o710 })
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

/** A machine and what is run on it: a line of shell in which `$i` is the number of the run. */
type Side = { root: string; command: string }

/** The directories that PID 1 gives a generator, in each pass. */
const OUTPUTS = { first: ['normal', 'early', 'late'], second: ['normal-2', 'early-2', 'late-2'] }
const outputs = (pass: keyof typeof OUTPUTS): string =>
  OUTPUTS[pass].map((name) => `${memory}/$i/${name}`).join(' ')

/**
 * LOOP views of a machine: its files, and a /run of its own in memory; and as it is after the switch, as far
 * as the stub looks at it.
 */
function views(root: string): string[] {
  return Array.from({ length: LOOP }, (_, index) => {
    const view = join(work, `view-${root.split('/').at(-1)}-${index}`)
    const locked = `${view}.locked`
    for (const old of [view, locked]) rmSync(old, { recursive: true, force: true })
    // Not links to its directories: the generator follows links as those of the machine.
    execFileSync('cp', ['-al', root, view])
    mkdirSync(join(locked, 'proc/self'), { recursive: true })
    // Either may be what a stub looks into.
    for (const [file, root] of [
      ['mountinfo', '99 1 0:55 / / ro,relatime shared:1 - overlay hostext ro,lowerdir=0:1:/\n'],
      ['mounts', 'hostext / overlay ro,relatime,lowerdir=0:1:/ 0 0\n'],
    ] as const)
      writeFileSync(join(locked, 'proc/self', file), readFileSync(`/proc/self/${file}`, 'utf8') + root)
    for (const place of [view, locked]) symlinkSync(join(memory, String(index), 'run'), join(place, 'run'))
    return view
  })
}

/**
 * Milliseconds that one run takes, start to end; each run finds an empty /run and empty output directories.
 */
function time({ command }: Side, machines: string[]): number {
  for (let index = 0; index < LOOP; index++) {
    rmSync(join(memory, String(index)), { recursive: true, force: true })
    for (const name of ['run', ...OUTPUTS.first, ...OUTPUTS.second]) {
      mkdirSync(join(memory, String(index), name), { recursive: true })
    }
  }
  const script = `i=0
while [ $i -lt ${LOOP} ]; do
	export HOSTEXT_ROOT="$1"
	shift
	${command} || exit 1
	i=$((i + 1))
done`
  const started = process.hrtime.bigint()
  const { status } = spawnSync('/bin/sh', ['-c', script, 'sh', ...machines], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: 'ignore',
  })
  const elapsed = Number(process.hrtime.bigint() - started) / 1e6 / LOOP
  if (status !== 0) throw new Error(`${command}: status ${status}`)
  return elapsed
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

function compare(name: string, ours: Side, theirs: Side, samples: number): void {
  const [here, there] = [views(ours.root), theirs.root === ours.root ? undefined : views(theirs.root)]
  const pairs = Array.from(
    { length: samples + 1 },
    () => [time(ours, here), time(theirs, there ?? here)] as const,
  ).slice(1)
  const figures = [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))]
  const columns = figures.map((value) => `${value.toFixed(2).padStart(8)} ms`).join(' ')
  const ratios = pairs.map(([a, b]) => a / b)
  const [least, ratio, most] = [Math.min(...ratios), median(ratios), Math.max(...ratios)].map((value) =>
    value.toFixed(2),
  )
  console.log(`${name.padEnd(52)} ${columns}   × ${ratio} (${least} to ${most}, ${samples} pairs)`)
}

// The ratio is the median of the pairs' ratios, not the ratio of the medians: each pair had the machine in
// one state.
console.log(
  `${'whole processes, medians'.padEnd(52)} ${'this'.padStart(11)} ${'other'.padStart(11)}   median of the pairs' ratios`,
)
const stub = `/bin/sh ${STUB} ${outputs('first')}`
const none = join(work, 'none')
mkdirSync(join(none, 'proc'), { recursive: true })
writeFileSync(join(none, 'proc/cmdline'), 'ro\n')
const nothing = (root: string) => ({ root, command: '/bin/true' })
compare('stub, no engine, vs. /bin/true', { root: none, command: stub }, nothing(none), 15)
const idle = machine(0)
for (const id of readdirSync(join(idle, 'var/lib/docker/containers'))) {
  const file = join(idle, 'var/lib/docker/containers', id, 'config.v2.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"Labels":\{.*?\}/, '"Labels":{}'))
}
compare(
  'stub, 5 containers, none an extension, vs. /bin/true',
  { root: idle, command: stub },
  nothing(idle),
  15,
)
const generator = [NODE, ...RUNTIME_FLAGS, BUNDLE, outputs('first')].join(' ')
for (const count of [3, 20, 499]) {
  const root = machine(count)
  prepareImages(root, BUNDLE)
  const name = `generator, ${count} extensions, vs. the bare runtime`
  compare(name, { root, command: generator }, { root, command: `${NODE} ${empty}` }, count > 100 ? 5 : 11)
}
comparePreparation(7)
const bare = (...flags: string[]) => ({ root: none, command: [NODE, ...flags, empty].join(' ') })
compare('the bare runtime with our flags, vs. without', bare(...RUNTIME_FLAGS), bare(), 21)
const [other] = process.argv.slice(2)
for (const count of other === undefined ? [] : [3, 20])
  compare(
    `known-good boot, ${count} extensions, vs. ${other}`,
    knownGood(count, PROJECT),
    knownGood(count, other as string),
    41,
  )

/**
 * A machine with the hostext of a checkout, whose stack has booted well, and all that hostext does in its
 * next boot.
 */
function knownGood(count: number, checkout: string): Side {
  const root = machine(count, `known-${count}-${checkout === PROJECT ? 'ours' : 'theirs'}`)
  markGood(root, join(checkout, 'dist/hostext.cjs'))
  const lib = join(root, 'usr/lib/hostext')
  mkdirSync(lib)
  symlinkSync(NODE, join(lib, 'node'))
  cpSync(join(checkout, 'dist/hostext.cjs'), join(lib, 'hostext.cjs'))
  const stub = `/bin/sh ${join(checkout, 'generators/hostext-generator')}`
  return {
    root,
    command: `${stub} ${outputs('first')} && HOSTEXT_ROOT=$HOSTEXT_ROOT.locked ${stub} ${outputs('second')} && [ -e ${memory}/$i/normal-2/hostext.target ]`,
  }
}

/**
 * Prepares the images of a machine. A version of hostext from before there was something to prepare fails.
 */
function prepareImages(root: string, bundle: string): void {
  spawnSync(NODE, [bundle, 'prepare'], { env: { ...process.env, HOSTEXT_ROOT: root }, stdio: 'ignore' })
}

/**
 * An image of three layers with 12,000 files in 1,300 directories: seconds for preparing it, the runtime's
 * start included, against `cp -al` of its layers.
 */
function comparePreparation(samples: number): void {
  const root = machine(1, 'preparation')
  const data = join(root, 'var/lib/docker')
  const name = (index: number): string => `${'f'.repeat(24)}${index}`
  const layers = [0, 1, 2].map((index) => join(data, 'overlay2', name(index), 'diff'))
  for (const [index, layer] of layers.entries()) {
    for (let number = index; number < 12_000; number += 3) {
      const directory = join(layer, 'usr/share', `${number % 36}`, `${number % 1296}`)
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, `file-${number}`), `${number}`.repeat(number % 500))
    }
  }
  const links = join(data, 'overlay2/l')
  const short = (index: number): string => `${'M'.repeat(25)}${index}`
  for (const index of layers.keys()) symlinkSync(`../${name(index)}/diff`, join(links, short(index)))
  const lower = join(data, 'overlay2', 'e0'.padStart(64, '0'), 'lower')
  const [init] = readFileSync(lower, 'utf8').split(':')
  writeFileSync(lower, [init, ...layers.map((_, index) => `l/${short(index)}`)].join(':'))
  const out = join(work, 'copied')
  const seconds = (words: string[], env = process.env): number => {
    rmSync(out, { recursive: true, force: true })
    rmSync(join(data, 'hostext'), { recursive: true, force: true })
    const started = process.hrtime.bigint()
    execFileSync(words[0] as string, words.slice(1), { env, stdio: 'ignore' })
    return Number(process.hrtime.bigint() - started) / 1e9
  }
  const copy = `mkdir ${out} && for layer; do cp -al "$layer" ${out}/$(basename "\${layer%/diff}"); done && sync -f ${out}`
  const pairs = Array.from({ length: samples + 1 }, () => [
    seconds([NODE, BUNDLE, 'prepare'], { ...process.env, HOSTEXT_ROOT: root }),
    seconds(['sh', '-c', copy, 'sh', ...layers]),
  ]).slice(1) as [number, number][]
  const ratios = pairs.map(([a, b]) => a / b)
  const figures = [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))]
  const [least, ratio, most] = [Math.min(...ratios), median(ratios), Math.max(...ratios)].map((value) =>
    value.toFixed(2),
  )
  console.log(
    `${'prepare 12,000 files in 3 layers, vs. cp -al'.padEnd(52)} ${figures.map((value) => `${value.toFixed(2).padStart(8)} s `).join(' ')}   × ${ratio} (${least} to ${most}, ${samples} pairs)`,
  )
  seconds([NODE, BUNDLE, 'prepare'], { ...process.env, HOSTEXT_ROOT: root })
  const kibibytes = (path: string): number =>
    Number(execFileSync('du', ['-sk', path], { encoding: 'utf8' }).split('\t')[0])
  // Together, so that each file counts once: what is left is the directories of the tree.
  const [both, alone] = [kibibytes(data), layers.reduce((sum, layer) => sum + kibibytes(layer), 0)]
  console.log(
    `${'the tree takes, besides the layers'.padEnd(52)} ${String(both - alone).padStart(8)} KiB of ${alone} KiB`,
  )
}

/**
 * Makes the stack of a machine one that has booted well: with a state directory, in which that is on record.
 */
function markGood(root: string, bundle: string): void {
  mkdirSync(join(root, 'etc'))
  writeFileSync(join(root, 'etc/fstab'), '/dev/vda / ext4 rw 0 1\n')
  prepareImages(root, bundle)
  const first = mkdtempSync(join(memory, 'first-'))
  const outputs = ['normal', 'early', 'late'].map((name) => join(first, name))
  for (const path of [join(root, 'run'), ...outputs]) mkdirSync(path)
  execFileSync(NODE, [...RUNTIME_FLAGS, bundle, ...outputs], { env: { HOSTEXT_ROOT: root }, stdio: 'ignore' })
  const records = join(root, 'var/lib/docker/hostext')
  mkdirSync(records, { mode: 0o700, recursive: true })
  cpSync(join(root, 'run/hostext/trial'), join(records, 'good'))
  rmSync(join(root, 'run'), { recursive: true })
}
