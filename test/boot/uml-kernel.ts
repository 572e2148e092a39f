import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { GENERATORS } from '../support/paths.js'
import { cached } from './cache.js'
import { mmdebstrap } from './mmdebstrap.js'
import { debian, type Release } from './rootfs.js'

/** The newest kernel, whatever release is booted with it. It needs the C library of its own release. */
const RELEASE = 'forky'
const PACKAGES = 'user-mode-linux,libc6,libgcc-s1'

/**
 * The modules that a test machine may load, with what they depend on. There are 600 more, mostly for
 * networks. ext4 and btrfs are built in.
 */
const MODULES = [
  ...['overlay', 'squashfs', 'erofs', 'autofs4', 'fuse', 'configfs', 'pstore', 'efivarfs', 'binfmt_misc'],
  ...['dm-mod', 'dm-flakey', 'dm-crypt', 'cbc', 'ecb', 'xts', 'loop', 'zram', 'dummy', 'nfsv4', 'nfsd'],
]

/**
 * The kernel that runs as a process. `root`: a directory to chroot into for usr/bin/linux.uml; `modules`: the
 * directory with its modules, named after its version; `config`: its configuration. Made once from Debian's
 * packages, then cached.
 */
export function umlKernel(): { root: string; modules: string; config: string } {
  const recipe = [RELEASE, PACKAGES, readFileSync(import.meta.filename, 'utf8')]
  const directory = cached('uml', recipe.join('\n'), (made) => {
    console.error('# unpacking user-mode Linux')
    const root = join(made, 'root')
    mmdebstrap(['--variant=extract', `--include=${PACKAGES}`, RELEASE, root])
    // The mount points for uml.ts, and the links of a merged /usr, which a package creates when it is
    // installed.
    for (const name of ['proc', 'dev', 'tmp', 'machine']) mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, 'initrd'), '')
    for (const name of ['lib', 'lib64'])
      if (!existsSync(join(root, name))) symlinkSync(`usr/${name}`, join(root, name))
    const packed = join(root, 'usr/lib/uml/modules')
    const [version] = readdirSync(packed) as [string]
    const modules = join(made, 'modules', version)
    mkdirSync(modules, { recursive: true })
    const wanted = withDependencies(readFileSync(join(packed, version, 'modules.dep'), 'utf8'))
    for (const name of readdirSync(join(packed, version), { recursive: true, encoding: 'utf8' })) {
      if (!wanted.has(name) && !/^modules\./.test(name)) continue
      mkdirSync(dirname(join(modules, name)), { recursive: true })
      renameSync(join(packed, version, name), join(modules, name))
    }
    rmSync(packed, { recursive: true })
    const config = readFileSync(join(root, 'usr/share/doc/user-mode-linux/config.gz'))
    writeFileSync(join(made, 'config'), gunzipSync(config))
  })
  const [version] = readdirSync(join(directory, 'modules')) as [string]
  return {
    root: join(directory, 'root'),
    modules: join(directory, 'modules', version),
    config: join(directory, 'config'),
  }
}

/** The files of {@link MODULES} and of what they depend on, all of it: modules.dep(5). */
function withDependencies(modulesDep: string): Set<string> {
  const wanted = new Set<string>()
  for (const line of modulesDep.split('\n')) {
    const [file = '', needed = ''] = line.split(':')
    if (MODULES.includes(basename(file, '.ko')))
      for (const path of [file, ...needed.trim().split(' ')]) wanted.add(path)
  }
  return wanted
}

/** Replaces the modules in a tree with those of this kernel. */
export function addUmlModules(tree: string): void {
  const { modules } = umlKernel()
  const to = join(tree, 'usr/lib/modules')
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to)
  cpSync(modules, join(to, basename(modules)), { recursive: true })
}

/** Which initrd: plain, or with hostext's script in it, in those of initramfs-tools or of dracut. */
export type Initrd = true | 'stacks' | 'dracut'

/** Turns on stacking in the initrd. */
const INIT_BOTTOM = join(GENERATORS, 'init-bottom')
const DRACUT = join(GENERATORS, 'dracut')

/** Its initrd that stacks has the tools of busybox, as on most machines. The others have those of klibc. */
const WITH_BUSYBOX = 'trixie'

/** The initrd that the tools of `release` make for this kernel, as they do for their own. */
export function umlInitrd(release: Release, kind: Initrd): string {
  const { modules, config } = umlKernel()
  const { root } = debian(release)
  const added = {
    true: [],
    stacks: [INIT_BOTTOM],
    dracut: readdirSync(DRACUT).map((name) => join(DRACUT, name)),
  }[String(kind) as 'true' | 'stacks' | 'dracut']
  const texts = added.map((path) => readFileSync(path, 'utf8'))
  const recipe = [root, modules, readFileSync(import.meta.filename, 'utf8'), ...texts]
  const name = `uml-initrd${kind === true ? '' : `-${kind}`}-${release}`
  const directory = cached(name, recipe.join('\n'), (made) => {
    console.error(`# making an initrd of ${release} for user-mode Linux`)
    const tree = join(made, 'tree')
    execFileSync('cp', ['-al', root, tree])
    addUmlModules(tree)
    const version = basename(modules)
    cpSync(config, join(tree, 'boot', `config-${version}`))
    const packed = join(made, 'packed')
    if (kind === 'stacks') {
      cpSync(INIT_BOTTOM, join(tree, 'etc/initramfs-tools/scripts/init-bottom/hostext'))
      // On a machine of its own, the tools find out what the root is, and include the check of it.
      writeFileSync(join(tree, 'etc/initramfs-tools/conf.d/root'), 'FSTYPE=ext4\n')
      if (release === WITH_BUSYBOX) addBusybox(release, tree, packed)
    }
    if (kind === 'dracut') {
      addDracut(release, tree, packed)
      for (const path of added) {
        const to = join(tree, 'usr/lib/dracut/modules.d/95hostext', basename(path))
        cpSync(path, to)
        chmodSync(to, 0o755)
      }
    }
    const make =
      kind === 'dracut'
        ? `dracut --force --no-hostonly --no-compress --add hostext --omit '${NOT_NEEDED}' --kver "$0" /initrd`
        : 'mkinitramfs -o /initrd "$0"'
    const inside = `mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/var/tmp"
exec chroot "$1" sh -c "$3" "$2"`
    execFileSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-ec', inside, 'sh', tree, version, make],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    renameSync(join(tree, 'initrd'), join(made, 'initrd'))
    rmSync(tree, { recursive: true })
  })
  return join(directory, 'initrd')
}

/** Modules of dracut for what no test machine has. */
const NOT_NEEDED =
  'kernel-modules kernel-modules-extra qemu resume lvm crypt dm mdraid multipath i18n plymouth'

/** Adds Debian's dracut to a tree. */
function addDracut(release: Release, tree: string, packed: string): void {
  mmdebstrap(['--variant=extract', '--include=dracut-core', release, packed])
  for (const path of ['usr/lib/dracut', 'usr/bin/dracut'])
    cpSync(join(packed, path), join(tree, path), { recursive: true, verbatimSymlinks: true })
  rmSync(packed, { recursive: true })
}

/** Adds Debian's busybox and its hooks to a tree: `packed`: a directory for that. */
function addBusybox(release: Release, tree: string, packed: string): void {
  mmdebstrap(['--variant=extract', '--include=busybox', release, packed])
  for (const path of ['usr/bin/busybox', 'usr/share/initramfs-tools'])
    cpSync(join(packed, path), join(tree, path), { recursive: true })
  rmSync(packed, { recursive: true })
}
