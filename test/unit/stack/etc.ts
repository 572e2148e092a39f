import t from 'tap'
import { chooseEtc, describeShadowed, persistedIndexes } from '../../../src/stack/etc.js'
import { makeTree } from '../../support/tree.js'

const nowhere = { state: undefined, mounted: false, willBeMounted: false, kept: false }

t.test('auto goes by what the root would be', async (t) => {
  t.same(chooseEtc('auto', true, nowhere), { etc: { mode: 'volatile' } })
  t.same(chooseEtc('auto', false, nowhere), { etc: { mode: 'read-only' } })
})

t.test('a mode that is asked for holds, whatever the root', async (t) => {
  for (const writable of [true, false]) {
    t.same(chooseEtc('read-only', writable, nowhere), { etc: { mode: 'read-only' } })
    t.same(chooseEtc('volatile', writable, nowhere), { etc: { mode: 'volatile' } })
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
    warning: /^Etc=persistent: \/var\/lib\/hostext\/etc is on no writable file system/,
  })
})

const UPPER = 'var/lib/hostext/etc/upper'

t.test('kept changes that an index has to know', async (t) => {
  const indexes = (files: string[]) =>
    persistedIndexes({
      prefix: makeTree(t, Object.fromEntries(files.map((file) => [`${UPPER}/${file}`, '']))),
    })
  t.same(indexes([]), [])
  t.same(indexes(['passwd', 'udev/rules.d/x']), [])
  t.same(indexes(['ld.so.cache']), ['libraries'])
  t.same(indexes(['ld.so.conf.d/x.conf', 'udev/hwdb.bin']), ['libraries', 'hardware'])
})

t.test('kept changes that stacking does not see are named', async (t) => {
  const root = {
    prefix: makeTree(t, {
      [`${UPPER}/fstab`]: '',
      [`${UPPER}/hostext.conf.d/x.conf`]: '',
      [`${UPPER}/passwd`]: '',
    }),
  }
  const lines = describeShadowed(root)
  t.equal(lines.length, 2)
  t.match(lines[0], /^\/etc\/fstab is changed in \/var\/lib\/hostext\/etc\/upper/)
  t.match(lines[1], /^\/etc\/hostext\.conf\.d\/x\.conf is changed/)
})
