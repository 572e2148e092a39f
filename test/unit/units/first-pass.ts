import t from 'tap'
import { firstPassUnits } from '../../../src/units/first-pass.js'
import { makePlan, makeStack, textOf } from '../../support/plan.js'

const units = (change = {}) => firstPassUnits(makePlan(change), '/run/systemd/generator')

t.test('the stack: above, the root, below', async (t) => {
  const lowerdir = (extensions: number, above: number) => {
    const names = Array.from({ length: extensions }, (_, index) => `x${index}`)
    const plan = { extensions: makeStack(names, above) }
    return /lowerdir=(.*)$/m.exec(textOf(units(plan), 'normal/run-nextroot.mount'))?.[1]
  }
  t.equal(lowerdir(3, 2), '0:1:/:2')
  t.equal(lowerdir(1, 1), '0:/')
  t.equal(lowerdir(1, 0), '/:0')
  t.ok((lowerdir(499, 499) as string).length < 2048, 'the most there are fit')
})

t.test('soft-reboot and switch-root', async (t) => {
  t.match(
    textOf(units(), 'normal/hostext-switch.service'),
    '\nExecStart=/usr/lib/hostext/switch soft-reboot /run/nextroot\n',
  )
  const files = units({ softReboot: false })
  t.match(
    textOf(files, 'normal/hostext-switch.service'),
    '/usr/lib/hostext/switch switch-root /usr/lib/hostext/nextroot\n',
  )
  t.match(
    textOf(files, 'normal/usr-lib-hostext-nextroot-var.mount'),
    '\nWhere=/usr/lib/hostext/nextroot/var\n',
  )
})

t.test('the switch needs the root and its state, and only wants the layers', async (t) => {
  const files = units({ state: ['/var', '/my-data'] })
  t.match(
    textOf(files, 'normal/hostext-switch.service'),
    '\nRequires=run-nextroot.mount run-nextroot-var.mount run-nextroot-my\\x2ddata.mount\n',
  )
  const root = textOf(files, 'normal/run-nextroot.mount')
  t.match(root, '\nWants=run-hostext-0.mount run-hostext-1.mount\n')
  t.notMatch(root, /^Requires=/m)
})

t.test('a switch that is faster than its command has not failed', async (t) => {
  t.match(textOf(units(), 'normal/hostext-switch.service'), '\nSuccessExitStatus=SIGTERM SIGKILL\n')
})

t.test('PID 1 is kept awake until the switch, which ends that', async (t) => {
  t.match(textOf(units(), 'normal/hostext.target'), '\nWants=hostext-awake.service\n')
  const awake = textOf(units(), 'normal/hostext-awake.service')
  t.match(awake, '\nExecStart=/usr/lib/hostext/awake\n')
  t.match(awake, '\nSuccessExitStatus=SIGTERM SIGKILL\n')
})

t.test('failure and time', async (t) => {
  const target = textOf(units({ timeout: 90 }), 'normal/hostext.target')
  t.match(target, '\nOnFailure=hostext-fallback.service\n')
  t.match(target, '\nJobTimeoutSec=90\n')
})

t.test('the disk is checked where the state will be writable and fstab asks for it', async (t) => {
  const root = (change: object) => textOf(units(change), 'normal/run-nextroot.mount')
  t.match(root({ checkRoot: true }), /^After=.* systemd-fsck-root\.service$/m)
  t.notMatch(root({ checkRoot: true, state: [] }), 'fsck')
  t.notMatch(root({ checkRoot: false }), 'fsck')
})

t.test('the data root comes along where nothing else carries it', async (t) => {
  t.match(
    textOf(units({ boundData: ['/opt/docker'], state: [] }), 'normal/run-nextroot-opt-docker.mount'),
    '\nOptions=bind,ro\n',
  )
})

t.test('the early target, and what it must not pull in yet', async (t) => {
  const files = units({ target: 'kiosk.target', pulledIn: ['kiosk.target.wants/a.service'] })
  t.equal(textOf(files, 'early/kiosk.target'), '-> /run/systemd/generator/hostext.target')
  t.equal(textOf(files, 'early/kiosk.target.wants/a.service'), '-> /dev/null')
  t.equal(files.at(-2)?.path, 'early/kiosk.target', 'after all units, because it starts everything')
})

