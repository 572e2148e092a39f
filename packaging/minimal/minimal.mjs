import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { findFaults } from '../runtime/checks.mjs'
import { TARGETS } from '../runtime/trim.mjs'
import { dropBuiltins } from './drop-builtins.mjs'

const HERE = import.meta.dirname
const MIB = 2 ** 20
/** How large the program may be. */
export const MOST = 24 * MIB

/** What is installed in the root file system: tools, and libraries that Debian 12 has for static linking. */
const PACKAGES = [
  ...['clang-19', 'lld-19', 'llvm-19', 'cmake', 'ninja-build', 'make', 'pkgconf'],
  ...['dpkg-dev', 'patch', 'xz-utils', 'ca-certificates', 'python3', 'python3-packaging', 'python3-jinja2'],
  ...['libstdc++-12-dev', 'libgtest-dev', 'libmd-dev', 'libzstd-dev', 'zlib1g-dev'],
]

/**
 * Compiles a small Node for glibc 2.36 from Debian's source package, in a root file system of Debian 12. It
 * takes a quarter of an hour, gigabytes in `work`, and the package mirrors. `work` is kept after an error,
 * and what it has is not made again. Throws an Error that says where the output is.
 * @param {string} work the directory for it
 * @param {string} out an empty directory, which gets `node` and `LICENSE`
 * @param {string} arch must be that of this machine
 */
export function buildMinimal(work, out, arch) {
  if (arch !== process.arch) throw new Error(`a minimal runtime for ${arch} can only be made on ${arch}`)
  if (process.getuid?.() !== 0)
    throw new Error('only root can make the root file system in which it is compiled')
  mkdirSync(work, { recursive: true })
  const root = join(work, 'root')
  if (!existsSync(root)) makeRoot(work, root)
  const program = join(root, 'build/nodejs/out/Release/node')
  logged(join(work, 'compile.log'), 'unshare', [
    ...['--mount', '--pid', '--fork', `--root=${root}`, '--mount-proc', '--'],
    ...['env', '-i', 'LC_ALL=C.UTF-8', 'PATH=/usr/sbin:/usr/bin', `JOBS=${availableParallelism()}`],
    ...['sh', '/build/compile.sh'],
  ])
  const faults = findFaults(readFileSync(program), { page: TARGETS[arch].page, size: MOST })
  if (faults.length > 0) throw new Error(`the minimal Node is not usable: ${faults.join('; ')}`)
  cpSync(program, join(out, 'node'))
  chmodSync(join(out, 'node'), 0o755)
  // Node's has those of all libraries that it usually embeds.
  const licences = ['build/nodejs/LICENSE', 'usr/share/doc/libmd-dev/copyright'].map((path) =>
    readFileSync(join(root, path), 'utf8'),
  )
  writeFileSync(join(out, 'LICENSE'), licences.join('\nlibmd:\n\n'))
}

/** Makes the root file system, with the sources as they are compiled. */
function makeRoot(work, root) {
  const unfinished = `${root}.new`
  rmSync(unfinished, { recursive: true, force: true })
  const mirror = 'http://deb.debian.org/debian'
  logged(join(work, 'root.log'), 'mmdebstrap', [
    ...['--variant=minbase', `--include=${PACKAGES.join(',')}`],
    '--customize-hook=mkdir -p "$1/build/bin"',
    `--customize-hook=copy-in '${join(HERE, 'fetch.sh')}' '${join(HERE, 'compile.sh')}' /build`,
    `--customize-hook=copy-in '${join(HERE, 'clang++-19')}' '${join(HERE, 'mksnapshot.h')}' /build/bin`,
    '--customize-hook=chroot "$1" sh /build/fetch.sh',
    ...['bookworm', unfinished],
    ...['', '-updates'].map((name) => `deb ${mirror} bookworm${name} main`),
    'deb http://deb.debian.org/debian-security bookworm-security main',
  ])
  const tree = join(unfinished, 'build/nodejs')
  logged(join(work, 'patch.log'), 'patch', ['-d', tree, '-p1', '--forward', '-i', join(HERE, 'node.patch')])
  cpSync(join(HERE, 'sha256.cc'), join(tree, 'src/hostext_sha256.cc'))
  cpSync(join(HERE, 'crypto.js'), join(tree, 'lib/crypto.js'))
  dropBuiltins(tree)
  renameSync(unfinished, root)
}

/** Runs a program, with its output in a file. */
function logged(log, program, words) {
  const output = openSync(log, 'w')
  try {
    execFileSync(program, words, { stdio: ['ignore', output, output] })
  } catch (error) {
    throw new Error(
      error.code === 'ENOENT' ? `${program} is missing` : `${program} failed; its output is in ${log}`,
    )
  } finally {
    closeSync(output)
  }
}
