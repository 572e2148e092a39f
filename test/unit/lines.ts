import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROJECT } from '../support/paths.js'

/** The most characters of a line: docs/style.md, "Lines". */
const PROSE = 120
const CODE = 110

const PLACES = ['src', 'packaging', 'generators', 'docs', 'test', 'build.mjs', 'README.md', 'CHANGELOG.md']
/** Input and expectations of cases: what a machine has, or gets; and what a run of the tests writes. */
const NOT_OURS = /^(?:test\/(?:cases|data-roots)\/|test\/archives\/.*\.(?:tar|gz)$|docs\/packages\.md$)/

/** The lines of Markdown that are prose: no tables, no code, indented or fenced. */
function markdownProse(line: string, state: { fenced: boolean }): boolean {
  const isFence = line.trimStart().startsWith('```')
  if (isFence) state.fenced = !state.fenced
  return !isFence && !state.fenced && !/^(?:\||\s*https?:| {4})/.test(line)
}

/** The formatter breaks all code that can be broken, but no comments. */
function comment(line: string): boolean {
  return /^\s*(?:\/\/ (?!biome-ignore)|\/\*|\* )/.test(line)
}

/** Nothing formats scripts. A text in quotes cannot be broken. */
function scriptLine(line: string): boolean {
  return /^\s*#/.test(line) || !/['"]/.test(line)
}

type Rule = { limit: number; counts: (line: string, state: { fenced: boolean }) => boolean }

function ruleFor(path: string): Rule {
  if (path.endsWith('.md')) return { limit: PROSE, counts: markdownProse }
  return { limit: CODE, counts: /\.m?[jt]s$/.test(path) ? comment : scriptLine }
}

/** The numbers of the lines that are too long for this file, from 1. */
function findLong(path: string, text: string): number[] {
  const { limit, counts } = ruleFor(path)
  const state = { fenced: false }
  return text
    .split('\n')
    .flatMap((line, index) => (counts(line, state) && [...line].length > limit ? index + 1 : []))
}

t.test('no line is longer than docs/style.md allows', async (t) => {
  const paths = PLACES.flatMap((place) =>
    statSync(join(PROJECT, place)).isDirectory()
      ? readdirSync(join(PROJECT, place), { recursive: true, encoding: 'utf8', withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(PROJECT.length + 1))
      : place,
  ).filter((path) => !NOT_OURS.test(path))
  t.ok(paths.length > 150, 'files are found')
  const long = paths.flatMap((path) =>
    findLong(path, readFileSync(join(PROJECT, path), 'utf8')).map((number) => `${path}:${number}`),
  )
  t.same(long, [])
})

const words = (length: number): string =>
  'word '
    .repeat(length)
    .slice(0, length - 1)
    .padEnd(length, 'x')

t.test('prose', async (t) => {
  const text = [
    words(120),
    words(121),
    '```',
    words(121),
    '```',
    words(121),
    `| ${words(121)}`,
    `    ${words(121)}`,
  ]
  t.same(findLong('README.md', text.join('\n')), [2, 6])
  t.same(findLong('docs/man/x.7.md', ['  ```', words(121), '  ```', `  ${words(119)}`].join('\n')), [4])
})

t.test('comments, and scripts', async (t) => {
  const comments = [`// ${words(107)}`, `// ${words(108)}`, ` * ${words(108)}`, `  /** ${words(108)} */`]
  t.same(findLong('src/x.ts', [...comments, `const x = '${words(120)}'`].join('\n')), [2, 3, 4])
  t.same(
    findLong('generators/x', [words(110), words(111), `# '${words(111)}'`, `'${words(111)}'`].join('\n')),
    [2, 3],
  )
})
