import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.js'
import { mmdebstrap } from './mmdebstrap.js'
import { debian, type Release } from './rootfs.js'

const SOURCES = join(import.meta.dirname, 'kernel')

/** The modules of `kernel/` by name, each in a tree of its own that can be copied over a root. */
export type ModuleTrees = Record<'feature_first' | 'feature_second', string>

/**
 * Builds the modules of `kernel/` for the kernel of the plain test machine of `release`, in a Debian of that
 * release with that kernel's headers. They go to /usr/lib/modules/KERNEL/extra; nothing is indexed.
 */
export function kernelModules(release: Release): ModuleTrees {
  const { root } = debian(release)
  const [kernel] = readdirSync(join(root, 'usr/lib/modules')) as [string]
  const version = imageVersion(root, kernel)
  const sources = readdirSync(SOURCES).map((name) => readFileSync(join(SOURCES, name), 'utf8'))
  const recipe = [kernel, version, readFileSync(import.meta.filename, 'utf8'), ...sources]
  const directory = cached(`modules-${release}`, recipe.join('\n'), (made) => {
    console.error(`# building kernel modules for ${kernel}`)
    build(release, kernel, version, made)
    for (const name of ['feature_first', 'feature_second']) {
      const extra = join(made, name, 'usr/lib/modules', kernel, 'extra')
      mkdirSync(extra, { recursive: true })
      cpSync(join(made, 'kernel', `${name}.ko`), join(extra, `${name}.ko`))
    }
    rmSync(join(made, 'kernel'), { recursive: true })
  })
  return {
    feature_first: join(directory, 'feature_first'),
    feature_second: join(directory, 'feature_second'),
  }
}

/** Leaves the built sources at `made`/kernel. */
function build(release: Release, kernel: string, version: string, made: string): void {
  const headers = `linux-headers-${kernel}`
  const format = '${' + 'Version}'
  const hooks = [
    `copy-in ${SOURCES} /tmp`,
    `test "$(chroot "$1" dpkg-query -Wf '${format}' ${headers})" = ${version}`,
    `chroot "$1" make -C /usr/src/${headers} M=/tmp/kernel modules >&2`,
    `copy-out /tmp/kernel ${made}`,
  ]
  const words = ['--variant=minbase', `--include=${headers},make`]
  const withHooks = [...words, ...hooks.map((hook) => `--customize-hook=${hook}`), release, '/dev/null']
  try {
    mmdebstrap(withHooks)
  } catch (error) {
    throw new Error(
      `no modules for the test machines' kernel, linux-image-${kernel} ${version}. If the mirror has newer headers ` +
        `by now, remove the cached root filesystem of ${release}. mmdebstrap:\n${(error as { stderr: string }).stderr}`,
    )
  }
}

/** The version of the package that the kernel in `root` comes from. */
function imageVersion(root: string, kernel: string): string {
  const status = readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8')
  const entry = status.split('\n\n').find((text) => text.startsWith(`Package: linux-image-${kernel}\n`))
  const version = entry && /^Version: (.*)$/m.exec(entry)?.[1]
  if (!version) throw new Error(`no package of kernel ${kernel} in ${root}`)
  return version
}
