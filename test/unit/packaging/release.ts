import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Version } from '@cyclonedx/cyclonedx-library/Spec'
import { JsonStrictValidator } from '@cyclonedx/cyclonedx-library/Validation'
import t from 'tap'
import { codeName, emulator } from '../../../packaging/code/code.mjs'
import { DEBIAN_ARCHITECTURES } from '../../../packaging/deb.mjs'
import { dependsOf } from '../../../packaging/debian/depends.mjs'
import { hostextFiles } from '../../../packaging/files.mjs'
import { NAMED, NOT_IN_NODE, OTHER_NAMES, VERSIONED } from '../../../packaging/node-parts.mjs'
import { readElf } from '../../../packaging/runtime/elf.mjs'
import { SOURCES } from '../../boot/sources.js'
import { BUNDLE, COMMANDS_BUNDLE, PROJECT } from '../../support/paths.js'
import { cannotFetch, officialNode, runtimeDirectory } from '../../support/runtime.js'
import { makeTree } from '../../support/tree.js'

const isThere = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const missing = ['dpkg-buildpackage', 'dh', 'xz', 'faketime', 'lintian'].filter((name) => !isThere(name))
const skip = cannotFetch ?? (missing.length > 0 && `this machine has no ${missing.join(', ')}`)
/** The runtime is most of the work. */
const only = process.env.HOSTEXT_TEST_FULL === '1' ? [] : ['--arch', 'x64']
const TIME = '1700000000'

/** Makes a release of the checkout at `directory`, compressed as little as is quick. */
function release(directory: string, out: string, before: string[] = []): void {
  const words = ['build.mjs', 'release', '--compression', '0', '--out', out, ...only]
  // Without NODE_OPTIONS, in which the test runner loads itself.
  const environment = ['env', '-u', 'NODE_OPTIONS', `SOURCE_DATE_EPOCH=${TIME}`, ...before]
  const [program = '', ...rest] = [...environment, process.execPath, ...words]
  execFileSync(program, rest, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** What is in the bundles, or bundles them: ncc numbers modules by their real paths. */
const COPIED = ['minimist', 'smol-toml', '@vercel', 'columnify', 'wcwidth', 'defaults', 'clone', 'marked']

/** Another checkout, at `to`, as that of somebody else; with what takes long to fetch. */
function copyCheckout(to: string): void {
  for (const name of [...SOURCES, 'src', 'tsconfig.json', ...COPIED.map((each) => `node_modules/${each}`)])
    cpSync(join(PROJECT, name), join(to, name), { recursive: true })
  const link = (directory: string, isWanted: (name: string) => boolean): void => {
    mkdirSync(join(to, directory), { recursive: true })
    for (const name of readdirSync(join(PROJECT, directory)).filter(isWanted))
      symlinkSync(join(PROJECT, directory, name), join(to, directory, name))
  }
  link('node_modules', (name) => !COPIED.includes(name))
  link('build', (name) => /^(?:node|runtime)-/.test(name))
}

const hashes = (directory: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(directory, name)))
          .digest('hex'),
      ]),
  )

