import t, { type Test } from 'tap'
import { isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { readSwaps } from '../../../src/machine/planned.js'
import { overlayDirectories, readUses } from '../../../src/machine/uses.js'
import { makeTree, type Tree } from '../../support/tree.js'

function uses(t: Test, fstab: string, files: Tree): string[] {
  const entries = parseFstab(fstab)
  const planned = entries.filter(isAutomatic).map((entry) => ({ ...entry, from: '/etc/fstab' }))
  const root = { prefix: makeTree(t, files) }
  return readUses(root, planned, readSwaps(root, entries, [], [])).map(
    ({ path, kind, written }) => `${kind} ${path}${written === undefined ? '' : ` < ${written}`}`,
  )
}

t.test('what mounts and swap write to', async (t) => {
  const fstab = `
/data /mnt/x none bind
/images/disk.img /mnt/y ext4 loop
/swapfile none swap sw 0 0
overlay /opt/app overlay lowerdir=/opt/app,upperdir=/rw/app/upper,workdir=/rw/app/work
overlay /opt/b overlay lowerdir=/opt/b,upperdir=/one,workdir=/two
`
  const files = { 'data/x': '', 'images/disk.img': '', swapfile: '', 'rw/app/upper/x': '', 'one/x': '' }
  t.same(uses(t, fstab, files), [
    'directory /data',
    'file /images/disk.img',
    'directory /rw/app',
    'swap /swapfile',
  ])
})

t.test('what links lead to', async (t) => {
  const fstab = `
/linked/x /d none bind
/disk.img /e ext4 loop
/swap none swap
overlay /opt/app overlay lowerdir=/opt/app,upperdir=/linked/o/upper,workdir=/linked/o/work
/programs /f none bind
/gone /g none bind
`
  const files = {
    ...{ linked: '-> data', 'data/x/y': '', 'data/o/upper/x': '' },
    ...{ 'disk.img': '-> /data/disk', 'data/disk': '', swap: '-> swap.real', 'swap.real': '' },
    ...{ programs: '-> usr/bin', 'usr/bin/x': '', gone: '-> nowhere' },
  }
  t.same(uses(t, fstab, files), [
    'file /data/disk < /disk.img',
    'directory /data/o < /linked/o',
    'directory /data/x < /linked/x',
    'swap /swap.real < /swap',
  ])
})

t.test('what is no use of the root', async (t) => {
  const fstab = `
/dev/sda1 /a ext4
/ro /b none bind,ro
/usr/share/x /c none bind
/missing /e none bind
server:/x /f nfs
/swap.off none swap noauto
/directory none swap
`
  const files = {
    'ro/x': '',
    'usr/share/x/y': '',
    'swap.off': '',
    'directory/x': '',
    'dev/sda1': '',
  }
  t.same(uses(t, fstab, files), [])
})

t.same(overlayDirectories(['lowerdir=/a\\:b:/c', 'upperdir=/u', 'rw', 'upperdir=/v']), {
  lowerdir: ['/a\\:b', '/c'],
  upperdir: '/v',
})
