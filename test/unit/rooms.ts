import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROJECT } from '../support/paths.js'

/**
 * The rooms of src, in the order of docs/development.md: a file imports from its own room and from those
 * before it.
 */
const ROOMS = [
  'text',
  'machine',
  'engine',
  'image',
  'stack',
  'trial',
  'units',
  'read.ts',
  'report',
  'check',
  'commands',
  'generator.ts',
  'main.ts',
  'commands.ts',
  'start.ts',
]
/** What is decided here follows from values: no file is read, and no root is handed in. */
const PURE = ['text', 'stack', 'units']

const sources = new Map(
  readdirSync(join(PROJECT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, readFileSync(join(PROJECT, 'src', path), 'utf8')]),
)
const roomOf = (path: string): string => path.split('/', 1)[0] as string
const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:from|import\() ?'([^']+)'/g)].map(([, name]) => name as string)
/** The file of src that `name` means in `path`; undefined for a module. */
const resolve = (path: string, name: string): string | undefined =>
  name.startsWith('.') ? join(path, '..', name).replace(/\.js$/, '.ts') : undefined

t.test('every file is in a room', async (t) => {
  t.ok(sources.size > 40)
  for (const path of sources.keys()) t.ok(ROOMS.includes(roomOf(path)), path)
})

t.test('imports go one way', async (t) => {
  for (const [path, text] of sources) {
    for (const name of importsOf(text)) {
      const target = resolve(path, name)
      if (target === undefined) continue
      t.ok(sources.has(target), `${path}: ${name} is a file`)
      t.ok(ROOMS.indexOf(roomOf(target)) <= ROOMS.indexOf(roomOf(path)), `${path} imports ${target}`)
    }
  }
})

t.test('no file imports itself by way of others', async (t) => {
  const done = new Set<string>()
  const visit = (path: string, way: readonly string[]): void => {
    t.notOk(way.includes(path), [...way, path].join(' -> '))
    if (done.has(path) || way.includes(path)) return
    for (const name of importsOf(sources.get(path) as string)) {
      const target = resolve(path, name)
      if (target !== undefined) visit(target, [...way, path])
    }
    done.add(path)
  }
  for (const path of sources.keys()) visit(path, [])
})

t.test('what decides and what renders reads nothing', async (t) => {
  const pure = [...sources].filter(([path]) => PURE.includes(roomOf(path)))
  t.ok(pure.length > 20)
  for (const [path, text] of pure) {
    // The log and standard output are what text/ is for besides text.
    if (['text/log.ts', 'text/output.ts'].includes(path)) continue
    t.notMatch(text, /from 'node:(?!path)/, path)
    t.notMatch(text, /\bRoot\b.*machine\/files\.js|\broot: Root\b|process\.env/, path)
  }
})
