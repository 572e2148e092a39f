import t from 'tap'
import type { Wait } from '../../../src/stack/plan.js'
import { collectUnits, LONGEST_PREPARATION } from '../../../src/units/collect.js'
import { textOf } from '../../support/plan.js'

const wait: Wait = {
  target: 'default.target',
  pulledIn: ['default.target.wants/x.service'],
  timeout: 30,
  paths: [],
  hoped: [],
  mounting: true,
  limits: [],
  optional: [],
  ...{ unlock: false, online: false, patient: false, askers: [] },
  generators: [],
  preparing: [],
  remount: undefined,
}
const units = (...paths: string[]) => collectUnits({ ...wait, paths }, '/run/systemd/generator')
const preparing = (remount?: Wait['remount']) =>
  collectUnits(
    { ...wait, paths: ['/data/docker'], mounting: false, preparing: ['wifi'], remount },
    '/run/systemd/generator',
  )

t.test('one service needs the file systems and the device manager', async (t) => {
  const service = textOf(units('/mnt/data/docker', '/var/lib/docker'), 'normal/hostext-collect.service')
  t.match(service, '\nRequiresMountsFor=/mnt/data/docker /var/lib/docker\n')
  t.match(
    service,
    '\nWants=systemd-udevd.service systemd-udev-trigger.service systemd-ask-password-console.path systemd-ask-password-plymouth.path\n',
  )
  t.match(service, '\nExecStart=/usr/lib/hostext/collect\n')
  t.match(service, '\nRequires=hostext-data.service\n')
  t.match(service, '\nAfter=hostext-data.service\n')
})

t.test('whatever answers when a passphrase is asked for is started', async (t) => {
  const files = collectUnits({ ...wait, askers: ['clevis-luks-askpass.path'] }, '/run/systemd/generator')
  t.match(
    textOf(files, 'normal/hostext-collect.service'),
    / systemd-ask-password-plymouth\.path clevis-luks-askpass\.path$/m,
  )
})

t.test('a path with spaces and specifiers', async (t) => {
  t.match(
    textOf(units('/my data/100%'), 'normal/hostext-collect.service'),
    '\nRequiresMountsFor="/my data/100%%"\n',
  )
})

t.test('hostext.target stands in for the default target, with nothing else, for so long', async (t) => {
  const files = units('/data')
  const target = textOf(files, 'normal/hostext.target')
  t.match(target, '\nRequires=hostext-collect.service\n')
  t.match(target, '\nOnFailure=hostext-fallback.service\nJobTimeoutSec=1830\n')
  t.equal(textOf(files, 'early/default.target.wants/x.service'), '-> /dev/null')
  t.equal(files.at(-1)?.path, 'early/default.target', 'the early target is written last')
})

t.test('only devices count against the timeout', async (t) => {
  const data = textOf(units('/my data', '/etc/changes'), 'normal/hostext-data.service')
  t.match(data, '\nRequiresMountsFor="/my data" /etc/changes\n')
  t.notMatch(data, 'Timeout')
  const limits = [{ unit: 'dev-sda.device', seconds: 30 }]
  const files = collectUnits({ ...wait, limits, patient: true }, '/run/systemd/generator')
  t.match(textOf(files, 'early/dev-sda.device.d/60-hostext.conf'), '[Unit]\nJobRunningTimeoutSec=30\n')
  t.match(
    textOf(files, 'normal/hostext.target'),
    `\nJobTimeoutSec=${30 + 1800 + 6 * 3600}\n`,
    'a disk may be checked, and nothing waits for ever',
  )
  t.notMatch(textOf(units('/data'), 'normal/hostext-collect.service'), 'Timeout')
  t.equal(LONGEST_PREPARATION, 1800, 'as generators/steps/collect has it')
})

t.test('images are prepared where nothing has to be mounted', async (t) => {
  const own = preparing()
  t.same(
    own.map(({ path }) => path).filter((path) => path.includes('data')),
    [],
    'no service for mounts',
  )
  const service = textOf(own, 'normal/hostext-collect.service')
  t.match(service, '\nRequiresMountsFor=/data/docker\n')
  t.notMatch(service, 'udev')
  t.match(service, '\nExecStart=/usr/lib/hostext/collect\n')
})

t.test('on the root, which is made writable, after its check', async (t) => {
  const options = 'remount,rw,x=50%,y=a b'
  const checked = textOf(preparing({ options, check: true }), 'normal/hostext-collect.service')
  t.match(checked, '\nWants=systemd-fsck-root.service\nAfter=systemd-fsck-root.service\n')
  t.match(checked, '\nEnvironment=CHECKED=systemd-fsck-root.service\n')
  t.match(checked, '\nExecStart=/usr/lib/hostext/collect "remount,rw,x=50%%,y=a b"\n')
  t.notMatch(textOf(preparing({ options, check: false }), 'normal/hostext-collect.service'), 'fsck')
})

t.test('what the machine can do without is given up once all devices are known', async (t) => {
  const optional = [{ unit: 'mnt-data.mount', device: '/dev/disk/by-label/my\\x20data' }]
  const files = collectUnits({ ...wait, optional, hoped: ['/mnt/my data'] }, '/run/systemd/generator')
  const data = textOf(files, 'normal/hostext-data.service')
  t.match(data, '\nWants=hostext-settle.service\n')
  const mount = 'mnt-my\\x20data.mount'
  t.match(data, `\nRequiresMountsFor=\nWants=${mount}\nAfter=${mount}\n`, 'nothing fails without it')
  t.match(
    textOf(files, 'normal/hostext-settle.service'),
    '\nExecStart=/usr/lib/hostext/settle 30 mnt-data.mount "/dev/disk/by-label/my\\\\x20data" "dev-disk-by\\\\x2dlabel-my\\\\x5cx20data.device"\n',
  )
  t.notOk(units('/data').some(({ path }) => path.includes('settle')))
})

t.test('encrypted volumes are opened, and the network is started, only if something needs it', async (t) => {
  const files = collectUnits({ ...wait, unlock: true, online: true }, '/run/systemd/generator')
  t.match(textOf(files, 'normal/hostext-data.service'), '\nWants=cryptsetup.target\n')
  t.notMatch(textOf(units('/data'), 'normal/hostext-data.service'), 'cryptsetup')
  const isStill = (online: boolean, target = 'multi-user.target') =>
    collectUnits({ ...wait, target, online }, '/run/systemd/generator').at(-1)?.path ===
    'early/sysinit.target'
  t.ok(isStill(false))
  t.notOk(isStill(true), 'the network is made of services of the system')
  t.notOk(isStill(false, 'default.target'))
  t.equal(files.at(-1)?.path, 'early/default.target')
})
