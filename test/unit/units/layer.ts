import t from 'tap'
import { layerUnit } from '../../../src/units/layer.js'
import { makeExtension, textOf } from '../../support/plan.js'

t.test('nothing in a name or an image starts a line, a specifier or a section', async (t) => {
  const extension = makeExtension('evil\n[Mount]\nWhat=x\\', '%n\r\n50%')
  const text = textOf([layerUnit(extension, 7)], 'normal/run-hostext-7.mount')
  t.match(text, '\nDescription=Host extension evil\\x0a[Mount]\\x0aWhat=x\\x5c (%%n\\x0d\\x0a50%%)\n')
  t.equal(text.match(/^\[Mount\]$/gm)?.length, 1)
  t.equal(text.match(/^What=/gm)?.length, 1)
  t.match(text, `\nSourcePath=/data 100%%/containers/${'a'.repeat(64)}/config.v2.json\n`)
  t.match(text, '\nWorkingDirectory=/data 100%%/overlay2\n')
})

t.test('an image of 127 layers fits the page that mount(2) takes', async (t) => {
  const extension = makeExtension('deep')
  extension.layers.lower = Array(127).fill('l/ABCDEFGHIJKLMNOPQRSTUVWXYZ')
  const options = /^Options=(.*)$/m.exec(textOf([layerUnit(extension, 0)], 'normal/run-hostext-0.mount'))?.[1]
  t.ok((options as string).length < 4095, `${options?.length} bytes`)
})
