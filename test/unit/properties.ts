import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { readContainers } from '../../src/engine/container.js'
import { readLayers } from '../../src/engine/overlay2.js'
import { findDataRoots } from '../../src/engine/places.js'
import { readRank } from '../../src/image/labels.js'
import { directoryPath, readConfiguration } from '../../src/machine/configuration.js'
import type { Root } from '../../src/machine/files.js'
import { devicePath, parseFstab, unescapeOctal } from '../../src/machine/fstab.js'
import { readCommandLine, splitArguments, splitCommandLine } from '../../src/machine/kernel-command-line.js'
import { parseMountinfo } from '../../src/machine/mountinfo.js'
import type { Plan, Wait } from '../../src/stack/plan.js'
import { stackText } from '../../src/stack/record.js'
import { printable, printableList } from '../../src/text/printable.js'
import { type UnitFile, unitName } from '../../src/text/unit-syntax.js'
import { parseStack, readRecords } from '../../src/trial/records.js'
import { collectUnits } from '../../src/units/collect.js'
import { firstPassUnits } from '../../src/units/first-pass.js'
import { layerUnits } from '../../src/units/layer.js'
import { lockedUnits } from '../../src/units/locked.js'
import { makeExtension, makePlan } from '../support/plan.js'
import { FIXED_SEED, ROTATING_SEED } from '../support/seeded.js'
import { makeTree } from '../support/tree.js'

/** A failure prints the smallest counterexample. */
const PARAMETERS = { seed: FIXED_SEED, numRuns: 400 }
const MORE = { seed: ROTATING_SEED, numRuns: 100 }
t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)

/** A test that the property holds for every input. */
function holds<T>(name: string, inputs: fc.Arbitrary<T>, check: (input: T) => void): void {
  t.test(name, async (t) => {
    for (const parameters of [PARAMETERS, MORE]) {
      const details = fc.check(fc.property(inputs, check), parameters)
      const why = (details.errorInstance as Error | null)?.message
      t.equal(details.failed ? `${why}: ${fc.defaultReportMessage(details)}` : 'holds', 'holds')
    }
  })
}

function ensure(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

/**
 * Nothing that a terminal, the kernel's log or a parser takes for its own, and nothing that cannot be seen.
 */
function ensurePlain(text: string): void {
  const found = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(text)
  ensure(!found, `U+${found?.[0].codePointAt(0)?.toString(16)} in ${JSON.stringify(text)}`)
}

const HOSTILE = [
  ...'\n\r\0\t %\\"\'$/#;[]=:,-.~a1\u001b\u007f\u0085\u009b\u00ad\u061c\u200d\u2028\u202e\u2066\ufeffö木',
  '\u{e0041}',
  '\ud800',
  '\udc00',
  '..',
  '\\040',
  '\\\n',
  ' - ',
]
const unit = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
)
const hostile = fc.string({ unit, maxLength: 60 })

/** Text made of the words that its parser knows, and of anything else. */
function textOf(...words: string[]): fc.Arbitrary<string> {
  // What every object has: a table that is looked up by such a word finds something.
  const inherited = ['constructor', '__proto__', 'toString', 'hasOwnProperty']
  const piece = fc.oneof(fc.constantFrom(...words, ...inherited, '\n', ' ', '=', '\t'), hostile)
  return fc
    .array(piece, { maxLength: 40 })
    .chain((pieces) => fc.constantFrom('', ' ', '\n').map((separator) => pieces.join(separator)))
}

/** Below a new directory, a file whose text changes from run to run. */
function fileAt(path: string): { root: Root; write: (text: string) => void } {
  const prefix = makeTree(t, { [path]: '' })
  return { root: { prefix }, write: (text) => writeFileSync(join(prefix, path), text) }
}

// Parsers: never an exception, and what they return has the form that is documented.

