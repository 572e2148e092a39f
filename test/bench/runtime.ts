import { execFileSync, spawnSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from '../support/paths.js'
import { TESTED } from '../support/runtime.js'
import {
  BOTH,
  FIRST,
  GENERATOR,
  HOW,
  install,
  machine,
  makeKnown,
  NODE,
  OFFICIAL,
  prepareImages,
  views,
  work,
} from './machines.js'
import { type Comparison, compare, type Side } from './measure.js'

const empty = join(work, 'empty.js')
writeFileSync(empty, '')

/** A start of a runtime that has nothing to do. */
const bare = (name: string, node: string): Side => ({ name, script: `${node} ${empty}` })

const OFFICIAL_BARE = bare('the official Node, an empty script', OFFICIAL)

/** The same as the stub starts it. */
const asStarted: Side = {
  name: 'with the flags of the stub',
  script: `${HOW} && ${NODE} $flags $seed ${empty}`,
}

/** The start of the runtime. */
export function start(): Comparison[] {
  return [
    compare('start', bare('our runtime, an empty script', NODE), OFFICIAL_BARE, { pairs: 21 }),
    compare('start', asStarted, OFFICIAL_BARE, { pairs: 21 }),
  ]
}

/** A boot in which the runtime decides: a changed stack, its images prepared. */
export function changed(): Comparison[] {
  const rows: Comparison[] = []
  for (const [count, bound] of [
    [3, undefined],
    [20, 1.35],
    [499, 3],
  ] as const) {
    const root = machine(`changed-${count}`, count)
    install(root)
    prepareImages(root)
    const runs = count > 100 ? 4 : 10
    const ours = {
      name: `the generator, ${count} extensions`,
      script: GENERATOR,
      runs,
      ...views(root, runs),
    }
    rows.push(
      compare('changed', ours, OFFICIAL_BARE, { pairs: count > 100 ? 7 : 15, ...(bound ? { bound } : {}) }),
    )
    if (count === 499) {
      const least = { ...ours, name: 'their file operations alone', script: fileOperations() }
      rows.push(compare('changed', least, OFFICIAL_BARE, { pairs: 7 }))
    }
    if (count === 20)
      rows.push(compare('changed', ours, bare('our runtime, an empty script', NODE), { pairs: 15 }))
  }
  return rows
}

/**
 * What the generator asks of the file system for each extension, and what it writes, without a rule, as the
 * stub would start it: of Docker's store, images of one layer, prepared.
 */
function fileOperations(): string {
  const program = join(work, 'operations.cjs')
  writeFileSync(
    program,
    `const { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } = require('fs')
const [, , root] = process.argv
const docker = root + '/var/lib/docker/'
const look = (path) => lstatSync(path, { throwIfNoEntry: false })
const read = (path) => look(path) && readFileSync(path, 'utf8')
for (const name of ['layers', 'points']) mkdirSync(root + '/run/hostext/' + name, { recursive: true })
const unit = 'x'.repeat(400)
const trees = readdirSync(docker + 'hostext/trees')
for (const [index, id] of readdirSync(docker + 'containers').entries()) {
  const container = docker + 'containers/' + id
  look(container)
  read(container + '/config.v2.json')
  read(container + '/hostconfig.json')
  look(docker + 'image/overlay2/layerdb/mounts/' + id)
  const name = trees[index]
  look(docker + 'overlay2/l/' + name.split('.')[0])
  const tree = docker + 'hostext/trees/' + name
  for (const path of [tree, tree + '/tree']) look(path)
  read(tree + '/facts')
  for (const path of [tree + '/tree', tree + '/tree/usr']) readdirSync(path)
  mkdirSync(root + '/run/hostext/points/' + index)
  for (const place of ['hostext/layers/', 'systemd/generator/']) writeFileSync(root + '/run/' + place + index, unit)
}
`,
  )
  return `${HOW} && ${NODE} $flags $seed ${program} "$VIEWS/$i"`
}

/** One figure that is no comparison of times. */
export type Amount = { section: string; what: string; value: number; unit: string; bound?: number }

/** The most memory that a run has at once. */
export function memory(): Amount[] {
  const peak = ({ script }: Side): number => {
    const measure = `import resource,subprocess,sys
subprocess.run(['sh','-c',sys.argv[1]],check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`
    return Number(execFileSync('python3', ['-c', measure, script], { encoding: 'utf8' })) / 1024
  }
  return [bare('the official Node', OFFICIAL), bare('our runtime', NODE), asStarted].map((side) => ({
    section: 'memory',
    what: `${side.name}: peak memory`,
    value: peak(side),
    unit: 'MiB',
  }))
}

/**
 * What a boot reads from a cold disk: a file system on a loop device of its own, mounted anew, in a mount
 * namespace of its own. Only hostext's own files and what it reads are on it; the tools are the system's.
 */
export function cold(): Amount[] {
  const root = machine('cold', 20)
  makeKnown(root, undefined, true)
  const kept = join(root, 'var/lib/docker/hostext/known')
  const image = join(work, 'cold.image')
  const amounts: Amount[] = []
  for (const [kind, make] of [
    [
      'ext4',
      'truncate -s 400M "$1" && mkfs.ext4 -q -E hash_seed=11111111-1111-4111-8111-111111111111 -d "$2" "$1"',
    ],
    ['squashfs with zstd', 'mksquashfs "$2" "$1" -comp zstd -quiet -no-progress'],
    ['erofs with lz4hc', 'mkfs.erofs -zlz4hc "$1" "$2" >/dev/null'],
  ] as const) {
    const build = (): void => {
      execFileSync('sh', ['-c', `rm -rf "$1" "$2/run" && mkdir "$2/run" && ${make}`, 'sh', image, root], {
        stdio: 'ignore',
      })
    }
    // Each has other sizes and another order of directories, so what is kept is made on it.
    execFileSync('sh', ['-c', 'rm -rf "$1"/*', 'sh', kept])
    build()
    const generator = onImage(image, GENERATOR)
    onImage(image, `${FIRST} && cp "$VIEWS/$i"/run/hostext/known/* "$KEPT/"`, { KEPT: kept })
    build()
    for (const [what, bytes, bound] of [
      ['known boot, 20 extensions, both passes', onImage(image, BOTH), 1],
      ['the generator, 20 extensions', generator, undefined],
    ] as const)
      amounts.push({
        section: 'cold',
        what: `${what}: read from a cold ${kind}`,
        value: bytes / 2 ** 20,
        unit: 'MiB',
        ...(bound ? { bound } : {}),
      })
  }
  return amounts
}

/** Bytes that are read from an image while the script runs. Throws an Error if that fails. */
function onImage(image: string, script: string, environment: Record<string, string> = {}): number {
  const whole = `set -e
loop=$(losetup -f --show -r "$1")
trap 'umount -R /mnt 2>/dev/null || :; losetup -d "$loop"' EXIT
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/0 /mnt/0.locked/proc/self
mount -o ro "$loop" /mnt/0
mount -t tmpfs tmpfs /mnt/0/run
for name in generator generator.early generator.late; do mkdir -p "/mnt/0/run/systemd/$name"; done
echo 'hostext / overlay ro 0 0' >/mnt/0.locked/proc/self/mounts
ln -s /mnt/0/run /mnt/0.locked/run
export VIEWS=/mnt i=0
read -r _ _ before _ <"/sys/block/\${loop#/dev/}/stat"
sh -c "$2" >/mnt/output 2>&1 || { tail -n 1 /mnt/output >&2; exit 1; }
read -r _ _ after _ <"/sys/block/\${loop#/dev/}/stat"
echo $(((after - before) * 512))`
  const { status, stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', whole, 'sh', image, script], {
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
  })
  if (status !== 0) throw new Error(`${image}: status ${status}: ${stderr.trim()}`)
  return Number(stdout)
}

