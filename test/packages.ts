/**
 * `npm run test:packages [-- [--write] [RELEASE|SET]...]`: does what runs when it is installed also run from
 * an image? Boots the same Debian packages installed in the root, as an extension made like `FROM debian`,
 * and as an extension of unpacked packages, and compares what the three machines say about themselves.
 * `--write`: the table also goes to docs/packages.md. `--reports=DIRECTORY` keeps what the machines said, and
 * boots only those that have said nothing yet.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import minimist from 'minimist'
import { prepareHost } from './boot/packages.js'
import type { Release } from './boot/rootfs.js'
import { document } from './packages/document.js'
import type { Reports } from './packages/facts.js'
import { bootForm, compareForms, type Form } from './packages/forms.js'
import { REASONS } from './packages/reasons.js'
import { type PackageSet, SETS } from './packages/sets.js'
import { count, differences, type Result, summary, table, whyDifferent } from './packages/table.js'
import { PROJECT } from './support/paths.js'

/** At least this part of what runs when it is installed has to run from an image. */
const WANTED = 0.98
const TRIED: readonly Release[] = ['bookworm', 'trixie']

const problem = prepareHost()
if (problem) throw new Error(problem)
const {
  _: words,
  write,
  reports: directory,
} = minimist(process.argv.slice(2), {
  boolean: ['write'],
  string: ['reports'],
})
const isWanted = (names: readonly string[], name: string): boolean =>
  !names.some((each) => words.includes(each)) || words.includes(name)
const setNames = SETS.map(({ name }) => name)
const wrong = words.find((word) => !setNames.includes(word) && !TRIED.some((each) => each === word))
if (wrong !== undefined) throw new Error(`no release or set ${wrong}: ${[...TRIED, ...setNames].join(', ')}`)

/** Boots a machine and shows how it is. */
async function boot(form: Form, release: Release, set: PackageSet): Promise<Reports> {
  const file = directory && join(directory, `${release}-${set.name}-${form}.json`)
  if (file && existsSync(file)) return new Map(JSON.parse(readFileSync(file, 'utf8')))
  const reports = await bootForm(form, release, set)
  const [state, failed] = [reports.get('state'), reports.get('failed')]
  console.error(`# ${release} ${set.name} ${form}: ${state}${failed ? `\n${failed}` : ''}`)
  if (file) {
    mkdirSync(directory, { recursive: true })
    writeFileSync(file, JSON.stringify([...reports]))
  }
  return reports
}

const results: Result[] = []
for (const release of TRIED.filter((each) => isWanted(TRIED, each))) {
  const base = await boot('base', release, { name: 'none', packages: [] })
  for (const set of SETS.filter(({ name }) => isWanted(setNames, name))) {
    const installed = await boot('installed', release, set)
    const image = await boot('image', release, set)
    const unpacked = await boot('unpacked', release, set)
    const result = compareForms(release, set, { base, installed, image, unpacked })
    results.push(result)
    console.error(summary([result]).join('\n'))
  }
}
console.log(table(results, REASONS))
console.log(summary(results).join('\n'))
if (write) writeFileSync(join(PROJECT, 'docs/packages.md'), document(results))

const unexplained = differences(results).filter((each) => !whyDifferent(each, REASONS))
const isEnough = TRIED.every((release) => {
  const { of, same } = count(
    results.filter((result) => result.release === release),
    'image',
    'runs',
  )
  return same >= of * WANTED
})
process.exit(isEnough && unexplained.length === 0 ? 0 : 1)
