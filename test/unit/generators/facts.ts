import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FLAGS } from '../../../packaging/code/code.mjs'
import { DAEMONS } from '../../../src/engine/daemon.js'
import { CONTAINER_LISTS, DEFAULT_DATA_ROOTS } from '../../../src/engine/places.js'
import { GRAPHROOT } from '../../../src/engine/storage-conf.js'
import { OTHERS, ROOTLESS } from '../../../src/engine/unread.js'
import { CLASS_LABEL, FEATURE_LABELS } from '../../../src/image/labels.js'
import { DEFAULTS, DROP_IN_DIRECTORIES, MAIN_FILES, SETTINGS } from '../../../src/machine/configuration.js'
import { OFF_SWITCHES, REPAIR_WORDS } from '../../../src/machine/kernel-command-line.js'
import { ENGINE_UNITS } from '../../../src/machine/planned.js'
import * as runDirectory from '../../../src/machine/run-directory.js'
import { LONGEST_PREPARATION } from '../../../src/units/collect.js'
import { RUNTIME_FLAGS } from '../../../src/units/trial.js'
import { GENERATORS, PROJECT, STEPS } from '../../support/paths.js'
import { LASTING_UNIT_DIRECTORIES } from '../../support/pieces.js'

/** What the stub and the bundle both know is the same in both. */
const stub = readFileSync(join(GENERATORS, 'hostext-generator'), 'utf8')
const words = (expression: RegExp): string[] =>
  (expression.exec(stub)?.[1] ?? '').split(/[\s|\\]+/).filter(Boolean)

t.test('where an engine may have its data', async (t) => {
  t.same(words(/^usual='(.*)'$/m), DEFAULT_DATA_ROOTS)
  t.same(
    words(/^\tdaemons='(.*)'$/m).map((directory) => `${directory}/daemon.json`),
    DAEMONS.map(({ config }) => config),
  )
  t.same(
    words(/ engines='(.*)'$/m).map((name) => `${name}.service`),
    DAEMONS.flatMap(({ units }) => units),
  )
  t.same(Object.values(ENGINE_UNITS).flat(), [...DAEMONS.flatMap(({ units }) => units), 'containerd.service'])
  const found = readFileSync(join(STEPS, 'hostext-prepare.path'), 'utf8').matchAll(/^PathChanged=(.*)$/gm)
  t.same(
    [...found].map(([, path]) => path),
    DEFAULT_DATA_ROOTS.map((path) => `/proc/1/root${path}/${CONTAINER_LISTS[path === GRAPHROOT ? 1 : 0]}`),
    'what is watched on a running system',
  )
})

t.test('all that is above the usual places', async (t) => {
  const above = DEFAULT_DATA_ROOTS.flatMap((path) => aboveOf(path))
  t.same(new Set(words(/^above='(.*)'$/m)), new Set(above))
})

/** The directories that a path is in, without the root. */
function aboveOf(path: string): string[] {
  const parts = path.split('/').slice(1)
  return parts.slice(1).map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
}

t.test('what is not read', async (t) => {
  const named = [...stub.matchAll(/^\t+not_read ('.*?'|\S+) (.*)$/gm)].flatMap(([, name, paths]) =>
    (paths as string)
      .replaceAll('"$root"', '')
      .split(' ')
      .map((path) => ({ name: (name as string).replaceAll("'", ''), path })),
  )
  t.same(named, [...OTHERS, ...ROOTLESS.map(({ name, path }) => ({ name, path: `/home/*/${path}` }))])
  // Nobody asks for one of them where none of these directories is there.
  const asked = words(/for place in (\/var\/lib\/containers [^;]*);/)
  const homes = words(/for place in "\$root"(\/home\/[^;]*);/)
  const gates = ['/var/lib/containerd', ...asked, ...homes]
  t.ok(asked.length > 1 && homes.length === 1)
  for (const { path } of named)
    t.ok(
      gates.some((gate) => path.startsWith(`${gate}/`) || path === gate),
      path,
    )
})

t.test('where the configuration is', async (t) => {
  const [, places = '', file, directory] =
    /for place in ([^;]*); do\n\t+file=\$root\$place(\S+)\n(?:.*\n){0,3}?.*"\$file(\.d)"\/\*\.conf/.exec(
      stub,
    ) ?? []
  const files = places.split(' ').map((place) => `${place}${file}`)
  t.same(files, MAIN_FILES)
  t.same(
    files.map((file) => `${file}${directory}`),
    DROP_IN_DIRECTORIES,
  )
})

t.test('the settings that cannot be a mistake', async (t) => {
  const lines = [...stub.matchAll(/'\[(\w+)\](\w+)=([\w-]+)'/g)]
  t.ok(lines.length > 10)
  for (const [line, section, key, value] of lines) {
    const apply = SETTINGS[`${section}.${key}`]
    t.ok(apply, line)
    t.equal(apply?.(value as string, { ...DEFAULTS }), undefined, line)
  }
  t.ok(SETTINGS['Engine.DataRoot'])
  t.match(stub, "'[Engine]DataRoot='*)")
})

t.test('where mount units are', async (t) => {
  t.same(words(/for directory in (\/etc\/systemd\/system [^;]*)/), LASTING_UNIT_DIRECTORIES)
})

t.test('the labels', async (t) => {
  const pattern = new RegExp(/^\t*labels='(.*)'$/m.exec(stub)?.[1] ?? '')
  for (const label of [...FEATURE_LABELS, CLASS_LABEL]) t.match(label, pattern, label)
  t.notMatch('io.balena.image.override', pattern)
})

t.test('the words that turn everything off', async (t) => {
  const plain = words(/^\t\t\t((?:[a-z._]+ \| )+[a-z._]+)\)\n\t*plain/m)
  t.ok(plain.length > OFF_SWITCHES.length)
  for (const word of plain) t.ok(OFF_SWITCHES.includes(word) || REPAIR_WORDS.has(word), word)
  for (const word of OFF_SWITCHES) t.ok(plain.includes(word), word)
})

t.test('how the runtime is started', async (t) => {
  t.match(readFileSync(join(STEPS, 'runtime.sh'), 'utf8'), `flags='${FLAGS.join(' ')}'\n`)
  t.match(stub, '"$runtime" $flags $seed "$library/start.cjs" "$library/hostext.cjs"')
  t.same(FLAGS.slice(0, RUNTIME_FLAGS.length), RUNTIME_FLAGS, 'and what watches a trial, which runs for long')
})

t.test('the run directory', async (t) => {
  const page = readFileSync(join(PROJECT, 'docs/development.md'), 'utf8')
  t.match(stub, `run=$root${runDirectory.RUN_DIRECTORY}\n`)
  for (const path of Object.values(runDirectory)) {
    if ([runDirectory.RUN_DIRECTORY, runDirectory.ROOT_SOURCE].includes(path)) continue
    t.match(
      page,
      `\`${path.replace(`${runDirectory.RUN_DIRECTORY}/`, '')}\``,
      `docs/development.md has ${path}`,
    )
  }
})

t.test('how long a preparation may take', async (t) => {
  const [, limit] = /timeout -k \d+ (\d+) /.exec(readFileSync(join(STEPS, 'collect'), 'utf8')) ?? []
  t.equal(Number(limit), LONGEST_PREPARATION)
})
