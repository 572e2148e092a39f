import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { cached } from '../boot/cache.js'
import { MACHINE } from './qemu.js'

const HERE = import.meta.dirname
const GUEST = join(HERE, '../boot/guest')
const RELEASE = 'trixie'
const PACKAGES =
  'systemd,systemd-sysv,udev,dbus,kmod,e2fsprogs,libstdc++6,linux-image-cloud-arm64,busybox-static'
/** The package in the image of the extension. */
const EXTENSION = 'mosquitto'
/** Minutes for what Debian's package scripts do on an emulated processor. */
const PATIENCE = 40

/** The commands that this needs besides those of the other tests, and Debian's packages with them. */
const TOOLS = { debootstrap: 'debootstrap', 'qemu-system-aarch64': 'qemu-system-arm', cpio: 'cpio' }

/** Installs what is missing. */
export function prepareTools(): void {
  const missing = Object.entries(TOOLS)
    .filter(([command]) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0)
    .map(([, name]) => name)
  if (missing.length === 0) return
  console.error(`# installing ${missing.join(' ')}`)
  execFileSync('apt-get', ['-q', '-y', 'install', '--no-install-recommends', ...missing], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/**
 * Debian 13 for arm64: its tree, and the kernel and initrd that it boots with; and `image`, the archive of a
 * minimal Debian with a package, as `FROM debian` and `apt-get install` make it.
 */
export type Arm64 = { root: string; kernel: string; initrd: string; image: string }

/** Makes it, once: unpacked here, and configured on an emulated machine, as none of its programs runs here. */
export function debianArm64(): Arm64 {
  const recipe = ['configure', 'initrd', basename(import.meta.filename)].map((name) =>
    readFileSync(join(HERE, name), 'utf8'),
  )
  const made = cached('arm64', recipe.join('\n'), (directory) => {
    unpack(directory)
    configure(directory)
  })
  const [root, kernel, initrd, image] = ['root', 'vmlinuz', 'initrd', 'root.tar'].map((name) =>
    join(made, name),
  )
  return { root, kernel, initrd, image } as Arm64
}

function unpack(directory: string): void {
  console.error('# unpacking Debian for arm64')
  const root = join(directory, 'tree')
  for (const [place, packages] of [
    [root, PACKAGES],
    [join(root, 'image'), EXTENSION],
  ] as const) {
    const words = ['--foreign', '--arch=arm64', '--variant=minbase', `--include=${packages}`]
    execFileSync('debootstrap', [...words, RELEASE, place], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  cpSync(join(HERE, 'configure'), join(root, 'configure'))
  chmodSync(join(root, 'configure'), 0o755)
  // The packages with the kernel and with busybox are downloaded and not unpacked yet.
  const parts = join(directory, 'parts')
  const archives = join(root, 'var/cache/apt/archives')
  for (const name of readdirSync(archives).filter((each) => /^(?:linux-image-\d|busybox-static_)/.test(each)))
    execFileSync('dpkg', ['-x', join(archives, name), parts])
  const [kernel = ''] = readdirSync(join(parts, 'boot')).filter((name) => name.startsWith('vmlinuz'))
  cpSync(join(parts, 'boot', kernel), join(directory, 'vmlinuz'))
  makeInitrd(directory, parts)
  rmSync(parts, { recursive: true })
}

/** Debian's initrd can only be made on the machine itself, which needs one to find its disk. */
function makeInitrd(directory: string, parts: string): void {
  const tree = join(directory, 'initrd.tree')
  for (const name of ['bin', 'dev', 'proc', 'root']) mkdirSync(join(tree, name), { recursive: true })
  cpSync(join(HERE, 'initrd'), join(tree, 'init'))
  chmodSync(join(tree, 'init'), 0o755)
  cpSync(join(parts, 'usr/bin/busybox'), join(tree, 'bin/busybox'))
  const modules = readdirSync(join(parts, 'usr/lib/modules'), { recursive: true, encoding: 'utf8' })
  const [module = ''] = modules.filter((name) => /\/virtio_blk\.ko/.test(name))
  const script = 'case "$0" in *.xz) xz -dc "$0" ;; *) cat "$0" ;; esac >"$1"'
  execFileSync('sh', ['-c', script, join(parts, 'usr/lib/modules', module), join(tree, 'virtio_blk.ko')])
  execFileSync('sh', ['-c', 'find . | cpio --quiet -o -H newc -R 0:0 >"$0"', join(directory, 'initrd')], {
    cwd: tree,
  })
  rmSync(tree, { recursive: true })
}

/** Boots the tree once for what debootstrap(8) has to do there, and unpacks what that machine has written. */
function configure(directory: string): void {
  console.error('# configuring Debian for arm64 on an emulated machine')
  const tree = join(directory, 'tree')
  const [disk, image, root] = ['disk', 'root.tar', 'result'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  execFileSync('mkfs.ext4', ['-q', '-d', tree, disk, '3G'])
  rmSync(tree, { recursive: true })
  for (const file of [image, root]) {
    closeSync(openSync(file, 'w'))
    truncateSync(file, 2 ** 30)
  }
  const log = join(directory, 'configured.log')
  const output = openSync(log, 'w')
  const drives = [disk, image, root].flatMap((file) => [
    '-drive',
    `file=${file},if=virtio,format=raw,cache=unsafe`,
  ])
  const words = [
    ...['-kernel', join(directory, 'vmlinuz'), '-initrd', join(directory, 'initrd')],
    ...['-append', 'console=ttyAMA0 panic=-1 init=/configure', '-serial', 'stdio', ...drives],
  ]
  spawnSync('qemu-system-aarch64', [...MACHINE, '-m', '2048', '-smp', '2', ...words], {
    stdio: ['ignore', output, output],
    timeout: PATIENCE * 60_000,
    killSignal: 'SIGKILL',
  })
  closeSync(output)
  const said = readFileSync(log, 'utf8')
  if (!/^CONFIGURED: yes/m.test(said))
    throw new Error(`the machine was not configured:\n${said.slice(-5000)}`)
  mkdirSync(join(directory, 'root'))
  execFileSync('tar', ['-xf', root, '-C', join(directory, 'root'), '--numeric-owner', '--exclude=./dev/*'])
  // Only the archive, without the rest of the disk.
  execFileSync('sh', [
    '-c',
    'mkdir "$1" && tar -xf "$0" -C "$1" --numeric-owner --exclude="./dev/*"',
    image,
    tree,
  ])
  rmSync(image)
  execFileSync('tar', ['-C', tree, '--numeric-owner', '--sort=name', '-cf', image, '.'])
  for (const each of [tree, disk, root]) rmSync(each, { recursive: true })
  addReporter(join(directory, 'root'))
}

/** What every test machine has: customize() in boot/rootfs.ts. */
function addReporter(root: string): void {
  writeFileSync(join(root, 'etc/hostname'), 'device\n')
  writeFileSync(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n')
  cpSync(join(GUEST, 'report.service'), join(root, 'etc/systemd/system/report.service'))
  symlinkSync('../report.service', join(root, 'etc/systemd/system/multi-user.target.wants/report.service'))
  mkdirSync(join(root, 'usr/lib/test'))
  cpSync(join(GUEST, 'report'), join(root, 'usr/lib/test/report'))
  chmodSync(join(root, 'usr/lib/test/report'), 0o755)
  for (const name of readdirSync(join(root, 'boot'))) rmSync(join(root, 'boot', name))
  const debs = join(root, 'var/cache/apt/archives')
  renameSync(debs, `${debs}.old`)
  mkdirSync(join(debs, 'partial'), { recursive: true })
  rmSync(`${debs}.old`, { recursive: true })
}
