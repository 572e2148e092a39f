import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
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
import { basename, join } from 'node:path'
import { cached } from '../boot/cache.js'
import { mmdebstrap } from '../boot/mmdebstrap.js'

const HERE = import.meta.dirname
const GUEST = join(HERE, '../boot/guest')
const RELEASE = 'trixie'
const ARM64 = '--architectures=arm64'
/** The scripts of these packages can run for another root: they know DPKG_ROOT. */
const PACKAGES = 'apt,systemd,systemd-sysv,udev,dbus,kmod,libstdc++6'
/** Those of the kernel cannot, so it is only unpacked. */
const KERNEL = 'linux-image-cloud-arm64,busybox-static'
/** The package of the extension, which is only unpacked. */
const EXTENSION = 'mosquitto'

/** The commands that this needs besides those of the other tests, and Debian's packages with them. */
const TOOLS = { 'qemu-system-aarch64': 'qemu-system-arm', cpio: 'cpio' }

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
 * package and of all that it needs.
 */
export type Arm64 = { root: string; kernel: string; initrd: string; image: string }

/** Makes it, once. None of its programs runs here. */
export function debianArm64(): Arm64 {
  const recipe = ['initrd', basename(import.meta.filename)].map((name) =>
    readFileSync(join(HERE, name), 'utf8'),
  )
  const made = cached('arm64', recipe.join('\n'), make)
  return {
    root: join(made, 'root'),
    kernel: join(made, 'vmlinuz'),
    initrd: join(made, 'initrd'),
    image: join(made, 'root.tar'),
  }
}

function make(directory: string): void {
  const unpacked = ['--variant=extract', ARM64]
  mmdebstrap([...unpacked, `--include=${EXTENSION}`, RELEASE, join(directory, 'root.tar')])
  const root = join(directory, 'root')
  unpackTo(root, (archive) => makeRoot(archive))
  const parts = join(directory, 'parts')
  unpackTo(parts, (archive) => mmdebstrap([...unpacked, `--include=${KERNEL}`, RELEASE, archive]))
  const [kernel = ''] = readdirSync(join(parts, 'boot')).filter((name) => name.startsWith('vmlinuz'))
  cpSync(join(parts, 'boot', kernel), join(directory, 'vmlinuz'))
  cpSync(join(parts, 'usr/lib/modules'), join(root, 'usr/lib/modules'), { recursive: true })
  execFileSync('depmod', ['-b', root, kernel.replace('vmlinuz-', '')])
  makeInitrd(directory, parts)
  rmSync(parts, { recursive: true })
  addReporter(root)
}

function unpackTo(tree: string, make: (archive: string) => void): void {
  const archive = `${tree}.archive.tar`
  make(archive)
  mkdirSync(tree)
  execFileSync('tar', ['-xf', archive, '-C', tree, '--numeric-owner', '--exclude=./dev/*'])
  rmSync(archive)
}

/** Debian's root file system, installed: the scripts of its packages run here, for that root. */
function makeRoot(archive: string): void {
  const commands = mkdtempSync(join(tmpdir(), 'hostext-arm64-'))
  try {
    // That of Debian 12 does not know all that is in the files of Debian 13. Their own one makes the rest of
    // the users when it boots.
    const wrapper = '#!/bin/sh\n/usr/bin/systemd-sysusers "$@" || true\n'
    writeFileSync(join(commands, 'systemd-sysusers'), wrapper, { mode: 0o755 })
    mmdebstrap(
      [
        ...['--mode=chrootless', '--variant=custom', ARM64],
        ...['--include=?essential', `--include=${PACKAGES}`, RELEASE, archive],
      ],
      { env: { ...process.env, PATH: `${commands}:${process.env.PATH}` } },
    )
  } finally {
    rmSync(commands, { recursive: true })
  }
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

/** What every test machine has: customize() in boot/rootfs.ts. */
function addReporter(root: string): void {
  writeFileSync(join(root, 'etc/hostname'), 'device\n')
  writeFileSync(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n')
  cpSync(join(GUEST, 'report.service'), join(root, 'etc/systemd/system/report.service'))
  const wants = join(root, 'etc/systemd/system/multi-user.target.wants')
  mkdirSync(wants, { recursive: true })
  symlinkSync('../report.service', join(wants, 'report.service'))
  mkdirSync(join(root, 'usr/lib/test'))
  cpSync(join(GUEST, 'report'), join(root, 'usr/lib/test/report'))
  chmodSync(join(root, 'usr/lib/test/report'), 0o755)
}
