import t from 'tap'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import { GOOD_NAMES, type GoodName, type TrialName } from '../../../src/stack/facts.js'
import { type Recorded, type RecordedStack, recordOn } from '../../../src/stack/record.js'
import { describeRollback, findMarks, findPlace, findReturn, judge } from '../../../src/stack/verdict.js'
import { makeExtension, makeIdentity } from '../../support/plan.js'

const BASE = makeIdentity()

/** A stack of images, each with a tree of its own, on a base. */
function on(base: object, ...images: string[]): Recorded {
  return recordOn(
    makeIdentity(base),
    images.map((image) =>
      makeExtension(image.replace(/\d/, ''), 'image:1', { tree: `${image.toUpperCase()}.01234567` }),
    ),
  )
}
const stack = (...images: string[]): Recorded => on({}, ...images)
/** One that an earlier version has recorded. */
const old = (...images: string[]): RecordedStack => ({ ...stack(...images), base: undefined as never })
const records = (
  good: RecordedStack[],
  tried: [RecordedStack, number][] = [],
  name: TrialName = 'trial',
) => ({
  good: good.map((stack, index) => ({ ...stack, name: GOOD_NAMES[index] as GoodName, restored: [] })),
  tried: tried.map(([stack, attempts]) => ({ name, stack, attempts })),
  problems: [],
})
/** Nothing of the base has changed. */
const SAME = { change: undefined }

t.test('a stack that has never booted well is on trial', async (t) => {
  t.same(judge(stack('wifi1'), records([]), 2), { kind: 'trial', attempt: 1, ...SAME })
  t.same(judge(stack('wifi1'), records([], [[stack('wifi1'), 1]]), 2), {
    kind: 'trial',
    attempt: 2,
    ...SAME,
  })
  t.same(
    judge(stack('wifi1'), records([], [[stack('gpu1'), 2]]), 2),
    { kind: 'trial', attempt: 1, ...SAME },
    'another has failed',
  )
})

t.test('what was good stays good', async (t) => {
  const good = records([stack('wifi2'), stack('wifi1')], [[stack('wifi1'), 2]])
  for (const image of ['wifi1', 'wifi2']) t.same(judge(stack(image), good, 2), { kind: 'good' })
  t.same(judge(stack('wifi3'), good, 2), { kind: 'trial', attempt: 1, ...SAME })
})

t.test('after its attempts it is bad until it changes', async (t) => {
  const tried: [RecordedStack, number][] = [[stack('wifi2', 'gpu1'), 2]]
  const bad = { kind: 'bad', attempts: 2, ...SAME }
  t.same(judge(stack('wifi2', 'gpu1'), records([], tried), 2), { ...bad, culprits: ['wifi', 'gpu'] })
  t.same(
    judge(stack('wifi2', 'gpu1'), records([stack('gpu1', 'wifi1')], tried), 2),
    { ...bad, culprits: ['wifi'] },
    'what is new since the last good one',
  )
  t.same(
    judge(stack('wifi2', 'gpu1'), records([stack('gpu1', 'wifi2')], tried), 2),
    { ...bad, culprits: ['wifi', 'gpu'] },
    'only their order is new',
  )
  t.match(judge(stack('wifi2'), records([], [[stack('wifi2'), 3]]), 2), { attempts: 2 }, 'given up')
  t.same(
    judge(stack('wifi2', 'gpu1'), records([], tried), 3),
    { kind: 'trial', attempt: 3, ...SAME },
    'Attempts= was raised',
  )
  t.same(
    judge(stack('wifi3', 'gpu1'), records([], tried), 2),
    { kind: 'trial', attempt: 1, ...SAME },
    'fixed',
  )
})

t.test('a change of the base is a trial of the same stack', async (t) => {
  const good = records([stack('wifi1')])
  for (const [base, what, was, is] of [
    [{ kernel: '6.1.0-2' }, 'the kernel', 'kernel 6.1.0-1', 'kernel 6.1.0-2'],
    [{ system: 'debian 13' }, 'the base root', 'debian 12, VERSION=12 (bookworm)', 'debian 13'],
    [{ hostext: '1.2.4' }, 'hostext', 'hostext 1.2.3', 'hostext 1.2.4'],
  ] as const)
    t.same(judge(on(base, 'wifi1'), good, 2), { kind: 'trial', attempt: 1, change: { what, was, is } }, what)
  t.match(judge(on({ kernel: '2' }, 'wifi1'), records([old('wifi1')]), 2), {
    kind: 'trial',
    change: { was: 'an earlier version of hostext' },
  })
  t.same(
    judge(on({ kernel: '2' }, 'wifi2'), good, 2),
    { kind: 'trial', attempt: 1, ...SAME },
    'another stack has never booted well',
  )
})

