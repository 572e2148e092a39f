#!/usr/bin/env node
// Everything between a checkout and a root file system.
//
//   node build.mjs                        src -> dist/hostext.cjs and dist/licenses.txt
//   node build.mjs runtime [--arch x64]   build/runtime-<arch>/: Node, stripped, and a list of its libraries
//   node build.mjs install --destdir DIR  all of it into a root file system

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import ncc from '@vercel/ncc'
import { build } from 'esbuild'
import minimist from 'minimist'

const HERE = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname)
/** What the units of both passes run. */
const STEPS = join(HERE, 'generators/steps')
/** Settings of other programs: what keeps package managers from the locked root, and users from images. */
const PACKAGES = join(HERE, 'generators/packages')
const VERSION = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8')).version

/** The current LTS release of Node: the official build for each architecture, from the npm registry. */
const RUNTIME = {
  version: '24.21.0',
  integrity: {
    x64: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    arm64: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  /** The `strip` command of Debian's cross binutils for each architecture. */
  strip: { x64: 'x86_64-linux-gnu-strip', arm64: 'aarch64-linux-gnu-strip' },
}

/**
 * Compiles src with esbuild, then bundles the result with ncc, which adds minimist and its licence. The other
 * packages are modules, of which esbuild takes only what is used: each start of the program reads all of it.
 */
async function buildBundle(out = join(HERE, 'dist')) {
  const work = mkdtempSync(join(HERE, '.build-'))
  try {
    const { metafile } = await build({
      absWorkingDir: HERE,
      entryPoints: ['src/main.ts'],
      outfile: join(work, 'hostext.cjs'),
      bundle: true,
      external: ['minimist'],
      metafile: true,
      platform: 'node',
      target: `node${RUNTIME.version}`,
      format: 'cjs',
      charset: 'utf8',
      legalComments: 'none',
      minifyIdentifiers: true,
      minifySyntax: true,
      define: { HOSTEXT_VERSION: JSON.stringify(VERSION) },
    })
    // Modules get numbers made of their paths from here. The name of `work`, another one each time, must not
    // be in them: sometimes two would get the same number, and the bundle other bytes.
    process.chdir(work)
    const { code, assets } = await ncc(join(work, 'hostext.cjs'), {
      cache: false,
      // Reading and compiling the bundle is half of what a small run costs on top of the bare runtime.
      minify: true,
      quiet: true,
      license: 'licenses.txt',
    })
    mkdirSync(out, { recursive: true })
    writeFileSync(join(out, 'hostext.cjs'), `#!/usr/lib/hostext/node\n${code}`)
    chmodSync(join(out, 'hostext.cjs'), 0o755)
    // From there our own package is one of those packaged; its licence is beside this file.
    const licenses = String(assets['licenses.txt'].source)
    const others = packagesOf(metafile).map((name) => {
      const directory = join(HERE, 'node_modules', name)
      const { license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
      return `\n${name}\n${license}\n${readFileSync(join(directory, 'LICENSE'), 'utf8')}`
    })
    writeFileSync(join(out, 'licenses.txt'), licenses.slice(licenses.indexOf('minimist\n')) + others.join(''))
  } finally {
    process.chdir(HERE)
    rmSync(work, { recursive: true })
  }
}

/** The names of the packages that esbuild has taken something of. */
function packagesOf({ inputs }) {
  const names = Object.keys(inputs).flatMap(
    (path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  )
  return [...new Set(names)].sort()
}

/** Fetches Node for `arch` once, checks it against the pinned hash and strips it. Returns its directory. */
function buildRuntime(arch) {
  const integrity = RUNTIME.integrity[arch]
  if (!integrity)
    fail(`no runtime for ${arch}; there is one for ${Object.keys(RUNTIME.integrity).join(', ')}`)
  const out = join(HERE, 'build', `runtime-${arch}-${RUNTIME.version}`)
  if (existsSync(join(out, 'libraries.txt'))) return out

  const work = mkdtempSync(join(tmpdir(), 'hostext-runtime-'))
  try {
    const name = `node-linux-${arch}`
    execFileSync('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${RUNTIME.version}`], {
      stdio: 'pipe',
    })
    const archive = join(work, `${name}-${RUNTIME.version}.tgz`)
    const hash = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
    if (hash !== integrity) fail(`${name}@${RUNTIME.version} has ${hash}, not the pinned ${integrity}`)
    execFileSync('tar', ['-xzf', archive, '-C', work, 'package/bin/node', 'package/LICENSE'])
    const node = join(work, 'package/bin/node')
    const strip = [RUNTIME.strip[arch], arch === process.arch ? 'strip' : ''].find(
      (tool) => tool && hasCommand(tool),
    )
    if (strip) execFileSync(strip, [node])
    else
      console.error(
        `not stripped: ${RUNTIME.strip[arch]} (Debian: binutils-${arch === 'x64' ? 'x86-64' : 'aarch64'}-linux-gnu) is not installed`,
      )

    mkdirSync(out, { recursive: true })
    cpSync(node, join(out, 'node'))
    chmodSync(join(out, 'node'), 0o755)
    cpSync(join(work, 'package/LICENSE'), join(out, 'LICENSE'))
    const libraries = neededLibraries(readFileSync(node))
    if (arch === process.arch && process.getuid() === 0) checkInEmptyRoot(out, libraries)
    else console.error(`not tried: the ${arch} runtime can only be tried as root on ${arch}`)
    writeFileSync(join(out, 'libraries.txt'), `${libraries.join('\n')}\n`)
  } finally {
    rmSync(work, { recursive: true })
  }
  return out
}

/** The DT_NEEDED entries and the interpreter of a 64-bit little-endian ELF file: elf(5). */
function neededLibraries(elf) {
  const header = {
    offset: Number(elf.readBigUInt64LE(32)),
    size: elf.readUInt16LE(54),
    count: elf.readUInt16LE(56),
  }
  const segments = Array.from({ length: header.count }, (_, index) => {
    const at = header.offset + index * header.size
    const field = (offset) => Number(elf.readBigUInt64LE(at + offset))
    return { type: elf.readUInt32LE(at), offset: field(8), address: field(16), size: field(32) }
  })
  const string = (at) => elf.toString('utf8', at, elf.indexOf(0, at))
  const [PT_LOAD, PT_DYNAMIC, PT_INTERP, DT_NEEDED, DT_STRTAB] = [1, 2, 3, 1, 5]
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  const entries = Array.from({ length: dynamic.size / 16 }, (_, index) => {
    const at = dynamic.offset + index * 16
    return { tag: Number(elf.readBigInt64LE(at)), value: Number(elf.readBigUInt64LE(at + 8)) }
  })
  const table = entries.find(({ tag }) => tag === DT_STRTAB).value
  const load = segments.find(
    ({ type, address, size }) => type === PT_LOAD && address <= table && table < address + size,
  )
  const strings = table - load.address + load.offset
  const names = entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => string(strings + value))
  const interpreter = segments.find(({ type }) => type === PT_INTERP)
  return [...new Set([...names, string(interpreter.offset).split('/').at(-1)])].sort()
}

/** Runs the runtime and the bundle in a root that contains only them and the listed libraries. */
function checkInEmptyRoot(runtime, libraries) {
  const root = mkdtempSync(join(tmpdir(), 'hostext-empty-'))
  try {
    const resolved = execFileSync('ldd', [join(runtime, 'node')], { encoding: 'utf8' })
    for (const library of libraries) {
      const path = new RegExp(`(/\\S*/${library.replaceAll(/[.+]/g, '\\$&')}) \\(`).exec(resolved)?.[1]
      if (!path) fail(`${library}, which the runtime needs, is not on this machine`)
      mkdirSync(join(root, dirname(path)), { recursive: true })
      cpSync(path, join(root, path), { dereference: true })
    }
    const directory = join(root, 'usr/lib/hostext')
    mkdirSync(directory, { recursive: true })
    cpSync(join(runtime, 'node'), join(directory, 'node'))
    cpSync(join(HERE, 'dist/hostext.cjs'), join(directory, 'hostext.cjs'))
    runInRoot(root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** Runs the installed bundle below `root` with its own runtime; fails if it does not print its version. */
function runInRoot(root) {
  let output
  try {
    // An empty environment: NODE_OPTIONS from the build machine must not apply below `root`.
    const words = [
      '-i',
      `PATH=${process.env.PATH}`,
      'chroot',
      root,
      '/usr/lib/hostext/hostext.cjs',
      '--version',
    ]
    output = execFileSync('env', words, { encoding: 'utf8' })
  } catch (error) {
    fail(`the runtime does not run below ${root}: ${error.stderr || error.message}`)
  }
  if (output !== `hostext ${VERSION}\n`) fail(`the runtime below ${root} printed ${JSON.stringify(output)}`)
}

/** Installs all of hostext into the root file system at `destdir`. */
function install(destdir, arch) {
  // Whatever the caller's umask: root can write to the new directories, and everybody can read them.
  process.umask(0o022)
  const systemd = ['usr/lib/systemd', 'lib/systemd'].map((path) => join(destdir, path)).find(existsSync)
  if (!systemd) fail(`${destdir} is not a root file system with systemd`)
  const runtime = buildRuntime(arch)
  const lib = join(destdir, 'usr/lib/hostext')
  const copy = (from, to, mode) => {
    mkdirSync(dirname(to), { recursive: true })
    // Replaced, not overwritten: a running program keeps its file, and a power cut leaves the old or the new
    // one.
    const temporary = `${to}.new`
    rmSync(temporary, { force: true })
    cpSync(from, temporary)
    chmodSync(temporary, mode)
    // Without fsync, a rename may reach the disk before the file's contents.
    const descriptor = openSync(temporary, 'r+')
    fsyncSync(descriptor)
    closeSync(descriptor)
    execFileSync('mv', ['-fT', temporary, to])
  }
  copy(join(runtime, 'node'), join(lib, 'node'), 0o755)
  copy(join(runtime, 'LICENSE'), join(lib, 'LICENSE.node'), 0o644)
  copy(join(HERE, 'dist/hostext.cjs'), join(lib, 'hostext.cjs'), 0o755)
  copy(join(HERE, 'dist/licenses.txt'), join(lib, 'licenses.txt'), 0o644)
  copy(join(HERE, 'LICENSE'), join(lib, 'LICENSE'), 0o644)
  copy(join(HERE, 'generators/hostext.conf'), join(lib, 'hostext.conf'), 0o644)
  for (const script of readdirSync(STEPS).filter((name) => !isUnit(name)))
    copy(join(STEPS, script), join(lib, script), script.endsWith('.sh') ? 0o644 : 0o755)
  copy(join(PACKAGES, 'refuse'), join(lib, 'refuse'), 0o755)
  for (const [name, directory] of [
    ['dpkg.cfg', 'etc/dpkg/dpkg.cfg.d'],
    ['apt.conf', 'etc/apt/apt.conf.d'],
  ])
    if (existsSync(join(destdir, dirname(directory))))
      copy(join(PACKAGES, name), join(destdir, directory, 'hostext'), 0o644)
  copy(join(PACKAGES, 'tmpfiles.conf'), join(destdir, 'usr/lib/tmpfiles.d/hostext.conf'), 0o644)
  for (const name of ['nextroot', 'base']) mkdirSync(join(lib, name), { recursive: true })
  mkdirSync(join(destdir, 'etc/hostext.conf.d'), { recursive: true })
  for (const page of ['hostext.7', 'hostext.8', 'hostext.conf.5']) {
    copy(join(HERE, 'docs', page), join(destdir, 'usr/share/man', `man${page.at(-1)}`, page), 0o644)
  }
  for (const unit of readdirSync(STEPS).filter(isUnit))
    copy(join(STEPS, unit), join(systemd, 'system', unit), 0o644)
  const wants = join(systemd, 'system/multi-user.target.wants')
  mkdirSync(wants, { recursive: true })
  const watched = join(wants, 'hostext-prepare.path')
  if (!lstatSync(watched, { throwIfNoEntry: false })) symlinkSync('../hostext-prepare.path', watched)
  const link = join(destdir, 'usr/bin/hostext')
  if (!lstatSync(link, { throwIfNoEntry: false })) {
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync('../lib/hostext/hostext.cjs', link)
  }
  if (arch === process.arch && process.getuid() === 0) runInRoot(destdir)
  else
    console.error(
      `not tried: ${join(lib, 'node')} needs ${readFileSync(join(runtime, 'libraries.txt'), 'utf8').trim().split('\n').join(', ')}`,
    )
  // Last: once the stub is in place, hostext takes part in the next boot.
  copy(
    join(HERE, 'generators/hostext-generator'),
    join(systemd, 'system-generators/hostext-generator'),
    0o755,
  )
  console.log(`hostext ${VERSION} is in ${destdir}; it takes effect at the next boot`)
  // It is better to learn here than on the device whether rollback will work.
  const environment = { PATH: process.env.PATH, HOSTEXT_ROOT: destdir === '/' ? '' : destdir }
  execFileSync(process.execPath, [join(HERE, 'dist/hostext.cjs'), 'rollback'], {
    env: environment,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

function isUnit(name) {
  return /\.(?:service|path)$/.test(name)
}

function hasCommand(name) {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, name)))
}

function fail(message) {
  console.error(`build.mjs: ${message}`)
  process.exit(1)
}

const {
  _: [command = 'build'],
  ...options
} = minimist(process.argv.slice(2), { string: ['destdir', 'arch', 'out'] })
const arch = options.arch || process.arch
if (command === 'build') await buildBundle(options.out && resolve(options.out))
else if (command === 'runtime') console.log(buildRuntime(arch))
else if (command === 'install' && options.destdir) install(resolve(options.destdir), arch)
else fail('build [--out DIR] | runtime [--arch x64|arm64] | install --destdir DIR [--arch x64|arm64]')
