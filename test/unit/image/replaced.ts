import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeList } from '../../../src/image/contents.js'
import { ESSENTIAL } from '../../../src/image/essential.js'
import { replacedFinder, shadowFinder } from '../../../src/image/replaced.js'
import { makeTree, type Tree } from '../../support/tree.js'

const LIB = 'usr/lib/x86_64-linux-gnu'
const ROOT: Tree = {
  bin: '-> usr/bin',
  sbin: '-> usr/sbin',
  lib: '-> usr/lib',
  lib64: '-> usr/lib64',
  'usr/sbin/init': '-> ../lib/systemd/systemd',
  'usr/lib/systemd/systemd': '',
  [`${LIB}/libc.so.6`]: '',
  'usr/lib64/ld-linux-x86-64.so.2': '',
  'usr/bin/mount': '',
  'usr/lib/hostext/node': '',
  'etc/fstab': '',
  'etc/os-release': '-> ../usr/lib/os-release',
  'usr/lib/os-release': '',
}

const LIBRARIES = [
  `/${LIB}/libc.so.6`,
  '/usr/lib64/ld-linux-x86-64.so.2',
  // On a root that is not usr-merged.
  '/lib/x86_64-linux-gnu/libc.so.6',
]

/** What a tree of these files would replace of the root. */
function replaced(t: Test, files: Tree, root: Tree = ROOT, more: string[] = [], prepare = (_: string) => {}) {
  const tree = makeTree(t, files)
  prepare(tree)
  const findReplaced = replacedFinder({ prefix: makeTree(t, root) }, [...ESSENTIAL, ...LIBRARIES, ...more])
  return findReplaced(tree, makeList())
}

t.test('each case, over a root whose /lib, /bin and /sbin are links', async (t) => {
  for (const [path, file] of [
    ['sbin/init', '/sbin'],
    ['usr/sbin/init', '/usr/sbin/init'],
    ['usr/lib/systemd/systemd', '/usr/lib/systemd/systemd'],
    [`${LIB}/libc.so.6`, `/${LIB}/libc.so.6`],
    ['usr/lib64/ld-linux-x86-64.so.2', '/usr/lib64/ld-linux-x86-64.so.2'],
    ['lib64/ld-linux-x86-64.so.2', '/lib64'],
    ['usr/bin/mount', '/usr/bin/mount'],
    ['usr/lib/hostext/node', '/usr/lib/hostext'],
    ['usr/lib/hostext/more', '/usr/lib/hostext'],
    ['etc/fstab', '/etc/fstab'],
    ['usr/lib/os-release', '/usr/lib/os-release'],
    ['lib/modules/6.1.0/x.ko', '/lib'],
    ['lib', '/lib'],
    ['usr', '/usr'],
    ['usr/lib64', '/usr/lib64'],
    ['etc', '/etc'],
  ] as const)
    t.equal(replaced(t, { [path]: 'x' }), file, path)
})

t.test('a directory in place of a link below /usr', async (t) => {
  const { 'usr/sbin/init': _, ...rest } = ROOT
  const root = { ...rest, 'usr/sbin': '-> bin', 'usr/bin/init': '-> ../lib/systemd/systemd' }
  t.equal(replaced(t, { 'usr/sbin/wifi': '' }, root), '/usr/sbin')
  t.equal(replaced(t, { 'usr/bin/init': '' }, root), '/usr/bin/init')
  t.equal(replaced(t, { 'usr/bin/wifi': '' }, root), undefined)
})

t.test('what only adds', async (t) => {
  const harmless = {
    'usr/lib/modules/6.1.0/x.ko': '',
    'usr/lib/systemd/system/wifi.service': '',
    'usr/bin/wifi': '',
    [`${LIB}/libwifi.so.1`]: '',
    'etc/wifi.conf': '',
    'opt/lib/libc.so.6': '',
    // The root has none of these.
    [`${LIB}/libzstd.so.1`]: '',
    'lib32/x': '',
    'etc/hostext.conf': '',
  }
  t.equal(replaced(t, harmless), undefined)
  t.equal(replaced(t, { lib: '-> usr/lib', 'usr/lib/x': '' }), undefined, 'the same link')
  t.equal(replaced(t, { lib: '-> /usr/lib' }), '/lib', 'another one')
})

t.test('links and files in place of directories', async (t) => {
  t.equal(replaced(t, { 'usr/bin': '-> ../opt' }), '/usr/bin')
  t.equal(replaced(t, { 'usr/lib/systemd': 'a file' }), '/usr/lib/systemd')
})

