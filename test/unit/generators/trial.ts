import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import type { Tree } from '../../support/tree.js'

/** The records of an engine's data root after the scripts, in /run of a mount namespace of their own. */
function run(t: Test, script: string, words: string[], files: Tree, tools: Tree = {}) {
  const result = runPrivately(
    t,
    [join(STEPS, script), ...words],
    {
      'hostext/trial': 'new stack\n',
      'hostext/rollback': 'rolled back: a\\nb\n',
      'data/docker/x': '',
      ...files,
    },
    {
      mount: '#!/bin/sh\necho "$@" >/run/mounted\n',
      udevadm: '#!/bin/sh\nexit 0\n',
      systemctl: '#!/bin/sh\necho "$@" >>/run/systemctl\n',
      ...tools,
    },
  )
  const records: Tree = {}
  for (const [path, text] of Object.entries(result.run))
    if (path.startsWith('data/docker/hostext/')) records[path.slice('data/docker/hostext/'.length)] = text
  return { ...result, records }
}
const DIRECTORY = '/run/data/docker/hostext'
const before = (records: Tree): Tree =>
  Object.fromEntries(Object.entries(records).map(([name, text]) => [`data/docker/hostext/${name}`, text]))

t.test('trial', { skip: cannotMount }, async (t) => {
  t.test('the first attempt writes the record', async (t) => {
    const {
      status,
      records,
      run: after,
    } = run(
      t,
      'trial',
      ['trial', '1', DIRECTORY],
      before({ good: 'old\n', 'trial.2': 'x\n', 'back.2': 'y\n', reduced: 'z\n', new: 'cut' }),
    )
    t.equal(status, 0)
    t.same(
      records,
      { good: 'old\n', 'trial.1': 'new stack\n', 'back.2': 'y\n', reduced: 'z\n' },
      'in place of those of other stacks',
    )
    t.notOk(after.mounted, 'nothing is remounted')
    const first = run(t, 'trial', ['trial', '1', DIRECTORY], {})
    t.same(first.records, { 'trial.1': 'new stack\n' }, 'the first of all')
  })
  t.test('a trial of another kind leaves what has failed on record', async (t) => {
    const records = { 'trial.2': 'x\n', 'reduced.2': 'y\n', reduced: 'good\n' }
    t.same(run(t, 'trial', ['reduced', '1', DIRECTORY], before(records)).records, {
      'trial.2': 'x\n',
      'reduced.1': 'new stack\n',
      reduced: 'good\n',
    })
    const next = run(t, 'trial', ['back', '2', DIRECTORY], before({ 'back.1': 'x\n', 'trial.2': 'y\n' }))
    t.same(next.records, { 'back.2': 'x\n', 'trial.2': 'y\n' })
  })
  t.test('the next attempt is a rename', async (t) => {
    const { status, records } = run(
      t,
      'trial',
      ['trial', '2', DIRECTORY],
      before({ 'trial.1': 'its stack\n' }),
    )
    t.equal(status, 0)
    t.same(records, { 'trial.2': 'its stack\n' })
  })
  t.test('a record that does not reach the disk is none', async (t) => {
    const sync = '#!/bin/sh\necho "sync: error syncing: Input/output error" >&2\nexit 1\n'
    const { status, records } = run(t, 'trial', ['trial', '1', DIRECTORY], before({ good: 'old\n' }), {
      sync,
    })
    t.not(status, 0)
    t.same(records.good, 'old\n')
    t.notOk(records['trial.1'])
  })
  t.test('below a state directory: that is made writable first', async (t) => {
    const words = ['trial', '1', DIRECTORY, '/run/data', 'remount,noatime,rw']
    const { status, run: after } = run(t, 'trial', words, {})
    t.equal(status, 0)
    t.equal(after.mounted, '-o remount,noatime,rw --target /run/data\n')
    const refused = run(t, 'trial', words, {}, { mount: '#!/bin/sh\nexit 32\n' })
    t.not(refused.status, 0)
    t.same(refused.records, {}, 'a disk that cannot be written to fails the unit')
  })
  t.test('what cannot be written fails, and leaves what was', async (t) => {
    const full = { cp: '#!/bin/sh\nexit 1\n' }
    const { status, records } = run(t, 'trial', ['trial', '1', DIRECTORY], before({ 'trial.2': 'x\n' }), full)
    t.not(status, 0)
    t.same(records, { 'trial.2': 'x\n' })
  })
})

/** The words for a stack that takes the place of the last good one. */
const words = (attempt: number, failedUnits = 'warn') => [
  ...[DIRECTORY, failedUnits, 'good', 'previous'],
  ...[`trial.${attempt}`, 'good'],
]