t.test('a release', { skip }, async (t) => {
  const work = makeTree(t)
  const here = join(work, 'here')
  release(PROJECT, here)
  const names = readdirSync(here)
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))

  t.test('is made of the version in package.json', async (t) => {
    t.same(names.filter((name) => !name.includes('arm64')).sort(), [
      'SHA256SUMS',
      `hostext-${version}-all.tar.xz`,
      `hostext-${version}-amd64.tar.xz`,
      `hostext-${version}.cdx.json`,
      `hostext-runtime_${version}_amd64.deb`,
      `hostext_${version}_all.deb`,
    ])
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: here })
    t.equal(readFileSync(join(here, 'SHA256SUMS'), 'utf8').trim().split('\n').length, names.length - 1)
  })

  t.test('is the same in another directory, at another time', async (t) => {
    const other = join(work, 'another/checkout')
    mkdirSync(other, { recursive: true })
    copyCheckout(other)
    const there = join(work, 'there')
    release(other, there, ['faketime', '-f', '+400d'])
    t.same(hashes(there), hashes(here))
  })

  t.test('lintian has nothing to say', async (t) => {
    const packages = names.filter((name) => name.endsWith('.deb'))
    const said = spawnSync('lintian', ['--allow-root', ...packages], { cwd: here, encoding: 'utf8' })
    t.notMatch(said.stdout, /^[EW]: /m, said.stdout)
    t.equal(said.status, 0, said.stderr)
  })

  t.test('a package and an archive have what the installation has', async (t) => {
    const wanted = hostextFiles(PROJECT)
    const archived = execFileSync('tar', ['-tf', join(here, `hostext-${version}-all.tar.xz`)], {
      encoding: 'utf8',
    }).split('\n')
    const packaged = execFileSync(
      'sh',
      ['-c', 'dpkg-deb --fsys-tarfile "$0" | tar -t'].concat(join(here, `hostext_${version}_all.deb`)),
      {
        encoding: 'utf8',
      },
    ).split('\n')
    for (const { to, kind } of wanted) {
      t.ok(archived.includes(to) || archived.includes(`${to}/`), `the archive has ${to}`)
      if (kind === 'licence') continue
      const path = `./${to}`
      t.ok(
        [path, `${path}/`, `${path}.gz`].some((each) => packaged.includes(each)),
        `the package has ${to}`,
      )
    }
    t.notOk(archived.includes('usr/lib/hostext/node'), 'the archive for all has no runtime')
    for (const [arch, debian] of Object.entries(DEBIAN_ARCHITECTURES)) {
      if (only.length > 0 && !only.includes(arch)) continue
      const archive = join(here, `hostext-${version}-${debian}.tar.xz`)
      const names = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).split('\n')
      t.ok(names.includes('usr/lib/hostext/node'), debian)
      for (const bundle of [BUNDLE, COMMANDS_BUNDLE]) {
        const has = names.includes(`usr/lib/hostext/${codeName(bundle)}`)
        t.equal(has, emulator(arch) !== undefined, `${debian}: the compiled code of ${bundle}`)
      }
    }
  })

  t.test('its bill of materials', async (t) => {
    const text = readFileSync(join(here, `hostext-${version}.cdx.json`), 'utf8')
    t.equal(await new JsonStrictValidator(Version.v1dot6).validate(text), null, 'follows the schema')
    type Part = { name: string; version?: string; licenses?: unknown[]; components?: Part[] }
    const all: Part[] = (function flat(parts: Part[]): Part[] {
      return parts.flatMap((part) => [part, ...flat(part.components ?? [])])
    })(JSON.parse(text).components)
    for (const { name, licenses = [] } of all) t.equal(licenses.length, 1, `${name} has a licence`)
    const listed = all.map(({ name }) => name)
    const packages = [
      ...readFileSync(join(PROJECT, 'dist/licenses.txt'), 'utf8').matchAll(
        /(?:^|\n\n?)(\S+)\n[A-Z0-9.-]+\n/g,
      ),
    ]
    t.ok(packages.length > 0)
    for (const [, name = ''] of packages) t.ok(listed.includes(name), `${name} is listed`)
    for (const name of ['node', 'openssl', 'v8', 'zlib', 'uv', 'icu']) t.ok(listed.includes(name), name)
  })
})

t.test('every part of Node is known', { skip: cannotFetch ?? false }, async (t) => {
  const versions = execFileSync(officialNode(process.arch), ['-p', 'Object.keys(process.versions).join()'], {
    encoding: 'utf8',
    env: {},
  })
  t.same(
    Object.keys(VERSIONED),
    versions
      .trim()
      .split(',')
      .filter((name) => name !== 'node'),
  )
  const license = readFileSync(join(runtimeDirectory('x64'), 'LICENSE'), 'utf8')
  const sections = [...license.matchAll(/^- (\S+), located at (\S+?),? is licensed/gm)].map(
    ([, name = '', place = '']) => ({ name, place }),
  )
  t.ok(sections.length > 30)
  const others: Record<string, string> = OTHER_NAMES
  const known = [...Object.keys(VERSIONED), ...Object.keys(NAMED)]
  for (const { name, place } of sections) {
    const called = others[name] ?? known.find((each) => each.toLowerCase() === name.toLowerCase())
    t.ok(
      (called && known.includes(called)) || NOT_IN_NODE.includes(place.replace(/,$/, '')),
      `${name} at ${place}`,
    )
  }
  for (const name of Object.keys(NAMED))
    t.ok(
      sections.some((each) => each.name === name),
      `${name} is in LICENSE`,
    )
})

t.test('what the package of the runtime depends on', { skip }, async (t) => {
  const node = officialNode('x64')
  const depends = dependsOf(readElf(readFileSync(join(runtimeDirectory('x64'), 'node'))))
  const work = makeTree(t, { 'debian/control': 'Source: x\n\nPackage: x\nArchitecture: any\n' })
  const names = (text: string) =>
    [...text.matchAll(/([a-z][a-z0-9+-]+) \(>= ([0-9.]+)\)/g)].map(([, name]) => name)
  t.same(
    names(depends),
    names(
      execFileSync('dpkg-shlibdeps', ['-O', node], {
        cwd: work,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ),
    'the packages that dpkg-shlibdeps finds',
  )
  t.match(depends, /^libc6 \(>= 2\.28\), libgcc-s1 \(>= [34]\.\d\), libstdc\+\+6 \(>= \d/)
  t.match(
    dependsOf(readElf(readFileSync(join(runtimeDirectory('arm64'), 'node')))),
    /^libc6 .*libgcc-s1 .*libstdc/,
  )
})
