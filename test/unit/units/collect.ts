import t from 'tap'
import { collectUnits } from '../../../src/units/collect.js'
import { textOf } from '../../support/plan.js'

const wait = { target: 'default.target', pulledIn: ['default.target.wants/x.service'], timeout: 30 }
const units = (...paths: string[]) => collectUnits({ ...wait, paths }, '/run/systemd/generator')

t.test('one service needs the file systems and the device manager', async (t) => {
  const service = textOf(units('/mnt/data/docker', '/var/lib/docker'), 'normal/hostext-collect.service')
  t.match(service, '\nRequiresMountsFor=/mnt/data/docker /var/lib/docker\n')
  t.match(service, '\nWants=systemd-udevd.service systemd-udev-trigger.service\n')
  t.match(service, '\nExecStart=/usr/lib/hostext/collect\n')
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
  t.match(target, '\nOnFailure=hostext-fallback.service\nJobTimeoutSec=30\n')
  t.equal(textOf(files, 'early/default.target.wants/x.service'), '-> /dev/null')
  t.equal(files.at(-1)?.path, 'early/default.target', 'the early target is written last')
})
