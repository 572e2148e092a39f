import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { prepare } from '../../../src/commands/prepare.js'
import type { Root } from '../../../src/machine/files.js'
import { readAndDecide } from '../../../src/read.js'
import type { Decision } from '../../../src/stack/plan.js'
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
async function decided(t: Test, files: Tree, engine?: string): Promise<Decision> {
  const root = machine(t, files, engine)
  await prepare(root, {}, false)
  return readAndDecide(root, {}).decision
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

t.test('data waits for a file system, however fstab spells its mount point', async (t) => {
  for (const path of ['/var', '//var', '/var/', '/./var', '/var/.'])
    t.match(
      await decided(t, { 'etc/fstab': `LABEL=data ${path} ext4\n` }),
      { wait: { paths: ['/var'] } },
      path,
    )
})

t.test('what fstab mounts only when it is asked is not waited for', async (t) => {
  t.match(await decided(t, { 'etc/fstab': 'LABEL=data /var ext4 noauto\n' }), { plan: { collected: false } })
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
  t.match(await decided(t, fstab('rw')), wait('/var', '/var/lib/hostext/etc'))
  t.match(await decided(t, fstab('ro')), wait('/var'))
  const other = {
    'etc/fstab': '/dev/vda1 / ext4 rw\nLABEL=data /var/lib/hostext ext4\n',
    'var/lib/docker/x': '',
  }
  t.match(await decided(t, other), wait('/var/lib/hostext/etc'))
})

t.test('a mount that no unit can name is named, and not carried over', async (t) => {
  const mountinfo = `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /mnt/x\\040 rw shared:5 - ext4 /dev/vda3 rw\n`
  const decision = await decided(t, { 'proc/self/mountinfo': mountinfo })
  t.match(decision, { plan: { carried: { length: 0 } } })
  const [line] = decision.messages.filter(({ text }) => text.includes('/mnt/x'))
  t.same(line, { level: 'warning', text: '/mnt/x  is not carried over: no unit can name it' })
})

/** A root that can be written to, as most are. */
const WRITABLE = { 'etc/fstab': '/dev/vda1 / ext4 noatime,rw 0 1\n' }

t.test('images that are not prepared: a step of the boot, once', async (t) => {
  const root = machine(t, WRITABLE)
  t.match(readAndDecide(root, {}).decision, {
    wait: {
      paths: ['/var/lib/docker'],
      mounting: false,
      preparing: ['many-layers', 'override', 'one-layer', 'additive'],
      remount: { options: 'remount,noatime,rw', check: true },
      timeout: 60,
    },
  })
  writeTree(root.prefix, { 'run/hostext/collected': '' })
  const { decision } = readAndDecide(root, {})
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
  const texts = readAndDecide(root, {}).decision.messages.map(({ text }) => text)
  t.equal(texts.filter((text) => text.endsWith('it is not prepared: no space left on device')).length, 1)
  t.equal(texts.filter((text) => text.endsWith('the preparation did not end')).length, 3)
})

t.test('data on a file system of its own is prepared without the root', async (t) => {
  const mounted = (options: string) =>
    `${MACHINE['proc/self/mountinfo']}26 22 254:3 / /data ${options} shared:5 - ext4 /dev/vda3 ${options}\n`
  const files = { 'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n' }
  const own = machine(t, { ...files, 'proc/self/mountinfo': mounted('rw') }, 'data/docker')
  t.match(readAndDecide(own, {}).decision, {
    wait: { mounting: false, remount: undefined, preparing: { length: 4 } },
  })
  await prepare(own, {}, false)
  t.match(readAndDecide(own, {}).decision, { plan: { extensions: { length: 4 }, bound: true } })
  const closed = machine(t, { ...files, 'proc/self/mountinfo': mounted('ro') }, 'data/docker')
  const { decision } = readAndDecide(closed, {})
  t.match(decision, { plain: 'every extension is left out' })
  for (const { text } of decision.messages)
    t.match(text, /it is not prepared: the file system of \/data, which has the engine's data, is read-only$/)
})

t.test('a read-only root: what is not prepared is left out at once', async (t) => {
  const root = machine(t, {})
  const { decision } = readAndDecide(root, {})
  t.match(decision, { plain: 'every extension is left out' })
  t.match(decision.messages[0]?.text, /the file system of \/, which has the engine's data, is read-only$/)
  await prepare(root, {}, false)
  t.match(readAndDecide(root, {}).decision, { plan: { extensions: { length: 4 }, bound: false } })
})

t.test('rather the last good stack than a part of a new one', async (t) => {
  const root = machine(t, WRITABLE)
  const trees = join(root.prefix, 'var/lib/docker/hostext/trees')
  await prepare(root, {}, false)
  const plan = () => {
    const { decision } = readAndDecide(root, {})
    return {
      decision,
      names: 'plan' in decision ? decision.plan.extensions.map(({ container }) => container.name) : [],
    }
  }
  const { decision } = readAndDecide(root, {})
  if (!('plan' in decision) || decision.plan.safety.kind !== 'trial') throw new Error('no trial')
  const [head, ...lines] = decision.plan.safety.trial.record.trimEnd().split('\n')
  t.equal(head, '{"above":3,"extensions":4}')
  // The last good stack has two of them. One of the others cannot be prepared.
  const good = ['{"above":2,"extensions":2}', lines[0], lines[2], ''].join('\n')
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
