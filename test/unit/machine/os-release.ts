import t from 'tap'
import { parseOsRelease, readOsRelease } from '../../../src/machine/os-release.js'
import { makeTree, type Tree } from '../../support/tree.js'

t.test('the fields that matter', async (t) => {
  for (const [text, id, versionId] of [
    ['ID=x\nVERSION_ID="12"\n', 'x', '12'],
    ['VERSION_ID=\'2.98.4\'\nID="balena-os"', 'balena-os', '2.98.4'],
    ['VERSION_ID=13 \nX_ID=y\n', undefined, '13'],
    ['X_VERSION_ID=13\nVERSION_IDS=1\nMY_IMAGE_VERSION=7\n', undefined, undefined],
    ['ID=a\nID=b\n', 'b', undefined],
  ] as const)
    t.same(parseOsRelease(text), { id, versionId, build: [] }, text)
})

t.test('what tells one build from another', async (t) => {
  const text =
    'BUILD_ID=20261128.1\nNAME=x\nIMAGE_VERSION="7"\nID=x\nVERSION=\'12 (bookworm)\'\nIMAGE_VERSION=8\n'
  t.same(parseOsRelease(text).build, ['VERSION=12 (bookworm)', 'BUILD_ID=20261128.1', 'IMAGE_VERSION=8'])
})

t.test('from where os-release(5) has it', async (t) => {
  const version = (files: Tree) => readOsRelease({ prefix: makeTree(t, files) }).versionId
  t.equal(version({ 'usr/lib/os-release': 'VERSION_ID="12"\n' }), '12')
  t.equal(version({ 'etc/os-release': 'VERSION_ID=13\n', 'usr/lib/os-release': 'VERSION_ID=12\n' }), '13')
  t.equal(version({ 'etc/os-release': 'ID=debian\n', 'usr/lib/os-release': 'VERSION_ID=12\n' }), undefined)
  t.equal(version({}), undefined)
})