const commandLine = textOf('balena.nohostext', 'systemd.unit=', 'a.target', 'ro', '3', '"', 'systemd.run')
holds('splitCommandLine, splitArguments', commandLine, (text) => {
  // Quotes go, wherever they are in a word.
  const bare = (quoted: string) => quoted.replaceAll('"', '')
  for (const word of splitCommandLine(text)) ensure(bare(text).includes(bare(word)), word)
  ensure(
    splitArguments(text).every((word) => word !== '' && !word.includes('\0')),
    'an argument',
  )
})
holds('readCommandLine', commandLine, (text) => {
  const words = splitCommandLine(text)
  const { off, target, otherTarget, root } = readCommandLine(words)
  ensure(/^[\w:.\\@-]{1,255}$/.test(target) && target.includes('.'), `target ${target}`)
  ensure([undefined, 'ro', 'rw'].includes(root), `root ${root}`)
  for (const why of [off, otherTarget]) if (why !== undefined) ensurePlain(why)
  if (!text.includes('systemd.')) ensure(otherTarget === undefined, `not asked for: ${otherTarget}`)
})

const octal = /\\[0-3][0-7]{2}/
holds('parseFstab', textOf('UUID=1', '/', 'ext4', 'ro,,noauto', '0', '2', '#'), (text) => {
  for (const { source, mountPoint, type, options, passno } of parseFstab(text)) {
    ensure(source && mountPoint && type, 'a field is empty')
    ensure(!source.startsWith('#'), 'a comment')
    ensure(!/^\/.*\/$/.test(mountPoint), `mount point ${mountPoint}`)
    ensure(options.every(Boolean), 'an empty option')
    ensure(Number.isInteger(passno), `passno ${passno}`)
    const device = devicePath(source)
    ensure(device === undefined || device.startsWith('/dev/'), `device ${device}`)
  }
})
holds(
  'parseMountinfo',
  textOf('22 1 254:1 / / rw - ext4 /dev/vda1 rw', ' - ', '/', '254:1', 'ext4'),
  (text) => {
    const mounts = parseMountinfo(text)
    ensure(mounts.length <= text.split('\n').length, 'more than a mount a line')
    for (const { device, mountPoint, type, source, superOptions } of mounts) {
      ensure(device && mountPoint && type && typeof source === 'string', 'a field is missing')
      ensure(Array.isArray(superOptions), 'options')
    }
  },
)

const configurationFile = fileAt('etc/hostext.conf')
const settings = textOf(
  ...['[Engine]', '[Root]', '[Boot]', '[Safety]', 'DataRoot=', 'State=', 'Etc=', 'Timeout=', 'Attempts='],
  ...['Settle=', 'TrialTimeout=', 'Container=', '/var /home', 'auto', '1min', '1s2', '\\', '#'],
)
const isWhole = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least
holds('readConfiguration', settings, (text) => {
  configurationFile.write(text)
  const { configuration, messages } = readConfiguration(configurationFile.root)
  for (const { text } of messages) ensurePlain(text)
  const { dataRoot, state, etc, timeout, container, attempts, settle, trialTimeout } = configuration
  ensure(dataRoot === undefined || directoryPath(dataRoot) === dataRoot, `DataRoot ${dataRoot}`)
  ensure(state === 'auto' || state.every((path) => directoryPath(path) === path), `State ${state}`)
  ensure(['auto', 'read-only', 'volatile', 'persistent'].includes(etc), `Etc ${etc}`)
  ensure(typeof container === 'boolean', `Container ${container}`)
  ensure(isWhole(timeout, 1) && isWhole(trialTimeout, 1), `time spans ${timeout} ${trialTimeout}`)
  ensure(isWhole(attempts, 0) && isWhole(settle, 0), `numbers ${attempts} ${settle}`)
})
t.test('a time span takes no longer to read the longer it is', async (t) => {
  configurationFile.write(`[Boot]\nTimeout=${'1'.repeat(40)}!\nTimeout=${'1a'.repeat(20_000)}!\n`)
  const started = process.hrtime.bigint()
  t.equal(readConfiguration(configurationFile.root).configuration.timeout, 60)
  t.ok(process.hrtime.bigint() - started < 2_000_000_000n, 'not exponentially')
})

const json = fc.oneof(
  fc.json({ stringUnit: 'binary' }),
  textOf('{"data-root":', '"/data"', '}', '{', '[', ',', 'null'),
  fc.jsonValue().map((value) => JSON.stringify({ 'data-root': value })),
  hostile.map((value) => JSON.stringify({ 'data-root': `/${value}` })),
  fc.constantFrom(
    '{"data-root":{"toString":1,"valueOf":1}}',
    `{"data-root":${'['.repeat(2e4)}${']'.repeat(2e4)}}`,
  ),
)
const daemonFile = fileAt('etc/docker/daemon.json')
holds('daemon.json', json, (text) => {
  daemonFile.write(text)
  const { places, messages } = findDataRoots(daemonFile.root, undefined)
  const candidates = places.map(({ path }) => path)
  ensure(candidates.length >= 2, 'the defaults are among them')
  ensure(
    candidates.every((path) => directoryPath(path) === path),
    `candidates ${JSON.stringify(candidates)}`,
  )
  for (const { text } of messages) ensurePlain(text)
})

