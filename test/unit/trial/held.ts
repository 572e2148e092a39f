import t from 'tap'
import { heldImage } from '../../../src/stack/plan.js'
import { type Held, heldText, readHeld } from '../../../src/trial/held.js'
import { makeExtension } from '../../support/plan.js'
import { makeTree } from '../../support/tree.js'

const image = `sha256:${'b'.repeat(64)}`

t.test('what is written is what is read', async (t) => {
  const held: Held = {
    dataRoot: '/data 100%/"docker"',
    extensions: [
      { container: 'a\n"b"', image },
      { container: 'no ID', image: undefined },
    ],
  }
  const root = { prefix: makeTree(t, { 'run/hostext/held': heldText(held) }) }
  t.equal(heldText(held).split('\n').length, 4, 'a line each')
  t.same(readHeld(root), held)
})

t.test('an image that is none is not asked for', async (t) => {
  const text = '{"dataRoot":"/x"}\n{"container":"a","image":"sha256:../../x"}\n'
  const root = { prefix: makeTree(t, { 'run/hostext/held': text }) }
  t.same(readHeld(root), { dataRoot: '/x', extensions: [{ container: 'a', image: undefined }] })
})

t.same(readHeld({ prefix: '/nonexistent' }), undefined)
t.same(heldImage(makeExtension('wifi')), { container: 'wifi', image })
