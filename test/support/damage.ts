import {
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import type { Random } from './seeded.js'
import { walk } from './tree.js'

/** Text that a unit, a path, a terminal or a parser could trip over. */
export const HOSTILE = [
  'x\n[Mount]\nWhat=/etc\n',
  'x\r\nExecStart=/bin/sh',
  'ends in a backslash\\',
  '%n %% %h %',
  '$HOME `id` "quoted" \'quoted\' ; | & #',
  '\u001b[2J\u0007\u009b31m\u0000',
  '\u202egnp.exe\u2028\u2029\ufeff\u{e0041}',
  '\ud800 half a pair \udfff',
  ' spaces around ',
  '../../../etc',
  '--option=x,upperdir=/etc:/',
  '=',
  'ж'.repeat(500),
  'x'.repeat(100_000),
  '',
]

/** JSON values to put in place of the expected ones. */
export const WRONG: unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  [],
  {},
  [[[[]]]],
  { toString: 1, valueOf: 2 },
  [{ toString: 1 }],
  ...HOSTILE,
]

/** Where links must not lead. */
const TARGETS = [
  '/etc',
  '/dev/zero',
  '/dev/null',
  '..',
  '../../..',
  '.',
  '/',
  '/proc/self/root',
  'nowhere',
  'SELF',
]

/** Node cannot create a FIFO or a socket, so one that was made before is linked. */
export type Specials = { fifo: string; socket: string }

/**
 * Damages the engine's data below `data`, which contains `found`, guided by the random numbers; returns what
 * it did. Everything at or below the paths that it adds to `touched` may have changed, even if it throws
 * half-way. Everything else is unchanged.
 */
