import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { inMemory } from '../support/memory.js'
import { cached } from './cache.js'
import { mmdebstrap } from './mmdebstrap.js'

export const RELEASES = ['bookworm', 'trixie', 'forky'] as const
export type Release = (typeof RELEASES)[number]
const SYSTEMD: Record<Release, number> = { bookworm: 252, trixie: 257, forky: 262 }

const GUEST = join(import.meta.dirname, 'guest')
const PACKAGES =
  'systemd,systemd-sysv,udev,dbus,kmod,e2fsprogs,btrfs-progs,dmsetup,linux-image-cloud-amd64,initramfs-tools'

/**
 * Files that are installed before the packages, so that the initrd has them: path in the root to file in
 * guest/.
 */
const INITRAMFS = {
  'etc/initramfs-tools/conf.d/test': 'initramfs-conf',
  'etc/initramfs-tools/hooks/test': 'initramfs-hook',
  'etc/initramfs-tools/scripts/local-bottom/test-overlay': 'initramfs-overlay',
  'etc/initramfs-tools/scripts/local-top/test-mapper': 'initramfs-mapper',
}

/**
 * `device`: it also has Docker, enabled, like the devices that hostext is for. `podman`: it has Podman
 * instead. `storage`: it has what mounts encrypted disks, volume groups, shares and compressed memory.
 */
export type Kind = 'plain' | 'device' | 'podman' | 'storage'
/**
 * Includes the recommended packages that `docker run` and `docker build` need: Debian 12's engine needs
 * apparmor_parser, and has BuildKit without buildx.
 */
const ENGINE_PACKAGES: Record<Release, string[]> = {
  bookworm: ['docker.io', 'apparmor'],
  trixie: ['docker.io', 'docker-cli', 'docker-buildx'],
  forky: ['docker.io', 'docker-cli', 'docker-buildx'],
}
/** What a build needs, and the programs that Podman only recommends. */
const PODMAN_PACKAGES = ['podman', 'buildah', 'crun']
/** systemd-cryptsetup is a package of its own since Debian 13. */
const STORAGE_PACKAGES = ['cryptsetup-bin', 'lvm2', 'nfs-kernel-server', 'systemd-zram-generator']
/** A machine whose fstab needs the server of shares starts it; others are not to wait for it. */
const SERVER_UNITS = /^(?:nfs-|rpc)/
const ENGINE_SETTINGS = '{ "iptables": false, "bridge": "none" }\n'

