import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { prepare } from '../../../src/commands/prepare.js'
import { RULES } from '../../../src/image/kept.js'
import type { Root } from '../../../src/machine/files.js'
import { readAndDecide } from '../../../src/read.js'
import type { Decision, Plan } from '../../../src/stack/plan.js'
import { type Recorded, stackText } from '../../../src/stack/record.js'
import { parseStack } from '../../../src/trial/records.js'
import { find } from '../../support/data-root.js'
import { DATA_ROOTS } from '../../support/paths.js'
import { copyTree, makeTree, type Tree, writeTree } from '../../support/tree.js'

/**
 * What most of decide.ts promises is in test/cases/: a machine a folder. Here is what takes one line of a
 * machine.
 */
const MACHINE: Tree = {
  'proc/self/mountinfo': '22 1 254:1 / / ro shared:1 - ext4 /dev/vda1 ro\n',
  'usr/lib/systemd/system/soft-reboot.target': '',
}

function machine(t: Test, files: Tree, engine = 'var/lib/docker'): Root {
  const prefix = makeTree(t, { ...MACHINE, ...files })
  copyTree(join(DATA_ROOTS, 'standard'), join(prefix, engine))
  return { prefix }
}

/** What is decided on a machine whose images are prepared. */
async function decided(
  t: Test,
  files: Tree,
  engine?: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<Decision> {
  const root = machine(t, files, engine)
  await prepare(root, {}, false)
  return readAndDecide(root, environment, 'this').decision
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
      await decided(t, { 'proc/self/mountinfo': root + inner }),
      { plain: 'the root is already an overlay on an overlay, and the kernel stacks no deeper' },
      layers,
    )
  }
  const hidden = '22 1 0:30 / / rw shared:1 - overlay overlay rw,lowerdir=/only/in/the/initrd,upperdir=/up\n'
  t.notHas(
    await decided(t, { 'proc/self/mountinfo': hidden }),
    { plain: /already an overlay/ },
    'what cannot be seen is not taken for the root itself',
  )
})