t.test('a root that is not usr-merged', async (t) => {
  const root = { 'lib/x86_64-linux-gnu/libc.so.6': '', 'bin/mount': '', 'sbin/init': '', 'usr/bin/x': '' }
  t.equal(replaced(t, { 'lib/modules/6.1.0/x.ko': '', 'bin/wifi': '' }, root), undefined)
  t.equal(replaced(t, { 'bin/mount': '' }, root), '/bin/mount')
  t.equal(replaced(t, { 'sbin/init': '' }, root), '/sbin/init')
  t.equal(replaced(t, { lib: '-> usr/lib' }, root), '/lib', 'a link in place of the directory')
  t.equal(replaced(t, { 'lib/x86_64-linux-gnu/libc.so.6': '' }, root), '/lib/x86_64-linux-gnu/libc.so.6')
  const image = { 'lib/x/lib.so': '' }
  t.equal(replaced(t, image, { ...root, ...image }), undefined)
  t.equal(replaced(t, image, { ...root, ...image }, ['/lib/x/lib.so']), '/lib/x/lib.so', 'its own path')
})

t.test('what the root would find before its own', async (t) => {
  const paths = [
    '/usr/local/lib/libz.so.1',
    '/usr/local/lib/x86_64-linux-gnu/libz.so.1',
    '/usr/lib/x86_64-linux-gnu/glibc-hwcaps/*/libz.so.1',
    '/lib/tls/libz.so.1',
  ]
  const shadowing = (files: Tree, root: Tree = ROOT) =>
    shadowFinder({ prefix: makeTree(t, root) }, paths)(makeTree(t, files), makeList())
  for (const path of [
    'usr/local/lib/libz.so.1',
    'usr/local/lib/x86_64-linux-gnu/libz.so.1',
    'usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1',
    'lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1',
    'lib/tls/libz.so.1',
  ]) {
    t.equal(shadowing({ [path]: '' }), `/${path}`, path)
    t.equal(shadowing({ [path]: '-> elsewhere' }), `/${path}`, `${path}, a link`)
  }
  t.equal(shadowing({ 'usr/local/lib': '-> /opt' }), '/usr/local/lib', 'a link that may lead to one')
  t.equal(shadowing({ 'usr/local': '-> ../opt' }, { 'usr/local/x': '' }), '/usr/local')
  t.equal(shadowing({ 'usr/local': '-> ../opt' }, { 'usr/local': '-> opt' }), '/usr/local')
  t.equal(shadowing({ 'usr/local': '-> ../opt' }, { 'usr/local': '-> ../opt' }), undefined, 'the same link')
  const harmless = {
    'usr/lib/x86_64-linux-gnu/libz.so.1': '',
    'usr/local/lib/libother.so.1': '',
    'usr/local/lib/python3/libz.so.1': '',
    'opt/lib/libz.so.1': '',
    'usr/local/lib/x86_64-linux-gnu': 'a file',
  }
  t.equal(shadowing(harmless), undefined)
})

t.test('Essential=', async (t) => {
  const root = { ...ROOT, 'opt/agent/run': '', 'etc/ssh/sshd_config': '' }
  t.equal(replaced(t, { 'opt/agent/run': '' }, root), undefined)
  t.equal(replaced(t, { 'opt/agent/new': '' }, root, ['/opt/agent']), '/opt/agent')
  t.equal(replaced(t, { 'etc/ssh/sshd_config': '' }, root, ['/etc/*/sshd_config']), '/etc/ssh/sshd_config')
})

t.test('where something is mounted, a directory meets a directory, and a file a file', async (t) => {
  const root: Tree = {
    ...ROOT,
    'home/x': '',
    'var/lib/docker/x': '',
    'run/x': '',
    'mnt/data/x': '',
    'etc/machine-id': '',
    'srv/x': '',
  }
  const places = [
    '/home/',
    '/var/',
    '/var/lib/docker/',
    '/run/',
    '/mnt/data/',
    '/etc/machine-id/',
    '/srv/',
    '/none/',
  ]
  const ask = (layer: Tree) => replaced(t, layer, root, places)
  for (const [path, text, place] of [
    ['home', '-> /tmp', '/home'],
    ['home', 'a file', '/home'],
    ['var', '-> run', '/var'],
    ['var/lib', 'a file', '/var/lib'],
    ['var/lib/docker', '-> /opt', '/var/lib/docker'],
    ['run', '-> var/run', '/run'],
    ['mnt', '-> media', '/mnt'],
    ['etc/machine-id', '-> ../x', '/etc/machine-id'],
    ['etc/machine-id/x', 'in a directory', '/etc/machine-id'],
  ] as const)
    t.equal(ask({ [path]: text }), place, `${path} ${text}`)
  const harmless = {
    'home/user/x': '',
    'var/lib/docker/y': '',
    'mnt/data/y': '',
    'etc/machine-id': '',
    none: 'x',
  }
  t.equal(ask(harmless), undefined)
  t.equal(ask({ 'var/log': 'a file', 'mnt/x': '-> y' }), undefined, 'beside them')
})

t.test('whiteouts', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  for (const path of ['usr', 'usr/bin/mount', 'etc/fstab', 'usr/lib/systemd', 'lib']) {
    const mknod = (layer: string) => {
      mkdirSync(join(layer, path, '..'), { recursive: true })
      spawnSync('mknod', [join(layer, path), 'c', '0', '0'])
    }
    t.equal(replaced(t, { x: '' }, ROOT, [], mknod), `/${path}`, path)
  }
})
