import { createHash } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeList } from '../../../src/image/contents.js'
import { hasKernel } from '../../../src/image/kernel.js'
import { makeTree, type Tree } from '../../support/tree.js'

const KERNEL = 'a kernel\n'
const ID = createHash('sha256').update(KERNEL).digest('hex')

/** Whether a tree of these files has the kernel. */
function ask(t: Test, files: Tree, id = ID, prepare = (_: string) => {}): boolean {
  const tree = makeTree(t, files)
  prepare(tree)
  return hasKernel(tree, makeList(), id)
}

t.test('a regular file directly in /boot', async (t) => {
  t.equal(ask(t, { 'boot/vmlinuz': KERNEL }), true)
  t.equal(ask(t, { 'boot/vmlinuz': KERNEL }, ID.toUpperCase()), true)
  t.equal(ask(t, { 'boot/initrd': 'another\n', 'boot/System.map': '', 'boot/bzImage': KERNEL }), true)
  const large = 'x'.repeat(3 << 20)
  t.equal(ask(t, { 'boot/vmlinuz': large }, createHash('sha256').update(large).digest('hex')), true)
})

t.test('anything else is no kernel of its own', async (t) => {
  t.equal(ask(t, { 'boot/vmlinuz': 'another\n' }), false)
  t.equal(ask(t, { x: '' }), false)
  t.equal(ask(t, { vmlinuz: KERNEL, 'boot/sub/vmlinuz': KERNEL, 'usr/boot/vmlinuz': KERNEL }), false)
  t.equal(ask(t, { 'boot/vmlinuz': '-> ../vmlinuz', vmlinuz: KERNEL }), false, 'a link')
  t.equal(ask(t, { boot: '-> other', 'other/vmlinuz': KERNEL }), false)
  t.equal(ask(t, { 'boot/vmlinuz': '' }, createHash('sha256').digest('hex')), true, 'an empty file has a sum')
  for (const id of ['', 'abi-1', ID.slice(1), `${ID}0`])
    t.equal(ask(t, { 'boot/vmlinuz': KERNEL }, id), false)
})

t.test('no more is read than a kernel can have', async (t) => {
  const huge = (layer: string) => {
    writeFileSync(join(layer, 'boot/a'), '')
    truncateSync(join(layer, 'boot/a'), 2 ** 40)
  }
  t.throws(
    () => ask(t, { 'boot/z': KERNEL }, ID, huge),
    /^the files in its \/boot have more than 268435456 bytes$/,
  )
})