t.test('data behind a link waits for the file system that the link leads to', async (t) => {
  const files = { 'etc/fstab': 'LABEL=data /mnt/data ext4\n', 'var/lib/docker': '-> /mnt/data/engine' }
  t.match(await decided(t, files, 'mnt/data/engine'), {
    wait: { paths: ['/mnt/data'] },
  })
  const mounted = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/data rw shared:5 - ext4 /dev/vda3 rw\n`
  t.match(
    await decided(
      t,
      { ...files, 'proc/self/mountinfo': mounted, 'mnt/data/remove_me_to_reset': '' },
      'mnt/data/engine',
    ),
    { plan: { extensions: { length: 4 }, dataMounts: ['/mnt/data'], boundData: { length: 0 } } },
    'mounted already, by an initrd',
  )
})

t.test('a file system that is still reached after the switch is not made read-only', async (t) => {
  const { 'proc/self/mountinfo': root } = MACHINE
  const mounts = (...lines: string[]) => ({
    'proc/self/mountinfo': `${root}${lines.map((line) => `${line} rw - ext4 /dev/vda1 rw\n`).join('')}`,
  })
  const usr = '26 22 254:1 /deploy/usr /usr'
  t.match(await decided(t, mounts(usr)), {
    plan: { closedBeforeSwitch: ['/', '/usr'], dataMounts: { length: 0 } },
  })
  t.match(
    await decided(t, mounts(usr, '27 22 254:1 /deploy/var /var')),
    { plan: { closedBeforeSwitch: { length: 0 }, dataMounts: ['/var'], carried: ['/var'] } },
    'OSTree: /var is another directory of the same file system',
  )
  t.match(
    await decided(t, mounts('26 22 254:2 / /usr', '27 22 254:1 /home /home')),
    { plan: { closedBeforeSwitch: ['/usr'], dataMounts: ['/home'] } },
    'the other one is',
  )
  const writable = { 'etc/fstab': '/dev/vda1 / ext4 rw\n', 'srv/x': '' }
  t.match(
    await decided(t, { ...mounts(usr), ...writable }),
    { plan: { closedBeforeSwitch: { length: 0 }, dataMounts: { length: 0 } } },
    'state is on it',
  )
})

t.test('the disk behind a bind with the data stays mounted, and is not checked again', async (t) => {
  const disk = '254:3 / /data rw shared:5 - ext4 /dev/vda3 rw'
  const bind = '254:3 /docker /var/lib/docker rw shared:5 - ext4 /dev/vda3 rw'
  const files = {
    'proc/self/mountinfo': `${MACHINE['proc/self/mountinfo']}26 22 ${disk}\n27 22 ${bind}\n`,
    'etc/fstab': 'LABEL=data /data ext4 defaults 0 2\n/data/docker /var/lib/docker none bind\n',
  }
  t.match(await decided(t, files), {
    plan: { dataMounts: ['/data', '/var/lib/docker'], checkedDevices: ['/dev/disk/by-label/data'] },
  })
})

t.test('what the initrd has mounted on a writable root is carried over, and is no state', async (t) => {
  const { 'proc/self/mountinfo': root } = MACHINE
  const files = (mount: string): Tree => ({
    'proc/self/mountinfo': `${root}26 22 ${mount}\n`,
    ...{ 'etc/fstab': '/dev/vda1 / ext4 rw\n', 'srv/x': '' },
  })
  const other = files('254:2 / /var rw - ext4 /dev/vda2 rw')
  t.match(await decided(t, other), {
    plan: {
      ...{ state: ['/srv'], carried: ['/var'], dataMounts: ['/var'] },
      etc: { mode: 'persistent', state: undefined },
    },
  })
  t.match(
    await decided(t, files('254:1 /var /var ro - ext4 /dev/vda1 ro')),
    { plan: { state: ['/var', '/srv'], carried: { length: 0 } } },
    'another directory of the same file system, which is made writable with it',
  )
  const listed = await decided(t, { ...other, 'etc/hostext.conf': '[Root]\nState=/var /srv\n' })
  t.match(listed, { plan: { state: ['/srv'], carried: ['/var'] } })
  const text = 'State=: /var is on a file system of its own (mounted before systemd): ignored'
  t.same(
    listed.messages.filter(({ level }) => level === 'warning'),
    [{ level: 'warning', text }],
  )
})

t.test('a disk of which two subvolumes are mounted is checked once', async (t) => {
  const mounts = ['/var', '/var/lib/docker'].map(
    (path) => `26 22 0:31 /${path} ${path} rw - btrfs /dev/vda2 rw\n`,
  )
  const files = {
    'proc/self/mountinfo': `${MACHINE['proc/self/mountinfo']}${mounts.join('')}`,
    'etc/fstab': 'UUID=R /var btrfs subvol=@var 0 2\nUUID=R /var/lib/docker btrfs subvol=@docker 0 2\n',
  }
  const decision = await decided(t, files)
  t.match(decision, { plan: { dataMounts: ['/var', '/var/lib/docker'] } })
  t.same('plan' in decision && decision.plan.checkedDevices, ['/dev/disk/by-uuid/R'])
})

t.test('data that needs the network is mounted when its unit says, also after the switch', async (t) => {
  const files = (options: string) => ({
    'proc/self/mountinfo': `${MACHINE['proc/self/mountinfo']}26 22 8:1 / /data rw shared:5 - ext4 /dev/sda1 rw\n`,
    'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n',
    'etc/fstab': `LABEL=data /data ext4 ${options} 0 2\n`,
  })
  const checkedDevices = ['/dev/disk/by-label/data']
  t.match(await decided(t, files('_netdev'), 'data/docker'), {
    plan: { dataMounts: ['/data'], online: ['/data'], checkedDevices },
  })
  t.match(await decided(t, files('defaults'), 'data/docker'), {
    plan: { dataMounts: ['/data'], online: { length: 0 }, checkedDevices },
  })
  const bind = {
    'proc/self/mountinfo': `${files('')['proc/self/mountinfo']}27 22 8:1 /d /srv/docker rw - ext4 /dev/sda1 rw\n`,
    'etc/fstab': 'nas:/x /data nfs\n/data/d /srv/docker none bind,_netdev\n',
    'etc/hostext.conf': '[Engine]\nDataRoot=/srv/docker\n',
  }
  t.match(
    await decided(t, bind, 'srv/docker'),
    { plan: { dataMounts: ['/srv/docker'], online: ['/data', '/srv/docker'] } },
    'a bind of a share',
  )
  const silent = {
    ...bind,
    'etc/fstab': '/dev/sda1 /data ext4 _netdev\n/data/d /srv/docker none bind,nofail\n',
  }
  t.match(
    await decided(t, silent, 'srv/docker'),
    { plan: { dataMounts: ['/data', '/srv/docker'], online: ['/data', '/srv/docker'] } },
    'a bind that does not say so',
  )
})

t.test('data waits for a file system, however fstab spells its mount point', async (t) => {
  for (const path of ['/var', '//var', '/var/', '/./var', '/var/.'])
    t.match(
      await decided(t, { 'etc/fstab': `LABEL=data ${path} ext4\n` }),
      { wait: { paths: ['/var'] } },
      path,
    )
})

t.test('data waits for a file system below its place', async (t) => {
  const path = '/var/lib/docker/containers'
  const files = { 'etc/fstab': `LABEL=data ${path} ext4\n` }
  t.match(await decided(t, files), { wait: { paths: [path] } })
  t.match(await decided(t, { 'etc/fstab': 'nas:/x /var/lib/docker/volumes/x nfs\n' }), {
    plan: { extensions: { length: 4 } },
  })
})

t.test('only what fstab mounts is mounted again, not what units do', async (t) => {
  const files = {
    'etc/fstab': '/dev/vda1 / ext4 rw\nshm /dev/shm tmpfs nodev\n',
    'usr/lib/systemd/system/dev-hugepages.mount': '[Mount]\nWhat=hugetlbfs\nType=hugetlbfs\n',
    'usr/lib/systemd/system/sysinit.target.wants/dev-hugepages.mount': '-> ../dev-hugepages.mount',
  }
  t.match(await decided(t, files), { plan: { remount: ['/dev/shm'] } })
})

t.test('the first boot of a machine is plain, if there is a second one', async (t) => {
  const id = `${MACHINE['proc/self/mountinfo']}26 22 0:23 /id /etc/machine-id ro shared:4 - tmpfs tmpfs rw\n`
  const files = { 'proc/self/mountinfo': id, 'etc/fstab': '/dev/vda1 / ext4 rw\n' }
  const first = { SYSTEMD_FIRST_BOOT: '1' }
  t.match(await decided(t, files, undefined, first), { plain: /^the first boot of this machine, / })
  t.match(
    await decided(t, files),
    { plan: { machineId: { closeRoot: true } } },
    'an empty ID is no first boot',
  )
  t.match(
    await decided(t, { ...files, 'etc/fstab': '/dev/vda1 / ext4 ro\n' }, undefined, first),
    { plan: { machineId: undefined, carried: ['/etc/machine-id'] } },
    'no ID is ever written: so is every other boot',
  )
})

t.test('a /var that is to be forgotten is no state', async (t) => {
  const word = 'systemd.volatile=state'
  const files = {
    ...{ 'proc/cmdline': `ro ${word}\n`, 'etc/fstab': '/dev/vda1 / ext4 rw\n' },
    ...{ 'etc/hostext.conf': '[Engine]\nDataRoot=/srv/engine\n', 'var/x': '', 'run/hostext/collected': '' },
  }
  const memory = `${MACHINE['proc/self/mountinfo']}26 22 0:40 / /var rw shared:5 - tmpfs tmpfs rw\n`
  const mounted = { ...files, 'proc/self/mountinfo': memory }
  const plan = { state: ['/srv'], etc: { mode: 'volatile' }, carried: { length: 0 } }
  t.match(await decided(t, mounted, 'srv/engine'), { plan })
  const chosen = { 'etc/hostext.conf': '[Engine]\nDataRoot=/srv/engine\n[Root]\nState=/var\n' }
  const why = `State=: /var is on a file system of its own (${word} on the kernel command line): ignored`
  const { messages } = await decided(t, { ...mounted, ...chosen }, 'srv/engine')
  t.ok(messages.some(({ text }) => text === why))
  const { 'run/hostext/collected': _, ...first } = files
  t.match(await decided(t, first, 'var/lib/docker'), { wait: { paths: ['/var'] } }, 'nor an engine’s data')
})

t.test('what fstab mounts only when it is asked is not waited for', async (t) => {
  t.match(await decided(t, { 'etc/fstab': 'LABEL=data /var ext4 noauto\n' }), { plan: { collected: false } })
})

t.test('what is mounted for the engine only is waited for, and what nothing asks for is not', async (t) => {
  const unit = 'usr/lib/systemd/system/docker.service'
  const files = {
    'etc/fstab': 'LABEL=data /var/lib/docker ext4 noauto\nLABEL=backup /mnt/data ext4 noauto\n',
    [unit]: '[Service]\nExecStart=dockerd\n',
    'etc/systemd/system/multi-user.target.wants/docker.service': `-> /${unit}`,
  }
  const asking = '[Unit]\nRequiresMountsFor=/var/lib/docker\n'
  const dropIn = 'etc/systemd/system/docker.service.d/data.conf'
  t.match(await decided(t, { ...files, [dropIn]: asking }, 'srv/x'), { wait: { paths: ['/var/lib/docker'] } })
  t.match(await decided(t, files, 'srv/x'), { plain: /^no container is a host extension/ })
})

t.test('data that waits does not wait in a boot that stacks nothing', async (t) => {
  for (const [files, plain] of [
    [{ 'proc/cmdline': 'emergency\n' }, /emergency on the kernel command line/],
    [{ 'system-update': '-> var/update' }, /an offline update is waiting/],
  ] as [Tree, RegExp][])
    t.match(await decided(t, { 'etc/fstab': 'LABEL=data /var ext4\n', ...files }), { plain })
})

t.test('a DataRoot= that holds no engine’s data is named', async (t) => {
  t.match(await decided(t, { 'etc/hostext.conf': '[Engine]\nDataRoot=/data\n' }), {
    plain: 'no container is a host extension',
    messages: [{ level: 'warning', text: 'DataRoot=/data holds no engine data' }],
  })
})

t.test('a generator that may mount the data is named where none is found', async (t) => {
  const generator = 'usr/lib/systemd/system-generators/zfs-mount-generator'
  const files = { [generator]: 'printf %s.mount', 'run/hostext/collected': '' }
  const named = /; not known yet: the mounts of zfs-mount-generator$/
  const { 'run/hostext/collected': _, ...first } = files
  t.match(await decided(t, first, 'srv/x'), { plain: named })
  t.match(await decided(t, files, 'srv/x'), { plain: /containers\/storage$/ }, 'it has run')
})

t.test('changes to /etc count where they are kept', async (t) => {
  const upper = 'var/lib/hostext/etc/upper'
  const changed = { [`${upper}/ld.so.conf`]: '', [`${upper}/fstab`]: '' }
  const writable = { 'etc/fstab': '/dev/vda1 / ext4 rw\n' }
  const kept = await decided(t, { ...changed, ...writable })
  t.match(kept, { plan: { etc: { mode: 'persistent', state: '/var', kept: true }, indexes: ['libraries'] } })
  const warnings = ({ messages }: Decision) => messages.filter(({ level }) => level === 'warning')
  t.match(warnings(kept), [{ text: /^\/etc\/fstab is changed in / }])
  for (const [files, mode] of [
    [{}, 'read-only'],
    [{ ...writable, 'etc/hostext.conf': '[Root]\nEtc=volatile\n' }, 'volatile'],
    [{ ...writable, 'etc/hostext.conf': '[Root]\nState=/srv\n', 'srv/x': '' }, 'volatile'],
  ] as const) {
    const decision = await decided(t, { ...changed, ...(files as Tree) })
    t.match(decision, { plan: { etc: { mode }, indexes: { length: 0 } } })
    t.same(warnings(decision), [])
  }
})

t.test('changes to /etc wait with the data, if there can be any', async (t) => {
  const fstab = (root: string) => ({ 'etc/fstab': `/dev/vda1 / ext4 ${root}\nLABEL=data /var ext4\n` })
  const wait = (...paths: string[]) => ({ wait: { paths } })
  t.match(await decided(t, fstab('rw')), wait('/var'))
  t.match(await decided(t, fstab('ro')), wait('/var'))
  const other = {
    'etc/fstab': '/dev/vda1 / ext4 rw\nLABEL=data /var/lib/hostext ext4\n',
    'var/lib/docker/x': '',
  }
  t.match(await decided(t, other), wait('/var/lib/hostext'))
})

t.test('/tmp is on the disk where tmp.mount is masked, as on the plain root', async (t) => {
  const writable = { 'etc/fstab': '/dev/vda1 / ext4 rw\n', 'tmp/x': '' }
  const units = 'usr/lib/systemd/system'
  const shipped = {
    [`${units}/tmp.mount`]: '[Mount]\nWhat=tmpfs\nType=tmpfs\n',
    [`${units}/local-fs.target.wants/tmp.mount`]: '-> ../tmp.mount',
  }
  const mask = { 'etc/systemd/system/tmp.mount': '-> /dev/null' }
  const kept = { 'var/lib/hostext/etc/upper/systemd/system/tmp.mount': '-> /dev/null' }
  const text = '/tmp is read-only: tmp.mount is masked'
  const warned = ({ messages }: Decision) => messages.some((message) => message.text === text)
  for (const [name, files, state, tmp, isSaid] of [
    ['no unit', writable, ['/var'], true, false],
    ['a unit', { ...writable, ...shipped }, ['/var'], false, false],
    ['masked', { ...writable, ...shipped, ...mask }, ['/var', '/tmp'], false, false],
    ['masked on the stacked machine', { ...writable, ...shipped, ...kept }, ['/var', '/tmp'], false, false],
    [
      'there, but /etc is volatile',
      { ...writable, ...shipped, ...kept, 'etc/hostext.conf': '[Root]\nEtc=volatile\n' },
      ...([['/var'], false, false] as const),
    ],
    ['State=none', { ...writable, 'etc/hostext.conf': '[Root]\nState=none\n' }, [], true, false],
    [
      'State=none, masked',
      { ...writable, ...mask, 'etc/hostext.conf': '[Root]\nState=none\n' },
      ...([[], false, true] as const),
    ],
    ['a read-only root', { 'tmp/x': '', ...shipped, ...mask }, [], false, false],
    [
      'State= on a read-only root',
      { 'tmp/x': '', ...mask, 'etc/hostext.conf': '[Root]\nState=/var\n' },
      ...([['/var'], false, true] as const),
    ],
  ] as [string, Tree, string[], boolean, boolean][]) {
    const decision = await decided(t, files)
    const { plan } = decision as { plan: Plan }
    t.same({ state: plan.state, tmp: plan.tmp, isSaid: warned(decision) }, { state, tmp, isSaid }, name)
  }
})

t.test('what was enabled on the stacked machine is mounted by its unit, and is no state', async (t) => {
  const kept = 'var/lib/hostext/etc/upper/systemd/system'
  const enabled = (name: string): Tree => ({
    [`${kept}/${name}.mount`]: `[Mount]\nWhat=/dev/vdb\nWhere=/${name}\n`,
    [`${kept}/local-fs.target.wants/${name}.mount`]: `-> /etc/systemd/system/${name}.mount`,
  })
  const writable = { 'etc/fstab': '/dev/vda1 / ext4 rw\n', 'srv/x': '', 'home/x': '' }
  const stateOf = async (files: Tree, engine?: string) => {
    const decision = await decided(t, { ...writable, ...files }, engine)
    const said = decision.messages.flatMap(({ text }) => /^\/etc\/(\S+) is changed in /.exec(text)?.[1] ?? [])
    return [...(decision as { plan: Plan }).plan.state, ...said]
  }
  t.same(await stateOf(enabled('srv')), ['/var', '/home'])
  const file = { [`${kept}/srv.mount`]: '[Mount]\nWhat=/dev/vdb\n' }
  const said = 'systemd/system/srv.mount'
  t.same(await stateOf(file), ['/var', '/home', '/srv', said], 'not enabled')
  const var_ = enabled('var')
  t.same(
    await stateOf(var_),
    ['/var', '/home', '/srv', 'systemd/system/var.mount'],
    'it would hide the changes by which it is there',
  )
  const data = { ...enabled('srv'), 'etc/hostext.conf': '[Engine]\nDataRoot=/srv/docker\n', 'var/lib/x': '' }
  t.same(await stateOf(data, 'srv/docker'), ['/var', '/home', '/srv', said], "or the engine's data")
  const swap = { 'etc/fstab': '/dev/vda1 / ext4 rw\n/srv/swap none swap\n', 'srv/swap': '' }
  t.same(await stateOf({ ...enabled('srv'), ...swap }), ['/var', '/home', '/srv', said], 'or a swap file')
  const snap = enabled('snap-core22-1380')
  t.same(await stateOf(snap), ['/var', '/home', '/srv'], 'nothing depends on what is mounted elsewhere')
  t.same(await stateOf(enabled('mnt-data')), ['/var', '/home', '/srv', 'systemd/system/mnt-data.mount'])
})

t.test('copied state is written to local disks, and nothing is mounted for that', async (t) => {
  const copied = async (home: string) => {
    const fstab = `/dev/vda1 / ext4 rw\n${home}\n`
    const decision = await decided(t, { 'etc/fstab': fstab, 'home/x': '' })
    return (decision as { plan: Plan }).plan.copied
  }
  t.same(await copied('/dev/vdb /home ext4'), ['/home', '/var'])
  t.same(await copied('/dev/vdb /home ext4 x-systemd.automount'), ['/var'])
  t.same(await copied('box:/home /home nfs'), ['/var'])
})

t.test('what links lead to stays writable', async (t) => {
  const decision = await decided(t, {
    'etc/fstab': `/dev/vda1 / ext4 rw
/linked/x /mnt/x none bind
/swap none swap
overlay /opt/app overlay lowerdir=/opt/app,upperdir=/linked/o/upper,workdir=/linked/o/work
`,
    ...{ linked: '-> data', 'data/x/y': '', 'data/o/upper/x': '', 'data/o/work/x': '', 'opt/app/x': '' },
    ...{ swap: '-> swap.real', 'swap.real': '', 'usr/lib/hostext/base/x': '' },
  })
  t.match(decision, {
    plan: {
      state: ['/var', '/data/o', '/data/x', '/swap.real'],
      swapFiles: ['/swap.real', '/swap'],
      overlays: [{ mount: { mountPoint: '/opt/app' } }],
    },
  })
})

t.test('images of systemd that cannot be merged over two overlays are named', async (t) => {
  const unit = 'systemd-sysext.service'
  const files = {
    [`etc/systemd/system/sysinit.target.wants/${unit}`]: `-> ../${unit}`,
    'etc/extensions/tool.raw': '',
  }
  const text = `${unit} will fail, and its images are missing: the root is two overlays deep`
  const said = async (files: Tree, engine?: string) =>
    (await decided(t, files, engine)).messages.filter((message) => message.text === text)
  t.same(await said(files), [{ level: 'warning', text }])
  const mounted = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/data rw shared:5 - ext4 /dev/vda3 rw\n`
  const bound = { ...files, 'proc/self/mountinfo': mounted, 'mnt/data/remove_me_to_reset': '' }
  const link = { ...bound, 'var/lib/docker': '-> /mnt/data/engine' }
  t.same(await said(link, 'mnt/data/engine'), [], 'over one overlay they can')
})

