import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  containerLike,
  HOST_CONFIG,
  MOUNTS,
  makeMachine,
  mountsOf,
  outputs,
  write,
} from '../../packaging/code/machine.mjs'
import { fetchOfficial } from '../../packaging/runtime/official.mjs'
import { prepareAnew } from '../support/case.js'
import { installLibrary } from '../support/library.js'
import { GENERATORS, PROJECT, STEPS } from '../support/paths.js'
import { runtimeDirectory, TESTED } from '../support/runtime.js'

/** On the disk, and what a machine has in memory: /run, where the units and the decision are written. */
export const work = mkdtempSync(join(tmpdir(), 'hostext-bench-'))
export const memory = mkdtempSync('/dev/shm/hostext-bench-')
process.on('exit', () => {
  for (const directory of [work, memory]) rmSync(directory, { recursive: true, force: true })
})

/** The runtime, and the official build that it is compared with. */
export const NODE = join(runtimeDirectory(process.arch, TESTED), 'node')
export const OFFICIAL = join(fetchOfficial(process.arch, join(PROJECT, 'build')), 'bin/node')
export const BUNDLE = join(PROJECT, 'dist/hostext.cjs')
export const STUB = join(GENERATORS, 'hostext-generator')

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** After the switch, as far as the stub looks at it. */
const OVERLAY = '99 1 0:55 / / ro,relatime shared:1 - overlay hostext ro,lowerdir=0:1:2:/\n'

/** A machine whose engine has `count` extension containers, each with a layer of its own. */
export function machine(name: string, count: number): string {
  const root = join(work, name)
  makeMachine(root, count)
  return root
}

/** Adds containers that are none of our business, as Docker has them: most of what an engine has. */
export function addOrdinary(root: string, count: number): void {
  const data = join(root, 'var/lib/docker')
  for (let index = 0; index < count; index++) {
    const id = index.toString(16).padStart(64, 'b')
    const config = containerLike(id, `ordinary-${index}`).replace(/"Labels":\{.*?\}/, '"Labels":{}')
    write(data, `containers/${id}/config.v2.json`, config)
    write(data, `containers/${id}/hostconfig.json`, HOST_CONFIG)
    chmodSync(join(data, 'containers', id), 0o710)
  }
}

/** The same for Podman: all containers are in one file, in no particular order. */
export function addOrdinaryToPodman(root: string, count: number): void {
  const file = join(root, 'var/lib/containers/storage/overlay-containers/containers.json')
  const containers = JSON.parse(readFileSync(file, 'utf8')) as { id: string; names?: string[] }[]
  // Its image has no label.
  const like = containers.find(({ names }) => names?.includes('plain'))
  if (!like) throw new Error(`${file}: no container that is no extension`)
  for (let index = 0; index < count; index++) {
    const id = index.toString(16).padStart(64, 'b')
    containers.push({ ...like, id, names: [`ordinary-${index}`] })
    cpSync(join(dirname(file), like.id), join(dirname(file), id), { recursive: true })
  }
  writeFileSync(file, JSON.stringify(containers))
}

// The bundle has it built in.
Object.assign(globalThis, {
  HOSTEXT_VERSION: JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')).version,
})

/** A machine of test/cases, with its engine's data. */
export async function machineOfCase(name: string, suffix = ''): Promise<string> {
  const root = join(work, `case-${name}${suffix}`)
  execFileSync('cp', ['-a', await prepareAnew(name), root])
  write(root, 'proc/self/mounts', mountsOf(readFileSync(join(root, 'proc/self/mountinfo'), 'utf8')))
  return root
}

/** Installs what boots. `isWhole`: with the runtime itself, and not a link to it. */
export function install(root: string, isWhole = false): void {
  const lib = join(root, 'usr/lib/hostext')
  mkdirSync(lib, { recursive: true })
  installLibrary(lib, isWhole)
  for (const file of readdirSync(STEPS).map((name) => join(STEPS, name)))
    cpSync(file, join(lib, file.slice(file.lastIndexOf('/') + 1)))
}