/** What every test machine has in addition to Debian: a root account without a password, and the reporter. */
function customize(root: string): void {
  execFileSync('chroot', [root, 'passwd', '-d', 'root'], { stdio: 'ignore' })
  writeFileSync(join(root, 'etc/hostname'), 'device\n')
  writeFileSync(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n')
  const unit = join(root, 'etc/systemd/system/report.service')
  cpSync(join(GUEST, 'report.service'), unit)
  symlinkSync('../report.service', join(root, 'etc/systemd/system/multi-user.target.wants/report.service'))
  mkdirSync(join(root, 'usr/lib/test'))
  cpSync(join(GUEST, 'report'), join(root, 'usr/lib/test/report'))
  chmodSync(join(root, 'usr/lib/test/report'), 0o755)
  // The root's own files, which extensions replace, delete or are hidden by.
  mkdirSync(join(root, 'usr/share/base'))
  for (const name of ['kept', 'replaced', 'deleted'])
    writeFileSync(join(root, 'usr/share/base', name), `root\n`)
  rmSync(join(root, 'var/lib/apt/lists'), { recursive: true })
  mkdirSync(join(root, 'var/lib/apt/lists'))
}

/**
 * `sh -c INSTALL sh ROOT PACKAGE…`, with mounts of its own: installs Debian packages in a root without
 * package lists.
 */
const INSTALL = `set -e
root=$1
shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/var/lib/apt/lists"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
export DEBIAN_FRONTEND=noninteractive
chroot "$root" apt-get -q -o Acquire::Check-Valid-Until=false update
chroot "$root" apt-get -q -y -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends "$@"
chroot "$root" apt-get clean
`

function install(root: string, packages: readonly string[]): void {
  execFileSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', INSTALL, 'sh', root, ...packages],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
}

/** Lets dockerd run without iptables and a bridge. Debian's package has already enabled it. */
function addDocker(release: Release, root: string): void {
  install(root, ENGINE_PACKAGES[release])
  mkdirSync(join(root, 'etc/docker'), { recursive: true })
  writeFileSync(join(root, 'etc/docker/daemon.json'), ENGINE_SETTINGS)
  const enabled = readdirSync(join(root, 'etc/systemd/system/multi-user.target.wants'))
  if (!enabled.includes('docker.service')) throw new Error(`docker.service is not enabled in ${root}`)
}

/** A Debian root file system: `root/`, and the kernel and initrd it boots with. Made once, then cached. */
export type Rootfs = { root: string; kernel: string; initrd: string; systemd: number }

export function debian(release: Release, kind: Kind = 'plain'): Rootfs {
  const directory = kind === 'plain' ? plain(release) : withMore(release, kind)
  return {
    root: join(directory, 'root'),
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
    systemd: SYSTEMD[release],
  }
}

function plain(release: Release): string {
  const recipe = [
    release,
    PACKAGES,
    readFileSync(import.meta.filename, 'utf8'),
    ...readdirSync(GUEST).map((name) => readFileSync(join(GUEST, name))),
  ]
  return cached(release, recipe.join('\n'), (made) => {
    console.error(`# making a Debian ${release} root filesystem`)
    const archive = join(made, 'root.tar')
    mmdebstrap(
      [
        '--variant=minbase',
        `--include=${PACKAGES}`,
        ...Object.entries(INITRAMFS).map(
          ([path, file]) => `--essential-hook=install -D -m 755 '${join(GUEST, file)}' "$1/${path}"`,
        ),
        ...['doc', 'man', 'locale', 'info'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
        release,
        archive,
      ],
      { env: { ...process.env, ...inMemory(4 * 2 ** 30) } },
    )
    const root = join(made, 'root')
    mkdirSync(root)
    execFileSync('tar', ['-xf', archive, '-C', root, '--exclude=./dev/*'])
    rmSync(archive)
    for (const file of readdirSync(join(root, 'boot'))) {
      if (/^(?:vmlinuz|initrd)/.test(file))
        cpSync(join(root, 'boot', file), join(made, file.split('-')[0]?.split('.')[0] as string))
      rmSync(join(root, 'boot', file))
    }
    customize(root)
  })
}

function addStorage(release: Release, root: string): void {
  install(root, release === 'bookworm' ? STORAGE_PACKAGES : [...STORAGE_PACKAGES, 'systemd-cryptsetup'])
  const units = join(root, 'etc/systemd/system')
  for (const path of readdirSync(units, { recursive: true, encoding: 'utf8' }))
    if (/\.wants\//.test(path) && SERVER_UNITS.test(basename(path))) rmSync(join(units, path))
  // What Debian's package sets up: a case sets it up again.
  rmSync(join(root, 'usr/lib/systemd/zram-generator.conf'), { force: true })
  rmSync(join(root, 'etc/systemd/zram-generator.conf'), { force: true })
}

const ADDED: Record<Exclude<Kind, 'plain'>, (release: Release, root: string) => void> = {
  device: addDocker,
  podman: (_, root) => install(root, PODMAN_PACKAGES),
  storage: addStorage,
}

function withMore(release: Release, kind: Exclude<Kind, 'plain'>): string {
  const from = plain(release)
  return cached(`${kind}-${release}`, from, (made) => {
    console.error(`# adding what a machine of kind ${kind} has to the Debian ${release} root filesystem`)
    execFileSync('cp', ['-a', '-t', made, ...readdirSync(from).map((name) => join(from, name))])
    ADDED[kind](release, join(made, 'root'))
  })
}
