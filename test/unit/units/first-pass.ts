import t from 'tap'
import { firstPassUnits } from '../../../src/units/first-pass.js'
import { makePlan, textOf } from '../../support/plan.js'

const units = (change = {}) => firstPassUnits(makePlan(change), '/run/systemd/generator')

t.test('soft-reboot and switch-root', async (t) => {
  t.match(
    textOf(units(), 'normal/hostext-switch.service'),
    ' /usr/lib/hostext/switch soft-reboot /run/nextroot\n',
  )
  t.match(
    textOf(units({ softReboot: false }), 'normal/hostext-switch.service'),
    '/usr/lib/hostext/switch switch-root /usr/lib/hostext/nextroot\n',
  )
})

/** A boot in which something happens between the mounts and the switch. */
const RECORDED = { machineId: { closeRoot: false } }

t.test('one service mounts and switches, unless something has to happen in between', async (t) => {
  const names = (change: object) =>
    units(change)
      .map(({ path }) => path)
      .filter((path) => /^normal\/hostext-(?:stack|awake|switch|layers)\.service$/.test(path))
  const alone = textOf(units(), 'normal/hostext-switch.service')
  t.match(
    alone,
    '\nExecStart=/usr/lib/hostext/stack all - - - /usr/lib/hostext/switch soft-reboot /run/nextroot\n',
  )
  t.notMatch(alone, /^(?:Requires|After)=/m)
  t.match(alone, '\nEnvironment=LIBMOUNT_FORCE_MOUNT2=always\n')
  t.same(names({}), ['normal/hostext-switch.service'])
  for (const change of [RECORDED, { indexes: ['modules'] }, { collected: true }])
    t.ok(names(change).includes('normal/hostext-stack.service'), JSON.stringify(change))
})

t.test('the switch needs what is mounted', async (t) => {
  const files = units(RECORDED)
  t.match(textOf(files, 'normal/hostext-switch.service'), '\nRequires=hostext-stack.service\n')
  t.match(textOf(files, 'normal/hostext-switch.service'), '\nAfter=hostext-stack.service\n')
  const stack = textOf(files, 'normal/hostext-stack.service')
  t.match(stack, '\nExecStart=/usr/lib/hostext/stack all - - -\n')
  t.match(stack, '\nEnvironment=LIBMOUNT_FORCE_MOUNT2=always\n')
  t.notMatch(stack, /^Requires=/m)
})

t.test('if PID 1 goes on after the signal that makes it switch, it is asked in another way', async (t) => {
  const refused = '\nExecStart=/usr/lib/hostext/refused\n'
  const text = (change: object) => textOf(units(change), 'normal/hostext-switch.service')
  t.match(text({}), refused)
  t.match(text(RECORDED), refused)
  t.notMatch(text({ softReboot: false }), refused)
  t.notMatch(text({ collected: true }), refused, 'no signal is sent where there is something to stop')
})

t.test('a switch that is faster than its command has not failed', async (t) => {
  t.match(textOf(units(), 'normal/hostext-switch.service'), '\nSuccessExitStatus=SIGTERM SIGKILL\n')
})

t.test('PID 1 is kept awake until the switch, which ends that', async (t) => {
  t.match(textOf(units(RECORDED), 'normal/hostext.target'), '\nWants=hostext-awake.service\n')
  const awake = textOf(units(RECORDED), 'normal/hostext-awake.service')
  t.match(awake, '\nExecStart=/usr/lib/hostext/awake\n')
  t.match(awake, '\nSuccessExitStatus=SIGTERM SIGKILL\n')
  t.notMatch(textOf(units(), 'normal/hostext.target'), 'awake', 'the only service does it itself')
})

t.test('failure and time', async (t) => {
  const target = textOf(units({ timeout: 90 }), 'normal/hostext.target')
  t.match(target, '\nOnFailure=hostext-fallback.service\n')
  t.match(target, '\nJobTimeoutSec=90\n')
})

