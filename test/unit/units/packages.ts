import t from 'tap'
import { lockedUnits } from '../../../src/units/locked.js'
import { packageUnits } from '../../../src/units/packages.js'
import { makePlan, textOf } from '../../support/plan.js'

const packages = { databases: ['/var/lib/rpm'], automatic: ['dnf-automatic.timer'] }

t.test('what upgrades by itself does not run', async (t) => {
  t.match(
    textOf(packageUnits({ packages }), 'normal/dnf-automatic.timer.d/50-hostext.conf'),
    '\nConditionPathExists=!/run/hostext\n',
  )
})

t.test('a database that is there is read-only', async (t) => {
  const files = packageUnits({ packages })
  const text = textOf(files, 'late/var-lib-rpm.mount')
  t.match(text, '\nConditionPathIsDirectory=/var/lib/rpm\n', 'the program alone has none')
  t.match(text, '\nWhat=/var/lib/rpm\nWhere=/var/lib/rpm\n')
  t.match(text, '\nOptions=bind,ro\n')
  t.equal(
    textOf(files, 'normal/local-fs.target.wants/var-lib-rpm.mount'),
    '-> ../../generator.late/var-lib-rpm.mount',
  )
})

t.test('it is part of the locked system', async (t) => {
  const locked = lockedUnits(makePlan({ packages }))
  for (const file of packageUnits({ packages })) t.same(textOf(locked, file.path), textOf([file], file.path))
  t.same(packageUnits({ packages: { databases: [], automatic: [] } }), [], 'nothing where there is nothing')
})
