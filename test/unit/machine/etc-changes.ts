import t from 'tap'
import { readEtcChanges, withChanges } from '../../../src/machine/etc-changes.js'
import { makeTree } from '../../support/tree.js'

const read = (...files: string[]) => {
  const tree = Object.fromEntries(files.map((file) => [`var/lib/hostext/etc/upper/${file}`, '']))
  return readEtcChanges({ prefix: makeTree(t, tree) })
}

t.test('nothing is kept', async (t) => {
  t.same(read(), { kept: false, machineId: false, indexes: [], shadowed: [] })
  t.same(read('passwd', 'udev/rules.d/x'), { kept: true, machineId: false, indexes: [], shadowed: [] })
})

t.test('the settings of the engine are read with them', async (t) => {
  const prefix = makeTree(t, { 'var/lib/hostext/etc/upper/x': '' })
  const changes = readEtcChanges({ prefix })
  t.same(withChanges({ prefix }, changes), { prefix, changes: `${prefix}/var/lib/hostext/etc/upper` })
  t.same(withChanges({ prefix }, { ...changes, kept: false }), { prefix })
  t.same(withChanges({ prefix }, undefined), { prefix })
})

t.test('kept changes that an index has to know', async (t) => {
  t.same(read('ld.so.cache', 'udev/hwdb.bin').indexes, [], 'services of the system write these')
  t.same(read('ld.so.conf.d/x.conf', 'udev/hwdb.d/x.hwdb').indexes, ['libraries', 'hardware'])
})

t.test('kept changes that stacking does not see, and the machine ID', async (t) => {
  t.same(read('fstab', 'hostext.conf.d/x.conf', 'hostext.conf.d/a.conf', 'passwd', 'machine-id'), {
    kept: true,
    machineId: true,
    indexes: [],
    shadowed: ['fstab', 'hostext.conf.d/a.conf', 'hostext.conf.d/x.conf'],
  })
})