const labels = fc.dictionary(
  fc.oneof(
    fc.constantFrom(
      'io.balena.features.host-extension',
      'balena.io.features.host-extension',
      'io.balena.image.class',
      'io.balena.image.override',
    ),
    hostile,
  ),
  fc.oneof(
    fc.constantFrom('1', '0', 'overlay', 'service', '-5', '007', '1e3', ' 1', '9'.repeat(30)),
    hostile,
  ),
)
holds('readRank', labels, (record) => {
  const flagged = readRank(new Map(Object.entries(record)))
  if (!flagged) return
  if ('why' in flagged) return ensurePlain(flagged.why)
  ensurePlain(flagged.warning ?? '')
  ensure(['override', 'feature', 'overlay'].includes(flagged.rank.kind), flagged.rank.kind)
  if (flagged.rank.kind === 'override') ensure(!Number.isNaN(flagged.rank.priority), 'priority')
})

const ID = 'a1'.repeat(32)
const containerFile = fileAt(`data/containers/${ID}/config.v2.json`)
/** A value of the wrong kind: an object that cannot be made a string is one, too. */
const anyValue = fc.oneof(
  fc.jsonValue(),
  hostile,
  fc.constantFrom({ toString: 1, valueOf: 1 }, [{ toString: null }], { toJSON: 1 }),
)
const orAny = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary }, { weight: 1, arbitrary: anyValue })
const config = fc.record(
  {
    ID: orAny(fc.constant(ID)),
    Name: orAny(hostile.map((name) => `/${name}`)),
    Driver: orAny(fc.constant('overlay2')),
    Image: orAny(fc.constant(`sha256:${ID}`)),
    Config: orAny(fc.record({ Image: orAny(hostile), Labels: orAny(labels) }, { requiredKeys: [] })),
    State: orAny(fc.dictionary(fc.constantFrom('Dead', 'RemovalInProgress'), orAny(fc.boolean()))),
  },
  { requiredKeys: [] },
)
holds('readContainers', fc.oneof(config, anyValue), (value) => {
  containerFile.write(JSON.stringify(value))
  const [container, ...others] = readContainers(containerFile.root, '/data')
  ensure(container && others.length === 0, 'one container')
  if ('problem' in container) return ensurePlain(`${container.source}: ${container.problem}`)
  ensure(container.id === ID && container.name && typeof container.image === 'string', 'who it is')
  ensure(container.imageId === undefined || /^sha256:[0-9a-f]{64}$/.test(container.imageId), 'its image')
  ensure(typeof container.driver === 'string' && container.labels instanceof Map, 'what it is')
  ensure(
    /^the engine is removing it \(State\.(?:Dead|RemovalInProgress)\)$|^$/.test(container.refused ?? ''),
    'its state',
  )
})
t.test('a value that is nested deeper than the stack of calls', async (t) => {
  const deep = '['.repeat(1e5) + ']'.repeat(1e5)
  for (const key of ['ID', 'Image']) {
    containerFile.write(`{"ID":"${ID}","Name":"/a","Driver":"x","State":{},"Config":{},"${key}":${deep}}`)
    t.equal(readContainers(containerFile.root, '/data').length, 1, key)
  }
})

