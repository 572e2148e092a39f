import t from 'tap'
import { stackText } from '../../src/stack/record.js'
import { seeded } from '../boot/cut.js'
import { chooseBoot, FILES, judge, learn, newHistory, PHASES } from '../boot/power-cuts.js'

const IMAGE = (digit: string) => digit.repeat(64)
const GOOD = (number: number) => `${number} good 00000000-0000-4000-8000-00000000000${number}`
const BAD = '3 bad 00000000-0000-4000-8000-000000000003'

/** A boot that came to its end with nothing stacked. */
const whole = (more: Record<string, string> = {}) => ({
  end: 'poweroff' as const,
  clean: true,
  reports: new Map(
    Object.entries({
      target: 'active',
      failed: '',
      'engine.status': '0',
      'containers.status': '0',
      containers: '',
      'engine-after.status': '0',
      'stacked.status': '1',
      decision: 'plain root: no container is a host extension',
      END: '',
      ...more,
    }),
  ),
})
const made = (name: string, digit: string) => ({ made: `${name} sha256:${IMAGE(digit)}` })
const stacked = (name: string) => ({ stacked: name, 'stacked.status': '0', files: String(FILES) })
const cut = { end: 'cut' as const, clean: undefined, reports: new Map<string, string>() }

/** A record of one version, as the product writes it. */
const record = (digit: string) =>
  stackText({
    above: 1,
    extensions: [
      {
        id: digit.repeat(64),
        name: 'extension',
        image: 'extension:1',
        labels: [],
        imageId: `sha256:${IMAGE(digit)}`,
        rank: { kind: 'feature' },
        tree: `${digit.toUpperCase().repeat(26)}.01234567`,
      },
    ],
  })

t.test('a life in which nothing goes wrong', async (t) => {
  const history = newHistory()
  t.same(judge(history, whole(made(GOOD(1), 'a')), {}), [])
  t.same(judge(history, cut, {}), [])
  const first = { good: record('a') }
  t.same(judge(history, whole({ ...stacked(GOOD(1)), ...made(BAD, 'b') }), first), [])
  const turnsOff = { ...cut, end: 'poweroff' as const, reports: new Map([['bad', BAD]]) }
  t.same(judge(history, turnsOff, first), [])
  t.same(judge(history, turnsOff, first), [])
  const back = {
    decision: 'rolled back: extension',
    containers: `extension extension:3 ${BAD}`,
    failed: 'hostext-rollback.service loaded failed failed Rollback',
    ...made(GOOD(4), 'c'),
  }
  t.same(judge(history, whole(back), first), [])
  t.same(judge(history, cut, { previous: record('a') }), [], 'cut between two steps of marking')
  t.same(judge(history, cut, { other: record('a') }), [], 'the same after an upgrade')
  t.same(judge(history, whole(stacked(GOOD(4))), { good: record('c'), previous: record('a') }), [])
  t.same(judge(history, whole(), { good: record('c') }), [], 'what is good stays good without an extension')
})

t.test('everything that may not be is seen', async (t) => {
  const first = { good: record('a') }
  const history = () => {
    const before = newHistory()
    judge(before, whole(made(GOOD(1), 'a')), {})
    judge(before, whole({ ...stacked(GOOD(1)), ...made(BAD, 'b') }), first)
    return before
  }
  t.match(judge(history(), cut, {}), [/a good mark is lost/])
  t.match(judge(history(), cut, { good: '' }), [/good is not a record/, /a good mark is lost/, /unknown/])
  t.match(judge(history(), cut, { good: record('a').slice(0, -9), previous: record('a') }), [
    /good is not a record/,
  ])
  t.match(judge(history(), cut, { good: record('b'), previous: record('a') }), [
    /bad version 3 bad .* is marked good/,
  ])
  t.match(judge(history(), cut, { ...first, previous: record('b') }), [/bad version 3 bad .* is marked good/])
  t.match(judge(history(), cut, { good: record('d'), previous: record('a') }), [
    /unknown: what is marked good/,
  ])
  const { end: _, ...rest } = cut
  t.match(judge(history(), { ...rest, end: 'unknown' }, first), [/ended by itself/])
  const again = history()
  const turnsOff = { ...rest, end: 'poweroff' as const, reports: new Map([['bad', BAD]]) }
  const counts = [1, 2, 3].map(() => judge(again, turnsOff, first).length)
  t.same(counts, [0, 0, 1], 'a third attempt')
  for (const [what, why] of [
    [{ target: 'inactive' }, /multi-user\.target/],
    [{ failed: 'docker.service loaded failed failed Docker' }, /units failed: docker\.service/],
    [{ 'containers.status': '1' }, /the engine: containers/],
    [{ 'engine-after.status': '1' }, /the engine: engine-after/],
    [stacked(BAD), /is stacked, and the machine is up/],
    [{ ...stacked(GOOD(1)), files: '299' }, /a part of .* is stacked: 299 files of 300/],
    ...[
      'stacking 1',
      'plain root: no container is a host extension',
      'left out: other (other:1, 0123456789ab): no layers',
    ].map(
      (decision) =>
        [{ containers: `extension extension:1 ${GOOD(1)}`, decision }, /nothing is stacked of/] as const,
    ),
  ] as const)
    t.match(judge(history(), whole(what), first), [why])
  t.match(judge(history(), { ...whole(), clean: false }, first), [/in use/])
})

t.test('cuts are all over the boot, and the same for the same seed', async (t) => {
  const choose = (seed: number) => {
    const random = seeded(seed)
    return Array.from({ length: 600 }, () => chooseBoot(random, new Map([['marking good', 2]])))
  }
  const plain = (boots: ReturnType<typeof choose>) =>
    boots.map(({ cut, ...boot }) => ({ ...boot, after: cut?.after }))
  t.same(plain(choose(3)), plain(choose(3)))
  t.notSame(plain(choose(3)), plain(choose(4)))
  const boots = choose(3)
  for (const { name } of PHASES) {
    const share = boots.filter(({ phase }) => phase === name).length
    t.ok(share > 30 && share < 110, `${name}: ${share} of 600`)
  }
  const left = boots.filter(({ cut }) => cut === undefined).length
  t.ok(left > 140 && left < 260, `${left} come to their end`)
  for (const { phase, cut } of boots) if (phase === 'marking good') t.ok((cut?.after ?? 9e9) <= 2000)
})

t.test('phases last as long as they did', async (t) => {
  const durations = new Map([['marking good', 5]])
  learn(
    durations,
    new Map([
      ['@@at: settling', 20],
      ['@@at: settled', 22],
      ['@@at: up', 19],
      ['systemd[1]: ', 5],
    ]),
  )
  t.same([...durations], [['marking good', 2]], 'what was not seen is not learnt')
})
