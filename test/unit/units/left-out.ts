import t from 'tap'
import { leftOutUnits, plainUnits } from '../../../src/units/left-out.js'
import { textOf } from '../../support/plan.js'

const out = (name: string, why = 'why') => ({
  ...{ who: `${name} (image:1)`, why },
  container: { id: 'a'.repeat(64), name, image: 'image:1' },
})

t.test('a unit for each, whose description says why', async (t) => {
  const { names, files } = leftOutUnits([
    out('wifi', 'it is 100%\nbad'),
    { who: 'a container', why: 'no JSON' },
  ])
  t.same(names, ['hostext-left-out-wifi.target', 'hostext-left-out-1.target'])
  t.match(
    textOf(files, 'normal/hostext-left-out-wifi.target'),
    '\nDescription=Host extension wifi (image:1) is left out: it is 100%%\\x0abad\n',
  )
  t.match(
    textOf(files, 'normal/hostext-left-out-1.target'),
    '\nDescription=Host extensions: a container is left out: no JSON\n',
  )
  const hostile = ['../../etc/x', 'a/b', 'ж'.repeat(100), '', 'x'.repeat(300)].map((name) => out(name))
  t.same(
    leftOutUnits(hostile).names,
    hostile.map((_, index) => `hostext-left-out-${index}.target`),
  )
  t.equal(leftOutUnits(Array.from({ length: 1000 }, (_, index) => out(`x${index}`))).names.length, 50)
})

t.test('a plain boot', async (t) => {
  const files = plainUnits([out('wifi')], 'every extension is left out', 'multi-user.target', false)
  t.match(
    textOf(files, 'normal/hostext.target'),
    '\nDescription=Host extensions: none is stacked: every extension is left out\n',
  )
  t.match(textOf(files, 'normal/hostext.target'), '\nWants=hostext-left-out-wifi.target\n')
  const links = (isWaited: boolean) =>
    plainUnits([out('wifi')], 'why', 'multi-user.target', isWaited).flatMap((file) =>
      'link' in file ? file.path : [],
    )
  t.same(links(false), [
    'normal/multi-user.target.wants/hostext.target',
    'normal/multi-user.target.wants/hostext-report.service',
  ])
  t.same(
    links(true),
    [
      'normal/multi-user.target.wants/hostext-left-out-wifi.target',
      'normal/multi-user.target.wants/hostext-report.service',
    ],
    'hostext.target is what has waited, and must not start again',
  )
})