t.test('on the base on which it was good it still is', async (t) => {
  const both = records([on({ kernel: '2' }, 'wifi1'), stack('gpu1'), stack('wifi1')])
  t.same(judge(stack('wifi1'), both, 2), { kind: 'good' })
  t.same(judge(on({ kernel: '2' }, 'wifi1'), both, 2), { kind: 'good' })
  t.match(judge(on({ kernel: '3' }, 'wifi1'), both, 2), { kind: 'trial', attempt: 1 })
})

t.test('bad on a new base: no extension is to blame', async (t) => {
  const now = on({ kernel: '6.1.0-2' }, 'wifi1')
  const change = { what: 'the kernel', was: 'kernel 6.1.0-1', is: 'kernel 6.1.0-2' }
  t.same(judge(now, records([stack('wifi1')], [[now, 2]]), 2), {
    kind: 'bad',
    attempts: 2,
    culprits: [],
    change,
  })
  t.same(
    judge(now, records([on({ kernel: '6.1.0-2' }, 'gpu1'), stack('wifi1')], [[now, 2]]), 2),
    { kind: 'bad', attempts: 2, culprits: [], change },
    'even if another stack is good there',
  )
  t.same(
    judge(now, records([stack('wifi1')], [[stack('wifi1'), 2]]), 2),
    { kind: 'trial', attempt: 1, change },
    'attempts with another base do not count',
  )
  t.match(
    judge(now, records([], [[old('wifi1'), 2]]), 2),
    { kind: 'trial', attempt: 1 },
    'nor those of an earlier version',
  )
})

t.test(
  'the base and the stack changed: what is new in the stack is named, prepared anew or not',
  async (t) => {
    const now = on({ kernel: '2' }, 'wifi2', 'gpu1')
    const again = { ...now.extensions[1], tree: 'GPU1.89abcdef' }
    const prepared = { ...now, extensions: [now.extensions[0], again] } as Recorded
    for (const bad of [now, prepared])
      t.same(judge(bad, records([stack('wifi1', 'gpu1')], [[bad, 2]]), 2), {
        kind: 'bad',
        attempts: 2,
        culprits: ['wifi'],
        ...SAME,
      })
  },
)

t.test('each kind of trial has its own attempts', async (t) => {
  const tried = records([], [[stack('wifi1'), 2]], 'reduced')
  t.match(judge(stack('wifi1'), tried, 2), { kind: 'trial', attempt: 1 })
  t.match(judge(stack('wifi1'), tried, 2, 'reduced'), { kind: 'bad', attempts: 2 })
})

t.test('what a mark does to the records', async (t) => {
  const marks = (good: RecordedStack[], name: TrialName = 'trial') =>
    findMarks({ name, attempt: 2 }, records(good).good, BASE).map((pair) => pair.join(' > '))
  const elsewhere = on({ kernel: '2' }, 'wifi1')
  t.same(marks([]), ['trial.2 > good'])
  t.same(marks([stack('wifi1'), elsewhere]), ['good > previous', 'trial.2 > good'])
  t.same(marks([elsewhere, stack('x'), elsewhere]), ['good > other', 'trial.2 > good'])
  t.same(
    marks([elsewhere, elsewhere, stack('wifi1')]),
    ['other > previous', 'good > other', 'trial.2 > good'],
    'the last one on this base stays',
  )
  t.same(marks([old('wifi1')]), ['good > previous', 'trial.2 > good'], 'an earlier version finds it there')
  t.same(marks([elsewhere], 'back'), ['good > other', 'back.2 > good'])
  t.same(marks([stack('wifi1')], 'reduced'), ['reduced.2 > reduced'], 'the good one stays as it is')
  const good = [stack('wifi1'), stack('wifi3'), elsewhere, stack('x')]
  t.same(
    marks([...good, stack('wifi4')]),
    ['spare > previous', 'good > previous', 'trial.2 > good'],
    'what was on its way to be the last one, and was left, does not stay for ever',
  )
  t.same(marks([...good, elsewhere]), ['good > previous', 'trial.2 > good'], 'it may be the last one there')
})

