import t from 'tap'
import { lockedUnits } from '../../../src/units/locked.js'
import { makeExtension, makePlan, textOf } from '../../support/plan.js'

const units = (change = {}) => lockedUnits(makePlan(change))
const REMOUNT = 'normal/systemd-remount-fs.service.d/50-hostext.conf'

t.test('the lock and the extensions are named', async (t) => {
  t.match(
    textOf(units(), 'normal/-.mount.d/50-hostext.conf'),
    'locked by hostext (read-only until shutdown), with one, two\n',
  )
  const many = Array.from({ length: 499 }, (_, index) => makeExtension(`${'long%'.repeat(50)}${index}`))
  const text = textOf(units({ extensions: many }), 'normal/-.mount.d/50-hostext.conf')
  t.match(text, / and 491 more\n/)
  t.match(text, 'long%%long%%')
  t.match(textOf(units(), 'normal/hostext.target'), '\nWants=hostext-layers.service run-hostext-1.mount\n')
})

t.test('what fstab says of the root goes to the state', async (t) => {
  const text = textOf(
    units({ rootOptions: ['ro', 'noatime', 'x$y'], state: ['/var', '/my data'], remount: ['/proc'] }),
    REMOUNT,
  )
  t.match(
    text,
    `ExecStart=
ExecStart=/usr/lib/hostext/remount remount,noatime,x$$y,rw /var "/my data" -- /proc
`,
  )
})

t.test('nothing to remount: systemd-remount-fs is passed over', async (t) => {
  const files = units({ state: [] })
  t.match(textOf(files, REMOUNT), '\nConditionPathExists=!/run/hostext\n')
  t.throws(() => textOf(files, 'normal/local-fs.target.wants/systemd-remount-fs.service'), /^no /)
})

t.test('a file system that is to grow does so through the state', async (t) => {
  // systemd 252 has the root among all others where fstab asks for it.
  for (const unit of ['systemd-growfs-root.service', 'systemd-growfs@-.service']) {
    const path = `normal/${unit}.d/50-hostext.conf`
    t.match(textOf(units(), path), '\nExecStart=/usr/lib/systemd/systemd-growfs /var\n')
    t.match(textOf(units({ state: [] }), path), 'ConditionPathExists=!/run/hostext')
  }
})

t.test('the file system of the root is trimmed through the state', async (t) => {
  const path = 'normal/fstrim.service.d/50-hostext.conf'
  const swap = { state: ['/swapfile', '/srv/100% mine'], swapFiles: ['/swapfile'] }
  const command = '\n[Service]\nExecStartPost=-fstrim --quiet-unsupported'
  t.match(textOf(units(), path), `${command} /var\n`, 'in addition to its own command')
  t.match(textOf(units(swap), path), `${command} "/srv/100%% mine"\n`)
  t.throws(() => textOf(units({ ...swap, state: ['/swapfile'] }), path), /^no /)
  t.throws(() => textOf(units({ state: [] }), path), /^no /, 'nothing of it is writable')
})

t.test('a /tmp of last resort', async (t) => {
  t.match(
    textOf(units({ tmp: true }), 'late/tmp.mount'),
    '\nOptions=mode=1777,strictatime,nosuid,nodev,size=50%%,nr_inodes=1m\n',
  )
  t.throws(() => textOf(units({ tmp: false }), 'late/tmp.mount'), /^no /)
})

t.test('state stays mounted until the end', async (t) => {
  t.match(
    textOf(units({ state: ['/srv/my-data'] }), 'normal/srv-my\\x2ddata.mount'),
    '\nDefaultDependencies=no\n',
  )
})

t.test('the data stays mounted until the end, too, and its check does not take it along', async (t) => {
  const files = units({ dataMounts: ['/mnt/data'], checkedDevices: ['/dev/disk/by-label/data'] })
  t.match(textOf(files, 'normal/mnt-data.mount.d/50-hostext.conf'), '\nDefaultDependencies=no\n')
  const check = textOf(files, 'normal/systemd-fsck@dev-disk-by\\x2dlabel-data.service')
  t.match(check, '\nDefaultDependencies=no\n')
  t.match(check, '\nSlice=system.slice\n')
})

t.test('layers that need the network do not hold up local-fs.target, which comes before it', async (t) => {
  t.match(textOf(units(), 'normal/hostext.target'), '\nBefore=local-fs.target\n')
  const files = units({ dataMounts: ['/data'], online: ['/data'] })
  t.notMatch(textOf(files, 'normal/hostext.target'), '\nBefore=')
  const kept = textOf(files, 'normal/data.mount.d/50-hostext.conf')
  t.match(kept, '\nDefaultDependencies=no\n', 'but what they are on stays to the end')
  t.match(kept, /\nAfter=.*network-online\.target\nBefore=remote-fs\.target\n$/)
})

t.test('what the initrd has mounted stays by a unit of its own, not by a drop-in', async (t) => {
  const files = units({ dataMounts: ['/data', '/var'], carried: ['/var'] })
  t.match(textOf(files, 'normal/var.mount'), /\nDefaultDependencies=no\n(.*\n)*What=\/var\nWhere=\/var\n/)
  t.throws(() => textOf(files, 'normal/var.mount.d/50-hostext.conf'), /^no /)
  t.throws(() => textOf(files, 'normal/data.mount'), /^no /)
})

