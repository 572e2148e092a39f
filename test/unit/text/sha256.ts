import { createHash } from 'node:crypto'
import t from 'tap'
import { sha256 } from '../../../src/text/sha256.js'

const wanted = (text: string): string => createHash('sha256').update(text).digest('hex')

t.test('the same as everybody’s', async (t) => {
  // FIPS 180-4, its examples.
  t.equal(sha256('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  t.equal(sha256(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  // Around the ends of blocks.
  for (const length of [1, 3, 4, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 127, 128, 129, 143, 999, 1000])
    t.equal(sha256('x'.repeat(length)), wanted('x'.repeat(length)), `${length} characters`)
  let text = ''
  for (let index = 0; index < 100; index++) {
    text = `${wanted(text)} ${index} \x7f\0~`
    t.equal(sha256(text), wanted(text))
  }
})

t.test('more and longer texts than are hashed here', async (t) => {
  t.equal(sha256('y'.repeat(5000)), wanted('y'.repeat(5000)))
  for (let index = 0; index < 200; index++) t.equal(sha256(`${index}`), wanted(`${index}`))
})