t.test('a mount that no unit can name is named, and not carried over', async (t) => {
  const mountinfo = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/x\\040 rw shared:5 - ext4 /dev/vda3 rw\n`
  const decision = await decided(t, { 'proc/self/mountinfo': mountinfo })
  t.match(decision, { plan: { carried: { length: 0 } } })
  const [line] = decision.messages.filter(({ text }) => text.includes('/mnt/x'))
  t.same(line, { level: 'warning', text: '/mnt/x  is not carried over: no unit can name it' })
})

t.test('SELinux that enforces its policy is named, as it may refuse what extensions bring', async (t) => {
  const mounted = '23 22 0:21 / /sys/fs/selinux rw - selinuxfs selinuxfs rw\n'
  const warnings = async (setting: string, mounts = mounted) => {
    const { messages } = await decided(t, {
      'proc/self/mountinfo': `${MACHINE['proc/self/mountinfo']}${mounts}`,
      'etc/selinux/config': `# SELINUX=enforcing\nSELINUX=${setting}\nSELINUXTYPE=targeted\n`,
    })
    return messages.filter(({ text }) => text.startsWith('SELinux is set to enforcing: '))
  }
  t.match(await warnings('enforcing'), [{ level: 'warning' }])
  t.same(await warnings('permissive'), [])
  t.same(await warnings('enforcing', ''), [], 'turned off, or not in the kernel')
})