t.test('/etc, /usr and what the initrd has mounted', async (t) => {
  const files = units({
    etc: { mode: 'volatile' },
    separateUsr: { hasUnit: true },
    carried: ['/media/ro disk'],
  })
  t.match(
    textOf(files, 'normal/hostext-switch.service'),
    '\nRequires=run-nextroot.mount run-nextroot-usr.mount run-nextroot-etc.mount run-nextroot-var.mount run-nextroot-media-ro\\x20disk.mount\n',
  )
  t.match(textOf(files, 'normal/run-nextroot-usr.mount'), '\nWhat=hostext-usr\nWhere=/run/nextroot/usr\n')
  t.match(
    textOf(files, 'normal/run-nextroot-etc.mount'),
    '\nOptions=rw,lowerdir=/etc,upperdir=/run/hostext/etc/upper,',
  )
  t.match(textOf(files, 'normal/run-nextroot-media-ro\\x20disk.mount'), '\nOptions=bind\n')
})

t.test('kept changes: the disk is checked, the state made writable, then /etc is mounted', async (t) => {
  const plan = { etc: { mode: 'persistent', state: '/var', kept: true }, checkRoot: true }
  const files = units(plan)
  const changes = textOf(files, 'normal/hostext-changes.service')
  t.match(
    changes,
    '\nExecStart=/usr/lib/hostext/changes /run/nextroot/var/lib/hostext/etc /run/nextroot/var remount,noatime,rw\n',
  )
  t.match(changes, '\nRequires=run-nextroot-var.mount\n')
  t.match(changes, '\nAfter=run-nextroot-var.mount systemd-fsck-root.service\n')
  t.match(textOf(files, 'normal/run-nextroot-etc.mount'), '\nRequires=hostext-changes.service\n')
  const elsewhere = units({ etc: { mode: 'persistent', state: undefined, kept: true } })
  t.match(
    textOf(elsewhere, 'normal/hostext-changes.service'),
    '\nExecStart=/usr/lib/hostext/changes /var/lib/hostext/etc\n',
  )
})

t.test('indexes are made before the root is mounted, which goes on without them', async (t) => {
  const files = units({
    indexes: ['libraries', 'modules'],
    etc: { mode: 'persistent', state: '/var', kept: true },
    timeout: 60,
  })
  const service = textOf(files, 'normal/hostext-index.service')
  t.match(
    service,
    '\nExecStart=/usr/lib/hostext/index libraries,modules /=0:/:1 /etc=/var/lib/hostext/etc/upper:/etc\n',
  )
  t.match(service, '\nPrivateMounts=yes\n')
  t.match(service, '\nTimeoutStartSec=45\n')
  for (const unit of ['run-nextroot.mount', 'run-nextroot-etc.mount']) {
    t.match(textOf(files, `normal/${unit}`), /^After=.*hostext-index\.service/m)
    t.match(textOf(files, `normal/${unit}`), /^Wants=.*hostext-index\.service/m)
    t.notMatch(textOf(files, `normal/${unit}`), /^Requires=.*hostext-index/m)
  }
  t.match(
    textOf(
      units({ indexes: ['modules'], etc: { mode: 'persistent', state: '/var', kept: false } }),
      'normal/hostext-index.service',
    ),
    ' /etc=/etc\n',
    'there may be no changes yet',
  )
  t.throws(() => textOf(units(), 'normal/hostext-index.service'), /^no /, 'nothing to index')
})

t.test('after the first step hostext.target belongs to that', async (t) => {
  const files = units({ collected: true, timeout: 60 })
  t.notOk(files.some(({ path }) => path === 'normal/hostext.target'))
  t.same(
    files.map(({ path }) => path).filter((path) => path.startsWith('early/')),
    ['early/service.d/50-hostext.conf', 'early/mount.d/50-hostext.conf'],
  )
  const service = textOf(files, 'normal/hostext-switch.service')
  t.match(service, '\nOnFailure=hostext-fallback.service\nJobTimeoutSec=60\n')
  t.notMatch(service, 'RefuseManualStart')
})