t.test('the disk is checked where the state will be writable and fstab asks for it', async (t) => {
  const root = (change: object) => textOf(units(change), 'normal/hostext-switch.service')
  t.match(
    root({ checkRoot: true }),
    /^Wants=systemd-fsck-root\.service\nAfter=systemd-fsck-root\.service$/m,
    'a masked one must not keep PID 1 from booting anything',
  )
  t.match(root({ checkRoot: true }), '\nEnvironment=CHECKED=systemd-fsck-root.service\n')
  const apart = textOf(units({ ...RECORDED, checkRoot: true }), 'normal/hostext-stack.service')
  t.match(apart, '\nEnvironment=CHECKED=systemd-fsck-root.service\n', 'nothing is mounted on a damaged disk')
  t.match(apart, /^After=.*systemd-fsck-root\.service$/m)
  t.notMatch(root({ checkRoot: true, state: [] }), 'fsck')
  t.notMatch(root({ checkRoot: false }), 'fsck')
})

t.test('the early target, and what it must not pull in yet', async (t) => {
  const files = units({ target: 'kiosk.target', pulledIn: ['kiosk.target.wants/a.service'] })
  t.equal(textOf(files, 'early/kiosk.target'), '-> /run/systemd/generator/hostext.target')
  t.equal(textOf(files, 'early/kiosk.target.wants/a.service'), '-> /dev/null')
  t.equal(files.at(-2)?.path, 'early/kiosk.target', 'after all units, because it starts everything')
})

t.test('kept changes: the disk is checked, the state made writable, then /etc is mounted', async (t) => {
  const plan = { etc: { mode: 'persistent', state: '/var', kept: true }, checkRoot: true, ...RECORDED }
  const stack = textOf(units(plan), 'normal/hostext-stack.service')
  t.match(
    stack,
    '\nExecStart=/usr/lib/hostext/stack all /run/nextroot/var/lib/hostext/etc /run/nextroot/var remount,noatime,rw\n',
  )
  t.match(stack, /^After=.*systemd-fsck-root\.service$/m)
  const elsewhere = { ...plan, etc: { mode: 'persistent', state: undefined, kept: true } }
  t.match(
    textOf(units(elsewhere), 'normal/hostext-stack.service'),
    '\nExecStart=/usr/lib/hostext/stack all /var/lib/hostext/etc - -\n',
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
  t.match(service, '\nAfter=hostext-layers.service\n')
  const layers = textOf(files, 'normal/hostext-layers.service')
  t.match(layers, '\nExecStart=/usr/lib/hostext/stack layers\n')
  const stack = textOf(files, 'normal/hostext-stack.service')
  t.match(stack, '\nExecStart=/usr/lib/hostext/stack root ')
  t.match(stack, /^After=.*hostext-index\.service/m)
  t.match(stack, /^Wants=.*hostext-index\.service/m)
  t.notMatch(stack, /^Requires=.*hostext-index/m)
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
    [
      'early/service.d/50-hostext.conf',
      'early/mount.d/50-hostext.conf',
      'early/emergency.service.d/50-hostext.conf',
    ],
  )
  const service = textOf(files, 'normal/hostext-switch.service')
  t.match(service, '\nOnFailure=hostext-fallback.service\nJobTimeoutSec=60\n')
  t.notMatch(service, 'RefuseManualStart')
})

t.test('nothing in the first pass is connected to the journal, which is not there yet', async (t) => {
  t.equal(
    textOf(units(), 'early/emergency.service.d/50-hostext.conf'),
    '-> /dev/null',
    'the shell after a failed check is heard',
  )
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
    ' /usr/lib/hostext/switch soft-reboot /run/nextroot / /usr\n',
  )
})

t.test('the ID of a machine without one is written before the overlay is over it', async (t) => {
  t.notOk(units().some(({ path }) => path.includes('machine-id')))
  const change = { machineId: { closeRoot: true }, checkRoot: true, state: [] }
  const service = textOf(units(change), 'normal/hostext-machine-id.service')
  t.match(service, '\nWants=systemd-fsck-root.service\nAfter=systemd-fsck-root.service\n')
  t.match(
    service,
    '\nExecCondition=/bin/sh -c "! systemctl is-failed --quiet systemd-fsck-root.service"\nExecStart=mount -o remount,noatime,rw /\nExecStart=systemd-machine-id-setup --commit\nExecStopPost=mount -o remount,ro /\n',
  )
  const stack = textOf(units(change), 'normal/hostext-stack.service')
  t.match(stack, /^After=.*hostext-machine-id\.service/m)
  t.match(stack, '\nEnvironment=CHECKED=systemd-fsck-root.service\n', 'no stack if it fails')
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
