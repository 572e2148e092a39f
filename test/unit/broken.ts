/**
 * Engine data that is damaged in every way: a real data root, and thousands of cases of something wrong in
 * it, each made by its number; a tenth as many by the seed of this run. `HOSTEXT_TEST_NUMBER=N` runs one of
 * them, `HOSTEXT_TEST_CASES=N` as many.
 */
import { spawnSync } from 'node:child_process'
import fs, {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { prepare } from '../../src/commands/prepare.js'
import { generate } from '../../src/generator.js'
import { type Recorded, type RecordedExtension, stackText } from '../../src/stack/record.js'
import { printable } from '../../src/text/printable.js'
import { parseStack } from '../../src/trial/records.js'
import { damage } from '../support/damage.js'
import { DATA } from '../support/data-root.js'
import { CASES, DATA_ROOTS } from '../support/paths.js'
import { FIXED_SEED, ROTATING_SEED, seeded } from '../support/seeded.js'
import { copyTree, entriesOf, makeTree, type Tree, takeTree, walk, writeEntry } from '../support/tree.js'
import { cannotVerify, verify } from '../support/verify.js'

const TREES = Number(process.env.HOSTEXT_TEST_CASES ?? 2400)
const ONE = process.env.HOSTEXT_TEST_NUMBER

const work = makeTree(t)
const root = join(work, 'root')
const data = join(root, DATA)
copyTree(join(CASES, 'soft-reboot/root'), root)
copyTree(join(DATA_ROOTS, 'standard'), data)
await prepare({ prefix: root }, {}, false)

// Half of the trees know of which image they were made; for the others, the layers are looked up.
for (const [index, name] of readdirSync(join(data, 'hostext/trees')).sort().entries()) {
  const file = join(data, 'hostext/trees', name, 'facts')
  const { image, ...facts } = JSON.parse(readFileSync(file, 'utf8'))
  t.match(image, /^sha256:/)
  if (index % 2 === 0) writeFileSync(file, JSON.stringify(facts))
}

/** The data root as it should be, but the files in the layers: those in the kept trees are what counts. */
const sound = entriesOf(data).filter(({ path }) => !/^overlay2\/[^/]+\/diff\//.test(path))
rmSync(data, { recursive: true })

function isAtOrBelow(path: string, places: Set<string>): boolean {
  for (let place = path; place !== '.'; place = dirname(place)) if (places.has(place)) return true
  return false
}

/**
 * Makes what is at and below the paths `touched` sound again. All of it takes longer than all else in a case.
 */
function repair(touched: Iterable<string>): void {
  const whole = new Set(touched)
  for (const path of whole)
    if (!isAtOrBelow(dirname(path), whole)) rmSync(join(data, path), { recursive: true, force: true })
  for (const entry of sound) if (isAtOrBelow(entry.path, whole)) writeEntry(data, entry)
}

const specials = { fifo: join(work, 'fifo'), socket: join(work, 'socket') }
spawnSync('mkfifo', [specials.fifo])
const server = createServer()
await new Promise<void>((resolve) => server.listen(specials.socket, resolve))
t.teardown(() => server.close())

/** What would go to the log. */
let said = ''
const { writeSync } = fs
fs.writeSync = ((descriptor: number, text: string) => {
  if (descriptor !== 2) return writeSync(descriptor, text)
  said += text
  return text.length
}) as typeof writeSync
syncBuiltinESMExports()

/**
 * Runs the generator; returns all that it has written. `collected`: images that are not prepared could not be
 * prepared.
 */
function run(collected = true): Tree {
  said = ''
  for (const path of ['root/run/hostext', 'out/normal', 'out/early', 'out/late'])
    mkdirSync(join(work, path), { recursive: true, mode: 0o755 })
  if (collected) writeFileSync(join(root, 'run/hostext/collected'), '')
  let written: Tree = {}
  try {
    generate(
      { HOSTEXT_ROOT: root },
      ...(['normal', 'early', 'late'].map((name) => join(work, 'out', name)) as [string, string, string]),
    )
  } finally {
    written = { ...takeTree(join(work, 'out')), ...takeTree(join(root, 'run')) }
  }
  return written
}

/**
 * Who has to be in the stack or in the record, by the engine's data as a plain reader has it: each container
 * that is flagged, and each of which nobody can say. `key`: what names it.
 */
function expected(): { key: string; why: string; name?: string }[] {
  const containers = join(data, 'containers')
  if (!existsSync(containers) && !isLink(containers)) return []
  if (!lstatSync(containers).isDirectory()) return [{ key: 'everything the engine keeps', why: 'containers' }]
  return readdirSync(containers).flatMap((id) => {
    const key = /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : 'a container'
    const file = join(containers, id, 'config.v2.json')
    const stat = statOf(file)
    if (!stat?.isFile() || stat.size > 1e7) return [{ key, why: 'no file' }]
    try {
      const { Name, Config } = JSON.parse(readFileSync(file, 'utf8'))
      const labels = Config.Labels ?? {}
      const feature = ['io.balena.features.host-extension', 'balena.io.features.host-extension'].some(
        (label) => typeof labels[label] === 'string' && !/^\s*(?:|0|false|no|off)\s*$/i.test(labels[label]),
      )
      return feature || labels['io.balena.image.class'] === 'overlay'
        ? [{ key, why: 'flagged', name: String(Name).replace(/^\//, '') }]
        : []
    } catch {
      return [{ key, why: 'no JSON' }]
    }
  })
}

function statOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path)
  } catch {
    return undefined
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}

/** The settings of a unit, `Section.Key`, in their order. Throws where a line is none. */
function settings(text: string): [string, string][] {
  let section = ''
  return text.split('\n').flatMap((line): [string, string][] => {
    if (line === '' || line.startsWith('#')) return []
    section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section
    if (line.startsWith('[')) return []
    const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? []
    // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
    if (key === undefined || /[\x00-\x1f\x7f-\x9f]|\\$/.test(line))
      throw new Error(`a line is none: ${JSON.stringify(line)}`)
    return [[`${section}.${key}`, value as string]]
  })
}

const LAYER = [
  'Unit.Description',
  'Unit.Documentation',
  'Unit.SourcePath',
  'Unit.DefaultDependencies',
  'Unit.PartOf',
  'Mount.What',
  'Mount.Where',
  'Mount.Type',
  'Mount.Options',
  'Mount.WorkingDirectory',
  'Mount.Environment',
  'Mount.StandardOutput',
  'Mount.StandardError',
]

/**
 * Layer units whose text has not been seen before, and whatever else names extensions; for systemd to look
 * at.
 */
const units: Tree = {}
const seen = new Set<string>()
const inside = `${realpathSync(work)}/root${DATA}/`

/** Whatever is wrong with what was written, a line each. */
function faults(written: Tree): string[] {
  const found: string[] = []
  const decision = written['hostext.decision']
  if (decision === undefined) {
    if (!said.includes('first: preparing ') || 'hostext/collected' in written) return ['no decision']
    try {
      settings(written['normal/hostext-collect.service'] ?? '[None]\nx')
      return []
    } catch (error) {
      return [`hostext-collect.service: ${(error as Error).message}`]
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  if (/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]/.test(decision + said))
    found.push('a control in the record or the log')
  const layers = Object.entries(written).filter(([path]) => /^normal\/run-hostext-\d+\.mount$/.test(path))
  const culprits = /^error: rolled back: .*/m.exec(decision)?.[0]
  const isBack = culprits !== undefined || decision.includes('booting the last good stack')
  // The plain root has none of them.
  const isPlain = culprits?.endsWith('; booting the plain root')
  for (const { key, why, name } of isPlain ? [] : expected()) {
    // A rollback stacks what is on record, by its trees, and names what it does so for.
    const tree = isBack ? recorded.get(key) : undefined
    const isStacked = layers.some(
      ([, text]) => text.includes(`/containers/${key}`) || (tree !== undefined && text.includes(tree)),
    )
    if (name !== undefined && culprits?.includes(printable(name, 1000).slice(0, 15))) continue
    if (!isStacked && !decision.includes(key) && !decision.includes('everything the engine keeps'))
      found.push(`not listed: ${key} (${why})`)
  }
  for (const [path, text] of Object.entries(written)) {
    if (/\.(?:mount|target|service|conf)$/.test(path) && !text.startsWith('-> ')) {
      try {
        settings(text)
      } catch (error) {
        found.push(`${path}: ${(error as Error).message}`)
      }
    }
  }
  for (const [path, text] of layers) {
    const number = /\d+/.exec(path)?.[0]
    const pairs = settings(text)
    const value = Object.fromEntries(pairs)
    if (pairs.map(([key]) => key).join() !== LAYER.join())
      found.push(`${path}: settings ${pairs.map(([key]) => key)}`)
    if (value['Mount.What'] !== `hostext-${number}` || value['Mount.Where'] !== `/run/hostext/${number}`)
      found.push(`${path}: What= or Where=`)
    const tree = /^ro,nosuid,nodev,lowerdir=empty:trees\/([^/:,]+\/tree)$/.exec(value['Mount.Options'] ?? '')
    if (!tree || value['Mount.WorkingDirectory'] !== '/run/hostext') found.push(`${path}: Options=`)
    const trees = written['hostext/trees']?.replace('-> ', '')
    const places = [value['Unit.SourcePath'] as string, `${trees}/${tree?.[1]}`]
    for (const place of places) {
      try {
        const real = realpathSync(root + place.replaceAll('%%', '%'))
        if (!real.startsWith(inside)) found.push(`${path}: ${place} is ${real}`)
      } catch (error) {
        found.push(`${path}: ${(error as Error).message}`)
      }
    }
  }
  collect(written)
  return found
}

function collect(written: Tree): void {
  for (const [path, text] of Object.entries(written)) {
    const layer = /^normal\/run-hostext-(\d+)\.mount$/.exec(path)?.[1]
    const names = /^hostext\/locked\/normal\/(?:hostext\.target|-\.mount\.d\/50-hostext\.conf)$/.test(path)
    const form = layer
      ? text.replaceAll(`hostext-${layer}`, 'hostext-N').replaceAll(`hostext/${layer}\n`, 'hostext/N\n')
      : text
    if ((!layer && !names) || seen.has(form)) continue
    const number = seen.size
    seen.add(form)
    if (layer)
      units[`run-hostext-${number}.mount`] = form
        .replaceAll('hostext-N', `hostext-${number}`)
        .replaceAll('hostext/N', `hostext/${number}`)
    // A drop-in has the settings of a unit.
    else units[`names-${number}.target`] = text
  }
}

/** The trees on record, by the key of their container. */
const recorded = new Map<string, string>()

/**
 * Records of earlier boots beside the engine's data: the sound stack is good, the one without its uppermost
 * extension has been tried to the end, so that damage to that one's container brings a rollback.
 */
function addRecords(): void {
  mkdirSync(data, { recursive: true, mode: 0o755 })
  repair(sound.map(({ path }) => path))
  const { extensions, base } = parseStack(run()['hostext/trial'] as string) as Recorded
  for (const { id, tree } of extensions) recorded.set(id.slice(0, 12), tree)
  const record = (part: RecordedExtension[]) =>
    Buffer.from(stackText({ above: part.length - 1, extensions: part, base }))
  sound.push(
    { path: 'hostext/good', text: record(extensions), mode: 0o644 },
    { path: 'hostext/previous', text: record(extensions.slice(0, -1)), mode: 0o644 },
    { path: 'hostext/trial.2', text: record(extensions.slice(1)), mode: 0o644 },
    { path: 'hostext/ids', text: Buffer.from('{"users":{"wifi":900},"groups":{}}\n'), mode: 0o600 },
  )
  repair(['hostext'])
}

/** All there is to a tree, but times: what each entry is, whose, and what is in it. */
function allOf(directory: string): string[] {
  return walk(directory).map(({ path }) => {
    const { mode, uid, gid, nlink, size } = lstatSync(join(directory, path))
    const kind = mode & 0o170000
    const holds =
      kind === 0o100000 && size < 1e7
        ? readFileSync(join(directory, path), 'base64')
        : kind === 0o120000
          ? readlinkSync(join(directory, path))
          : ''
    return `${path} ${mode.toString(8)} ${uid}:${gid} ${nlink} ${holds}`
  })
}

type Outcome = 'whole' | 'part' | 'plain' | 'back' | 'last good' | 'wait'

function outcomeOf(written: Tree): Outcome {
  const decision = written['hostext.decision']
  if (decision === undefined) return 'wait'
  if (decision.includes('rolled back')) return 'back'
  if (decision.includes('booting the last good stack')) return 'last good'
  const layers = Object.keys(written).filter((path) => /^normal\/run-hostext-\d+\.mount$/.test(path)).length
  if (layers === 4) return 'whole'
  return layers > 0 ? 'part' : 'plain'
}

addRecords()
const whole = walk(data)
const intact = allOf(data)

/** Prepares what is not prepared of the damaged data. Returns what is wrong with that. */
async function prepared(touched: Set<string>): Promise<string[]> {
  const others = () => allOf(data).filter((entry) => !entry.startsWith('hostext'))
  const before = others()
  touched.add('hostext')
  const { lines } = await prepare({ prefix: root }, {}, false)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  const odd = lines.filter((line) => /[\x00-\x1f\x7f-\x9f\u2028\u202e]/.test(line))
  const found = odd.map((line) => `a control in ${JSON.stringify(line)}`)
  if (others().join('\n') !== before.join('\n')) found.push("prepare changes the engine's files")
  if (lines.some((line) => /^removed: .*\.new/.test(line))) found.push('something is left over')
  return found
}

/** Runs `trees` cases of this seed; returns how many came to what. */
async function damagedBy(t: Test, seed: number, trees: number): Promise<Record<Outcome, number>> {
  const started = Date.now()
  const outcomes = { whole: 0, part: 0, plain: 0, back: 0, 'last good': 0, wait: 0 }
  let failures = 0
  for (let number = ONE ? Number(ONE) : 0; number < (ONE ? Number(ONE) + 1 : trees); number++) {
    const random = seeded(seed * 1_000_003 + number)
    const done: string[] = []
    const touched = new Set<string>()
    for (let left = 1 + random.number(5), tries = 0; left > 0 && tries < 20; tries++) {
      try {
        done.push(damage(data, random, specials, touched, tries === 0 ? whole : undefined))
        // The last one then: no later damage copies it.
        left = done.at(-1)?.endsWith('has a terabyte') ? 0 : left - 1
      } catch {
        // What is damaged already does not take every damage.
      }
    }
    let found: string[]
    try {
      const collected = number % 4 > 0
      const written = run(collected)
      found = faults(written)
      if (number % 20 === 0 && JSON.stringify(run(collected)) !== JSON.stringify(written))
        found.push('not the same bytes')
      outcomes[outcomeOf(written)]++
      if (number % 120 === 0) found.push(...(await prepared(touched)))
    } catch (error) {
      found = [`generate() throws ${(error as Error).stack}`]
    }
    repair(touched)
    // A case that began with the damage of another would not be the one of its number.
    if (number % 100 === 0 || ONE) t.strictSame(allOf(data), intact, `repaired after case ${number}`)
    if (ONE) t.comment(`${done.join('; ')}\n${said}`)
    if (found.length === 0) continue
    failures++
    if (failures <= 20) t.fail(`case ${number}: ${done.join('; ')}: ${found.join('; ')}`)
  }
  t.equal(failures, 0, `cases that fail, of ${trees} by seed ${seed}`)
  t.comment(`${JSON.stringify(outcomes)}, ${Math.round((Date.now() - started) / 1000)} s`)
  return outcomes
}

t.test(`${TREES} cases of damage, by seed ${FIXED_SEED}`, async (t) => {
  const outcomes = await damagedBy(t, FIXED_SEED, TREES)
  // Damage that nothing comes of, and damage that takes everything along, would test little.
  if (!ONE) t.ok(Math.min(...Object.values(outcomes)) > TREES / 50, JSON.stringify(outcomes))
  t.equal(
    Object.keys(run()).filter((path) => /^normal\/run-hostext-\d+\.mount$/.test(path)).length,
    4,
    'a sound one',
  )
})

t.test(`as many as a tenth, by HOSTEXT_TEST_SEED=${ROTATING_SEED}`, async (t) => {
  await damagedBy(t, ROTATING_SEED, Math.ceil(TREES / 10))
})

t.test('systemd has nothing to say about their units', { skip: cannotVerify }, async (t) => {
  t.equal(verify(t, units), '', `${Object.keys(units).length} units`)
  t.match(verify(t, { 'x.mount': '[Mount]\nWhat=a\nWhere=/y\n' }), 'x.mount', 'and would say so')
})
