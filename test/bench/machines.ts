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
import { fetchOfficial } from '../../packaging/runtime/official.mjs'
import { prepareAnew } from '../support/case.js'
import { DATA_ROOTS, GENERATORS, PROJECT, STEPS } from '../support/paths.js'
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

const STANDARD = join(DATA_ROOTS, 'standard')
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * What a Debian machine has mounted when generators run, most of it with no meaning for hostext: the stub
 * reads all of it.
 */
const MOUNTS = `22 27 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 27 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=988432k,nr_inodes=247108,mode=755
25 24 0:22 / /dev/pts rw,nosuid,noexec,relatime shared:3 - devpts devpts rw,gid=5,mode=620,ptmxmode=000
26 27 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=201796k,mode=755
27 1 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 ro
28 22 0:6 / /sys/kernel/security rw,nosuid,nodev,noexec,relatime shared:8 - securityfs securityfs rw
29 24 0:24 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
30 26 0:25 / /run/lock rw,nosuid,nodev,noexec,relatime shared:6 - tmpfs tmpfs rw,size=5120k
31 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
32 22 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:10 - pstore pstore rw
33 22 0:28 / /sys/fs/bpf rw,nosuid,nodev,noexec,relatime shared:11 - bpf bpf rw,mode=700
`

/** The same as /proc/self/mounts has it. */
const mountsOf = (mountinfo: string): string =>
  mountinfo.replaceAll(/^\S+ \S+ \S+ \S+ (\S+) (\S+) .*- (\S+) (\S+) .*$/gm, '$4 $1 $3 $2 0 0')

/** After the switch, as far as the stub looks at it. */
const OVERLAY = '99 1 0:55 / / ro,relatime shared:1 - overlay hostext ro,lowerdir=0:1:2:/\n'

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** What Docker writes beside each container; the data roots of the tests are without it. */
const HOST_CONFIG = JSON.stringify({
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'bridge',
  PortBindings: {},
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  CgroupnsMode: 'private',
  IpcMode: 'private',
  Privileged: false,
  ShmSize: 67108864,
  Runtime: 'runc',
  MaskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
  ReadonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
})

/** The ID and the metadata of the container of that name in the standard data root. */
function containerNamed(name: string): { id: string; config: string } {
  for (const id of readdirSync(join(STANDARD, 'containers'))) {
    const config = readFileSync(join(STANDARD, 'containers', id, 'config.v2.json'), 'utf8')
    if (config.includes(`"Name":"/${name}"`)) return { id, config }
  }
  throw new Error(name)
}

/** A machine whose engine has `count` extension containers, each with a layer of its own. */
export function machine(name: string, count: number): string {
  const root = join(work, name)
  write(
    root,
    'proc/cmdline',
    'BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=/dev/vda1 ro quiet console=ttyS0\n',
  )
  write(root, 'proc/self/mountinfo', MOUNTS)
  write(root, 'proc/self/mounts', mountsOf(MOUNTS))
  write(root, 'proc/sys/kernel/osrelease', '6.1.0-28-amd64\n')
  write(root, 'proc/sys/kernel/version', '#1 SMP\n')
  write(root, 'etc/os-release', 'ID=debian\nVERSION_ID="12"\n')
  write(root, 'etc/fstab', '/dev/vda1 / ext4 rw 0 1\n')
  write(root, 'usr/lib/systemd/system/soft-reboot.target', '')
  const like = containerNamed('one-layer')
  const data = join(root, 'var/lib/docker')
  for (let index = 0; index < count; index++) {
    const hex = (kind: string): string => `${kind}${String(index)}`.padStart(64, '0')
    const short = (kind: string): string => `${kind}${String(index)}`.padStart(26, 'A')
    write(
      data,
      `containers/${hex('c')}/config.v2.json`,
      like.config.replaceAll(like.id, hex('c')).replaceAll('one-layer', `extension-${index}`),
    )
    write(data, `containers/${hex('c')}/hostconfig.json`, HOST_CONFIG)
    write(data, `image/overlay2/layerdb/mounts/${hex('c')}/mount-id`, hex('e'))
    write(data, `image/overlay2/layerdb/mounts/${hex('c')}/init-id`, `${hex('e')}-init`)
    mkdirSync(join(data, 'overlay2/l'), { recursive: true })
    write(data, `overlay2/${hex('e')}/lower`, `l/${short('I')}:l/${short('L')}`)
    write(data, `overlay2/${hex('e')}-init/diff/.dockerenv`, '')
    write(data, `overlay2/${hex('d')}/diff/usr/share/extension-${index}`, '')
    symlinkSync(`../${hex('e')}-init/diff`, join(data, 'overlay2/l', short('I')))
    symlinkSync(`../${hex('d')}/diff`, join(data, 'overlay2/l', short('L')))
  }
  if (existsSync(join(data, 'overlay2'))) chmodSync(join(data, 'overlay2'), 0o710)
  return root
}

/** Adds containers that are none of our business, as Docker has them: most of what an engine has. */
export function addOrdinary(root: string, count: number): void {
  const like = containerNamed('one-layer')
  const config = like.config.replace(/"Labels":\{.*?\}/, '"Labels":{}')
  const data = join(root, 'var/lib/docker')
  for (let index = 0; index < count; index++) {
    const id = index.toString(16).padStart(64, 'b')
    write(
      data,
      `containers/${id}/config.v2.json`,
      config.replaceAll(like.id, id).replaceAll('one-layer', `ordinary-${index}`),
    )
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
  if (isWhole) cpSync(NODE, join(lib, 'node'))
  else symlinkSync(NODE, join(lib, 'node'))
  for (const file of [BUNDLE, ...readdirSync(STEPS).map((name) => join(STEPS, name))])
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

/** The directories that PID 1 gives a generator. */
export const outputs = (root: string): string[] =>
  ['', '.early', '.late'].map((suffix) => `${root}/run/systemd/generator${suffix}`)

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
/** A run of the runtime with the flags that the stub gives it. */
export const runtimeRun = (node: string, flags: readonly string[]): string =>
  `HOSTEXT_ROOT=${view()} ${[node, ...flags].join(' ')} ${BUNDLE} ${generators()}`
/** Both passes. PID 1 empties its directories in between. */
export const BOTH = `${FIRST} && [ -e "$VIEWS/$i/run/hostext/replay" ] && HOSTEXT_ROOT=${view('.locked')} /bin/sh ${STUB} ${generators('.locked')}`