const LAYERS = ['b2', 'c3', 'd4'].map((digits) => digits.repeat(32))
const SHORT = ['A', 'B', 'C'].map((letter) => `l/${letter.repeat(26)}`)
const layerTree = fileAt(`data/overlay2/${ID}/lower`)
for (const [index, name] of [`${ID}-init`, LAYERS[0], 'f5urravc05r1ux5a8eh2t41nk'].entries()) {
  mkdirSync(join(layerTree.root.prefix, `data/overlay2/${name}/diff`), { recursive: true })
  mkdirSync(join(layerTree.root.prefix, 'data/overlay2/l'), { recursive: true })
  execFileSync('ln', [
    '-s',
    `../${name}/diff`,
    join(layerTree.root.prefix, 'data/overlay2', SHORT[index] as string),
  ])
}
mkdirSync(join(layerTree.root.prefix, `data/image/overlay2/layerdb/mounts/${ID}`), { recursive: true })
writeFileSync(join(layerTree.root.prefix, `data/image/overlay2/layerdb/mounts/${ID}/mount-id`), ID)
const lower = fc.oneof(
  fc.shuffledSubarray(SHORT).map((names) => names.join(':')),
  fc.array(fc.constantFrom(...SHORT), { maxLength: 5 }).map((names) => names.join(':')),
  textOf(...SHORT, ':', `l/${'Z'.repeat(26)}`, 'l/../..'),
)
holds('lower files', lower, (text) => {
  layerTree.write(text)
  let read: string[]
  try {
    read = readLayers(layerTree.root, '/data', ID).lower
  } catch (error) {
    return ensurePlain((error as Error).message)
  }
  ensure(
    read.length > 0 && read.every((name) => name === SHORT[1] || name === SHORT[2]),
    'a layer of the image',
  )
  ensure(
    text
      .trim()
      .split(':')
      .includes(SHORT[0] as string),
    'not without the -init layer',
  )
})

// Round trips: what is written is what is read.

const rank = fc.oneof(
  fc.constantFrom({ kind: 'feature' } as const, { kind: 'overlay' } as const),
  fc.oneof(fc.maxSafeInteger(), fc.constant('lowest' as const)).map((priority) => ({
    kind: 'override' as const,
    priority: priority || 0,
  })),
)
const imageId = fc.constantFrom(undefined, `sha256:${ID}`)
const recorded = fc.record({
  id: fc.constantFrom(ID, ...LAYERS),
  name: hostile,
  image: hostile,
  labels: fc.array(fc.tuple(hostile, hostile), { maxLength: 3 }),
  imageId,
  rank,
  tree: fc.constantFrom('A1B2.01234567', `${'Z'.repeat(26)}.89abcdef`),
})
const base = fc.option(
  fc.record({
    ...{ kernel: hostile, kernelBuild: hostile, system: hostile },
    ...{ root: hostile, changed: hostile, hostext: hostile },
  }),
  { nil: undefined },
)
const stack = fc.array(recorded, { minLength: 1, maxLength: 5 }).chain((extensions) => {
  // What only adds never stands above the root.
  const most = extensions.findIndex(({ rank }) => rank.kind === 'overlay')
  const above = fc.nat(most < 0 ? extensions.length : most)
  return fc.tuple(above, base).map(([above, base]) => ({ above, extensions, ...(base && { base }) }))
})
holds('stackText and parseStack', stack, (written) => {
  ensure(JSON.stringify(parseStack(stackText(written))) === JSON.stringify(written), 'as it was written')
})
holds(
  'a record that is cut off or changed',
  fc.tuple(stack, fc.nat(2000), fc.nat(2000), hostile),
  (input) => {
    const [written, start, length, middle] = input
    const text = stackText(written)
    const read = parseStack(
      text.slice(0, start % text.length) + middle + text.slice((start % text.length) + length),
    )
    if (!read) return
    ensure(read.extensions.length > 0 && read.above >= 0 && read.above <= read.extensions.length, 'its form')
    for (const { id, name, image, tree } of read.extensions) {
      ensure(/^[0-9a-f]{64}$/.test(id) && typeof name === 'string' && typeof image === 'string', 'its form')
      ensure(/^[0-9A-Za-z]{1,64}\.[0-9a-f]{8}$/.test(tree), 'its tree')
    }
  },
)
holds('parseStack', textOf('{"above":0,"extensions":1}\n', '{"id":"', ID, '"name":', '}\n'), (text) => {
  ensure(parseStack(text) === undefined, 'none of it is a record')
})
const recordFile = fileAt('data/hostext/good')
holds('readRecords', fc.oneof(hostile, stack.map(stackText)), (text) => {
  recordFile.write(text)
  const { good, problems } = readRecords(recordFile.root, '/data')
  ensure(good.length + problems.length === 1, 'a record, or what is wrong with it')
  for (const problem of problems) ensurePlain(problem)
})

