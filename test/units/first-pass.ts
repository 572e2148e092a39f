import t from 'tap'
import { firstPassUnits } from '../../src/units/first-pass.js'
import { makeExtension, makePlan, textOf } from '../support/plan.js'

const units = (change = {}) => firstPassUnits(makePlan(change), '/run/systemd/generator')

t.test('the stack: above, the root, below', async (t) => {
  const lowerdir = (extensions: number, above: number) => {
    const plan = {
      extensions: Array.from({ length: extensions }, (_, index) => makeExtension(`x${index}`)),
      above,
    }
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
  t.match(textOf(units(), 'normal/hostext-switch.service'), '\nSuccessExitStatus=SIGTERM\n')
})

t.test('failure and time', async (t) => {
  const target = textOf(units({ timeout: 90 }), 'normal/hostext.target')
  t.match(target, '\nOnFailure=hostext-fallback.service\n')
  t.match(target, '\nJobTimeoutSec=90\n')
})

t.test('the disk is checked where the state will be writable and fstab asks for it', async (t) => {
  const root = (change: object) => textOf(units(change), 'normal/run-nextroot.mount')
  t.match(root({ checkRoot: true }), '\nAfter=systemd-fsck-root.service\n')
  t.notMatch(root({ checkRoot: true, state: [] }), 'fsck')
  t.notMatch(root({ checkRoot: false }), 'fsck')
})

t.test('the data root comes along where nothing else carries it', async (t) => {
  t.match(
    textOf(units({ bindDataRoot: '/opt/docker', state: [] }), 'normal/run-nextroot-opt-docker.mount'),
    '\nOptions=bind,ro\n',
  )
})

t.test('the early target, and what it must not pull in yet', async (t) => {
  const files = units({ target: 'kiosk.target', pulledIn: ['kiosk.target.wants/a.service'] })
  t.equal(textOf(files, 'early/kiosk.target'), '-> /run/systemd/generator/hostext.target')
  t.equal(textOf(files, 'early/kiosk.target.wants/a.service'), '-> /dev/null')
  t.equal(files.at(-1)?.path, 'early/kiosk.target', 'last, because it starts everything')
})
