import t from 'tap'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import type { PlannedMount } from '../../../src/machine/planned.js'
import { chooseEtc, describeShadowed, findChangesPlace, type Place } from '../../../src/stack/etc.js'

const nowhere: Place = {
  state: undefined,
  mounted: false,
  willBeMounted: false,
  type: 'ext4',
  kept: false,
}

t.test('auto keeps what a writable root would have kept', async (t) => {
  t.same(chooseEtc('auto', true, { ...nowhere, state: '/var', kept: true }), {
    etc: { mode: 'persistent', state: '/var', kept: true },
  })
  t.same(chooseEtc('auto', true, { ...nowhere, mounted: true }), {
    etc: { mode: 'persistent', state: undefined, kept: false },
  })
  t.same(chooseEtc('auto', true, { ...nowhere, willBeMounted: true }), {
    etc: { mode: 'volatile' },
    wait: true,
  })
  t.same(
    chooseEtc('auto', true, nowhere),
    {
      etc: { mode: 'volatile' },
      lost: {
        level: 'notice',
        text: 'changes to /etc are lost at reboot: /var/lib/hostext/etc is not on a writable file system',
      },
    },
    'not in silence',
  )
})

t.test('auto is read-only on a root that was read-only, whatever could keep changes', async (t) => {
  for (const place of [{}, { state: '/var' }, { mounted: true }, { willBeMounted: true }])
    t.same(chooseEtc('auto', false, { ...nowhere, ...place }), { etc: { mode: 'read-only' } })
})

t.test('a mode that is asked for holds, whatever the root', async (t) => {
  for (const writable of [true, false]) {
    t.same(chooseEtc('read-only', writable, nowhere), { etc: { mode: 'read-only' } })
    t.same(chooseEtc('volatile', writable, nowhere), { etc: { mode: 'volatile' } })
    t.match(chooseEtc('volatile', writable, { ...nowhere, state: '/var' }), { etc: { mode: 'volatile' } })
  }
})

t.test('persistent needs a place to keep changes', async (t) => {
  t.same(chooseEtc('persistent', true, { ...nowhere, state: '/var', kept: true }), {
    etc: { mode: 'persistent', state: '/var', kept: true },
  })
  t.same(chooseEtc('persistent', false, { ...nowhere, mounted: true }), {
    etc: { mode: 'persistent', state: undefined, kept: false },
  })
  t.match(chooseEtc('persistent', false, { ...nowhere, willBeMounted: true }), { wait: true })
  t.match(chooseEtc('persistent', true, nowhere), {
    etc: { mode: 'volatile' },
    lost: { level: 'warning', text: /\/var\/lib\/hostext\/etc is not on a writable file system$/ },
  })
})

t.test('what forgets, or cannot be the upper layer of an overlay, keeps nothing', async (t) => {
  for (const type of ['tmpfs', 'nfs4', 'vfat', 'overlay']) {
    for (const place of [{ state: '/var' }, { mounted: true }])
      t.match(chooseEtc('auto', true, { ...nowhere, ...place, type }), {
        etc: { mode: 'volatile' },
        lost: { text: `/var/lib/hostext/etc is on ${type}, which cannot keep them` },
      })
    t.match(chooseEtc('auto', true, { ...nowhere, type, willBeMounted: true }), { wait: true }, 'not yet')
  }
})

t.test('the place of the changes', async (t) => {
  const var_: PlannedMount = {
    ...{ source: '/dev/sdb', mountPoint: '/var', type: 'ext4', options: [], passno: 2, from: '/etc/fstab' },
  }
  const find = (state: string[], paths: string[], isPlanned = false, collected = false) => {
    const lines = ['/', ...paths].map(
      (path, index) => `${index} 1 8:${index} / ${path} ro - ${path === '/' ? 'ext4' : 'xfs'} /dev/sda rw\n`,
    )
    const machine = { mounts: parseMountinfo(lines.join('')), collected, etcChanges: undefined }
    return findChangesPlace(machine, state, isPlanned ? var_ : undefined)
  }
  const place = { ...nowhere, state: '/var' }
  t.same(find(['/home', '/var'], []), place, 'state')
  t.same(find(['/var'], ['/home']), place, 'other mounts do not matter')
  t.same(find(['/home'], []), nowhere, 'the locked root')
  t.same(find(['/var'], ['/var']), { ...place, mounted: true, type: 'xfs' }, 'an initrd has mounted it')
  const below = { ...nowhere, mounted: true, type: 'xfs' }
  t.same(find(['/var'], ['/var/lib']), below, 'state is bound without what is mounted below it')
  t.same(find([], ['/var']), below)
  t.same(find(['/var'], [], true), { ...nowhere, willBeMounted: true }, '/var/lib will be mounted')
  t.same(find(['/var'], [], true, true), nowhere, 'it should have been')
  t.same(find([], ['/var'], true, true), { ...nowhere, type: 'xfs' }, 'the same, below /var')
})

t.test('what the machine itself mounts at /etc stays', async (t) => {
  const place = { ...nowhere, state: '/var' }
  t.same(chooseEtc('auto', true, place, '/etc/fstab'), { etc: { mode: 'mounted' } })
  for (const setting of ['persistent', 'volatile', 'read-only'] as const)
    t.same(chooseEtc(setting, true, place, '/etc/fstab'), {
      etc: { mode: 'mounted' },
      lost: { level: 'warning', text: `Etc=${setting}: /etc/fstab mounts /etc, which stays as it is` },
    })
})

t.match(
  describeShadowed('hostext.conf.d/x.conf'),
  /^\/etc\/hostext\.conf\.d\/x\.conf is changed in \/var\/lib\/hostext\/etc\/upper, /,
)