/**
 * As the kernel writes paths in mountinfo (mangle_path: space, tab, newline, backslash), and people in fstab.
 */
const escapeOctal = (text: string): string =>
  text.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
holds('unescapeOctal', hostile, (text) => {
  const wellFormed = Buffer.from(text, 'utf8').toString('utf8')
  ensure(unescapeOctal(escapeOctal(wellFormed)) === wellFormed, 'as it was written')
  if (!octal.test(wellFormed)) ensure(unescapeOctal(wellFormed) === wellFormed, 'nothing to unescape')
})

// Printable text.

holds('printable', fc.tuple(hostile, hostile), ([a, b]) => {
  ensurePlain(printable(a))
  ensurePlain(printableList([a, b], 20))
  ensure(
    !printable(a)
      .replaceAll(/\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|u\{[0-9a-f]{5,6}\})/g, '')
      .includes('\\'),
    'a backslash starts an escape',
  )
  if (a !== b) ensure(printable(a, 1e6) !== printable(b, 1e6), 'two names never look the same')
})
holds('directoryPath', hostile, (text) => {
  const path = directoryPath(`/${text}`)
  if (path === null) return
  ensurePlain(path)
  ensure(directoryPath(path) === path, 'normalized')
  ensure(!path.split('/').includes('..') && !path.includes('//'), 'normalized')
  ensure(!/\s$/.test(path), 'systemd takes a blank at the end for none: systemd.syntax(7)')
})

// The renderer: no value becomes syntax.

