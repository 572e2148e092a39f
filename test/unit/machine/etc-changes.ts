import t from 'tap'
import { readEtcChanges, withChanges } from '../../../src/machine/etc-changes.js'
import { makeTree, type Tree } from '../../support/tree.js'

const STATE = ['/var', '/home', '/root', '/srv']

const read = (...files: string[]) => {
  const tree = Object.fromEntries(files.map((file) => [`var/lib/hostext/etc/upper/${file}`, '']))
  return readEtcChanges({ prefix: makeTree(t, tree) }, false, STATE)
}

t.test('nothing is kept', async (t) => {
  const nothing = { kept: false, machineId: false, masksTmp: false, indexes: [], shadowed: [], units: [] }
  t.same(read(), nothing)
  t.same(read('passwd', 'udev/rules.d/x', 'systemd/system/x.service'), { ...nothing, kept: true })
})

t.test('the settings of the engine are read with them', async (t) => {
  const prefix = makeTree(t, { 'var/lib/hostext/etc/upper/x': '' })
  const changes = readEtcChanges({ prefix }, false, STATE)
  t.same(withChanges({ prefix }, changes), { prefix, changes: `${prefix}/var/lib/hostext/etc/upper` })
  t.same(withChanges({ prefix }, { ...changes, kept: false }), { prefix })
  t.same(withChanges({ prefix }, undefined), { prefix })
})

t.test('kept changes that an index has to know', async (t) => {
  t.same(read('ld.so.cache', 'udev/hwdb.bin').indexes, [], 'services of the system write these')
  t.same(read('ld.so.conf.d/x.conf', 'udev/hwdb.d/x.hwdb').indexes, ['libraries', 'hardware'])
})

t.test('kept changes that stacking does not see, and the machine ID', async (t) => {
  const files = ['fstab', 'crypttab', 'hostext.conf.d/x.conf', 'hostext.conf.d/a.conf', 'passwd']
  t.match(read(...files, 'machine-id'), {
    kept: true,
    machineId: true,
    shadowed: ['fstab', 'crypttab', 'hostext.conf.d/a.conf', 'hostext.conf.d/x.conf'],
  })
})

t.test('kept changes of units that mount something', async (t) => {
  const upper = 'var/lib/hostext/etc/upper/systemd/system'
  const link = (name: string, to: string) => ({ [`${upper}/${name}`]: `-> ${to}` })
  const units = (files: Tree) => readEtcChanges({ prefix: makeTree(t, files) }, false, STATE).units
  const mount = '[Mount]\nWhat=/dev/sdb\n'
  t.same(
    units({
      [`${upper}/srv.mount`]: mount,
      ...link('local-fs.target.wants/srv.mount', '../srv.mount'),
      [`${upper}/data.mount`]: mount,
      [`${upper}/swapfile.swap`]: '',
      [`${upper}/var.mount.d/x.conf`]: '',
      ...link('opt.mount', '/dev/null'),
      ...link('local-fs.target.wants/opt.mount', '../opt.mount'),
    }).map(({ file, place, isMounted }) => `${file} ${isMounted ? place : '-'}`),
    [
      'systemd/system/data.mount -',
      'systemd/system/opt.mount -',
      'systemd/system/srv.mount /srv',
      'systemd/system/swapfile.swap -',
      'systemd/system/var.mount.d -',
    ],
    'only what is started, and not masked, mounts something',
  )
  t.same(
    units({
      'etc/systemd/system/home.mount': mount,
      ...link('local-fs.target.wants/home.automount', '/etc/systemd/system/home.automount'),
      ...link('local-fs.target.wants/gone.mount', '/etc/systemd/system/gone.mount'),
      ...link('dev-hugepages.mount', '/dev/null'),
      ...link('tmp.mount', '/dev/null'),
    }),
    [
      { file: 'systemd/system/local-fs.target.wants/gone.mount', place: '/gone', isMounted: false },
      { file: 'systemd/system/local-fs.target.wants/home.automount', place: '/home', isMounted: true },
    ],
    'a unit of the base root that is enabled there; nothing of the kernel, and not what counts',
  )
  for (const [text, target] of [
    [`[Unit]\nConditionPathExists=/key\n${mount}`, 'local-fs.target'],
    [mount, 'nas.target'],
  ])
    t.same(
      units({ [`${upper}/srv.mount`]: text ?? '', ...link(`${target}.wants/srv.mount`, '../srv.mount') }),
      [{ file: 'systemd/system/srv.mount', place: '/srv', isMounted: false }],
      'it may never be mounted',
    )
})

t.test('a mask of tmp.mount counts wherever it is', async (t) => {
  const upper = 'var/lib/hostext/etc/upper'
  const masks = (files: Tree, hasTmp = false) =>
    readEtcChanges({ prefix: makeTree(t, { [`${upper}/x`]: '', ...files }) }, hasTmp, STATE).masksTmp
  const mask = (directory: string): Tree => ({ [`${directory}/systemd/system/tmp.mount`]: '-> /dev/null' })
  t.notOk(masks({ 'etc/systemd/system/tmp.mount': '[Mount]\n' }))
  t.ok(masks(mask(upper)))
  t.ok(masks(mask(upper), true))
  t.ok(masks(mask('etc')))
  t.ok(masks({ 'etc/systemd/system/tmp.mount': '' }), 'an empty file: systemd.unit(5)')
  t.notOk(masks({ ...mask('etc'), [`${upper}/systemd/system/tmp.mount`]: '[Mount]\n' }), 'and unmasked')
  t.ok(masks(mask('usr/lib')))
  t.notOk(masks(mask('usr/lib'), true), 'fstab comes before that')
  t.notOk(masks(mask('run')), 'which is for one boot only')
})
