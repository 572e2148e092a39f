import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { replacedFinder } from '../../../src/image/replaced.js'
import {
  hasMountUnit,
  hostOf,
  isUpToDate,
  readEngines,
  readMachine,
  readPulledIn,
} from '../../../src/machine/system.js'
import { copyDataRoot, DATA, find, HOST } from '../../support/data-root.js'
import { makeTree, type Tree } from '../../support/tree.js'

const machine = (t: Test, files: Tree, environment: NodeJS.ProcessEnv = {}) =>
  readMachine({ prefix: makeTree(t, files) }, environment)

t.test('a machine of which nothing can be read', async (t) => {
  t.match(machine(t, {}), {
    commandLine: { target: 'default.target' },
    inContainer: false,
    mounts: [],
    fstab: [],
    softReboot: false,
    hasNextRoot: false,
    updateWaits: false,
    release: '',
    collected: false,
    messages: [],
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

t.test('what a target pulls in, from wherever units are', async (t) => {
  const prefix = makeTree(t, {
    'etc/systemd/system/x.target.wants/b.service': '-> /dev/null',
    'usr/lib/systemd/system/x.target.wants/b.service': '-> ../b.service',
    'usr/lib/systemd/system/x.target.wants/a.service': '-> ../a.service',
    'run/systemd/system/x.target.requires/a.service': '-> ../a.service',
    'etc/systemd/system/x.target.upholds/c.service': '-> ../c.service',
    'etc/systemd/system/y.target.wants/d.service': '-> ../d.service',
    'etc/systemd/system/x.target.d/e.conf': '',
  })
  t.same(readPulledIn({ prefix }, 'x.target'), [
    'x.target.requires/a.service',
    'x.target.upholds/c.service',
    'x.target.wants/a.service',
    'x.target.wants/b.service',
  ])
})

t.test('mount units of the system', async (t) => {
  const prefix = makeTree(t, {
    'usr/lib/systemd/system/mnt-data.mount': '',
    'etc/systemd/system/my\\x2ddisk.mount': '',
    'run/systemd/generator/var.mount': '',
    'etc/systemd/system/masked.mount': '-> /dev/null',
    'usr/lib/systemd/system/masked.mount': '',
  })
  t.ok(hasMountUnit({ prefix }, '/mnt/data'))
  t.ok(hasMountUnit({ prefix }, '/my-disk'))
  t.notOk(hasMountUnit({ prefix }, '/mnt'))
  t.notOk(hasMountUnit({ prefix }, '/masked'), 'a masked unit mounts nothing, whatever stands behind it')
  t.notOk(hasMountUnit({ prefix }, '/var'), 'one of a generator is of fstab, or of an earlier run')
})

t.test('whether the root has applied the last change of its /usr', async (t) => {
  const isDone = (updated: string | undefined) => {
    const prefix = makeTree(t, updated === undefined ? {} : { 'etc/.updated': updated })
    mkdirSync(join(prefix, 'usr'))
    utimesSync(join(prefix, 'usr'), 1000, 1000)
    return isUpToDate({ prefix })
  }
  t.ok(isDone('# comment\nTIMESTAMP_NSEC=1000000000000\n'), 'at that very time')
  t.ok(isDone('TIMESTAMP_NSEC=2000000000000\n'))
  t.notOk(isDone('TIMESTAMP_NSEC=999000000000\n'))
  for (const text of [undefined, '', 'TIMESTAMP_NSEC=soon\n']) t.notOk(isDone(text), `${text}`)
  t.notOk(isUpToDate({ prefix: makeTree(t, { 'etc/.updated': 'TIMESTAMP_NSEC=1\n' }) }), 'no /usr')
})

t.test('the first engine with extensions; a second is named and left out', async (t) => {
  const { root } = copyDataRoot(t)
  t.match(readEngines(root, ['/nowhere', DATA], HOST, replacedFinder(root, [])), {
    dataRoot: DATA,
    leftOut: [],
    messages: [],
  })
  const twice = readEngines(root, [DATA, DATA], HOST, replacedFinder(root, []))
  t.equal(twice.extensions.length, 4)
  t.equal(twice.leftOut.length, 4)
  t.match(twice.leftOut[0], {
    who: 'override',
    why: `${DATA} is the data root of a second engine; ${DATA} is in use`,
  })
})

t.test('an engine all of whose extensions are left out is not in use', async (t) => {
  const { root, data } = copyDataRoot(t)
  const configs = ['override', 'many-layers', 'one-layer', 'additive'].map((name) => find(data, name).config)
  for (const config of configs) writeFileSync(config, '{')
  t.match(readEngines(root, [DATA], HOST, replacedFinder(root, [])), {
    dataRoot: undefined,
    extensions: [],
    leftOut: { length: 4 },
  })
})

t.test('whether containers that have been started count', async (t) => {
  const takesStarted = (files: Tree) => {
    const root = { prefix: makeTree(t, files) }
    return hostOf(root, readMachine(root, {})).takesStarted
  }
  const balena = { 'etc/os-release': 'ID="balena-os"\n' }
  const setting = (value: string) => ({ 'etc/hostext.conf': `[Stack]\nStarted=${value}\n` })
  t.equal(takesStarted({}), false)
  t.equal(takesStarted({ 'etc/os-release': 'ID=debian\nID_LIKE=balena-os\n' }), false)
  t.equal(takesStarted(balena), true, 'its supervisor starts them')
  t.equal(takesStarted({ ...balena, ...setting('no') }), false)
  t.equal(takesStarted(setting('yes')), true)
  t.equal(takesStarted(setting('auto')), false)
})
