import t from 'tap'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import { type RecordedStack, recordStack } from '../../../src/stack/record.js'
import { describeRollback, findPlace, judge } from '../../../src/stack/verdict.js'
import { makeExtension } from '../../support/plan.js'

/** A stack of images, each with a tree of its own. */
function stack(...images: string[]): RecordedStack {
  return recordStack(
    images.map((image) =>
      makeExtension(image.replace(/\d/, ''), 'image:1', { tree: `${image.toUpperCase()}.01234567` }),
    ),
  )
}
const records = (good: RecordedStack[], tried: [RecordedStack, number][] = []) => ({
  good: good.map((stack) => ({ ...stack, restored: [] })),
  tried: tried.map(([stack, attempts]) => ({ stack, attempts })),
  problems: [],
})

t.test('a stack that has never booted well is on trial', async (t) => {
  t.same(judge(stack('wifi1'), records([]), 2), { kind: 'trial', attempt: 1 })
  t.same(judge(stack('wifi1'), records([], [[stack('wifi1'), 1]]), 2), { kind: 'trial', attempt: 2 })
  t.same(
    judge(stack('wifi1'), records([], [[stack('gpu1'), 2]]), 2),
    { kind: 'trial', attempt: 1 },
    'another has failed',
  )
})

t.test('what was good stays good', async (t) => {
  const good = records([stack('wifi2'), stack('wifi1')], [[stack('wifi1'), 2]])
  for (const image of ['wifi1', 'wifi2']) t.same(judge(stack(image), good, 2), { kind: 'good' })
  t.same(judge(stack('wifi3'), good, 2), { kind: 'trial', attempt: 1 })
})

t.test('after its attempts it is bad until it changes', async (t) => {
  const tried: [RecordedStack, number][] = [[stack('wifi2', 'gpu1'), 2]]
  t.same(judge(stack('wifi2', 'gpu1'), records([], tried), 2), {
    kind: 'bad',
    attempts: 2,
    culprits: ['wifi', 'gpu'],
  })
  t.same(
    judge(stack('wifi2', 'gpu1'), records([stack('gpu1', 'wifi1')], tried), 2),
    { kind: 'bad', attempts: 2, culprits: ['wifi'] },
    'what is new since the last good one',
  )
  t.same(
    judge(stack('wifi2', 'gpu1'), records([stack('gpu1', 'wifi2')], tried), 2),
    { kind: 'bad', attempts: 2, culprits: ['wifi', 'gpu'] },
    'only their order is new',
  )
  t.same(
    judge(stack('wifi2', 'gpu1'), records([], tried), 3),
    { kind: 'trial', attempt: 3 },
    'Attempts= was raised',
  )
  t.same(judge(stack('wifi3', 'gpu1'), records([], tried), 2), { kind: 'trial', attempt: 1 }, 'fixed')
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
  t.match(findPlace(mounts('/ ro - squashfs /dev/vda ro'), '/var/lib/docker', ['/var']), { off: /squashfs/ })
})

t.test('what is said of a rollback is one line', async (t) => {
  const line = describeRollback({ kind: 'bad', attempts: 1, culprits: ['wifi', 'g\npu'] }, 'the plain root')
  t.match(line, /^rolled back: wifi, g\\x0apu: did not boot well in 1 boot; .*; booting the plain root$/)
  const many = Array.from({ length: 499 }, (_, index) => `extension-${index}`)
  t.ok(describeRollback({ kind: 'bad', attempts: 2, culprits: many }, 'plain root').length < 800)
})
