import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { COMMANDS } from '../../../src/image/essential.js'
import { findEssentialLibraries, type Libraries } from '../../../src/image/libraries.js'
import { type Content, DLOPEN, makeElf } from '../../support/elf.js'
import { PROJECT } from '../../support/paths.js'
import { makeTree, type Tree } from '../../support/tree.js'

const ARCH = { bits: 64, little: true } as const
const LOADER = '/lib64/ld-linux-x86-64.so.2'
const MULTIARCH = 'usr/lib/x86_64-linux-gnu'

/** A program or, without a loader, a library that needs these. */
const needs = (needed: string[], more: Partial<Content> = {}): Buffer =>
  makeElf({
    ...ARCH,
    ...more,
    dynamic: [...needed.map((name) => ['NEEDED', name] as ['NEEDED', string]), ...(more.dynamic ?? [])],
  })
const program = (needed: string[], more: Partial<Content> = {}): Buffer =>
  needs(needed, { interpreter: LOADER, ...more })

/** The libraries of a root with these files. */
function find(t: Test, elves: Record<string, Buffer>, files: Tree = {}): Libraries {
  const prefix = makeTree(t, files)
  for (const [path, bytes] of Object.entries(elves)) {
    mkdirSync(dirname(join(prefix, path)), { recursive: true })
    writeFileSync(join(prefix, path), bytes)
  }
  return findEssentialLibraries({ prefix })
}

/** The loader and its links, as on Debian. */
const LINKS: Tree = {
  lib: '-> usr/lib',
  lib64: '-> usr/lib64',
  bin: '-> usr/bin',
  sbin: '-> usr/sbin',
  'usr/lib64/ld-linux-x86-64.so.2': '-> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
  'etc/ld.so.conf': 'include /etc/ld.so.conf.d/*.conf\n',
  'etc/ld.so.conf.d/libc.conf': '# libc default configuration\n/usr/local/lib\n',
  'etc/ld.so.conf.d/x86_64-linux-gnu.conf':
    '/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu # ours\n',
}
const LIBC = {
  [`${MULTIARCH}/ld-linux-x86-64.so.2`]: needs([]),
  [`${MULTIARCH}/libc.so.6`]: needs(['ld-linux-x86-64.so.2']),
}
const paths = ({ files }: Libraries) => files.map(([path]) => path)

t.test('all the way down, through links', async (t) => {
  const found = find(
    t,
    {
      ...LIBC,
      'usr/bin/mount': program(['libmount.so.1', 'libc.so.6']),
      'usr/bin/other': program(['libother.so']),
      [`${MULTIARCH}/libmount.so.1.1.0`]: needs(['libblkid.so.1', 'libmissing.so', 'libc.so.6']),
      'usr/share/libblkid.so.9': needs(['libmount.so.1']),
      [`${MULTIARCH}/libother.so`]: needs([]),
    },
    {
      ...LINKS,
      [`${MULTIARCH}/libmount.so.1`]: '-> libmount.so.1.1.0',
      [`${MULTIARCH}/libblkid.so.1`]: '-> /etc/alternatives/blkid',
      'etc/alternatives/blkid': '-> ../../usr/share/libblkid.so.9',
    },
  )
  t.same(found.names, ['ld-linux-x86-64.so.2', 'libblkid.so.1', 'libc.so.6', 'libmount.so.1'])
  t.same(paths(found), [
    '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
    '/usr/lib/x86_64-linux-gnu/libc.so.6',
    '/usr/lib/x86_64-linux-gnu/libmount.so.1.1.0',
    '/usr/share/libblkid.so.9',
  ])
  t.same(found.files[1], ['/usr/lib/x86_64-linux-gnu/libc.so.6', LIBC[`${MULTIARCH}/libc.so.6`]?.length])
  t.same(found.links, [
    '/etc/alternatives/blkid',
    '/usr/lib/x86_64-linux-gnu/libblkid.so.1',
    '/usr/lib/x86_64-linux-gnu/libmount.so.1',
    '/usr/lib64/ld-linux-x86-64.so.2',
  ])
})

