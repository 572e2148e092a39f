import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { architectureOf, findMismatch } from '../../../src/image/architecture.js'
import { onDisk } from '../../../src/image/disk.js'
import { makeElf } from '../../support/elf.js'
import { makeTree } from '../../support/tree.js'

const [I386, ARM, AMD64, ARM64, UNKNOWN] = [3, 40, 62, 183, 999]

/** A directory with programs, by their paths, for a processor each; a text is a script. */
function programs(t: Test, files: Record<string, number | string>): string {
  const directory = makeTree(t)
  for (const [path, machine] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    const elf = makeElf({ bits: 64, little: true })
    if (typeof machine === 'number') elf.writeUInt16LE(machine, 18)
    writeFileSync(join(directory, path), typeof machine === 'number' ? elf : machine)
  }
  return directory
}

t.test('an image whose programs are for another processor', async (t) => {
  const judge = (image: Record<string, number | string>, root: Record<string, number>) =>
    findMismatch({ prefix: programs(t, root) }, onDisk, programs(t, image))
  const amd64 = { 'usr/lib/systemd/systemd': AMD64 }
  t.same(judge({ 'usr/bin/x': ARM64 }, amd64), { image: 'arm64', root: 'amd64' })
  for (const path of ['usr/sbin/x', 'usr/local/bin/x', 'bin/x', 'sbin/x'])
    t.ok(judge({ [path]: ARM64 }, amd64), path)
  t.same(judge({ 'usr/bin/x': UNKNOWN }, amd64), { image: 'ELF machine 999', root: 'amd64' })
  t.equal(judge({ 'usr/bin/a': ARM64, 'usr/bin/b': AMD64 }, amd64), undefined, 'one of them is for this one')
  t.equal(judge({ 'usr/bin/a': '#!/bin/sh', 'opt/x': ARM64 }, amd64), undefined, 'no programs')
  t.equal(judge({ 'usr/bin/x': I386 }, amd64), undefined, 'runs here')
  t.equal(judge({ 'usr/bin/x': ARM }, { 'bin/sh': ARM64 }), undefined, 'runs here')
  t.equal(judge({ 'usr/bin/x': ARM64 }, { 'bin/sh': ARM }), undefined, 'with a kernel for 64 bits')
  t.ok(judge({ 'usr/bin/x': ARM64 }, { 'bin/sh': I386 }))
  t.equal(architectureOf({ prefix: programs(t, { 'bin/sh': UNKNOWN }) }), undefined)
  t.equal(judge({ 'usr/bin/x': ARM64 }, {}), undefined, 'nothing tells what the root is')
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`usr/bin/a${index}`, ARM64]))
  t.ok(judge({ ...many, 'usr/local/bin/z': AMD64 }, amd64), 'the first twenty tell')
})

t.test('the directories of a merged image are looked at once, and no link leads out of it', async (t) => {
  const root = { prefix: programs(t, { 'bin/sh': AMD64 }) }
  t.equal(architectureOf(root), 'amd64')
  const image = programs(t, { 'usr/bin/x': ARM64 })
  symlinkSync('usr/bin', join(image, 'bin'))
  symlinkSync(join(root.prefix, 'bin/sh'), join(image, 'usr/bin/a'))
  t.same(findMismatch(root, onDisk, image), { image: 'arm64', root: 'amd64' })
})
