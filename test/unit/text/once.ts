import t from 'tap'
import { once } from '../../../src/text/once.js'

t.test('each text once, also if nothing comes of it', async (t) => {
  const asked: string[] = []
  const lengthOf = once((text) => {
    asked.push(text)
    return text === '' ? undefined : text.length
  })
  t.same(['a', '', 'bb', '', 'a'].map(lengthOf), [1, undefined, 2, undefined, 1])
  t.same(asked, ['a', '', 'bb'])
})

t.test('what is thrown is no answer', async (t) => {
  let fails = true
  const read = once((text) => {
    if (fails) throw new Error(text)
    return text
  })
  t.throws(() => read('x'), { message: 'x' })
  fails = false
  t.equal(read('x'), 'x')
})
