import t from 'tap'
import type { Trial } from '../../../src/stack/verdict.js'
import { firstPassUnits } from '../../../src/units/first-pass.js'
import { lockedUnits } from '../../../src/units/locked.js'
import { rollbackUnits } from '../../../src/units/trial.js'
import { makePlan, textOf } from '../../support/plan.js'

const place = { directory: '/var/lib/100% docker/hostext', state: '/var' }
const trial: Trial = {
  name: 'trial',
  attempt: 2,
  record: '',
  place,
  marks: [
    ['good', 'other'],
    ['trial.2', 'good'],
  ],
  failedUnits: 'warn',
  settle: 5,
  timeout: 77,
  inContainer: false,
}
const onTrial = (change: Partial<Trial> = {}) => ({
  safety: { kind: 'trial' as const, trial: { ...trial, ...change } },
})
const first = (change = {}) => firstPassUnits(makePlan({ ...onTrial(), ...change }), '/run/systemd/generator')
const locked = (change = {}) => lockedUnits(makePlan({ ...onTrial(), ...change }))

t.test('the trial is recorded when all is mounted, and the switch requires it', async (t) => {
  const files = first()
  const record = textOf(files, 'normal/hostext-trial.service')
  t.match(record, '\nRequires=hostext-stack.service\n')
  t.match(record, '\nAfter=hostext-stack.service\n')
  t.match(
    record,
    '\nExecStart=/usr/lib/hostext/trial trial 2 "/run/nextroot/var/lib/100%% docker/hostext" /run/nextroot/var remount,noatime,rw\n',
  )
  const switching = textOf(files, 'normal/hostext-switch.service')
  t.match(switching, '\nRequires=hostext-stack.service hostext-trial.service\n')
  t.match(switching, /\nAfter=.* hostext-trial\.service hostext-watch\.service\n/)
  t.match(switching, '\nWants=hostext-watch.service\n', 'a boot goes on without its watch')
})

t.test('below /mnt with systemd 252, it is written where its directory is until the switch', async (t) => {
  const below = { directory: '/mnt/data/docker/hostext', state: '/mnt/data/docker' }
  const change = { ...onTrial({ place: below }), softReboot: false, state: ['/mnt/data/docker'] }
  t.match(
    textOf(first(change), 'normal/hostext-trial.service'),
    'trial 2 /run/hostext/aside/mnt/data/docker/hostext /run/hostext/aside/mnt/data/docker ',
  )
})

t.test('on a disk that fstab has checked it is written after the check', async (t) => {
  const record = (change: object) => textOf(first(change), 'normal/hostext-trial.service')
  t.match(record({ checkRoot: true }), /\nAfter=.* systemd-fsck-root\.service\n/)
  const apart = {
    ...onTrial({ place: { directory: '/data/hostext', state: undefined } }),
    checkRoot: true,
  }
  t.notMatch(record(apart), /fsck/)
  t.match(
    record(apart),
    '\nExecStart=/usr/lib/hostext/trial trial 2 /data/hostext\n',
    'a partition is writable as it is',
  )
})

t.test('the watch is the same in both passes, and nothing an extension ships hides it', async (t) => {
  const path = 'early/hostext-watch.service'
  t.equal(textOf(first(), path), textOf(locked(), path))
  t.match(textOf(first(), path), /\nExecStart=@\/usr\/lib\/hostext\/node @.* watch 77\n/)
  const inContainer = onTrial({ inContainer: true })
  t.match(textOf(first(inContainer), path), / watch 77 container\n/)
})

t.test('the mark is made some time after the boot is complete', async (t) => {
  const files = locked({ target: 'multi-user.target' })
  const timer = textOf(files, 'early/hostext-good.timer')
  t.match(timer, '\nRequires=boot-complete.target\nAfter=boot-complete.target multi-user.target\n')
  t.match(timer, '\nOnActiveSec=5\n')
  t.equal(textOf(files, 'early/multi-user.target.wants/hostext-good.timer'), '-> ../hostext-good.timer')
  t.match(
    textOf(files, 'early/hostext-good.service'),
    '\nExecStart=/usr/lib/hostext/good "/var/lib/100%% docker/hostext" warn good other trial.2 good\n',
  )
})

