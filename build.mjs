#!/usr/bin/env node
// Everything between a checkout and a root file system.
//
//   node build.mjs                        src -> dist/: the bundles, what starts them, and licenses.txt
//   node build.mjs runtime [--arch x64]   build/runtime-<arch>-…/: Node, trimmed, and a list of its libraries
//   node build.mjs runtime --minimal      build/minimal-<arch>-…/: a smaller one, compiled here
//   node build.mjs manual [--out DIR]     build/man/: the manual pages, to look at them
//   node build.mjs install --destdir DIR  all of it into a root file system
//   node build.mjs deb [--arch x64]       build/deb/: the Debian packages
//   node build.mjs release [--arch x64]   build/release/: packages, archives, bill of materials, checksums
//
// install and deb take --minimal too.
// A package or a release has the date of the last commit, or SOURCE_DATE_EPOCH, and nothing of the time and
// the place at which it is made. --compression: the level of xz(1), 6 otherwise.

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
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import ncc from '@vercel/ncc'
import { build } from 'esbuild'
import minimist from 'minimist'
import { compileBundles } from './packaging/code/code.mjs'
import { buildDebs, DEBIAN_ARCHITECTURES } from './packaging/deb.mjs'
import { hostextFiles, LIB, MANUAL, names, runtimeFiles } from './packaging/files.mjs'
import { hashOf } from './packaging/hash.mjs'
import { writeManual } from './packaging/manual/manual.mjs'
import { buildMinimal } from './packaging/minimal/minimal.mjs'
import { readBuiltins } from './packaging/runtime/builtin-texts.mjs'
import { readElf } from './packaging/runtime/elf.mjs'
import { neededLibraries } from './packaging/runtime/libraries.mjs'
import { fetchOfficial, moveInto, OFFICIAL } from './packaging/runtime/official.mjs'
import { trimNode } from './packaging/runtime/trim.mjs'

const HERE = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname)
/** How the runtime is made of an official build. */
const TRIMMING = join(HERE, 'packaging/runtime')
/** How the minimal one is compiled. */
const MINIMAL = join(HERE, 'packaging/minimal')
const BUILD = join(HERE, 'build')
const VERSION = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8')).version

/**
 * The bundles and where they begin: what boots run, what people type, and what both load for whole images.
 * Three, because each start of a program reads all of its bundle.
 */
const BUNDLES = {
  'hostext.cjs': 'src/main.ts',
  'commands.cjs': 'src/commands.ts',
  'images.cjs': 'src/commands/images.ts',
}
/** The bundle that is not started, but loaded by the others. */
const LOADED = 'images.cjs'

/** How esbuild compiles src. */
const COMPILED = {
  absWorkingDir: HERE,
  bundle: true,
  platform: 'node',
  // Where the runtime is a distribution's own, which may be older.
  target: 'node20',
  format: 'cjs',
  charset: 'utf8',
  legalComments: 'none',
  minifyIdentifiers: true,
  minifySyntax: true,
}

async function buildBundles(out = join(HERE, 'dist')) {
  mkdirSync(out, { recursive: true })
  const packages = new Map()
  for (const [name, entry] of Object.entries(BUNDLES))
    for (const [other, license] of await buildBundle(name, entry, out)) packages.set(other, license)
  // Not by ncc, which has its own words for what is global in a module.
  await build({
    ...COMPILED,
    entryPoints: [join(HERE, 'src/start.ts')],
    outfile: join(out, 'start.cjs'),
    minifyWhitespace: true,
  })
  const licenses = [...packages].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, license]) => license)
  writeFileSync(join(out, 'licenses.txt'), licenses.join('\n'))
  mkdirSync(join(out, 'completion'), { recursive: true })
  for (const shell of ['bash', 'zsh']) {
    const words = [join(out, 'commands.cjs'), 'completion', shell]
    writeFileSync(join(out, 'completion', shell), execFileSync(process.execPath, words))
  }
  return [...packages.keys()].map((directory) => directory.slice('node_modules/'.length))
}

/**
 * Compiles src with esbuild, then bundles the result with ncc, which adds minimist. The other packages are
 * modules, of which esbuild takes only what is used. Returns the directories of the packages that are in it,
 * with their licences.
 */