const path = fc
  .array(
    fc.string({ unit: fc.oneof(unit, fc.constantFrom(...'abc %"\'$;- .')), minLength: 1, maxLength: 12 }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((names) => directoryPath(`/${names.join('/')}`))
  .filter((path): path is string => path !== null && path !== '/')
const extension = fc.tuple(hostile, hostile, path).map(([name, image, dataRoot]) => {
  const made = makeExtension(name, image)
  made.container.source = `${dataRoot}/containers/${made.container.id}/config.v2.json`
  return made
})
const changes = fc.record({
  extensions: fc.array(extension, { minLength: 1, maxLength: 10 }),
  dataRoot: path,
  state: fc.uniqueArray(path, { maxLength: 2 }),
  bind: fc.boolean(),
  trial: fc.boolean(),
  softReboot: fc.boolean(),
  collected: fc.boolean(),
  bound: fc.boolean(),
  etc: fc.constantFrom('read-only', 'volatile', 'persistent'),
  name: hostile,
})
type Change = typeof changes extends fc.Arbitrary<infer T> ? T : never
function planOf(
  { bind, trial, etc, name, ...change }: Change,
  text: (hostile: string, plain: string) => string,
): Plan {
  const dataRoot = text(change.dataRoot, '/data')
  const state = change.state.map((path, index) => text(path, `/state${index}`))
  const place = { directory: `${dataRoot}/hostext`, state: state[0] }
  return makePlan({
    ...change,
    extensions: change.extensions.map((extension) =>
      text('hostile', 'plain') === 'plain' ? makeExtension('plain') : extension,
    ),
    dataRoot,
    state,
    boundData: bind ? [dataRoot] : [],
    machineId: bind ? { closeRoot: trial } : undefined,
    indexes: bind ? ['libraries'] : [],
    dataMounts: bind ? [] : [dataRoot],
    safety: trial
      ? {
          kind: 'trial',
          trial: {
            ...{
              name: 'trial',
              attempt: 1,
              record: 'record',
              place,
              settle: 1,
              timeout: 60,
              inContainer: bind,
            },
            ...{ marks: [['trial.1', 'good']], failedUnits: 'warn' },
          },
        }
      : { kind: 'restored', culprits: [], line: `rolled back: ${printableList([text(name, 'plain')])}` },
    etc: etc === 'persistent' ? { mode: etc, state: state[0], kept: true } : ({ mode: etc } as Plan['etc']),
  })
}

const waitOf = (plan: Plan, mounting: boolean): Wait => ({
  ...plan,
  ...{ paths: [plan.dataRoot], hoped: [plan.dataRoot], mounting, preparing: [], generators: [] },
  ...{ unlock: plan.bound, online: plan.tmp, patient: plan.checkRoot, askers: [] },
  limits: [{ unit: unitName(plan.dataRoot, 'device'), seconds: 60 }],
  optional: [{ unit: unitName(plan.dataRoot, 'mount'), device: plan.dataRoot }],
  // Anything may be an option in fstab.
  remount: mounting ? undefined : { options: plan.dataRoot, check: plan.bound },
})

function render(plan: Plan): UnitFile[] {
  return [
    ...layerUnits(plan),
    ...firstPassUnits(plan, '/run/systemd/generator'),
    ...lockedUnits(plan),
    ...collectUnits(waitOf(plan, true), '/run/systemd/generator'),
    ...collectUnits(waitOf(plan, false), '/run/systemd/generator'),
  ]
}

const SECTIONS = ['[Unit]', '[Mount]', '[Service]', '[Timer]', '[Path]']
/**
 * Of systemd.unit(5), systemd.mount(5), systemd.service(5), systemd.exec(5) and systemd.timer(5): those in
 * use.
 */
const DIRECTIVES = new Set(
  `AccuracySec After AllowIsolate Before ConditionNeedsUpdate ConditionPathExists ConditionPathIsDirectory
  ConditionPathIsSymbolicLink Conflicts DefaultDependencies Description Documentation Environment
  ExecCondition ExecStart ExecStartPost ExecStopPost IgnoreOnIsolate JobRunningTimeoutSec JobTimeoutSec LogLevelMax
  OnActiveSec OnFailure OOMScoreAdjust Options PathChanged PartOf PrivateMounts RefuseManualStart
  RefuseManualStop RemainAfterExit Requires RequiresMountsFor Slice SourcePath StandardError StandardOutput
  SuccessExitStatus TimeoutStartSec Type Wants What Where WorkingDirectory`.split(/\s+/),
)

/** The syntax of a unit, as systemd.syntax(7) has it: `[Unit] Description= After= …`. */
function skeleton(text: string): string {
  ensure(text.endsWith('\n'), 'the last line ends')
  return text
    .slice(0, -1)
    .split('\n')
    .flatMap((line) => {
      ensurePlain(line)
      if (line === '' || line.startsWith('#')) return []
      ensure(!line.endsWith('\\'), `continued: ${line}`)
      if (SECTIONS.includes(line)) return line
      const equals = line.indexOf('=')
      const key = line.slice(0, equals)
      ensure(equals > 0 && DIRECTIVES.has(key), `no directive: ${line}`)
      const value = line.slice(equals + 1)
      ensure(!/^\s|\s$/.test(value) || key === 'Description', `a blank that gets lost: ${line}`)
      ensure(!value.replaceAll('%%', '').includes('%'), `a specifier: ${line}`)
      return `${key}=`
    })
    .join(' ')
}

const shape = (files: UnitFile[]) =>
  files.map((file) => ('text' in file ? skeleton(file.text) : '->')).join('\n')
holds('units have the same syntax whatever the names are', changes, (input) => {
  const files = render(planOf(input, (text) => text))
  ensure(shape(files) === shape(render(planOf(input, (_, plain) => plain))), 'not the same syntax')
  for (const file of files) {
    ensure(/^(?:normal|early|late)\/[^/\0\n]+(?:\/[^/\0\n]+)?$/.test(file.path), `path ${file.path}`)
  }
  for (const [index, { container }] of input.extensions.entries()) {
    const file = files[index] as { text: string }
    const description = /^Description=(.*)$/m.exec(file.text)?.[1]?.replaceAll('%%', '%')
    const expected = `Host extension ${printable(container.name)} (${printable(container.image)})`
    ensure(description === expected, `description ${description}`)
  }
})

const SYSTEMD_ESCAPE = '/usr/bin/systemd-escape'
t.test(
  'unit names are those of systemd-escape',
  { skip: !existsSync(SYSTEMD_ESCAPE) && `no ${SYSTEMD_ESCAPE}` },
  async (t) => {
    const paths = fc
      .sample(path, { ...PARAMETERS, numRuns: 200 })
      .filter((path) => Buffer.byteLength(path) < 60)
    t.ok(paths.length > 100)
    const expected = execFileSync(SYSTEMD_ESCAPE, ['--path', '--suffix=mount', ...paths], {
      encoding: 'utf8',
    })
    t.same(
      paths.map((path) => unitName(path, 'mount')),
      expected.trim().split(' '),
    )
  },
)