t.test('programs behind links, below the root', async (t) => {
  const found = find(
    t,
    {
      ...LIBC,
      'usr/bin/udevadm': program(['libudev.so.1']),
      'usr/bin/dash': program(['libc.so.6']),
      [`${MULTIARCH}/libudev.so.1`]: needs([]),
    },
    {
      ...LINKS,
      'usr/lib/systemd/systemd-udevd': '-> /bin/udevadm',
      'usr/bin/sh': '-> /etc/alternatives/sh',
      'etc/alternatives/sh': '-> /bin/dash',
    },
  )
  t.same(found.names, ['ld-linux-x86-64.so.2', 'libc.so.6', 'libudev.so.1'])
})

t.test('directories of its own', async (t) => {
  const own = (tag: 'RUNPATH' | 'RPATH', path: string): Partial<Content> => ({ dynamic: [[tag, path]] })
  const found = find(
    t,
    {
      ...LIBC,
      'usr/lib/systemd/systemd': program(['liba.so'], own('RUNPATH', '/none:$ORIGIN/../private')),
      'usr/lib/private/liba.so': needs(['libb.so', 'libc.so.6'], own('RPATH', '$' + '{ORIGIN}/b')),
      'usr/lib/private/b/libb.so': needs(['libd.so']),
      'usr/lib/private/b/libd.so': needs([]),
      [`${MULTIARCH}/liba.so`]: needs(['libwrong.so']),
      [`${MULTIARCH}/libwrong.so`]: needs([]),
      'usr/lib/systemd/systemd-shutdown': program(
        ['libd.so'],
        own('RUNPATH', '$LIB:relative:/usr/lib/$PLATFORM'),
      ),
    },
    LINKS,
  )
  t.same(found.names, ['ld-linux-x86-64.so.2', 'liba.so', 'libb.so', 'libc.so.6'])
  t.ok(paths(found).includes('/usr/lib/private/liba.so'))
  t.ok(paths(found).includes('/usr/lib/private/b/libb.so'))
  t.ok(found.shadows.includes('/none/liba.so'))
  t.ok(found.shadows.includes('/etc/ld.so.preload'))
})

t.test('what programs open while they run, if it is there', async (t) => {
  const note = (soname: string[], priority: string): [string, number, string] => [
    'FDO',
    DLOPEN,
    JSON.stringify([{ soname, priority }]),
  ]
  const found = find(
    t,
    {
      ...LIBC,
      'usr/lib/systemd/systemd': program(['libc.so.6'], {
        notes: [note(['libbpf.so.1', 'libbpf.so.0'], 'recommended'), note(['libidn2.so.0'], 'suggested')],
      }),
      [`${MULTIARCH}/libbpf.so.0`]: needs(['libelf.so.1']),
      [`${MULTIARCH}/libelf.so.1`]: needs([]),
      [`${MULTIARCH}/libidn2.so.0`]: needs([]),
    },
    LINKS,
  )
  t.same(found.names, ['ld-linux-x86-64.so.2', 'libbpf.so.0', 'libc.so.6', 'libelf.so.1'])
})

t.test('the first directory that has a library for this processor', async (t) => {
  const found = find(
    t,
    {
      ...LIBC,
      'usr/bin/mount': program(['libz.so.1']),
      'usr/local/lib/libz.so.1': needs([], { bits: 32 }),
      'usr/local/lib/x86_64-linux-gnu/libz.so.1': needs([], { little: false }),
      [`${MULTIARCH}/libz.so.1`]: needs([]),
      [`${MULTIARCH}/glibc-hwcaps/x86-64-v3/libz.so.1`]: needs([]),
      [`${MULTIARCH}/glibc-hwcaps/x86-64-v3/libm.so.6`]: needs([]),
      'usr/lib/libz.so.1': needs([]),
    },
    LINKS,
  )
  t.same(
    paths(found).filter((path) => path.includes('libz')),
    ['/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1', '/usr/lib/x86_64-linux-gnu/libz.so.1'],
  )
  const shadows = found.shadows.filter(
    (path) => path.endsWith('libz.so.1') && !/tls|haswell|x86_64\//.test(path),
  )
  t.same(shadows, [
    '/usr/lib/glibc-hwcaps/*/libz.so.1',
    '/usr/lib/x86_64-linux-gnu/glibc-hwcaps/*/libz.so.1',
    '/usr/lib64/glibc-hwcaps/*/libz.so.1',
    '/usr/local/lib/glibc-hwcaps/*/libz.so.1',
    '/usr/local/lib/libz.so.1',
    '/usr/local/lib/x86_64-linux-gnu/glibc-hwcaps/*/libz.so.1',
    '/usr/local/lib/x86_64-linux-gnu/libz.so.1',
  ])
})

