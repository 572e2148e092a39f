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
    } = run(t, 'trial', ['1', DIRECTORY], before({ good: 'old\n', 'trial.2': 'x\n', new: 'cut' }))
    t.equal(status, 0)
    t.same(records, { good: 'old\n', 'trial.1': 'new stack\n' }, 'in place of those of other stacks')
    t.notOk(after.mounted, 'nothing is remounted')
    t.same(run(t, 'trial', ['1', DIRECTORY], {}).records, { 'trial.1': 'new stack\n' }, 'the first of all')
  })
  t.test('the next attempt is a rename', async (t) => {
    const { status, records } = run(t, 'trial', ['2', DIRECTORY], before({ 'trial.1': 'its stack\n' }))
    t.equal(status, 0)
    t.same(records, { 'trial.2': 'its stack\n' })
  })
  t.test('a record that does not reach the disk is none', async (t) => {
    const sync = '#!/bin/sh\necho "sync: error syncing: Input/output error" >&2\nexit 1\n'
    const { status, records } = run(t, 'trial', ['1', DIRECTORY], before({ good: 'old\n' }), { sync })
    t.not(status, 0)
    t.same(records.good, 'old\n')
    t.notOk(records['trial.1'])
  })
  t.test('below a state directory: that is made writable first', async (t) => {
    const words = ['1', DIRECTORY, '/run/data', 'remount,noatime,rw']
    const { status, run: after } = run(t, 'trial', words, {})
    t.equal(status, 0)
    t.equal(after.mounted, '-o remount,noatime,rw --target /run/data\n')
    const refused = run(t, 'trial', words, {}, { mount: '#!/bin/sh\nexit 32\n' })
    t.not(refused.status, 0)
    t.same(refused.records, {}, 'a disk that cannot be written to fails the unit')
  })
  t.test('what cannot be written fails, and leaves what was', async (t) => {
    const full = { cp: '#!/bin/sh\nexit 1\n' }
    const { status, records } = run(t, 'trial', ['1', DIRECTORY], before({ 'trial.2': 'x\n' }), full)
    t.not(status, 0)
    t.same(records, { 'trial.2': 'x\n' })
  })
})

t.test('good', { skip: cannotMount }, async (t) => {
  t.test('the trial becomes the good one, that the previous one', async (t) => {
    const {
      status,
      records,
      kernelLog,
      run: after,
    } = run(t, 'good', ['2', DIRECTORY], before({ good: 'old\n', previous: 'older\n', 'trial.2': 'new\n' }))
    t.equal(status, 0)
    t.same(records, { good: 'new\n', previous: 'old\n' })
    t.match(kernelLog, /^<5>hostext: .* marked good/)
    t.match(after['hostext.decision'], 'marked good')
    t.equal(after['hostext/good'], '')
    t.match(after.systemctl, 'stop hostext-watch.service')
    t.match(after.systemctl, '--no-block start hostext-prepare.service')
  })
  t.test('the first good one', async (t) => {
    t.same(run(t, 'good', ['1', DIRECTORY], before({ 'trial.1': 'new\n' })).records, { good: 'new\n' })
  })
  t.test('a stack that was not whole, and one whose record is gone, are not marked', async (t) => {
    const incomplete = run(t, 'good', ['1', DIRECTORY], {
      ...before({ good: 'old\n', 'trial.1': 'new\n' }),
      'hostext/incomplete': '',
    })
    t.equal(incomplete.status, 0)
    t.same(incomplete.records, { good: 'old\n' }, 'its next boot is its first')
    t.match(incomplete.kernelLog, /not marked good: an extension was left out/)
    t.match(incomplete.run.systemctl, 'stop hostext-watch.service')
    const marks = { good: 'old\n', previous: 'older\n' }
    const gone = run(t, 'good', ['1', DIRECTORY], before(marks))
    t.equal(gone.status, 0)
    t.same(gone.records, marks, 'no mark is lost')
    t.match(gone.kernelLog, /the record of the trial is gone/)
  })
  t.test('a boot that has gone back to the plain root marks nothing', async (t) => {
    const records = { good: 'old\n', 'trial.1': 'new\n' }
    const gone = run(t, 'good', ['1', DIRECTORY], { ...before(records), 'hostext/fallback': '' })
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
    } = run(t, 'good', ['1', DIRECTORY], before({ 'trial.1': 'new\n' }), { udevadm })
    t.equal(status, 1)
    t.same(records, { 'trial.1': 'new\n' })
    t.match(kernelLog, /not marked good: udev/)
    t.notOk(after.systemctl, 'the watch goes on')
  })
  t.test('where the records were there is nothing any more', async (t) => {
    const { status, run: after } = run(t, 'good', ['1', '/run/none'], {})
    t.equal(status, 1)
    t.notOk(after.systemctl, 'the watch goes on')
  })
  t.test('what cannot be marked is not rebooted', async (t) => {
    const mv = '#!/bin/sh\nexit 1\n'
    const {
      status,
      kernelLog,
      run: after,
    } = run(t, 'good', ['1', DIRECTORY], before({ good: 'old\n', 'trial.1': 'new\n' }), { mv })
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