/** How large things are. */
export function sizes(): Amount[] {
  const root = join(work, 'install')
  const mebibytes = (path: string): number =>
    Number(execFileSync('du', ['-sk', path], { encoding: 'utf8' }).split('\t')[0]) / 1024
  // The installation tries the runtime in that root, with the libraries that it needs.
  const libraries =
    'mkdir -p "$1/etc" "$1/usr/lib/systemd/system" && ldd "$2" | grep -o "/[^ ]*" | xargs cp -L --parents -t "$1"'
  execFileSync('sh', ['-c', libraries, 'sh', root, NODE])
  const before = mebibytes(root)
  execFileSync(process.execPath, ['build.mjs', 'install', '--destdir', root, ...TESTED], {
    cwd: PROJECT,
    stdio: 'ignore',
  })
  const installed = mebibytes(root) - before
  execFileSync('sh', ['-c', 'ldd "$2" | grep -o "/[^ ]*" | sed "s|^|$1|" | xargs rm', 'sh', root, NODE])
  const amounts: Amount[] = [
    { section: 'sizes', what: 'the official Node', value: statSync(OFFICIAL).size / 2 ** 20, unit: 'MiB' },
    { section: 'sizes', what: 'our runtime', value: statSync(NODE).size / 2 ** 20, unit: 'MiB' },
    { section: 'sizes', what: 'an install, as files', value: installed, unit: 'MiB', bound: 60 },
  ]
  for (const [kind, make] of [
    ['squashfs with zstd', 'mksquashfs "$2" "$1" -comp zstd -quiet -no-progress'],
    ['erofs with lz4hc', 'mkfs.erofs -zlz4hc "$1" "$2" >/dev/null'],
    ['erofs with zstd', 'mkfs.erofs -zzstd "$1" "$2" >/dev/null'],
  ] as const) {
    const image = join(work, 'install.image')
    execFileSync('rm', ['-f', image])
    // erofs-utils has zstd since 1.8.
    if (spawnSync('sh', ['-c', make, 'sh', image, root], { stdio: 'ignore' }).status !== 0) continue
    amounts.push({
      section: 'sizes',
      what: `an install in ${kind}`,
      value: statSync(image).size / 2 ** 20,
      unit: 'MiB',
    })
  }
  return amounts
}