t.test('nothing in the first pass is connected to the journal, which is not there yet', async (t) => {
  const files = units({ trial: undefined, indexes: ['libraries'], machineId: { closeRoot: false } })
  for (const file of files)
    if ('text' in file && /\n\[(?:Service|Mount)\]/.test(file.text))
      t.match(file.text, '\nStandardOutput=null\n', file.path)
  for (const kind of ['Service', 'Mount'])
    t.equal(
      textOf(files, `early/${kind.toLowerCase()}.d/50-hostext.conf`),
      `# Written by hostext-generator.\n[${kind}]\n# The journal does not run yet.\nStandardOutput=null\n`,
    )
})

t.test('file systems that nothing reaches any more are closed', async (t) => {
  t.match(
    textOf(units({ closedBeforeSwitch: ['/', '/usr'] }), 'normal/hostext-switch.service'),
    '\nExecStart=/usr/lib/hostext/switch soft-reboot /run/nextroot / /usr\n',
  )
})

t.test('the ID of a machine without one is written before the overlay is over it', async (t) => {
  t.notOk(units().some(({ path }) => path.includes('machine-id')))
  const change = { machineId: { closeRoot: true }, checkRoot: true, state: [] }
  const service = textOf(units(change), 'normal/hostext-machine-id.service')
  t.match(service, '\nAfter=systemd-fsck-root.service\n')
  t.match(
    service,
    '\nExecStart=mount -o remount,noatime,rw /\nExecStart=systemd-machine-id-setup --commit\nExecStopPost=mount -o remount,ro /\n',
  )
  t.match(textOf(units(change), 'normal/run-nextroot.mount'), /^After=.* hostext-machine-id\.service/m)
  const open = textOf(units({ machineId: { closeRoot: false } }), 'normal/hostext-machine-id.service')
  t.notMatch(open, 'ExecStopPost', 'what was writable before stays so')
})

t.test('nothing of the system starts', async (t) => {
  const files = firstPassUnits(
    makePlan({ target: 'multi-user.target', pulledIn: ['debug-shell.service'] }),
    '/generator',
  )
  t.equal(files.at(-1)?.path, 'early/sysinit.target', 'what almost everything else requires, masked last')
  t.equal(files.at(-2)?.path, 'early/multi-user.target')
  t.equal(textOf(files, 'early/debug-shell.service'), '-> /dev/null')
})

t.test('somebody says so if another generator takes the target', async (t) => {
  const files = firstPassUnits(makePlan({ target: 'my.target' }), '/generator')
  t.match(textOf(files, 'normal/hostext-taken.service'), '\nExecStart=/usr/lib/hostext/taken my.target\n')
  t.match(textOf(files, 'normal/hostext-taken.service'), '\nConditionPathExists=!/run/hostext/attempted\n')
  t.equal(
    textOf(files, 'normal/basic.target.wants/hostext-taken.service'),
    '-> ../hostext-taken.service',
    'only a normal boot gets there',
  )
})

t.test('below /mnt, systemd 252 would unmount it', async (t) => {
  const units = (softReboot: boolean) =>
    firstPassUnits(makePlan({ softReboot, state: ['/mnt/x', '/srv'] }), '/generator')
  const old = units(false)
  t.match(textOf(old, 'normal/run-hostext-aside-mnt-x.mount'), '\nWhere=/run/hostext/aside/mnt/x\n')
  t.match(textOf(old, 'normal/usr-lib-hostext-nextroot-srv.mount'), '\nWhat=/srv\n')
  t.match(textOf(old, 'normal/hostext-switch.service'), 'run-hostext-aside-mnt-x.mount')
  t.match(textOf(units(true), 'normal/run-nextroot-mnt-x.mount'), '\nWhere=/run/nextroot/mnt/x\n')
})