t.test('what is decided about a known stack is kept at the end of the boot', async (t) => {
  const keep = { directory: '/var/lib/100% docker/hostext', state: '/var' }
  const files = locked({ target: 'multi-user.target', safety: { kind: 'known', keep } })
  const service = textOf(files, 'early/hostext-keep.service')
  t.match(service, '\nAfter=multi-user.target\n')
  t.match(service, '\nConditionPathExists=/run/hostext/known\n', 'not where it was kept before')
  t.match(service, '\nExecStart=/usr/lib/hostext/keep "/var/lib/100%% docker/hostext"\n')
  t.equal(textOf(files, 'early/multi-user.target.wants/hostext-keep.service'), '-> ../hostext-keep.service')
})

t.test('state that is copied in a first boot is written to the disk', async (t) => {
  const copied = ['/home', '/srv/100% mine']
  const path = 'early/hostext-sync.service'
  const files = locked({ target: 'multi-user.target', copied })
  t.match(textOf(files, path), '\nAfter=systemd-tmpfiles-setup.service\n')
  t.match(textOf(files, path), '\nTimeoutStartSec=60\n')
  t.match(textOf(files, path), '\nExecStart=-/bin/sync -f /home "/srv/100%% mine"\n')
  t.equal(textOf(files, 'early/multi-user.target.wants/hostext-sync.service'), '-> ../hostext-sync.service')
  const has = (change: object): boolean => locked(change).some((file) => file.path === path)
  t.notOk(has({ copied: [] }), 'no state')
  t.ok(has({ safety: { kind: 'known', keep: undefined } }), 'rollback is off')
  t.notOk(has({ safety: { kind: 'known', keep: place } }), 'it has booted before')
  t.notOk(has({ safety: { kind: 'restored', line: 'rolled back: x' } }))
  t.ok(has({ safety: { kind: 'restored', line: 'rolled back: x', trial } }), 'not on this base')
})

t.test('a known stack has none of it', async (t) => {
  const known = { safety: { kind: 'known', keep: undefined } }
  const names = [...first(known), ...locked(known)].map(({ path }) => path)
  t.same(
    names.filter((name) => /trial|watch|good|rollback|keep/.test(name)),
    [],
  )
})

t.test(
  'a good stack to which the machine goes back is marked without a trial, and this boot is not kept',
  async (t) => {
    const { settle } = trial
    const marks: Trial['marks'] = [['previous', 'spare']]
    const mark = { place, marks, failedUnits: 'ignore' as const, settle }
    const files = locked({ safety: { kind: 'known', keep: undefined, mark } })
    t.match(textOf(files, 'early/hostext-good.service'), ' ignore previous spare\n')
    const names = files.map(({ path }) => path)
    for (const name of ['early/hostext-watch.service', 'early/hostext-keep.service'])
      t.notOk(names.includes(name), name)
  },
)

t.test('a rollback is a unit that fails', async (t) => {
  const files = rollbackUnits('rolled back: 100%', 'default.target')
  t.match(
    textOf(files, 'normal/hostext-rollback.service'),
    '\nDescription=Host extensions rolled back: 100%%\n',
  )
  t.ok(textOf(files, 'normal/default.target.wants/hostext-rollback.service'))
  const names = locked({ safety: { kind: 'restored', line: 'rolled back: x' } }).map(({ path }) => path)
  t.ok(names.includes('normal/hostext-rollback.service'), 'the last good stack has it, too')
  t.notOk(names.includes('early/hostext-good.timer'))
})

t.test('a good stack of another base is on trial in the place of the other, which is said', async (t) => {
  const restored = { ...trial, name: 'back' as const }
  const change = { safety: { kind: 'restored' as const, line: 'rolled back: x', trial: restored } }
  t.match(textOf(first(change), 'normal/hostext-trial.service'), '/usr/lib/hostext/trial back 2 ')
  t.match(textOf(first(change), 'normal/hostext-switch.service'), / hostext-trial\.service/)
  const names = locked(change).map(({ path }) => path)
  for (const name of [
    'normal/hostext-rollback.service',
    'early/hostext-good.timer',
    'early/hostext-watch.service',
  ])
    t.ok(names.includes(name), name)
})
