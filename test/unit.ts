/**
 * The unit tier: each file of test/unit and test/tools in a process of its own, two at a time. All is
 * compiled once: a loader that compiles in each process takes longer than most of the tests.
 * `HOSTEXT_TEST_FILE=WORD` runs those files that have it in their names.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { compile } from './support/compile.js'
import { PROJECT } from './support/paths.js'

/** Those that take longest start first, so that the end does not wait for one of them alone. */
const LONGEST = ['broken', 'generators/hostext-generator', 'trial/watch']

const STRICT = `--import=${join(PROJECT, 'test/support/strict.mjs')}`

const wanted = process.env.HOSTEXT_TEST_FILE ?? ''
const files = ['test/unit', 'test/tools']
  .flatMap((directory) =>
    readdirSync(join(PROJECT, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map((name) => `${directory}/${name}`),
  )
  .filter((file) => file.includes(wanted))
const first = LONGEST.map((name) => `test/unit/${name}.ts`).filter((file) => files.includes(file))

mkdirSync(join(PROJECT, 'build'), { recursive: true })
const out = mkdtempSync(join(PROJECT, 'build/tests-'))
t.teardown(() => rmSync(out, { recursive: true, force: true }))
compile(PROJECT, out)

t.jobs = 2
t.ok(files.length > 0, `files named ${wanted || 'anything'}`)
for (const file of new Set([...first, ...files])) {
  const compiled = join(out, file.replace(/\.ts$/, '.js'))
  // Without NODE_OPTIONS, in which the test runner loads itself into every process that a test starts.
  const words = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', STRICT, compiled]
  t.spawn('env', words, { buffered: true }, file)
}