t.test('good', { skip: cannotMount }, async (t) => {
  t.test('the trial becomes the good one, that the previous one', async (t) => {
    const {
      status,
      records,
      kernelLog,
      run: after,
    } = run(t, 'good', words(2), before({ good: 'old\n', previous: 'older\n', 'trial.2': 'new\n' }))
    t.equal(status, 0)
    t.same(records, { good: 'new\n', previous: 'old\n' })
    t.match(kernelLog, /^<5>hostext: .* marked good/)
    t.match(after['hostext.decision'], 'marked good')
    t.equal(after['hostext/good'], '')
    t.match(after.systemctl, 'stop hostext-watch.service')
    t.match(after.systemctl, '--no-block start hostext-prepare.service')
  })
  t.test('what was tried in its place is forgotten; that of another base stays', async (t) => {
    const records = {
      ...{ good: 'elsewhere\n', previous: 'x\n', other: 'here\n', reduced: 'less\n' },
      ...{ 'trial.2': 'bad\n', 'back.1': 'new\n', 'reduced.2': 'bad\n' },
    }
    const pairs = ['other', 'previous', 'good', 'other', 'back.1', 'good']
    t.same(run(t, 'good', [DIRECTORY, 'warn', ...pairs], before(records)).records, {
      ...{ good: 'new\n', previous: 'here\n', other: 'elsewhere\n', reduced: 'less\n' },
      'trial.2': 'bad\n',
    })
  })
  t.test('a reduced stack takes nothing from the good one', async (t) => {
    const records = {
      good: 'old\n',
      previous: 'older\n',
      reduced: 'x\n',
      'reduced.1': 'new\n',
      'back.2': 'y\n',
    }
    t.same(run(t, 'good', [DIRECTORY, 'warn', 'reduced.1', 'reduced'], before(records)).records, {
      ...{ good: 'old\n', previous: 'older\n', reduced: 'new\n', 'back.2': 'y\n' },
    })
  })
  t.test('the first good one', async (t) => {
    t.same(run(t, 'good', words(1), before({ 'trial.1': 'new\n' })).records, { good: 'new\n' })
  })
  t.test('a stack to which the machine goes back: the last good one again', async (t) => {
    const pairs = ['previous', 'spare', 'good', 'previous', 'spare', 'good']
    const records = { good: 'left\n', previous: 'here\n', 'trial.2': 'bad\n' }
    const words = [DIRECTORY, 'ignore', ...pairs]
    const { status, records: now, kernelLog, run: after } = run(t, 'good', words, before(records))
    t.equal(status, 0)
    t.same(now, { good: 'here\n', previous: 'left\n', 'trial.2': 'bad\n' })
    t.match(kernelLog, /^<5>hostext: .* marked good again/)
    t.equal(after['hostext.decision'], 'marked good again: this stack has booted well\n')
    t.notMatch(after.systemctl, 'hostext-watch.service', 'there is none')
    const incomplete = { ...before(records), 'hostext/incomplete': '' }
    t.same(run(t, 'good', words, incomplete).records, records, 'and no record goes')
    t.same(run(t, 'good', words, before({ good: 'left\n' })).records, { good: 'left\n' }, 'it was given up')
    // As the power was cut after the second step.
    const cut = before({ spare: 'here\n', previous: 'left\n' })
    t.same(run(t, 'good', [DIRECTORY, 'ignore', 'spare', 'good'], cut).records, {
      good: 'here\n',
      previous: 'left\n',
    })
  })
  t.test('units of extensions that have failed', async (t) => {
    const file = '/run/usr/wifi.service'
    const link = '/run/usr/link.service'
    // One is the first extension's, by a link; of one the root has another file; one is of the root alone.
    const files = {
      ...before({ good: 'old\n', 'trial.1': 'new\n' }),
      ...{ 'usr/wifi.service': 'its\n', 'usr/gpu.service': "the root's\n", 'usr/init': 'script\n' },
      'usr/link.service': '-> wifi.service',
      ...{ [`hostext/1${file}`]: 'its\n', 'hostext/0/run/usr/gpu.service': 'another\n' },
      ...{ 'hostext/10/run/usr/init': 'script\n', 'hostext/index/run/usr/gpu.service': "the root's\n" },
    }
    const systemctl = `#!/bin/sh
case "$*" in
list-units*) printf '%s loaded failed failed Description of it\\n' wifi.service gpu.service init.service none.service ;;
*' wifi.service') printf '%s\\n\\n' ${link} ;;
*' gpu.service') printf '%s\\n\\n' /run/usr/gpu.service ;;
*' init.service') printf '%s\\n%s\\n' /run/systemd/generator.late/init.service /run/usr/init ;;
*run-hostext-1.mount) echo 'Host extension wifi (wifi:1)' ;;
*run-hostext-10.mount) echo 'Host extension old (old:2)' ;;
show*) printf '\\n\\n' ;;
*) echo "$@" >>/run/systemctl ;;
esac
`
    const named = 'wifi.service of wifi (wifi:1), init.service of old (old:2)'
    const warned = run(t, 'good', words(1, 'warn'), files, { systemctl })
    t.equal(warned.status, 0)
    t.same(warned.records, { good: 'new\n', previous: 'old\n' })
    t.equal(
      warned.run['hostext.decision'],
      `warning: marked good: this stack has booted well, but units of its extensions have failed: ${named}\n`,
    )
    t.ok(warned.kernelLog.startsWith('<4>hostext: the host extensions have booted well: '))
    t.ok(warned.kernelLog.endsWith(`have failed: ${named}\n`))
    t.match(warned.run.systemctl, 'stop hostext-watch.service')

    const ignored = run(t, 'good', words(1, 'ignore'), files, { systemctl })
    t.same(ignored.records, { good: 'new\n', previous: 'old\n' })
    t.equal(ignored.run['hostext.decision'], 'marked good: this stack has booted well\n')

    const bad = run(t, 'good', words(1, 'bad'), files, { systemctl })
    t.equal(bad.status, 1)
    t.same(bad.records, { good: 'old\n', 'trial.1': 'new\n' })
    t.equal(
      bad.run['hostext.decision'],
      `warning: not marked good: units of extensions have failed (FailedUnits=bad): ${named}\n`,
    )
    t.notOk(bad.run.systemctl, 'the watch goes on')

    const many = systemctl.replace(/ wifi\.service gpu\.service.*? ;;/, `${' wifi.service'.repeat(60)} ;;`)
    t.equal(
      run(t, 'good', words(1), files, { systemctl: many }).run['hostext.decision'],
      `warning: marked good: this stack has booted well, but units of its extensions have failed: ${'wifi.service of wifi (wifi:1), '.repeat(5)}and others\n`,
      'no more than a line of the kernel log takes',
    )

    const none = systemctl.replace(/ wifi\.service gpu\.service.*? ;;/, ' gpu.service ;;')
    t.not(none, systemctl)
    const sound = run(t, 'good', words(1, 'bad'), files, { systemctl: none })
    t.same(sound.records, { good: 'new\n', previous: 'old\n' }, "the root's own may fail")
    t.equal(sound.run['hostext.decision'], 'marked good: this stack has booted well\n')
  })
  t.test('a stack that was not whole, and one whose record is gone, are not marked', async (t) => {
    const incomplete = run(t, 'good', words(1), {
      ...before({ good: 'old\n', 'trial.1': 'new\n' }),
      'hostext/incomplete': '',
    })
    t.equal(incomplete.status, 0)
    t.same(incomplete.records, { good: 'old\n' }, 'its next boot is its first')
    t.match(incomplete.kernelLog, /not marked good: an extension was left out/)
    t.match(incomplete.run.systemctl, 'stop hostext-watch.service')
    const marks = { good: 'old\n', previous: 'older\n' }
    const gone = run(t, 'good', words(1), before(marks))
    t.equal(gone.status, 0)
    t.same(gone.records, marks, 'no mark is lost')
    t.match(gone.kernelLog, /the record of the trial is gone/)
  })
  t.test('a boot that has gone back to the plain root marks nothing', async (t) => {
    const records = { good: 'old\n', 'trial.1': 'new\n' }
    const gone = run(t, 'good', words(1), { ...before(records), 'hostext/fallback': '' })
    t.same(gone.records, records)
    t.match(gone.kernelLog, /not marked good: this boot fell back to the plain root/)
  })
  t.test('a device manager that does not come to rest is no good boot', async (t) => {
    const udevadm = '#!/bin/sh\nexit 1\n'
    const {
      status,
      records,
      kernelLog,
      run: after,
    } = run(t, 'good', words(1), before({ 'trial.1': 'new\n' }), { udevadm })
    t.equal(status, 1)
    t.same(records, { 'trial.1': 'new\n' })
    t.match(kernelLog, /not marked good: udev/)
    t.notOk(after.systemctl, 'the watch goes on')
  })
  t.test('where the records were there is nothing any more', async (t) => {
    const { status, run: after } = run(t, 'good', ['/run/none', 'warn', 'trial.1', 'good'], {})
    t.equal(status, 1)
    t.notOk(after.systemctl, 'the watch goes on')
  })
  t.test('what cannot be marked is not rebooted', async (t) => {
    const mv = '#!/bin/sh\nexit 1\n'
    const {
      status,
      kernelLog,
      run: after,
    } = run(t, 'good', words(1), before({ good: 'old\n', 'trial.1': 'new\n' }), { mv })
    t.equal(status, 1)
    t.match(kernelLog, /cannot be written to/)
    t.match(after.systemctl, 'stop hostext-watch.service')
  })
})

t.test('rolled-back fails, and tells whoever looks', { skip: cannotMount }, async (t) => {
  const { status, stderr, run: after } = run(t, 'rolled-back', [], {})
  t.equal(status, 1)
  t.match(stderr, 'rolled back: ')
  t.equal(after['issue.d/hostext.issue'], 'hostext: rolled back: anb\n\n', 'no escapes for agetty')
})