t.test('a configuration in other forms', async (t) => {
  const search = (files: Tree) =>
    find(
      t,
      { ...LIBC, 'usr/bin/mount': program(['libz.so.1']), [`${MULTIARCH}/libz.so.1`]: needs([]) },
      { ...LINKS, ...files },
    )
      .shadows.filter((path) => /^\/[abcd]\/libz/.test(path))
      .map((path) => path.slice(0, 2))
  t.same(search({ 'etc/ld.so.conf': '/b\n  /a/ \n# /c\nhwcap 0 x\n./c\n/d=libc6\n' }), ['/a', '/b', '/d'])
  t.same(
    search({
      'etc/ld.so.conf': 'include ld.so.conf.d/a* x/*\n/b\n',
      'etc/ld.so.conf.d/a': '/a',
      'etc/x/d': '/d',
    }),
    ['/a', '/b', '/d'],
  )
  t.same(search({ 'etc/ld.so.conf': '/a\ninclude ld.so.conf\n' }), ['/a'], 'one that includes itself')
  t.same(search({ 'etc/ld.so.conf': '-> /etc/conf', 'etc/conf': '/c\n' }), ['/c'], 'a link')
})

t.test('where there is nothing to find', async (t) => {
  const nothing = { names: [], files: [], links: [], shadows: [] }
  t.same(find(t, {}), nothing)
  t.same(findEssentialLibraries({ prefix: '/nonexistent' }), nothing)
  t.same(
    find(
      t,
      { 'usr/bin/busybox': makeElf(ARCH) },
      { 'usr/bin/sh': '-> busybox', 'usr/bin/mount': '-> busybox' },
    ),
    nothing,
  )
  t.same(
    find(t, {}, { 'usr/bin/sh': '#!/bin/x\n', 'usr/bin/mount': '-> mount', 'usr/bin/cp/x': '' }),
    nothing,
  )
  t.same(
    find(t, { 'usr/bin/cp': program(['/usr/lib/x', '../x', 'libc.so.6'], { interpreter: 'relative' }) }),
    nothing,
  )
  const bare = find(t, { 'usr/bin/cp': program(['libc.so.6', '/lib/libc.so.6']), 'lib/libc.so.6': needs([]) })
  t.same(bare.names, ['libc.so.6'], 'without a loader and its configuration')
})

t.test('musl', async (t) => {
  const interpreter = '/lib/ld-musl-x86_64.so.1'
  const files = {
    'lib/ld-musl-x86_64.so.1': needs([]),
    'bin/cp': program(['libc.musl-x86_64.so.1', 'libacl.so.1'], { interpreter }),
    'usr/lib/libacl.so.1': needs([]),
    'opt/libacl.so.1': needs([]),
  }
  const links = { 'lib/libc.musl-x86_64.so.1': '-> ld-musl-x86_64.so.1' }
  const found = find(t, files, links)
  t.same(found.names, ['ld-musl-x86_64.so.1', 'libacl.so.1', 'libc.musl-x86_64.so.1'])
  t.ok(found.shadows.includes('/usr/local/lib/libacl.so.1'))
  const other = find(t, files, { ...links, 'etc/ld-musl-x86_64.path': '/lib:/opt\n/usr/lib\n' })
  t.ok(paths(other).includes('/opt/libacl.so.1'))
  t.notOk(other.shadows.includes('/usr/local/lib/libacl.so.1'))
})