export function damage(
  data: string,
  random: Random,
  specials: Specials,
  touched: Set<string>,
  found = walk(data),
): string {
  const entries = found.map(({ path }) => path)
  if (entries.length === 0) return 'nothing left'
  const stat = (path: string) => lstatSync(join(data, path))
  const files = found.filter(({ entry }) => entry.isFile()).map(({ path }) => path)
  // First choose a kind, then a file of it, so that each kind is damaged equally often.
  const kind = random.pick([
    entries.filter((path) => /^containers\//.test(path)),
    entries.filter((path) => /(?:^|\/)(?:lower|mount-id)$/.test(path)),
    entries.filter((path) => /^overlay2\/l(?:\/|$)/.test(path)),
    entries.filter((path) => /^hostext(?:\/(?!trees)|$)/.test(path)),
    entries.filter((path) => /^hostext\/trees(?:\/|$)/.test(path)),
    entries.filter((path) => /^hostext\/trees\/[^/]+\/facts$/.test(path)),
    entries,
  ])
  const path = random.pick(kind.length > 0 ? kind : entries)
  const file =
    /config|lower|mount-id|^hostext/.test(path) && stat(path).isFile()
      ? path
      : random.pick(files.length > 0 ? files : entries)
  const place = join(data, path)
  const other = random.pick(kind.length > 0 ? kind : entries)

  for (const changed of [path, file, other, `${path}.swapped`, 'moved']) touched.add(changed)

  const [name, work] = random.pick<[string, () => void]>([
    [`truncated ${file}`, () => truncateSync(join(data, file), random.number(stat(file).size + 1))],
    [
      `bits flipped in ${file}`,
      () => {
        const bytes = readFileSync(join(data, file))
        for (let count = random.number(8); count >= 0 && bytes.length > 0; count--) {
          const at = random.number(bytes.length)
          bytes[at] = (bytes[at] as number) ^ (1 << random.number(8))
        }
        writeFileSync(join(data, file), bytes)
      },
    ],
    [`swapped ${path} and ${other}`, () => swap(place, join(data, other))],
    [`deleted ${path}`, () => rmSync(place, { recursive: true })],
    [
      `copied ${path} over ${other}`,
      () => {
        if (path === other || isBelow(path, other) || isBelow(other, path)) return
        rmSync(join(data, other), { recursive: true })
        cpSync(place, join(data, other), { recursive: true, verbatimSymlinks: true })
      },
    ],
    [
      `duplicated ${path}`,
      () => {
        const id = Array.from({ length: 64 }, () => random.number(16).toString(16)).join('')
        touched.add(join(dirname(path), id))
        cpSync(place, join(dirname(place), id), { recursive: true, verbatimSymlinks: true })
      },
    ],
    [`${path} is a FIFO`, () => replace(place, () => linkSync(specials.fifo, place))],
    [`${path} is a socket`, () => replace(place, () => linkSync(specials.socket, place))],
    [`${path} is a directory`, () => replace(place, () => mkdirSync(place))],
    [`${path} is an empty file`, () => replace(place, () => writeFileSync(place, ''))],
    [
      `${path} is a link`,
      () => replace(place, () => symlinkSync(random.pick(TARGETS).replace('SELF', basename(place)), place)),
    ],
    [
      `${path} is a link to ${other}`,
      () => replace(place, () => symlinkSync(join('/var/lib/docker', other), place)),
    ],
    [
      `${path} is moved away and linked`,
      () => {
        renameSync(place, `${data}/moved`)
        symlinkSync(relative(dirname(place), `${data}/moved`), place)
      },
    ],
    [`${file} has a terabyte`, () => truncateSync(join(data, file), 2 ** 40)],
    [`${file} is a wild text`, () => writeFileSync(join(data, file), random.pick(HOSTILE))],
    [
      `${path} is not root's alone`,
      () => {
        if (lstatSync(place).isSymbolicLink()) return
        if (process.getuid?.() === 0 && random.number(2)) chownSync(place, 12345, 12345)
        else chmodSync(place, random.pick([0o777, 0o775, 0o1777, 0o666, 0o646]))
      },
    ],
    [
      `an odd name in ${dirname(path)}`,
      () => {
        const name = random.pick(HOSTILE).replaceAll(/[/\0]/g, '_').slice(0, 100) || 'odd'
        const odd = join(dirname(place), name)
        touched.add(join(dirname(path), name))
        mkdirSync(odd)
        writeFileSync(join(odd, 'config.v2.json'), '{}')
      },
    ],
    ...['type', 'type', 'name', 'label'].map((what): [string, () => void] => [
      `wrong ${what}`,
      () => wrongJson(data, random, what, touched),
    ]),
    ['wrong lower', () => wrongLower(data, random, touched)],
    ['wrong facts', () => wrongFacts(data, random, touched)],
  ])
  work()
  return name
}

/** The text of a file. Links are not followed: the target may be endless, or belong to somebody else. */
function readOwn(file: string): string {
  if (!lstatSync(file).isFile()) throw new Error(`${file} is no file`)
  return readFileSync(file, 'utf8')
}

function wrongJson(data: string, random: Random, what: string, touched: Set<string>): void {
  const directory = join(data, 'containers')
  const id = random.pick(readdirSync(directory).sort())
  touched.add(join('containers', id))
  const config = join(directory, id, 'config.v2.json')
  const json = JSON.parse(readOwn(config))
  if (what === 'name') json.Name = `/${random.pick(HOSTILE)}`
  else if (what === 'label') {
    const label = random.pick([
      'io.balena.image.class',
      'io.balena.image.override',
      'io.balena.features.host-extension',
    ])
    json.Config.Labels = { ...json.Config.Labels, [label]: random.pick(['overlay', '1', '-5', ...HOSTILE]) }
  } else {
    const holder = random.pick([json, json, json.Config, json.State, json.Config.Labels ?? {}])
    const keys = [
      'ID',
      'Name',
      'Driver',
      'Config',
      'State',
      'Image',
      'Labels',
      'Dead',
      '__proto__',
      ...Object.keys(holder),
    ]
    Object.defineProperty(holder, random.pick(keys), {
      value: random.pick(WRONG),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  writeFileSync(config, JSON.stringify(json))
}

function wrongFacts(data: string, random: Random, touched: Set<string>): void {
  const tree = `hostext/trees/${random.pick(readdirSync(join(data, 'hostext/trees')).sort())}`
  touched.add(tree)
  const file = join(data, tree, 'facts')
  const json = JSON.parse(readOwn(file))
  const holder = random.pick([json, json.lookedAt, json.lookedAt.ids, json.lookedAt.places[0]])
  const keys = [...Object.keys(holder), 'replaced', 'foreign', '__proto__']
  Object.defineProperty(holder, random.pick(keys), {
    value: random.pick([...WRONG, [HOSTILE], [[HOSTILE[0], HOSTILE[1]]]]),
    enumerable: true,
    configurable: true,
    writable: true,
  })
  writeFileSync(file, JSON.stringify(json))
}

function wrongLower(data: string, random: Random, touched: Set<string>): void {
  const layers = readdirSync(join(data, 'overlay2')).filter((layer) => layer !== 'l')
  const layer = random.pick(layers.sort())
  touched.add(join('overlay2', layer))
  const file = join(data, 'overlay2', layer, 'lower')
  const lower = readOwn(file).split(':')
  const links = readdirSync(join(data, 'overlay2/l'))
    .sort()
    .map((link) => `l/${link}`)
  const at = random.number(lower.length + 1)
  lower.splice(
    at,
    random.number(2),
    ...Array(random.pick([0, 1, 2, 130])).fill(
      random.pick([
        ...links,
        ...lower,
        '',
        '/etc',
        'l/..',
        '../..',
        'l/A,upperdir=/etc',
        'l/A\n',
        '\\',
        ...HOSTILE,
      ]),
    ),
  )
  writeFileSync(file, lower.join(':'))
}

function replace(place: string, work: () => void): void {
  rmSync(place, { recursive: true })
  work()
}

function swap(one: string, other: string): void {
  if (one === other || isBelow(one, other) || isBelow(other, one)) return
  renameSync(one, `${one}.swapped`)
  renameSync(other, one)
  renameSync(`${one}.swapped`, other)
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`)
}