async function buildBundle(name, entry, out) {
  const work = mkdtempSync(join(HERE, '.build-'))
  try {
    const { metafile } = await build({
      ...COMPILED,
      entryPoints: [entry],
      outfile: join(work, name),
      external: EXTERNAL,
      plugins: [loadImages],
      // Where it is a bundle of its own, it is required.
      supported: { 'dynamic-import': false },
      metafile: true,
      define: { HOSTEXT_VERSION: JSON.stringify(VERSION) },
    })
    // Modules get numbers made of their paths from here. The name of `work`, another one each time, must not
    // be in them: sometimes two would get the same number, and the bundle other bytes.
    process.chdir(work)
    const { code } = await ncc(join(work, name), {
      cache: false,
      // Reading and compiling the bundle is half of what a small run costs on top of the bare runtime.
      minify: true,
      quiet: true,
      externals: [`./${LOADED}`],
    })
    // With a single other character, V8 would keep two bytes for each, and read and parse them more slowly.
    const ascii = code.replaceAll(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
    // What starts one meanwhile (tests, at the same time) finds all of it.
    const unfinished = join(out, `.${name}`)
    if (name === LOADED) writeFileSync(unfinished, ascii)
    else {
      // The last line is the ID by which compiled code is known: src/start.ts.
      const whole = `#!/usr/lib/hostext/node\n${ascii}\n//`
      const id = createHash('sha256').update(whole).digest('hex').slice(0, 12)
      writeFileSync(unfinished, `${whole}${id}\n`)
      chmodSync(unfinished, 0o755)
    }
    renameSync(unfinished, join(out, name))
    return packagesOf(metafile).map((directory) => [directory, licenseOf(directory)])
  } finally {
    process.chdir(HERE)
    rmSync(work, { recursive: true })
  }
}

/** Has the other bundles load {@link LOADED}, and not contain it. */
const loadImages = {
  name: 'load-images',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/images\.js$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: `./${LOADED}`, external: true } : undefined,
    ),
}

/** What ncc adds. */
const EXTERNAL = ['minimist']

/** The name of a package, the name of its licence, and its text. */
function licenseOf(directory) {
  const { name, license } = JSON.parse(readFileSync(join(HERE, directory, 'package.json'), 'utf8'))
  const file = readdirSync(join(HERE, directory)).find((name) => /^licen[cs]e/i.test(name))
  return `${name}\n${license}\n${readFileSync(join(HERE, directory, file), 'utf8')}`
}

