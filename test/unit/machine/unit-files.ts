import t from 'tap'
import { hasMountUnit, readMountUnits, readPulledIn } from '../../../src/machine/unit-files.js'
import { makeTree } from '../../support/tree.js'

t.test('what a target pulls in, from wherever units are', async (t) => {
  const prefix = makeTree(t, {
    'etc/systemd/system/x.target.wants/b.service': '-> /dev/null',
    'usr/lib/systemd/system/x.target.wants/b.service': '-> ../b.service',
    'usr/lib/systemd/system/x.target.wants/a.service': '-> ../a.service',
    'run/systemd/system/x.target.requires/a.service': '-> ../a.service',
    'etc/systemd/system/x.target.upholds/c.service': '-> ../c.service',
    'etc/systemd/system/y.target.wants/d.service': '-> ../d.service',
    'etc/systemd/system/x.target.d/e.conf': '',
  })
  t.same(readPulledIn({ prefix }, 'x.target'), [
    'x.target.requires/a.service',
    'x.target.upholds/c.service',
    'x.target.wants/a.service',
    'x.target.wants/b.service',
  ])
})

t.test('mount units of the system', async (t) => {
  const prefix = makeTree(t, {
    'usr/lib/systemd/system/mnt-data.mount': '',
    'etc/systemd/system/my\\x2ddisk.mount': '',
    'run/systemd/generator/var.mount': '',
    'etc/systemd/system/masked.mount': '-> /dev/null',
    'usr/lib/systemd/system/masked.mount': '',
  })
  const units = readMountUnits({ prefix })
  t.same(units, ['mnt-data.mount', 'my\\x2ddisk.mount'])
  t.ok(hasMountUnit(units, '/mnt/data'))
  t.ok(hasMountUnit(units, '/my-disk'))
  t.notOk(hasMountUnit(units, '/mnt'))
  t.notOk(hasMountUnit(units, '/masked'), 'a masked unit mounts nothing, whatever stands behind it')
  t.notOk(hasMountUnit(units, '/var'), 'one of a generator is of fstab, or of an earlier run')
})

t.test('no units at all', async (t) => t.same(readMountUnits({ prefix: '/nonexistent' }), []))