t.test('state has one unit, and what the machine stacks itself a drop-in more', async (t) => {
  const mount = { source: 'overlay', mountPoint: '/data', type: 'overlay', passno: 0, options: [], from: '' }
  const overlays = [{ mount, lower: [], options: [] }]
  const files = units({ state: ['/var'], dataMounts: ['/data', '/var'], overlays })
  t.match(textOf(files, 'normal/var.mount'), '\nDefaultDependencies=no\n')
  t.throws(() => textOf(files, 'normal/var.mount.d/50-hostext.conf'), /^no /)
  t.match(textOf(files, 'normal/data.mount.d/50-hostext.conf'), '\nOptions=')
  t.match(textOf(files, 'normal/data.mount.d/51-hostext.conf'), '\nDefaultDependencies=no\n')
})

t.test('/etc and /usr say what they are', async (t) => {
  const files = units({ etc: { mode: 'volatile' }, separateUsr: { hasUnit: false } })
  t.match(textOf(files, 'normal/etc.mount'), '\nDescription=/etc with host extensions, volatile\n')
  t.match(textOf(files, 'normal/etc.mount'), '\nDefaultDependencies=no\n')
  t.match(textOf(files, 'normal/usr.mount'), '\nWhat=hostext-usr\n')
  const inFstab = units({ separateUsr: { hasUnit: true } })
  t.match(textOf(inFstab, 'normal/usr.mount.d/50-hostext.conf'), '\nDescription=/usr with host extensions\n')
  t.throws(() => textOf(inFstab, 'normal/usr.mount'), /^no /, 'fstab has the unit')
  t.throws(() => textOf(inFstab, 'normal/etc.mount'), /^no /)
})

t.test(
  'users are made if extensions ship some, and indexes are left alone if the root is up to date',
  async (t) => {
    const path = (unit: string) => `normal/${unit}.service.d/50-hostext.conf`
    const ships = units({ sysusers: true, etc: { mode: 'volatile' }, upToDate: true })
    t.match(textOf(ships, path('systemd-sysusers')), '\nConditionNeedsUpdate=\n')
    t.match(textOf(ships, path('ldconfig')), '\nConditionPathExists=!/run/hostext\n')
    t.match(textOf(ships, path('systemd-hwdb-update')), '\nConditionPathExists=!/run/hostext\n')
    t.match(textOf(units({ upToDate: true }), path('systemd-sysusers')), 'ConditionPathExists')
    for (const unit of ['systemd-sysusers', 'ldconfig', 'systemd-hwdb-update'])
      t.throws(
        () => textOf(units({ upToDate: false }), path(unit)),
        /^no /,
        'a root that is not does as ever',
      )
  },
)

t.test('an overlay of the machine has the layers of the root', async (t) => {
  const mount = {
    ...{ source: 'overlay', mountPoint: '/srv/my app', type: 'overlay', passno: 0 },
    ...{ options: [], from: '/etc/fstab' },
  }
  const overlay = { mount, lower: [], options: ['lowerdir=/run/hostext/0/x:/usr/lib/hostext/base/100%'] }
  const text = textOf(units({ overlays: [overlay] }), 'normal/srv-my\\x20app.mount.d/50-hostext.conf')
  t.match(text, '\nOptions=lowerdir=/run/hostext/0/x:/usr/lib/hostext/base/100%%\n')
  t.match(text, '\nAfter=hostext-layers.service run-hostext-1.mount\n')
})

t.test('a swap file is used when its file system can be written to', async (t) => {
  const files = units({ state: ['/swapfile', '/var'], swapFiles: ['/swapfile'] })
  t.match(textOf(files, 'normal/swapfile.swap.d/50-hostext.conf'), '\nAfter=systemd-remount-fs.service\n')
  t.match(textOf(files, 'normal/swapfile.mount'), '\nWhere=/swapfile\nType=none\nOptions=bind\n')
  t.match(textOf(files, 'normal/systemd-growfs-root.service.d/50-hostext.conf'), 'systemd-growfs /var\n')
})

t.test('what systemd 252 takes away below /mnt is there again', async (t) => {
  const change = { state: ['/mnt/state', '/var'], carried: ['/mnt/data'], boundData: ['/mnt/engine'] }
  const files = units({ ...change, softReboot: false })
  for (const [name, options] of [
    ['state', 'bind'],
    ['data', 'bind'],
    ['engine', 'bind,ro'],
  ]) {
    const text = textOf(files, `normal/mnt-${name}.mount`)
    t.match(
      text,
      `\nWhat=/run/hostext/aside/mnt/${name}\nWhere=/mnt/${name}\nType=none\nOptions=${options}\n`,
    )
    t.equal(textOf(files, `normal/local-fs.target.wants/mnt-${name}.mount`), `-> ../mnt-${name}.mount`)
  }
  const later = units({ ...change, softReboot: true })
  t.match(textOf(later, 'normal/mnt-state.mount'), '\nWhat=/mnt/state\n')
  for (const name of ['data', 'engine'])
    t.throws(() => textOf(later, `normal/mnt-${name}.mount`), /^no /, 'the switch of others leaves it alone')
})
