import t from 'tap'
import { layersAgain, layersAgainUnits, layerUnits } from '../../../src/units/layer.js'
import { makeExtension, textOf } from '../../support/plan.js'

const ON_ROOT = { dataRoot: '/data 100%', bound: false }

t.test('nothing in a name or an image starts a line, a specifier or a section', async (t) => {
  const extension = makeExtension('evil\n[Mount]\nWhat=x\\', '%n\r\n50%')
  const text = textOf(layerUnits({ ...ON_ROOT, extensions: [extension] }), 'normal/run-hostext-0.mount')
  t.match(text, '\nDescription=Host extension evil\\x0a[Mount]\\x0aWhat=x\\x5c (%%n\\x0d\\x0a50%%)\n')
  t.equal(text.match(/^\[Mount\]$/gm)?.length, 1)
  t.equal(text.match(/^What=/gm)?.length, 1)
  t.match(text, `\nSourcePath=/data 100%%/containers/${'a'.repeat(64)}/config.v2.json\n`)
})

t.test('a tree on the root is an overlay of its own, one on another file system is bound', async (t) => {
  const mount = (bound: boolean) =>
    textOf(
      layerUnits({ extensions: [makeExtension('a')], dataRoot: '/my data/100%', bound }),
      'normal/run-hostext-0.mount',
    )
  const tree = '/my data/100%%/hostext/trees/ABCDEFGHIJKLMNOPQRSTUVWXYZ.01234567'
  t.match(
    mount(false),
    `[Mount]
What=hostext-0
Where=/run/hostext/0
Type=overlay
Options=ro,nosuid,nodev,lowerdir=empty:trees/ABCDEFGHIJKLMNOPQRSTUVWXYZ.01234567/tree
WorkingDirectory=/run/hostext
`,
  )
  t.match(
    mount(true),
    `[Mount]
What=${tree}/tree
Where=/run/hostext/0
Type=none
Options=bind,ro,nosuid,nodev
`,
  )
})

t.test('a second container of the same image is an overlay: a directory is a layer only once', async (t) => {
  const tree = 'ZYXWVUTSRQPONMLKJIHGFEDCBA.01234567'
  const extensions = [makeExtension('a'), makeExtension('b'), makeExtension('c', 'image:1', { tree })]
  const units = layerUnits({ extensions, dataRoot: '/data', bound: true })
  t.same(
    units.map((unit) => /^Type=(.*)$/m.exec('text' in unit ? unit.text : '')?.[1]),
    ['none', 'overlay', 'none'],
  )
})

t.test('where a soft-reboot has lost them, a service mounts all but the last one', async (t) => {
  const extensions = ['a', 'b', 'c'].map((name) => makeExtension(name))
  const plan = { extensions, softReboot: true, dataRoot: '/my data/100%' }
  t.same(layersAgain(plan), ['hostext-layers.service', 'run-hostext-2.mount'])
  const service = textOf(layersAgainUnits(plan), 'normal/hostext-layers.service')
  t.match(service, '\nExecStart=/usr/lib/hostext/stack again\n')
  t.match(service, '\nBefore=run-hostext-2.mount\n', 'PID 1 looks at the mounts after it')
  t.match(service, '\nRequiresMountsFor="/my data/100%%"\n')
  const one = { ...plan, extensions: extensions.slice(0, 1) }
  t.same([layersAgain(one), layersAgainUnits(one)], [['run-hostext-0.mount'], []], 'one needs no service')
  const kept = { ...plan, softReboot: false }
  t.same(layersAgain(kept), ['run-hostext-0.mount', 'run-hostext-1.mount', 'run-hostext-2.mount'])
  t.same(layersAgainUnits(kept), [], 'a switch-root keeps them')
})
