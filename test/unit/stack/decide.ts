import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readAndDecide } from '../../../src/read.js'
import { DATA_ROOTS } from '../../support/paths.js'
import { copyTree, makeTree, type Tree } from '../../support/tree.js'

/**
 * What most of decide.ts promises is in test/cases/: a machine a folder. Here is what takes one line of a
 * machine.
 */
const MACHINE: Tree = {
  'proc/self/mountinfo': '22 1 254:1 / / ro shared:1 - ext4 /dev/vda1 ro\n',
  'usr/lib/systemd/system/soft-reboot.target': '',
}

function decided(t: Test, files: Tree, engine = 'var/lib/docker') {
  const prefix = makeTree(t, { ...MACHINE, ...files })
  copyTree(join(DATA_ROOTS, 'standard'), join(prefix, engine))
  return readAndDecide({ prefix }, {}).decision
}

t.test('a root that is two overlays deep, as each kernel writes its layers', async (t) => {
  const inner = '23 22 0:31 / /run/base ro shared:2 - overlay image ro,lowerdir=/run/a:/run/b\n'
  for (const layers of [
    'lowerdir=/run/base',
    'lowerdir=/run/other:/run/base/root,upperdir=/run/up',
    // Linux 6.8, for layers that were added one by one.
    'lowerdir+=/run/other,lowerdir+=/run/base,upperdir=/run/up',
  ]) {
    const root = `22 1 0:30 / / rw shared:1 - overlay overlay rw,${layers}\n`
    t.match(
      decided(t, { 'proc/self/mountinfo': root + inner }),
      { plain: 'the root is already an overlay on an overlay, and the kernel stacks no deeper' },
      layers,
    )
  }
})

t.test('data behind a link waits for the file system that the link leads to', async (t) => {
  const files = { 'etc/fstab': 'LABEL=data /mnt/data ext4\n', 'var/lib/docker': '-> /mnt/data/engine' }
  t.match(decided(t, files, 'mnt/data/engine'), { wait: { paths: ['/mnt/data/docker', '/mnt/data/engine'] } })
  const mounted = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/data rw shared:5 - ext4 /dev/vda3 rw\n`
  t.match(
    decided(
      t,
      { ...files, 'proc/self/mountinfo': mounted, 'mnt/data/remove_me_to_reset': '' },
      'mnt/data/engine',
    ),
    { plan: { extensions: { length: 4 }, dataMounts: ['/mnt/data'], bindDataRoot: undefined } },
    'mounted already, by an initrd',
  )
})

t.test('data waits for a file system, however fstab spells its mount point', async (t) => {
  for (const path of ['/var', '//var', '/var/', '/./var', '/var/.'])
    t.match(
      decided(t, { 'etc/fstab': `LABEL=data ${path} ext4\n` }),
      { wait: { paths: ['/var/lib/docker'] } },
      path,
    )
})

t.test('what fstab mounts only when it is asked is not waited for', async (t) => {
  t.match(decided(t, { 'etc/fstab': 'LABEL=data /var ext4 noauto\n' }), { plan: { collected: false } })
})

t.test('data that waits does not wait in a boot that stacks nothing', async (t) => {
  for (const [files, plain] of [
    [{ 'proc/cmdline': 'emergency\n' }, /emergency on the kernel command line/],
    [{ 'system-update': '-> var/update' }, /an offline update is waiting/],
  ] as [Tree, RegExp][])
    t.match(decided(t, { 'etc/fstab': 'LABEL=data /var ext4\n', ...files }), { plain })
})

t.test('a DataRoot= that holds no engine’s data is named', async (t) => {
  t.match(decided(t, { 'etc/hostext.conf': '[Engine]\nDataRoot=/data\n' }), {
    plain: 'no container is a host extension',
    messages: [{ level: 'warning', text: 'DataRoot=/data holds no engine data' }],
  })
})

t.test('changes to /etc count where they are kept', async (t) => {
  const upper = 'var/lib/hostext/etc/upper'
  const changed = { [`${upper}/ld.so.cache`]: '', [`${upper}/fstab`]: '' }
  const writable = { 'etc/fstab': '/dev/vda1 / ext4 rw\n' }
  const kept = decided(t, { ...changed, ...writable })
  t.match(kept, { plan: { etc: { mode: 'persistent', state: '/var', kept: true }, indexes: ['libraries'] } })
  const warnings = ({ messages }: typeof kept) => messages.filter(({ level }) => level === 'warning')
  t.match(warnings(kept), [{ text: /^\/etc\/fstab is changed in / }])
  for (const [files, mode] of [
    [{}, 'read-only'],
    [{ ...writable, 'etc/hostext.conf': '[Root]\nEtc=volatile\n' }, 'volatile'],
    [{ ...writable, 'etc/hostext.conf': '[Root]\nState=/srv\n', 'srv/x': '' }, 'volatile'],
  ] as const) {
    const decision = decided(t, { ...changed, ...(files as Tree) })
    t.match(decision, { plan: { etc: { mode }, indexes: { length: 0 } } })
    t.same(warnings(decision), [])
  }
})

t.test('changes to /etc wait with the data, if there can be any', async (t) => {
  const fstab = (root: string) => ({ 'etc/fstab': `/dev/vda1 / ext4 ${root}\nLABEL=data /var ext4\n` })
  const wait = (...paths: string[]) => ({ wait: { paths } })
  t.match(decided(t, fstab('rw')), wait('/var/lib/docker', '/var/lib/hostext/etc'))
  t.match(decided(t, fstab('ro')), wait('/var/lib/docker'))
  const other = {
    'etc/fstab': '/dev/vda1 / ext4 rw\nLABEL=data /var/lib/hostext ext4\n',
    'var/lib/docker/x': '',
  }
  t.match(decided(t, other), wait('/var/lib/hostext/etc'))
})

t.test('a mount that no unit can name is named, and not carried over', async (t) => {
  const mountinfo = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/x\\040 rw shared:5 - ext4 /dev/vda3 rw\n`
  const decision = decided(t, { 'proc/self/mountinfo': mountinfo })
  t.match(decision, { plan: { carried: { length: 0 } } })
  const [line] = decision.messages.filter(({ text }) => text.includes('/mnt/x'))
  t.same(line, { level: 'warning', text: '/mnt/x  is not carried over: no unit can name it' })
})
