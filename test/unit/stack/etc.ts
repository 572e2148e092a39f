import t from 'tap'
import { chooseEtc, describeShadowed } from '../../../src/stack/etc.js'

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
    warning: /^Etc=persistent: \/var\/lib\/hostext\/etc is not on a writable file system/,
  })
})

t.match(
  describeShadowed('hostext.conf.d/x.conf'),
  /^\/etc\/hostext\.conf\.d\/x\.conf is changed in \/var\/lib\/hostext\/etc\/upper, /,
)