/** The directories of the packages that esbuild has taken something of, or left to ncc. */
function packagesOf({ inputs, outputs }) {
  const taken = Object.keys(inputs).flatMap(
    (path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  )
  const imported = Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  const left = EXTERNAL.filter((name) => imported.includes(name)).map((name) => `node_modules/${name}`)
  return [...new Set([...taken, ...left])].sort()
}

/**
 * Fetches Node for `arch`, checks it against the pinned hash and trims it. What the same code has made of the
 * same version is taken again. Returns its directory.
 */
function buildRuntime(arch) {
  const out = join(BUILD, `runtime-${arch}-${OFFICIAL.version}-${hashOf(TRIMMING)}`)
  if (existsSync(out)) return out

  const official = fetchOfficial(arch, BUILD)
  const work = mkdtempSync(join(BUILD, '.runtime-'))
  try {
    const result = join(work, 'runtime')
    mkdirSync(result)
    // They are the same for every architecture, and only a program for this one can be asked for them.
    const texts = readBuiltins(join(fetchOfficial(process.arch, BUILD), 'bin/node'))
    const node = trimNode(readFileSync(join(official, 'bin/node')), texts, arch)
    writeFileSync(join(result, 'node'), node)
    chmodSync(join(result, 'node'), 0o755)
    cpSync(join(official, 'LICENSE'), join(result, 'LICENSE'))
    finishRuntime(result, out, arch)
  } finally {
    rmSync(work, { recursive: true })
  }
  return out
}

/**
 * Compiles a small Node for `arch`. What the same recipe has made is taken again. Returns its directory.
 */
function buildMinimalRuntime(arch) {
  const name = `minimal-${arch}-${hashOf(MINIMAL, join(TRIMMING, 'builtins.mjs'))}`
  const out = join(BUILD, name)
  if (existsSync(out)) return out

  const work = join(BUILD, `.${name}`)
  const result = join(work, 'runtime')
  rmSync(result, { recursive: true, force: true })
  mkdirSync(result, { recursive: true })
  buildMinimal(work, result, arch)
  finishRuntime(result, out, arch)
  rmSync(work, { recursive: true })
  return out
}

/** Lists the libraries of a runtime, tries it, and gives it its place. */
function finishRuntime(result, out, arch) {
  const libraries = neededLibraries(readElf(readFileSync(join(result, 'node'))))
  writeFileSync(join(result, 'libraries.txt'), `${libraries.join('\n')}\n`)
  if (arch === process.arch && process.getuid() === 0) checkInEmptyRoot(result, libraries)
  else console.error(`not tried: the ${arch} runtime can only be tried as root on ${arch}`)
  moveInto(result, out)
}

/**
 * The same, with the compiled code of the bundles if it can be made here; for whoever started this: what is
 * wrong is one line.
 */
function runtimeFor(arch) {
  try {
    const runtime = options.minimal ? buildMinimalRuntime(arch) : buildRuntime(arch)
    if (!compileBundles(join(HERE, 'dist'), runtime, arch))
      console.error(
        `not compiled: each start of hostext on ${arch} takes longer; qemu-user and libstdc++6-${DEBIAN_ARCHITECTURES[arch]}-cross of Debian would be needed here`,
      )
    return runtime
  } catch (error) {
    return fail(`the runtime for ${arch}: ${error.stderr || error.message}`)
  }
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
    cpSync(join(HERE, 'dist/commands.cjs'), join(directory, 'commands.cjs'))
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
      '/usr/lib/hostext/commands.cjs',
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
  const runtime = runtimeFor(arch)
  const copy = (from, to, mode) => {
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
  const entries = [...runtimeFiles(runtime, HERE), ...hostextFiles(HERE, relative(destdir, systemd))]
  const put = ({ from, to, mode, link, onlyIn }) => {
    const path = join(destdir, to)
    if (onlyIn && !existsSync(join(destdir, onlyIn))) return
    mkdirSync(from || link ? dirname(path) : path, { recursive: true })
    if (link && !lstatSync(path, { throwIfNoEntry: false })) symlinkSync(link, path)
    // An older version had another program there. Somebody else's stays.
    else if (link && isOwnLink(path)) execFileSync('ln', ['-sfT', link, path])
    if (from) copy(from, path, mode)
  }
  // What an earlier version has compiled.
  for (const name of names(join(destdir, LIB)).filter((name) => name.endsWith('.code')))
    if (!entries.some(({ to }) => to === `${LIB}/${name}`)) rmSync(join(destdir, LIB, name))
  // Once the stub is in place, hostext takes part in the next boot.
  const stub = entries.pop()
  for (const entry of entries) put(entry)
  if (arch === process.arch && process.getuid() === 0) runInRoot(destdir)
  else
    console.error(
      `not tried: ${join(destdir, 'usr/lib/hostext/node')} needs ${readFileSync(join(runtime, 'libraries.txt'), 'utf8').trim().split('\n').join(', ')}`,
    )
  put(stub)
  console.log(`hostext ${VERSION} is in ${destdir}; it takes effect at the next boot`)
  // It is better to learn here than on the device whether rollback will work.
  const environment = { PATH: process.env.PATH, HOSTEXT_ROOT: destdir === '/' ? '' : destdir }
  execFileSync(process.execPath, [join(HERE, 'dist/commands.cjs'), 'rollback'], {
    env: environment,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** The seconds since 1970 that everything in a package or a release has as its time. */
function sourceTime() {
  const given = process.env.SOURCE_DATE_EPOCH
  if (given !== undefined) {
    if (!/^\d{1,11}$/.test(given))
      fail(`SOURCE_DATE_EPOCH is ${JSON.stringify(given)}, not a number of seconds`)
    return Number(given)
  }
  try {
    const words = ['-C', HERE, 'log', '-1', '--format=%ct']
    return Number(execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }))
  } catch {
    return fail('this is not a git checkout: SOURCE_DATE_EPOCH must say which date the packages have')
  }
}

/** What packages and releases are made of. */
async function sources(out) {
  process.umask(0o022)
  const packages = await buildBundles()
  // A minimal runtime can only be compiled for this machine.
  const all = options.minimal ? [process.arch] : Object.keys(DEBIAN_ARCHITECTURES)
  const arches = options.arch ? [options.arch] : all
  return {
    project: HERE,
    packages,
    runtimes: Object.fromEntries(arches.map((each) => [each, runtimeFor(each)])),
    version: VERSION,
    time: sourceTime(),
    out,
    compression: options.compression || '6',
  }
}

/** Makes packages, for whoever started this: what is wrong is one line or what dpkg-buildpackage(1) says. */
async function deb(out) {
  const wanted = await sources(out)
  try {
    for (const name of buildDebs(wanted)) console.log(join(out, name))
  } catch (error) {
    fail(error.message)
  }
}

/** The same for a release. */
async function release(out) {
  // Only a release needs the package that writes bills of materials.
  const { buildRelease } = await import('./packaging/release.mjs')
  const wanted = await sources(out)
  try {
    for (const name of buildRelease(wanted)) console.log(join(out, name))
  } catch (error) {
    fail(error.message)
  }
}

/** Whether there is a link to a program of hostext. */
function isOwnLink(path) {
  return lstatSync(path).isSymbolicLink() && readlinkSync(path).startsWith('../lib/hostext/')
}

function fail(message) {
  console.error(`build.mjs: ${message}`)
  process.exit(1)
}

const {
  _: [command = 'build'],
  ...options
} = minimist(process.argv.slice(2), {
  string: ['destdir', 'arch', 'out', 'compression'],
  boolean: ['minimal'],
})
const arch = options.arch || process.arch
if (command === 'build') await buildBundles(options.out && resolve(options.out))
else if (command === 'runtime') console.log(runtimeFor(arch))
else if (command === 'manual') {
  const pages = writeManual(
    join(HERE, MANUAL),
    VERSION,
    options.out ? resolve(options.out) : join(BUILD, 'man'),
  )
  console.log(pages.join('\n'))
} else if (command === 'install' && options.destdir) install(resolve(options.destdir), arch)
else if (command === 'deb') await deb(resolve(options.out || join(BUILD, 'deb')))
else if (command === 'release' && !options.minimal)
  await release(resolve(options.out || join(BUILD, 'release')))
else
  fail(
    'build [--out DIR] | runtime [--arch x64|arm64] [--minimal] | manual [--out DIR] | install --destdir DIR [--arch x64|arm64] [--minimal] | deb [--out DIR] [--minimal] | release [--out DIR]',
  )
