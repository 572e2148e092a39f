import t from 'tap'
import { parseOsRelease, readOsRelease } from '../../../src/machine/os-release.js'
import { makeTree, type Tree } from '../../support/tree.js'

t.test('the fields that matter', async (t) => {
  t.same(parseOsRelease('ID=x\nVERSION_ID="12"\nVERSION="13"\n'), { id: 'x', versionId: '12' })
  t.same(parseOsRelease('VERSION_ID=\'2.98.4\'\nID="balena-os"'), { id: 'balena-os', versionId: '2.98.4' })
  t.same(parseOsRelease('VERSION_ID=13 \nX_ID=y\n'), { id: undefined, versionId: '13' })
  t.same(parseOsRelease('X_VERSION_ID=13\nVERSION_IDS=1\n'), { id: undefined, versionId: undefined })
  t.same(parseOsRelease('ID=a\nID=b\n'), { id: 'b', versionId: undefined }, 'as a shell would read it')
})

t.test('from where os-release(5) has it', async (t) => {
  const version = (files: Tree) => readOsRelease({ prefix: makeTree(t, files) }).versionId
  t.equal(version({ 'usr/lib/os-release': 'VERSION_ID="12"\n' }), '12')
  t.equal(version({ 'etc/os-release': 'VERSION_ID=13\n', 'usr/lib/os-release': 'VERSION_ID=12\n' }), '13')
  t.equal(version({ 'etc/os-release': 'ID=debian\n', 'usr/lib/os-release': 'VERSION_ID=12\n' }), undefined)
  t.equal(version({}), undefined)
})