t.test('an /etc that fstab has the initrd mount is there when PID 1 reads its units', async (t) => {
  const bind = '26 22 254:1 /etc /etc rw shared:5 - ext4 /dev/vda1 rw\n'
  const files = {
    'etc/fstab': '/dev/vda1 / ext4 ro=vfs 0 0\n/etc /etc none bind,x-initrd.mount 0 0\n',
    'proc/self/mountinfo': MACHINE['proc/self/mountinfo'] + bind,
  }
  t.match(await decided(t, files), {
    plan: { fromInitrd: ['/etc'], carried: { length: 0 }, etc: { mode: 'mounted' }, state: { length: 0 } },
  })
})

/** A root that can be written to, as most are. */
const WRITABLE = { 'etc/fstab': '/dev/vda1 / ext4 noatime,rw 0 1\n' }

t.test('images that are not prepared: a step of the boot, once', async (t) => {
  const root = machine(t, WRITABLE)
  t.match(readAndDecide(root, {}, 'this').decision, {
    wait: {
      paths: ['/var/lib/docker'],
      mounting: false,
      preparing: ['many-layers', 'override', 'one-layer', 'additive'],
      remount: { options: 'remount,noatime,rw', check: true },
      timeout: 60,
    },
  })
  writeTree(root.prefix, { 'run/hostext/collected': '' })
  const { decision } = readAndDecide(root, {}, 'this')
  t.match(decision, { plain: 'every extension is left out' })
  t.same(
    decision.messages.map(({ text }) => text.replace(/ \(.*?\)/, '')),
    ['many-layers', 'override', 'one-layer', 'additive'].map(
      (name) => `left out: ${name}: it is not prepared: the preparation did not end`,
    ),
  )
  const { id } = find(join(root.prefix, 'var/lib/docker'), 'one-layer')
  writeTree(root.prefix, {
    'run/hostext/unprepared': `{"id":"${id}","why":"no space left on device"}\nx\n{"id":1}\n{"id":"${id.slice(1)}","why":"x"}\n`,
  })
  const texts = readAndDecide(root, {}, 'this').decision.messages.map(({ text }) => text)
  t.equal(texts.filter((text) => text.endsWith('it is not prepared: no space left on device')).length, 1)
  t.equal(texts.filter((text) => text.endsWith('the preparation did not end')).length, 3)
})

