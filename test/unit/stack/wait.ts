import t from 'tap'
import { DEFAULTS } from '../../../src/machine/configuration.js'
import { readCrypttab } from '../../../src/machine/crypttab.js'
import { isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { awaitMounts } from '../../../src/stack/wait.js'

/** What the first mount of an fstab waits for. */
function waitFor(fstab: string, crypttab = '', named = false) {
  const planned = parseFstab(fstab)
    .filter(isAutomatic)
    .map((entry) => ({ ...entry, from: '/etc/fstab' }))
  const mount = planned[0] as (typeof planned)[0]
  const machine = { planned, crypttab: readCrypttab(crypttab), configuration: DEFAULTS }
  return awaitMounts(machine, [{ mount, named }])
}
const units = (...words: Parameters<typeof waitFor>) => waitFor(...words).limits.map(({ unit }) => unit)

t.test('a device may take until the timeout to appear', async (t) => {
  t.same(waitFor('/dev/sdb /mnt/data ext4 defaults 0 2'), {
    paths: ['/mnt/data'],
    hoped: [],
    limits: [{ unit: 'dev-sdb.device', seconds: 60 }],
    optional: [],
    unlock: false,
    online: false,
    patient: true,
  })
  t.match(waitFor('/dev/sdb /mnt/data ext4 defaults 0 0'), { patient: false, online: false, unlock: false })
  t.same(units('/dev/sdb /m ext4 x-systemd.device-timeout=5s'), [], "a shorter one of fstab's own stays")
  for (const own of ['2min', '0', 'infinity'])
    t.same(units(`/dev/sdb /m ext4 x-systemd.device-timeout=${own}`), ['dev-sdb.device'], own)
  t.same(units('tmpfs /m tmpfs'), [])
})

t.test('so may those of what it is on, and of what it binds', async (t) => {
  const fstab =
    '/disk/docker /mnt/data/docker none bind\n/dev/sdb /mnt/data ext4\n/dev/sdc /disk ext4\n/dev/sdd /x ext4'
  t.same(units(fstab), ['dev-sdb.device', 'dev-sdc.device'])
  t.same(units('/a /b none bind\n/b /a none bind'), [], 'a loop')
})

t.test('what fstab calls nofail is only waited for if something names it', async (t) => {
  const optional = [{ unit: 'mnt-data.mount', device: '/dev/disk/by-label/data' }]
  t.match(waitFor('LABEL=data /mnt/data ext4 nofail'), { optional, hoped: ['/mnt/data'] })
  t.same(waitFor('LABEL=data /mnt/data ext4 nofail').paths, [])
  const bound = waitFor('/disk/docker /mnt/data none bind\n/dev/sdb /disk ext4 nofail')
  t.same([bound.paths, bound.hoped], [[], ['/mnt/data']], 'nor what is on it')
  t.same(waitFor('LABEL=data /mnt/data ext4 nofail', '', true).optional, [])
  t.same(waitFor('LABEL=data /mnt/data ext4').optional, [])
})

t.test('a passphrase takes as long as it takes; the disk it is for does not', async (t) => {
  const volume = waitFor('/dev/mapper/data /m ext4 nofail', 'data UUID=1 none')
  t.match(volume, {
    limits: [{ unit: 'dev-disk-by\\x2duuid-1.device' }],
    optional: [{ unit: 'm.mount', device: '/dev/disk/by-uuid/1' }],
    patient: true,
    unlock: false,
  })
  const inside = waitFor('UUID=2 /m ext4', 'data /dev/sdb none')
  t.match(inside, { unlock: true, patient: true })
  t.same(inside.limits, [])
  t.match(waitFor('/dev/sdc /m ext4', 'data /dev/sdb none'), {
    limits: [{ unit: 'dev-sdc.device' }],
    unlock: false,
  })
})

t.test('the files of another machine', async (t) => {
  t.match(waitFor('server:/x /m nfs', '', true), { limits: [{ unit: 'm.mount', seconds: 60 }], online: true })
})