/** The words in a shell script that are run as commands. */
function commandsIn(text: string): string[] {
  const functions = new Set([...text.matchAll(/^([a-z_]\w*)\(\)/gm)].map(([, name]) => name as string))
  const code = text
    // A here-document runs what it has in $(…).
    .replace(/<<-?(\w+)\n([\s\S]*?)\n\s*\1$/gm, (_, __, text: string) => text)
    .replace(/(^|\s)#.*$/gm, '')
    .replace(/'[^']*'/g, 'Q')
    .replace(/\\\n/g, ' ')
    .replace(/"(?:[^"\\$]|\\.|\$(?!\())*"/g, 'Q')
    // Patterns of a case that have a line of their own.
    .replace(/^[^\n()]*\)$/gm, '')
  const separator = /^|[;&|)!]|(?<!\()\(|(?<!\$)\{|\b(?:then|do|else|if|elif|while|until|exec|inside)\s/
  const assignments = /[ \t]*(?:[A-Za-z_]\w*=[^\s"']*[ \t]+)*/
  const command = new RegExp(
    `(?<=(?:${separator.source})${assignments.source})([a-z][\\w-]*)(?![\\w=)*./-])`,
    'gm',
  )
  return [...code.matchAll(command)].map(([, word]) => word as string).filter((word) => !functions.has(word))
}

const SHELL = new Set(
  `break case cd command continue do done echo elif else esac exec exit export false fi for if kill printf read
  return set shift then trap ulimit unset wait while log warn fail event
  is_known replay_known remember`.split(/\s+/),
)

t.test('the commands are those of the scripts', async (t) => {
  const generators = join(PROJECT, 'generators')
  const scripts = [
    'hostext-generator',
    // Before the switch only, where no extension can replace what it runs.
    ...readdirSync(join(generators, 'steps')).flatMap((name) =>
      ['known.sh', 'remember.sh'].includes(name) ? [] : `steps/${name}`,
    ),
  ]
    .map((name) => readFileSync(join(generators, name), 'utf8'))
    .filter((text) => text.startsWith('#'))
  t.ok(scripts.length > 8)
  const run = new Set(scripts.flatMap(commandsIn).filter((word) => !SHELL.has(word)))
  t.ok(run.size > 15)
  for (const word of run) t.ok(COMMANDS.includes(word), word)

  const units = readdirSync(join(PROJECT, 'src/units')).map((name) =>
    readFileSync(join(PROJECT, 'src/units', name), 'utf8'),
  )
  for (const text of units)
    for (const [, path] of text.matchAll(/^(?:.*`)?ExecStart=(?:\/bin\/)?([\w-]+) /gm))
      t.ok(COMMANDS.includes(path as string), `${path}`)
  const all = [...scripts, ...units].join('\n')
  for (const command of COMMANDS)
    t.ok(command === 'init' || new RegExp(`[\\s'/(=]${command}\\b`).test(all), `${command} is run`)
})

const LDD = spawnSync('ldd', ['--version']).status === 0
t.test('as the loader of this machine finds them', { skip: !LDD && 'no ldd' }, async (t) => {
  const { files, names } = findEssentialLibraries({ prefix: '' })
  const found = new Set(files.map(([path]) => path))
  let compared = 0
  for (const program of [
    '/usr/bin/mount',
    '/usr/bin/cp',
    '/usr/bin/systemctl',
    '/usr/lib/systemd/systemd',
    '/usr/bin/udevadm',
  ]) {
    const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' })
    for (const [, path] of stdout.matchAll(/ => (\/\S+) \(|^\s+(\/\S+) \(/gm)) {
      if (path === undefined) continue
      compared++
      t.ok(found.has(realpathSync(path)), `${program}: ${path}`)
    }
  }
  t.ok(compared > 10, `${compared} libraries`)
  t.ok(
    names.some((name) => name.startsWith('ld-')),
    'the loader',
  )
  t.notOk(names.some((name) => name.startsWith('libX11')))
})