t.test('a stack to which a machine goes back becomes the last good one', async (t) => {
  const own = stack('wifi1')
  const left = stack('wifi3')
  const elsewhere = on({ kernel: '2' }, 'wifi2')
  type Named = Partial<Record<GoodName, Recorded>>
  const goodOf = (named: Named) =>
    GOOD_NAMES.flatMap((name) => {
      const stack = named[name]
      return stack ? [{ ...stack, name, restored: [] }] : []
    })
  const after = (named: Named, wanted: Named): void => {
    t.strictSame(judge(own, { good: goodOf(named), tried: [] }, 2), { kind: 'good' })
    const marks = findReturn(own, goodOf(named))
    const now = { ...named }
    for (const [from, to] of marks) {
      // The power may be cut here: nothing that was there is lost, and the next boot comes to the same end.
      for (const stack of Object.values(wanted)) t.ok(Object.values(now).includes(stack))
      now[to] = now[from as GoodName] as Recorded
      delete now[from as GoodName]
      if (now.good !== own) {
        const rest = { ...now }
        for (const [from, to] of findReturn(own, goodOf(now))) {
          rest[to] = rest[from as GoodName] as Recorded
          delete rest[from as GoodName]
        }
        t.strictSame(rest, wanted)
      }
    }
    t.strictSame(now, wanted)
    t.strictSame(findReturn(own, goodOf(now)), [], 'once')
  }
  after({ good: own, previous: left }, { good: own, previous: left })
  after({ good: left, previous: own }, { good: own, previous: left })
  after({ good: elsewhere, other: own }, { good: own, other: elsewhere })
  after({ good: elsewhere, previous: own, other: left }, { good: own, previous: left, other: elsewhere })
  after({ previous: own }, { good: own })
  after({ good: left, reduced: own }, { good: own, previous: left })
  const lost = stack('wifi5')
  t.same(
    findReturn(own, goodOf({ good: left, previous: own, spare: lost })).map((pair) => pair.join(' > ')),
    ['previous > spare', 'good > previous', 'spare > good'],
    'another one was on its way',
  )
})

t.test('where records can be written', async (t) => {
  const mounts = (...lines: string[]) =>
    parseMountinfo(lines.map((line, index) => `${index} 1 254:${index} / ${line}`).join('\n'))
  const root = '/ ro - ext4 /dev/vda ro'
  t.same(findPlace(mounts(root), '/var/lib/docker', ['/var']), {
    directory: '/var/lib/docker/hostext',
    state: '/var',
  })
  t.same(findPlace(mounts(root), '/var/lib/docker', ['/home']), {
    off: '/var/lib/docker is on the root, which is locked, and not below a directory of State=',
  })
  t.same(findPlace(mounts(root, '/mnt/data rw - ext4 /dev/vdb rw'), '/mnt/data/docker', []), {
    directory: '/mnt/data/docker/hostext',
    state: undefined,
  })
  t.same(findPlace(mounts(root, '/mnt/data ro - ext4 /dev/vdb ro'), '/mnt/data/docker', ['/var']), {
    off: '/mnt/data is mounted read-only',
  })
  t.same(
    findPlace(mounts(root, '/var ro - ext4 /dev/vda ro'), '/var/lib/docker', ['/var']),
    { directory: '/var/lib/docker/hostext', state: '/var' },
    'another directory of the root, which is made writable with it',
  )
  t.match(findPlace(mounts('/ ro - squashfs /dev/vda ro'), '/var/lib/docker', ['/var']), { off: /squashfs/ })
})

t.test('what is said of a rollback is one line', async (t) => {
  const bad = (more: object) => ({
    kind: 'bad' as const,
    attempts: 1,
    culprits: [],
    change: undefined,
    ...more,
  })
  const line = describeRollback(bad({ culprits: ['wifi', 'g\npu'] }), 'the plain root')
  t.match(line, /^rolled back: wifi, g\\x0apu: did not boot well in 1 boot; .*; booting the plain root$/)
  const many = Array.from({ length: 499 }, (_, index) => `extension-${index}`)
  t.ok(describeRollback(bad({ culprits: many }), 'plain root').length < 800)
  const change = { what: 'the kernel', was: 'kernel 6.1.0-1', is: 'kernel 6.1.0-2' }
  t.equal(
    describeRollback(bad({ attempts: 2, change }), 'the plain root'),
    'rolled back: the kernel changed, and the stack did not: it booted well with kernel 6.1.0-1; now kernel 6.1.0-2: did not boot well in 2 boots; not tried again until the stack, the kernel or the base root changes (or "hostext retry"); booting the plain root',
  )
})