t.test('data on a file system of its own is prepared without the root', async (t) => {
  const mounted = (options: string) =>
    `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /data ${options} shared:5 - ext4 /dev/vda3 ${options}\n`
  const files = { 'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n' }
  const own = machine(t, { ...files, 'proc/self/mountinfo': mounted('rw') }, 'data/docker')
  t.match(readAndDecide(own, {}, 'this').decision, {
    wait: { mounting: false, remount: undefined, preparing: { length: 4 } },
  })
  await prepare(own, {}, false)
  t.match(readAndDecide(own, {}, 'this').decision, { plan: { extensions: { length: 4 }, bound: true } })
  const closed = machine(t, { ...files, 'proc/self/mountinfo': mounted('ro') }, 'data/docker')
  const { decision } = readAndDecide(closed, {}, 'this')
  t.match(decision, { plain: 'every extension is left out' })
  for (const { text } of decision.messages)
    t.match(text, /it is not prepared: the file system of \/data, which has the engine's data, is read-only$/)
})

t.test('a read-only root: what is not prepared is left out at once', async (t) => {
  const root = machine(t, {})
  const { decision } = readAndDecide(root, {}, 'this')
  t.match(decision, { plain: 'every extension is left out' })
  t.match(decision.messages[0]?.text, /the file system of \/, which has the engine's data, is read-only$/)
  await prepare(root, {}, false)
  t.match(readAndDecide(root, {}, 'this').decision, { plan: { extensions: { length: 4 }, bound: false } })
})

t.test('rather the last good stack than a part of a new one', async (t) => {
  const root = machine(t, WRITABLE)
  const trees = join(root.prefix, 'var/lib/docker/hostext/trees')
  await prepare(root, {}, false)
  const plan = () => {
    const { decision } = readAndDecide(root, {}, 'this')
    return {
      decision,
      names: 'plan' in decision ? decision.plan.extensions.map(({ container }) => container.name) : [],
    }
  }
  const { decision } = readAndDecide(root, {}, 'this')
  if (!('plan' in decision) || decision.plan.safety.kind !== 'trial') throw new Error('no trial')
  const [head, ...lines] = decision.plan.safety.trial.record.trimEnd().split('\n')
  t.match(head, /^\{"above":3,"extensions":4,"base":/)
  // The last good stack has two of them. One of the others cannot be prepared.
  const two = head?.replace('"above":3,"extensions":4', '"above":2,"extensions":2')
  const good = [two, lines[0], lines[2], ''].join('\n')
  writeTree(root.prefix, { 'var/lib/docker/hostext/good': good, 'run/hostext/collected': '' })
  const many = readdirSync(trees).find((name) => lines[1]?.includes(name)) as string
  rmSync(join(trees, many), { recursive: true })
  t.same(plan().names, ['override', 'one-layer'])
  const { messages, ...rest } = plan().decision
  t.match(rest, {
    plan: {
      safety: { kind: 'restored', line: /^not everything could be prepared: booting the last good stack/ },
    },
  })
  t.same(
    messages.map(({ level, text }) => `${level}: ${text.replace(/ \(.*?\)/, '')}`),
    [
      'warning: left out: many-layers: it is not prepared: the preparation did not end',
      'warning: left out: additive: the last good stack does not have it',
      'error: not everything could be prepared: booting the last good stack',
    ],
  )
  // The part that is left is the last good stack itself.
  rmSync(join(trees, readdirSync(trees).find((name) => lines[3]?.includes(name)) as string), {
    recursive: true,
  })
  t.same(plan().names, ['override', 'one-layer'])
  t.match(plan().decision, { plan: { safety: { kind: 'known' } } })
  // It is gone, too.
  rmSync(join(trees, readdirSync(trees).find((name) => lines[0]?.includes(name)) as string), {
    recursive: true,
  })
  t.same(plan().names, ['one-layer'], 'a part is better than nothing')
  t.match(plan().decision, { plan: { safety: { kind: 'trial' } } })
})

t.test("the engine's settings are those of the persistent /etc in which it will run", async (t) => {
  const upper = 'var/lib/hostext/etc/upper'
  const root = machine(t, WRITABLE, 'srv/engine')
  const places = () => {
    const decision = readAndDecide(root, {}, 'this')
    return decision.facts.dataRoots.places.map(({ path }) => path)
  }
  t.notOk(places().includes('/srv/engine'))
  writeTree(root.prefix, { [`${upper}/docker/daemon.json`]: '{ "data-root": "/srv/engine" }' })
  t.equal(places()[0], '/srv/engine', '/etc/docker is only there')
  t.equal(readAndDecide(root, {}, 'this').facts.engines?.length, 1)
  rmSync(join(root.prefix, upper, 'docker'), { recursive: true })
  const dropIn = 'systemd/system/docker.service.d/x.conf'
  writeTree(root.prefix, {
    'usr/lib/systemd/system/docker.service': '[Service]\nExecStart=dockerd\n',
    'etc/systemd/system/docker.service.d/a.conf': '[Service]\nExecStart=dockerd --data-root /a\n',
    [`${upper}/${dropIn}`]: '[Service]\nExecStart=dockerd --data-root /srv/engine\n',
  })
  t.equal(places()[0], '/srv/engine', 'the drop-ins of both')
  writeTree(root.prefix, { 'etc/hostext.conf': '[Root]\nEtc=volatile\n' })
  t.equal(places()[0], '/a', 'what is left of an earlier setting does not count')
})

const HOSTEXT = 'var/lib/docker/hostext'

/** A machine whose images are prepared, and the record of its stack. */
async function recorded(t: Test, files: Tree = WRITABLE): Promise<{ root: Root; record: Recorded }> {
  const root = machine(t, files)
  await prepare(root, {}, false)
  const { decision } = readAndDecide(root, {}, 'this')
  if (!('plan' in decision) || decision.plan.safety.kind !== 'trial') throw new Error('no trial')
  return { root, record: parseStack(decision.plan.safety.trial.record) as Recorded }
}
/** The same record of another kernel. */
const elsewhere = (record: Recorded): Recorded => ({ ...record, base: { ...record.base, kernel: 'before' } })
/** The record without the uppermost extension, `override`. */
const lower = ({ above, extensions, base }: Recorded): Recorded => ({
  above: above - 1,
  extensions: extensions.slice(1),
  base,
})
const texts = ({ messages }: Decision) => messages.map(({ text }) => text)

t.test(
  'an extension is left out on request: a stack of its own, whose mark leaves the good one',
  async (t) => {
    const { root, record } = await recorded(t)
    writeTree(root.prefix, {
      [`${HOSTEXT}/good`]: stackText(record),
      'proc/cmdline': 'ro hostext.skip=override,gpu\n',
    })
    const { decision } = readAndDecide(root, {}, 'this')
    t.same(texts(decision), [
      'hostext.skip= on the kernel command line: no extension has the name gpu',
      `left out: override (override:1, ${record.extensions[0]?.id.slice(0, 12)}): hostext.skip= on the kernel command line`,
      'on trial: boot 1 of 2; this stack has not booted well yet',
    ])
    t.match(decision, {
      plan: { safety: { trial: { name: 'reduced', marks: [['reduced.1', 'reduced']] } } },
    })
    writeTree(root.prefix, { [`${HOSTEXT}/reduced`]: stackText(lower(record)) })
    t.match(readAndDecide(root, {}, 'this').decision, {
      plan: { extensions: { length: 3 }, safety: { kind: 'known' } },
    })
    writeTree(root.prefix, { 'proc/cmdline': 'ro\n' })
    t.match(readAndDecide(root, {}, 'this').decision, {
      plan: { extensions: { length: 4 }, safety: { kind: 'known' } },
    })
  },
)

t.test('what is left out on request does not come back by a rollback', async (t) => {
  const { root, record } = await recorded(t)
  writeTree(root.prefix, {
    [`${HOSTEXT}/good`]: stackText(record),
    [`${HOSTEXT}/reduced.2`]: stackText(lower(record)),
    'proc/cmdline': 'ro hostext.skip=override\n',
  })
  const { decision } = readAndDecide(root, {}, 'this')
  t.match(decision, { plain: 'rolled back' })
  t.match(
    texts(decision)[1],
    'the last good stack cannot be booted: it has override: hostext.skip= on the kernel command line',
  )
})

t.test('all of them left out on request: a plain root, and nothing is waited for', async (t) => {
  const root = machine(t, WRITABLE)
  writeTree(root.prefix, {
    'etc/hostext.conf': '[Stack]\nSkip=override many-layers,one-layer\nSkip=additive\n',
  })
  const { decision } = readAndDecide(root, {}, 'this')
  t.match(decision, { plain: 'every extension is left out' })
  t.equal(texts(decision).filter((text) => text.endsWith(': Skip= in hostext.conf')).length, 4)
  const { lines } = await prepare(root, {}, false)
  t.equal(
    lines.filter((line) => /^left out: .*: Skip= in hostext\.conf$/.test(line)).length,
    4,
    'nor prepared',
  )
  t.equal(lines.length, 4)
})

t.test('a stack that is bad on a new base ends on the plain root, whatever was good before it', async (t) => {
  const { root, record } = await recorded(t)
  writeTree(root.prefix, {
    [`${HOSTEXT}/good`]: stackText(elsewhere(record)),
    [`${HOSTEXT}/previous`]: stackText(elsewhere(lower(record))),
    [`${HOSTEXT}/trial.2`]: stackText(record),
  })
  const { decision } = readAndDecide(root, {}, 'this')
  t.match(decision, {
    plain: 'rolled back',
    rolledBack: { line: /^rolled back: the kernel changed, and the stack did not: / },
  })
  t.notMatch(
    texts(decision).join('\n'),
    /override|many-layers|one-layer|additive/,
    'no finger at an extension',
  )
  // Unless another one is good on this very base.
  writeTree(root.prefix, { [`${HOSTEXT}/other`]: stackText(lower(record)) })
  t.match(readAndDecide(root, {}, 'this').decision, {
    plan: {
      extensions: { length: 3 },
      safety: { kind: 'restored', line: /^rolled back: the kernel changed/ },
    },
  })
})

t.test(
  'base and stack are new, and bad: the last good stack is tried, and then the plain root is left',
  async (t) => {
    const { root, record } = await recorded(t)
    writeTree(root.prefix, {
      [`${HOSTEXT}/good`]: stackText(elsewhere(lower(record))),
      [`${HOSTEXT}/trial.2`]: stackText(record),
    })
    const tried = readAndDecide(root, {}, 'this').decision
    t.match(tried, {
      plan: {
        extensions: { length: 3 },
        safety: {
          kind: 'restored',
          line: /^rolled back: override: did not boot well in 2 boots; .*; booting the last good stack$/,
          trial: {
            name: 'back',
            attempt: 1,
            marks: [
              ['good', 'other'],
              ['back.1', 'good'],
            ],
          },
        },
      },
    })
    writeTree(root.prefix, { [`${HOSTEXT}/back.2`]: stackText(lower(record)) })
    const { decision } = readAndDecide(root, {}, 'this')
    t.match(decision, {
      plain: 'rolled back',
      rolledBack: { line: /^rolled back: override: .*; booting the plain root$/ },
    })
    t.match(
      texts(decision)[0],
      'the last good stack cannot be booted: it booted well with kernel before; now kernel without a name: did not boot well in 2 boots',
    )
    // When the last good stack is marked on this base, it is what the machine goes back to, without a trial.
    writeTree(root.prefix, { [`${HOSTEXT}/good`]: stackText(lower(record)) })
    const marked = readAndDecide(root, {}, 'this').decision
    if (!('plan' in marked)) throw new Error('plain')
    t.strictSame(Object.keys(marked.plan.safety), ['kind', 'line', 'culprits'])
  },
)

/** Has all trees be made by a version of hostext with other rules. `more`: how much higher they are. */
function ruledBy(root: Root, more: number): void {
  for (const name of readdirSync(join(root.prefix, HOSTEXT, 'trees'))) {
    const file = join(root.prefix, HOSTEXT, 'trees', name, 'facts')
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), rules: RULES + more }))
  }
}

