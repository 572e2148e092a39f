import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { NO_GPT, readGpt } from '../../../src/machine/gpt.js'
import { readMachine } from '../../../src/machine/machine.js'
import type { MountPoint } from '../../../src/machine/mountinfo.js'
import { hasWritableRoot } from '../../../src/stack/state.js'
import { makeTree, type Tree } from '../../support/tree.js'

const MACHINE_ID = '0123456789abcdef0123456789abcdef'
const HOME = '933AC7E1-2EB4-4F13-B844-0E14E2AEF915'
const SRV = '3B8F8425-20E0-4F3B-907F-1A25A76F98E8'
const VAR = '4D21B016-B534-45C2-A9FB-5C16E091FD2D'
/** `systemd-id128 machine-id --app-specific=4d21b016b53445c2a9fb5c16e091fd2d` on that machine, trixie. */
const OWN_VAR = 'c0c46eff-e386-4746-a2bd-0962cd326ea2'

const ROOT = { mountPoint: '/', root: '/', type: 'ext4', source: '/dev/vda1', superOptions: ['rw'] }
const skip = spawnSync('sfdisk', ['--version']).error ? 'no sfdisk' : false

/** A machine whose root is the first partition of a disk with this table, as sfdisk(8) takes it. */
function machine(t: Test, lines: string[], files: Tree = {}): string {
  const disk = '/sys/devices/pci0/block/vda'
  const prefix = makeTree(t, {
    'usr/lib/systemd/system-generators/systemd-gpt-auto-generator': '',
    'sys/dev/block/254:1': `-> ../../devices/pci0/block/vda/vda1`,
    [`${disk.slice(1)}/queue/logical_block_size`]: '512\n',
    ...Object.fromEntries(
      lines.map((_, index) => [`${disk.slice(1)}/vda${index + 1}/partition`, `${index + 1}\n`]),
    ),
    'etc/machine-id': `${MACHINE_ID}\n`,
    'dev/null': '',
    ...files,
  })
  const file = join(prefix, 'dev/vda')
  writeFileSync(file, '')
  execFileSync('truncate', ['-s', '64M', file])
  execFileSync('sfdisk', ['-q', file], {
    input: `label: gpt\n${lines.join('\n')}\n`,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  return prefix
}

t.test('partitions by their types', { skip }, async (t) => {
  const lines = [
    'size=4M, type=linux',
    `size=4M, type=${HOME}`,
    `size=4M, type=${SRV}, attrs="GUID:60"`,
    `size=4M, type=${HOME}`,
    'size=4M, type=swap',
  ]
  const found = (prefix: string, device = '254:1', mounts: MountPoint[] = []) =>
    readGpt({ prefix }, [{ ...ROOT, device }, ...mounts]).partitions.map(({ mountPoint, device, readOnly }) =>
      [mountPoint, device, readOnly ? 'ro' : 'rw'].join(' '),
    )
  t.same(found(machine(t, lines)), ['/home /dev/vda2 rw', '/srv /dev/vda3 ro'], 'the first of a type')
  t.same(found(machine(t, lines, { 'home/user/x': '' })), ['/srv /dev/vda3 ro'], 'nothing is hidden')
  const home = { ...ROOT, mountPoint: '/home', device: '254:2' }
  const used = machine(t, lines, { 'home/user/x': '' })
  t.same(found(used, '254:1', [home])[0], '/home /dev/vda2 rw', 'it is mounted already')
  const noAuto = `size=4M, type=${SRV}, attrs="GUID:63"`
  t.same(found(machine(t, ['size=4M, type=linux', noAuto])), [])
  t.same(found(machine(t, lines), '254:7'), [], 'another disk')
  t.same(readGpt({ prefix: machine(t, lines) }, []), NO_GPT)
})

t.test('/var is only mounted where it is that of this machine', { skip }, async (t) => {
  const found = (id: string, files?: Tree) =>
    readGpt({ prefix: machine(t, ['size=4M, type=linux', `size=4M, type=${VAR}, uuid=${id}`], files) }, [
      { ...ROOT, device: '254:1' },
    ]).partitions.map(({ mountPoint }) => mountPoint)
  t.same(found(OWN_VAR), ['/var'])
  t.same(found('11111111-2222-4333-8444-555555555555'), [])
  t.same(found(OWN_VAR, { 'etc/machine-id': 'uninitialized\n' }), [], 'no ID yet')
})

t.test('the table is that of the disk below LUKS', { skip }, async (t) => {
  const prefix = machine(t, ['size=4M, type=linux', `size=4M, type=${HOME}`], {
    'sys/dev/block/253:0': '-> ../../devices/virtual/block/dm-0',
    'sys/devices/virtual/block/dm-0/slaves/vda1': '-> ../../../../pci0/block/vda/vda1',
  })
  t.match(readGpt({ prefix }, [{ ...ROOT, device: '253:0', source: '/dev/mapper/luks' }]).partitions, [
    { mountPoint: '/home', device: '/dev/vda2' },
  ])
})

t.test('a root of the type of one is made writable, unless its partition is marked', { skip }, async (t) => {
  const opens = (...lines: string[]) =>
    readGpt({ prefix: machine(t, lines) }, [{ ...ROOT, device: '254:1' }]).opensRoot
  const [root, arm] = ['4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', 'B921B045-1DF0-41C3-AF44-4C6F280D3FAE'].map(
    (type) => `size=4M, type=${type}`,
  ) as [string, string]
  t.ok(opens(root))
  t.ok(opens(arm), 'of another architecture')
  t.notOk(opens(`${root}, attrs="GUID:60"`), 'read-only')
  t.notOk(opens(`${root}, attrs="GUID:63"`), 'not to be found by its type')
  t.notOk(opens('size=4M, type=linux'))
  t.ok(opens('size=4M, type=linux', root), 'the generator looks at the disk, not at what is mounted')
  t.ok(opens(root, `${root}, attrs="GUID:60"`), 'of two, the flags of the one that is booted')
  t.notOk(opens(`${root}, attrs="GUID:60"`, root))
})

t.test('systemd.gpt_auto=0 turns all of it off', { skip }, async (t) => {
  const isOpened = (words: string) => {
    const prefix = machine(t, ['size=4M, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709'], {
      'proc/cmdline': `root=PARTUUID=x ${words}\n`,
      'proc/self/mountinfo': '22 1 254:1 / / ro - ext4 /dev/vda1 ro\n',
    })
    return hasWritableRoot(readMachine({ prefix }, {}))
  }
  t.ok(isOpened('quiet'), 'mounted read-only, and made writable')
  t.notOk(isOpened('systemd.gpt_auto=0'))
  t.notOk(isOpened('ro'))
})

t.test('a root that is on no disk with such a table', async (t) => {
  const generator = { 'usr/lib/systemd/system-generators/systemd-gpt-auto-generator': '' }
  const partition = { 'sys/dev/block/8:1': '-> ../../b/sda/sda1', 'sys/b/sda/sda1/partition': '1\n' }
  for (const [what, files] of Object.entries({
    'no generator': { ...partition, 'dev/sda': 'x'.repeat(2000) },
    'no partition': generator,
    'no disk': { ...generator, ...partition },
    'no table': { ...generator, ...partition, 'dev/sda': 'x'.repeat(20000) },
    'a table that ends': { ...generator, ...partition, 'dev/sda': `${'x'.repeat(512)}EFI PART` },
    'a table elsewhere': {
      ...generator,
      ...partition,
      'dev/sda': `${'x'.repeat(512)}EFI PART${'\x7f'.repeat(76)}\x80\0\0\0${'x'.repeat(2000)}`,
    },
  } as Record<string, Tree>))
    t.same(readGpt({ prefix: makeTree(t, files) }, [{ ...ROOT, device: '8:1' }]), NO_GPT, what)
})
