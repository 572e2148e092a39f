import { execFileSync } from 'node:child_process'
import { mkdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readMachine } from '../../../src/machine/machine.js'
import { makeTree, type Tree } from '../../support/tree.js'

const machine = (t: Test, files: Tree, environment: NodeJS.ProcessEnv = {}) =>
  readMachine({ prefix: makeTree(t, files) }, environment)

t.test('a machine of which nothing can be read', async (t) => {
  t.match(machine(t, {}), {
    commandLine: { target: 'default.target' },
    inContainer: false,
    mounts: { length: 0 },
    fstab: { length: 0 },
    softReboot: false,
    hasNextRoot: false,
    updateWaits: false,
    release: '',
    collected: false,
    messages: { length: 0 },
  })
  const { fstab, messages } = machine(t, { 'etc/fstab/x': '' })
  t.same(fstab, [])
  t.same(messages, [{ level: 'warning', text: '/etc/fstab: not a regular file but a directory' }])
})

t.test('what a machine is, and where in its boot', async (t) => {
  const found = machine(t, {
    'proc/cmdline': 'root=/dev/vda1 ro 3\n',
    'proc/sys/kernel/osrelease': '6.12.1-1-amd64\n',
    'proc/self/mountinfo': '22 1 254:1 / / ro shared:1 - ext4 /dev/vda1 ro\n',
    'etc/fstab': 'LABEL=data /mnt/data ext4\n',
    'etc/system-update': '-> /var/lib/update',
    'usr/lib/hostext/nextroot/x': '',
    'usr/lib/systemd/system/soft-reboot.target': '',
    'run/hostext/collected': '',
  })
  t.match(found, {
    commandLine: { target: 'multi-user.target', root: 'ro' },
    mounts: [{ source: '/dev/vda1' }],
    fstab: [{ mountPoint: '/mnt/data' }],
    softReboot: true,
    hasNextRoot: true,
    updateWaits: true,
    release: '6.12.1-1-amd64',
    collected: true,
  })
})

t.test('in a container the words are those of PID 1', async (t) => {
  const files = {
    'proc/cmdline': 'balena.nohostext\n',
    'proc/1/cmdline': '/sbin/init\0systemd.unit=x.target\0',
  }
  for (const [more, environment] of [
    [{ 'run/systemd/container': 'systemd-nspawn\n' }, {}],
    [{}, { SYSTEMD_VIRTUALIZATION: 'container:docker' }],
  ] as [Tree, NodeJS.ProcessEnv][]) {
    const { inContainer, commandLine } = machine(t, { ...files, ...more }, environment)
    t.same({ inContainer, commandLine }, { inContainer: true, commandLine: { target: 'x.target' } })
  }
  const virtual = machine(t, files, { SYSTEMD_VIRTUALIZATION: 'vm:kvm' })
  t.match(virtual, { inContainer: false, commandLine: { off: /^balena\.nohostext / } })
})

t.test('the first boot is the one that PID 1 calls so', async (t) => {
  for (const [environment, isFirstBoot] of [
    [{ SYSTEMD_FIRST_BOOT: '1' }, true],
    [{ SYSTEMD_FIRST_BOOT: '0' }, false],
    [{}, false],
  ] as [NodeJS.ProcessEnv, boolean][])
    t.equal(machine(t, {}, environment).isFirstBoot, isFirstBoot)
  const disk = (ro: string) => ({
    'proc/self/mountinfo': '22 1 254:1 / / ro shared:1 - ext4 /dev/vda1 ro\n',
    'sys/dev/block/254:1/ro': `${ro}\n`,
  })
  t.ok(machine(t, disk('0'), { SYSTEMD_FIRST_BOOT: '1' }).isFirstBoot)
  t.notOk(machine(t, disk('1'), { SYSTEMD_FIRST_BOOT: '1' }).isFirstBoot, 'each boot would be one')
})

t.test('whether the root has applied the last change of its /usr', async (t) => {
  const isDone = (updated: string | undefined) => {
    const prefix = makeTree(t, updated === undefined ? {} : { 'etc/.updated': updated })
    mkdirSync(join(prefix, 'usr'))
    utimesSync(join(prefix, 'usr'), 1000, 1000)
    return readMachine({ prefix }, {}).upToDate
  }
  t.ok(isDone('# comment\nTIMESTAMP_NSEC=1000000000000\n'), 'at that very time')
  t.ok(isDone('TIMESTAMP_NSEC=2000000000000\n'))
  t.notOk(isDone('TIMESTAMP_NSEC=999000000000\n'))
  for (const text of [undefined, '', 'TIMESTAMP_NSEC=soon\n']) t.notOk(isDone(text), `${text}`)
  t.notOk(machine(t, { 'etc/.updated': 'TIMESTAMP_NSEC=1\n' }).upToDate, 'no /usr')
})

t.test('the times are compared to the nanosecond', async (t) => {
  for (const fraction of ['123456789', '000000001', '999999999', '500000129', '700000257']) {
    const second = '1764575879'
    const isDone = (nanoseconds: bigint) => {
      const prefix = makeTree(t, { 'etc/.updated': `TIMESTAMP_NSEC=${nanoseconds}\n`, 'usr/x': '' })
      execFileSync('touch', ['-d', `@${second}.${fraction}`, join(prefix, 'usr')])
      return readMachine({ prefix }, {}).upToDate
    }
    const time = BigInt(second + fraction)
    t.ok(isDone(time), fraction)
    t.notOk(isDone(time - 1n), `${fraction}: /usr is newer`)
  }
})

t.test('what of the root matters for the decision', async (t) => {
  const tree: Tree = {
    'var/x': '',
    home: '-> var',
    'srv/x': '',
    'tmp/x': '',
    lib: '-> usr/lib',
    'sbin/x': '',
    'mnt/data/remove_me_to_reset': '',
    'etc/systemd/system/x.mount': '',
    'etc/systemd/system/local-fs.target.wants/x.mount': '-> ../x.mount',
    'etc/systemd/system/default.target.wants/a.service': '',
  }
  t.match(machine(t, tree), {
    directories: ['/var', '/srv', '/tmp'],
    hasPurgeMarker: true,
    planned: [{ mountPoint: '/x' }],
    pulledIn: ['default.target.wants/a.service'],
    etcChanges: { kept: false },
  })
  for (const mode of ['read-only', 'volatile'])
    t.match(machine(t, { ...tree, 'etc/hostext.conf': `[Root]\nEtc=${mode}\n` }), { etcChanges: undefined })
  const configured = { ...tree, 'etc/hostext.conf': '[Root]\nState=/srv /data /home\nEtc=persistent\n' }
  t.match(machine(t, configured), { directories: ['/srv', '/tmp'], etcChanges: { kept: false } })
})

t.test('who answers for encrypted volumes, if there are any', async (t) => {
  const asker = { 'etc/systemd/system/cryptsetup.target.wants/x.path': '-> /usr/lib/systemd/system/x.path' }
  const askers = (files: Tree) => readMachine({ prefix: makeTree(t, files) }, {}).askers
  t.same(askers(asker), [])
  t.same(askers({ ...asker, 'etc/crypttab': 'data /dev/vdb none\n' }), ['x.path'])
})