t.test(
  'nothing can be prepared by new rules: the last good stack is tried, as older rules made it',
  async (t) => {
    const { root, record } = await recorded(t)
    const updated = { ...record, base: { ...record.base, hostext: 'before' } }
    writeTree(root.prefix, {
      [`${HOSTEXT}/good`]: stackText(updated),
      'run/hostext/collected': '',
      'etc/os-release': 'ID=os\nVERSION_ID=2\n',
    })
    ruledBy(root, -1)
    const full = readAndDecide(root, {}, 'this').decision
    t.match(full, {
      plan: {
        extensions: { length: 4 },
        safety: {
          kind: 'restored',
          line: 'not everything could be prepared: booting the last good stack',
          trial: { name: 'back', attempt: 1, record: /^.*"hostext":"(?!before)/ },
        },
      },
    })
    const mount = '23 22 254:2 / /var/lib/docker ro shared:2 - ext4 /dev/vdb1 ro\n'
    writeTree(root.prefix, { 'proc/self/mountinfo': MACHINE['proc/self/mountinfo'] + mount })
    const closed = readAndDecide(root, {}, 'this').decision
    t.match(closed, { plan: { extensions: { length: 4 } } })
    if (!('plan' in closed)) throw new Error('plain')
    t.strictSame(
      Object.keys(closed.plan.safety),
      ['kind', 'line', 'culprits'],
      'as any stack without rollback',
    )
    t.match(texts(closed).at(-1), /^rollback is off: /)
    ruledBy(root, 1)
    const newer = readAndDecide(root, {}, 'this').decision
    t.match(newer, { plain: 'every extension is left out' })
    t.match(
      texts(newer).at(-1),
      /^the last good stack cannot be booted: override was prepared for another base root: the rules of images have changed/,
    )
  },
)
