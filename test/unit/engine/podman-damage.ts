/**
 * Podman's storage with damage in its lists, in the texts of its images, and in what names its layers: each
 * case made by its number, as many for what an older Podman writes, and a tenth by the seed of this run.
 * `HOSTEXT_TEST_NUMBER=N` runs one of them, `HOSTEXT_TEST_CASES=N` as many.
 */
import { spawnSync } from 'node:child_process'
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Container } from '../../../src/engine/engine.js'
import { readPodman } from '../../../src/engine/podman.js'
import { HOSTILE, WRONG } from '../../support/damage.js'
import { copyPodman, GRAPHROOT, IMAGES, sha256 } from '../../support/podman.js'
import { FIXED_SEED, type Random, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { walk } from '../../support/tree.js'

const CASES = Number(process.env.HOSTEXT_TEST_CASES ?? 1000)
const ONE = process.env.HOSTEXT_TEST_NUMBER

const { root } = copyPodman(t)
const containers = join(root.prefix, '/var/lib/containers')
const fifo = join(root.prefix, 'fifo')
spawnSync('mkfifo', [fifo])

/** What is damaged, below /var/lib/containers, and what each should be. */
const sound = new Map(
  walk(containers)
    .filter(({ path }) => /\.json$|\/overlay-images\/.*\/|\/lower(?:-layers)?$|\/overlay\/l\//.test(path))
    .filter(({ path, entry }) => !entry.isDirectory() && !/\/userdata\//.test(path))
    .map(({ path, entry }): [string, { text: Buffer } | { link: string }] => [
      path,
      entry.isSymbolicLink()
        ? { link: readlinkSync(join(containers, path)) }
        : { text: readFileSync(join(containers, path)) },
    ]),
)

/** First a kind is chosen, then a file of it, so that each kind is damaged equally often. */
const KINDS = [
  /s\.json$/,
  /\/overlay-layers\//,
  /\/overlay-images\/.*\//,
  /\/lower-layers$/,
  /\/lower$/,
  /\/overlay\/l\//,
]
const pathsOf = (kind: RegExp): string[] => [...sound.keys()].filter((path) => kind.test(path))

function repair(touched: Iterable<string>): void {
  for (const path of touched) {
    const place = join(containers, path)
    const was = sound.get(path)
    rmSync(place, { recursive: true, force: true })
    if (was && 'link' in was) symlinkSync(was.link, place)
    else if (was) writeFileSync(place, was.text, { mode: 0o644 })
  }
}

/** Damages one file; returns what it did. */
function damage(random: Random, touched: Set<string>): string {
  const kind = random.pick(KINDS.map(pathsOf).filter(({ length }) => length > 0))
  const path = random.pick(kind)
  const other = random.pick(kind)
  const place = join(containers, path)
  const isLink = 'link' in (sound.get(path) ?? {})
  const replace = (work: () => void) => () => {
    rmSync(place, { recursive: true })
    work()
  }
  // What cannot be read any more takes no other damage.
  if (!isLink) readOwn(place)
  const target = readlinkOf(other) ?? '..'
  const [what, work] = random.pick<[string, () => void]>([
    ...(isLink
      ? ([
          ['leads where another one does', replace(() => symlinkSync(target, place))],
          [
            'leads elsewhere',
            replace(() => symlinkSync(random.pick(['/etc', '..', '../../x', '../l', 'X']), place)),
          ],
          ['leads nowhere', replace(() => symlinkSync(`../${'a'.repeat(64)}/diff`, place))],
        ] satisfies [string, () => void][])
      : ([
          ['is truncated', () => truncateSync(place, random.number(lstatSync(place).size + 1))],
          ['has flipped bits', () => flip(place, random)],
          ['is a wild text', () => writeFileSync(place, random.pick(HOSTILE))],
          ['has a terabyte', () => truncateSync(place, 2 ** 40)],
          ['has a wrong value', () => wrongValue(place, random)],
          ['has a wrong value', () => wrongValue(place, random)],
          ['has a wrong value', () => wrongValue(place, random)],
          ['has other names', () => wrongNames(place, random)],
        ] satisfies [string, () => void][])),
    // A list of containers may be any list.
    ...(isLink || path.includes('/overlay-containers/')
      ? []
      : ([['is another one', () => writeFileSync(place, readOwn(join(containers, other)))]] satisfies [
          string,
          () => void,
        ][])),
    // Without its lists a store has nothing, and that is no damage.
    ...(path.endsWith('.json') ? [] : ([['is gone', () => rmSync(place)]] satisfies [string, () => void][])),
    ['is a FIFO', replace(() => linkSync(fifo, place))],
    ['is a directory', replace(() => mkdirSync(place))],
    [
      'is a link',
      replace(() => symlinkSync(random.pick([place, '/dev/zero', join(containers, other)]), place)),
    ],
  ])
  touched.add(path)
  work()
  return `${path} ${what}`
}

function readlinkOf(path: string): string | undefined {
  const was = sound.get(path)
  return was && 'link' in was ? was.link : undefined
}

/** What is in a file. After another damage it may be a FIFO, or endless. */
function readOwn(place: string): Buffer {
  const stat = lstatSync(place)
  if (!stat.isFile() || stat.size > 1e6) throw new Error(`${place} is not a file that can be read`)
  return readFileSync(place)
}

function flip(place: string, random: Random): void {
  const bytes = readOwn(place)
  for (let count = random.number(4); count >= 0 && bytes.length > 0; count--) {
    const at = random.number(bytes.length)
    bytes[at] = (bytes[at] as number) ^ (1 << random.number(8))
  }
  writeFileSync(place, bytes)
}

/** Gives a key another value: one of a wrong type, none, or the one that another record has. */
function wrongValue(place: string, random: Random): void {
  const json = JSON.parse(readOwn(place).toString('utf8'))
  const holders = (Array.isArray(json) ? json : [json]).flatMap((record) => [
    record,
    record,
    ...Object.values(record).filter((value) => typeof value === 'object' && value !== null),
  ])
  const holder = random.pick(holders) as Record<string, unknown>
  const key = random.pick([...Object.keys(holder), 'id', 'parent', 'layer', 'image', 'flags', '__proto__'])
  const others = holders.map((other) => other[key]).filter((value) => value !== undefined)
  const way = random.number(3)
  if (way === 0) delete holder[key]
  else
    Object.defineProperty(holder, key, {
      value: random.pick(way === 1 && others.length > 0 ? others : WRONG),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  writeFileSync(place, JSON.stringify(json))
}

function wrongNames(place: string, random: Random): void {
  const names = readOwn(place).toString('utf8').split(':')
  const all = pathsOf(/\/lower(?:-layers)?$/).flatMap((path) => readSound(path).split(':'))
  const at = random.number(names.length + 1)
  const count = random.pick([0, 1, 2, 600])
  names.splice(at, random.number(2), ...Array(count).fill(random.pick([...all, ...HOSTILE, '/etc'])))
  writeFileSync(place, names.join(':'))
}

function readSound(path: string): string {
  const was = sound.get(path)
  return was && 'text' in was ? was.text.toString('utf8') : ''
}

/** What counts of a container: the rest is unchecked text. */
type Answer = { labels: string; imageId: string | undefined; chain: string | undefined }
type Answers = { found: Map<string, Answer & { refused: boolean }>; problems: string[] }

function read(hasDigests: boolean): Answers {
  const answers: Answers = { found: new Map(), problems: [] }
  try {
    const engine = readPodman(root, GRAPHROOT, [IMAGES], hasDigests ? sha256 : undefined)
    const chainOf = (container: Container): string | undefined => {
      try {
        const { directory, lower, key, chain } = engine.layers(container)
        const ids = lower.map((name) => {
          const path = name.startsWith('/') ? name : `${directory}/${name}`
          return realpathSync.native(root.prefix + path).slice(containers.length)
        })
        return [key, chain, ...ids].join(' ')
      } catch (error) {
        if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== undefined) throw error
        answers.problems.push(error.message)
        return undefined
      }
    }
    for (const container of engine.containers) {
      if ('problem' in container) {
        answers.problems.push(`${container.source}: ${container.problem}`)
        continue
      }
      engine.hostConfig(container)
      const { id, imageId, labels, refused } = container
      const sorted = JSON.stringify([...labels].sort())
      answers.found.set(id, {
        labels: sorted,
        imageId,
        chain: chainOf(container),
        refused: refused !== undefined,
      })
    }
  } catch (error) {
    if ((error as Error).constructor !== Error && (error as Error).constructor.name !== 'FileProblem')
      throw error
    answers.problems.push((error as Error).message)
  }
  return answers
}

const whole = read(true)

/** What is wrong with an answer, compared to that of the sound storage. */
function faults({ found, problems }: Answers, hasDigests: boolean): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  const odd = problems.filter((text) => /[\x00-\x1f\x7f-\x9f\u2028\u202e]/.test(text) || text.length > 800)
  const wrong = odd.map((text) => `not one line: ${JSON.stringify(text.slice(0, 1000))}`)
  for (const [id, answer] of found) {
    const right = whole.found.get(id)
    if (!right) wrong.push(...(answer.refused ? [] : [`${id}: there is no such container`]))
    else if (answer.chain !== undefined && answer.chain !== right.chain)
      wrong.push(`${id}: ${answer.chain}, not ${right.chain}`)
    else if (answer.refused) continue
    else if (answer.imageId !== right.imageId) wrong.push(`${id}: ${answer.imageId}, not ${right.imageId}`)
    else if (hasDigests && answer.labels !== right.labels) wrong.push(`${id}: ${answer.labels}`)
  }
  if (found.size < whole.found.size && problems.length === 0) wrong.push('a container is gone, silently')
  return wrong
}

function damagedBy(t: Test, seed: number, cases: number): void {
  const outcomes = { same: 0, some: 0, none: 0 }
  const started = Date.now()
  let failures = 0
  for (let number = ONE ? Number(ONE) : 0; number < (ONE ? Number(ONE) + 1 : cases); number++) {
    const random = seeded(seed * 1_000_003 + number)
    const hasDigests = number % 2 === 0
    const touched = new Set<string>()
    const done: string[] = []
    for (let left = 1 + random.number(2); left > 0; left--) {
      try {
        done.push(damage(random, touched))
      } catch {
        // What is gone, or no JSON any more, does not take every damage.
      }
    }
    let wrong: string[]
    try {
      const answers = read(hasDigests)
      wrong = faults(answers, hasDigests)
      const { size } = [...answers.found.values()]
        .filter(({ chain }) => chain !== undefined)
        .reduce((ids, { chain }, index) => ids.add(`${index} ${chain}`), new Set<string>())
      outcomes[answers.problems.length <= whole.problems.length ? 'same' : size > 0 ? 'some' : 'none']++
    } catch (error) {
      wrong = [`throws ${(error as Error).stack}`]
    }
    repair(touched)
    if (ONE) t.comment(done.join('; '))
    if (wrong.length === 0) continue
    failures++
    if (failures <= 20) t.fail(`case ${number}: ${done.join('; ')}: ${wrong.join('; ')}`)
  }
  t.equal(failures, 0, `cases that fail, of ${cases} by seed ${seed}`)
  t.comment(`${JSON.stringify(outcomes)}, ${Math.round((Date.now() - started) / 1000)} s`)
  // Damage that nothing comes of, and damage that takes everything along, would test little.
  if (!ONE) t.ok(Math.min(...Object.values(outcomes)) > cases / 50, JSON.stringify(outcomes))
  t.strictSame(read(true), whole, 'all is repaired')
}

t.test(`${CASES} cases of damage, by seed ${FIXED_SEED}`, async (t) => {
  t.equal(whole.found.size, 17)
  t.equal([...whole.found.values()].filter(({ chain }) => chain !== undefined).length, 16)
  t.ok(KINDS.every((kind) => pathsOf(kind).length > 2))
  damagedBy(t, FIXED_SEED, CASES)
})

t.test(`as many as a tenth, by HOSTEXT_TEST_SEED=${ROTATING_SEED}`, async (t) => {
  damagedBy(t, ROTATING_SEED, Math.ceil(CASES / 10))
})

t.test('as many again, with what an older Podman writes: only links lead to layers', async (t) => {
  for (const path of [...sound.keys()].filter((path) => path.endsWith('/lower-layers'))) {
    sound.delete(path)
    rmSync(join(containers, path))
  }
  damagedBy(t, FIXED_SEED + 1, CASES)
})
