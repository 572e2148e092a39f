import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Debian packages that machines are made from and run with. */
const PACKAGES = [
  'mmdebstrap',
  'systemd-container',
  'qemu-system-x86',
  'qemu-utils',
  'docker.io',
  'busybox-static',
  'e2fsprogs',
  'squashfs-tools',
  'erofs-utils',
  'fdisk',
  'gcc',
  'libc6-dev',
  'shellcheck',
  'valgrind',
  'kmod',
  'mandoc',
  'debhelper',
  'lintian',
  'faketime',
  // They run programs for arm64.
  'qemu-user',
  'libstdc++6-arm64-cross',
]

/**
 * Makes sure that machines can be made and run here: as root on Debian; installs missing packages. Returns
 * why that is impossible, or undefined.
 */
export function prepareHost(): string | undefined {
  if (process.getuid?.() !== 0) return 'machines need root (mounts, systemd-nspawn, dockerd)'
  if (process.arch !== 'x64') return `machines are for x64, this is ${process.arch}`
  if (!existsSync('/usr/bin/apt-get')) return `machines need Debian's ${PACKAGES.join(', ')}`
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
  const installed = spawnSync('dpkg-query', ['-Wf', '${db:Status-Status} ${Package}\\n', ...PACKAGES], {
    encoding: 'utf8',
  })
  const lines = new Set(installed.stdout.split('\n'))
  const missing = PACKAGES.filter((name) => !lines.has(`installed ${name}`))
  if (missing.length === 0) return undefined
  console.error(`# installing ${missing.join(' ')}`)
  const apt = (...words: string[]) =>
    execFileSync('apt-get', ['-q', ...words], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  try {
    apt('update')
    apt('-y', 'install', '--no-install-recommends', ...missing)
  } catch (error) {
    return `apt-get: ${(error as Error).message}`
  }
  return undefined
}