/** Prepares the images of a machine. */
export function prepareImages(root: string): void {
  const { status, stderr } = spawnSync(NODE, [BUNDLE, 'prepare'], {
    encoding: 'utf8',
    env: { PATH, HOSTEXT_ROOT: root },
  })
  if (status !== 0) throw new Error(`${root}: ${stderr}`)
}

export function startBoot(root: string): void {
  rmSync(join(root, 'run'), { recursive: true, force: true })
  for (const directory of outputs(root)) mkdirSync(directory, { recursive: true })
}

/** Boots a machine, as far as the first pass of the stub. */
export function boot(root: string): void {
  startBoot(root)
  execFileSync('/bin/sh', [STUB, ...outputs(root)], { env: { PATH, HOSTEXT_ROOT: root }, stdio: 'ignore' })
}

/**
 * Installs hostext, prepares the images, and boots twice: the stack is marked good, and the decision is kept.
 * `own`: what hostext keeps.
 */
export function makeKnown(root: string, own = 'var/lib/docker/hostext', isWhole = false): void {
  install(root, isWhole)
  prepareImages(root)
  // In whole seconds, which every file system has.
  if (isWhole) execFileSync('find', [root, '-exec', 'touch', '-h', '-d', '@1700000000', '{}', '+'])
  boot(root)
  const trial = join(root, 'run/hostext/trial')
  if (existsSync(trial)) {
    cpSync(trial, join(root, own, 'good'))
    boot(root)
  }
  cpSync(join(root, 'run/hostext/known'), join(root, own, 'known'), { recursive: true })
  chmodSync(join(root, own, 'known'), 0o700)
  boot(root)
  if (!existsSync(join(root, 'run/hostext/replay'))) throw new Error(`${root}: the boot is not known`)
}

/**
 * `runs` views of a machine, as many as a sample has runs: its files, and a /run of its own in memory; and as
 * it is after the switch. They are $VIEWS/$i and $VIEWS/$i.locked.
 */
export function views(
  root: string,
  runs: number,
): { environment: Record<string, string>; prepare: () => void } {
  const directory = `${root}.views`
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  const own = join(memory, root.slice(root.lastIndexOf('/') + 1))
  rmSync(join(root, 'run'), { recursive: true, force: true })
  for (let index = 0; index < runs; index++) {
    const view = join(directory, String(index))
    // Not links to its directories: the generator follows links as those of the machine.
    execFileSync('cp', ['-al', root, view])
    write(`${view}.locked`, 'proc/self/mountinfo', MOUNTS + OVERLAY)
    write(`${view}.locked`, 'proc/self/mounts', mountsOf(MOUNTS + OVERLAY))
    for (const place of [view, `${view}.locked`])
      symlinkSync(join(own, String(index), 'run'), join(place, 'run'))
  }
  return {
    environment: { VIEWS: directory },
    prepare: () => {
      rmSync(own, { recursive: true, force: true })
      for (let index = 0; index < runs; index++)
        for (const path of outputs(join(own, String(index)))) mkdirSync(path, { recursive: true })
    },
  }
}

const view = (suffix = ''): string => `"$VIEWS/$i${suffix}"`
const generators = (suffix = ''): string =>
  ['', '.early', '.late'].map((name) => `"$VIEWS/$i${suffix}/run/systemd/generator${name}"`).join(' ')

/** A run of the stub, in the first pass of a boot. */
export const FIRST = `HOSTEXT_ROOT=${view()} /bin/sh ${STUB} ${generators()}`
const library = '"$VIEWS/$i/usr/lib/hostext"'
/** Says how the runtime is started: sets $flags and $seed. */
export const HOW = `. ${join(STEPS, 'runtime.sh')}`
/** A run of the generator's bundle, as the stub starts it. */
export const GENERATOR = [
  `${HOW} && HOSTEXT_ROOT=${view()}`,
  `${library}/node $flags $seed`,
  `${library}/start.cjs ${library}/hostext.cjs`,
  generators(),
].join(' ')
/** Both passes. PID 1 empties its directories in between. */
export const BOTH = `${FIRST} && [ -e "$VIEWS/$i/run/hostext/replay" ] && HOSTEXT_ROOT=${view('.locked')} /bin/sh ${STUB} ${generators('.locked')}`
