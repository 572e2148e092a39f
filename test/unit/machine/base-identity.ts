import { mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BaseIdentity } from '../../../src/machine/base-identity.js'
import { readMachine } from '../../../src/machine/machine.js'
import { makeTree, type Tree, writeTree } from '../../support/tree.js'

const mounted = (type: string, root = '/', place = '/') =>
  `22 1 254:1 ${root} ${place} ro shared:1 - ${type} /dev/vda1 ro\n`
const MACHINE: Tree = {
  'proc/sys/kernel/osrelease': '6.1.0-18-amd64\n',
  'proc/sys/kernel/version': '#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)\n',
  'proc/self/mountinfo': mounted('ext4'),
  'usr/lib/os-release': 'ID=debian\nVERSION_ID="12"\nVERSION="12 (bookworm)"\n',
  'usr/bin/program': 'one',
  'usr/lib/systemd/system/x.service': 'one',
  'usr/share/doc/x/copyright': '',
}

/** A machine on which everything in /usr is of one time. */
function makeMachine(t: Test, files: Tree = {}): string {
  const prefix = makeTree(t, { ...MACHINE, ...files })
  for (const path of ['', '/bin', '/lib', '/lib/systemd', '/lib/systemd/system'])
    utimesSync(join(prefix, `usr${path}`), 1.7e9, 1.7e9)
  return prefix
}
const read = (prefix: string): BaseIdentity => readMachine({ prefix }, {}).identity
const differing = (a: BaseIdentity, b: BaseIdentity): string[] =>
  Object.keys(a).filter((name) => a[name as keyof BaseIdentity] !== b[name as keyof BaseIdentity])

t.test('what is known of a base', async (t) => {
  t.same(read(makeMachine(t)), {
    kernel: '6.1.0-18-amd64',
    kernelBuild: '#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)',
    system: 'debian 12, VERSION=12 (bookworm)',
    root: '',
    changed: '1700000000 1700000000 - 1700000000 - 1700000000 1700000000 - - - - - -',
    hostext: '1.2.3',
  })
  t.same(read(makeTree(t)), {
    kernel: '',
    kernelBuild: '',
    system: '',
    root: '',
    changed: '- - - - - - - - - - - - -',
    hostext: '1.2.3',
  })
})

t.test('an update is seen, each in its own field', async (t) => {
  for (const [what, field, files] of [
    ['another kernel', 'kernel', { 'proc/sys/kernel/osrelease': '6.1.0-19-amd64\n' }],
    ['the kernel rebuilt', 'kernelBuild', { 'proc/sys/kernel/version': '#1 SMP Debian 6.1.82-1\n' }],
    ['an image', 'system', { 'usr/lib/os-release': 'ID=debian\nVERSION_ID=12\nIMAGE_VERSION=8\n' }],
    [
      'a deployment of OSTree',
      'root',
      { 'proc/self/mountinfo': mounted('ext4', '/ostree/deploy/os/deploy/5f3a.0') },
    ],
    ['a snapshot', 'root', { 'proc/self/mountinfo': mounted('btrfs', '/@/.snapshots/5/snapshot') }],
    [
      'a /usr of its own',
      'root',
      { 'proc/self/mountinfo': mounted('ext4') + mounted('btrfs', '/usr-7', '/usr') },
    ],
    ['an image with dm-verity', 'root', { 'proc/cmdline': 'ro roothash=0123abcd quiet\n' }],
    ['a /usr with dm-verity', 'root', { 'proc/cmdline': 'ro usrhash=0123abcd quiet\n' }],
  ] as [string, string, Tree][])
    t.same(differing(read(makeMachine(t)), read(makeMachine(t, files))), [field], what)
})

t.test('an upgraded package is seen, wherever its files are, though /usr keeps its time', async (t) => {
  for (const path of ['usr/bin/program', 'usr/lib/systemd/system/x.service']) {
    const prefix = makeMachine(t)
    const before = read(prefix)
    writeFileSync(join(prefix, `${path}.dpkg-new`), 'two')
    renameSync(join(prefix, `${path}.dpkg-new`), join(prefix, path))
    t.same(differing(read(prefix), before), ['changed'], path)
  }
})

t.test('what the running system writes is no update', async (t) => {
  const prefix = makeMachine(t)
  const before = read(prefix)
  writeTree(prefix, {
    'etc/.updated': 'TIMESTAMP_NSEC=1\n',
    'etc/ld.so.cache': 'x',
    'etc/systemd/system/x.service.d/y.conf': '',
    'var/lib/hostext/etc/upper/os-release': 'ID=other\n',
    'var/lib/dpkg/status': 'x',
    'home/x/file': '',
    'run/x': '',
    'usr/lib/modules/6.1.0-18-amd64/updates/x.ko': '',
    'usr/local/bin/x': '',
  })
  // The two directories are new in /usr and /usr/lib; a running system finds them there.
  for (const path of ['usr', 'usr/lib']) utimesSync(join(prefix, path), 1.7e9, 1.7e9)
  t.same(read(prefix), before)
})

t.test('times say nothing where each boot may make directories anew, or where a link is', async (t) => {
  for (const type of ['overlay', 'tmpfs', 'ramfs', 'rootfs']) {
    t.equal(read(makeMachine(t, { 'proc/self/mountinfo': mounted(type) })).changed, '', type)
    const usr = { 'proc/self/mountinfo': mounted(type) + mounted('ext4', '/', '/usr') }
    t.match(read(makeMachine(t, usr)).changed, /^1700000000 /, `${type}, and /usr on a disk`)
  }
  const prefix = makeMachine(t)
  const before = read(prefix)
  symlinkSync('usr/bin', join(prefix, 'bin'))
  symlinkSync('usr/lib', join(prefix, 'lib'))
  t.same(read(prefix), before)
  const unmerged = makeMachine(t)
  mkdirSync(join(unmerged, 'sbin'))
  t.same(differing(read(unmerged), before), ['changed'])
})

t.test('no more of a text than anyone reads', async (t) => {
  const long = 'x'.repeat(3000)
  const found = read(
    makeMachine(t, {
      'proc/sys/kernel/osrelease': long,
      'proc/sys/kernel/version': long,
      'proc/self/mountinfo': mounted('ext4', `/${long}`),
      'usr/lib/os-release': `ID=${long}\n`,
    }),
  )
  for (const name of ['kernel', 'kernelBuild', 'system', 'root'] as const)
    t.equal(found[name].length, 200, name)
})
