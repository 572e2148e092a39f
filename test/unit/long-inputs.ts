import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readContainers } from '../../src/engine/container.js'
import { describeContainer } from '../../src/engine/engine.js'
import { judgeFit } from '../../src/image/compatibility.js'
import { essentialBelow, essentialTree } from '../../src/image/essential.js'
import { readRank } from '../../src/image/labels.js'
import { directoryPath, readConfiguration, SETTINGS } from '../../src/machine/configuration.js'
import { inputRoot, reason, resolveLinks } from '../../src/machine/files.js'
import { devicePath, parseFstab, unescapeOctal } from '../../src/machine/fstab.js'
import { readCommandLine, splitArguments, splitCommandLine } from '../../src/machine/kernel-command-line.js'
import { parseMountinfo } from '../../src/machine/mountinfo.js'
import { parseOsRelease } from '../../src/machine/os-release.js'
import { matchesGlob } from '../../src/text/glob.js'
import { kernelRecord } from '../../src/text/log.js'
import { withoutTrailingSlashes } from '../../src/text/path.js'
import { oneLine, printable, printableList } from '../../src/text/printable.js'
import { execWord, isUnitPath, literal, pathWord, unitName } from '../../src/text/unit-syntax.js'
import { parseStack } from '../../src/trial/records.js'
import { HOST } from '../support/data-root.js'
import { makeExtension } from '../support/plan.js'
import { makeTree } from '../support/tree.js'

/**
 * Whatever reads text takes a time that grows with its length, and not with its square: a machine boots while
 * it is read. A hundred thousand characters squared take seconds.
 */
const LENGTH = 100_000
const MOST_MILLISECONDS = 600

const root = { prefix: makeTree(t) }
const id = 'a'.repeat(64)
mkdirSync(join(root.prefix, 'data/containers', id), { recursive: true, mode: 0o755 })
mkdirSync(join(root.prefix, 'etc'), { mode: 0o755 })
const config = (json: unknown): void => {
  const file = join(root.prefix, 'data/containers', id, 'config.v2.json')
  writeFileSync(file, JSON.stringify(json), { mode: 0o644 })
  readContainers(root, '/data')
}
const labels = (text: string) =>
  ['kernel-version', 'kernel-abi-id', 'os-version', 'class', 'override'].map((name): [string, string] => [
    `io.balena.image.${name}`,
    text,
  ])

const READERS: Record<string, (text: string) => unknown> = {
  printable: (text) => printable(text, text.length),
  printableList: (text) => printableList([text, text]),
  oneLine,
  kernelRecord: (text) => kernelRecord({ level: 'info', text }),
  matchesGlob: (text) => matchesGlob(text, '*a*b*c*[/x]*'),
  withoutTrailingSlashes,
  literal,
  unitName: (text) => unitName(text, 'mount'),
  isUnitPath,
  execWord,
  pathWord,
  unescapeOctal,
  parseFstab,
  'parseFstab, one field': (text) => parseFstab(`/dev/vda ${text} ext4 ${text}`),
  devicePath: (text) => devicePath(`LABEL=${text}`),
  parseMountinfo,
  'parseMountinfo, one field': (text) => parseMountinfo(`1 2 3:4 / ${text} rw - ext4 ${text} ${text}`),
  splitCommandLine,
  splitArguments,
  readCommandLine: (text) => readCommandLine([text, `systemd.unit=${text}`, `balena.nohostext=${text}`]),
  parseOsRelease: (text) => parseOsRelease(`VERSION_ID=${text}\nID="${text}"\n`),
  directoryPath: (text) => directoryPath(`/${text}`),
  inputRoot: (text) => inputRoot({ HOSTEXT_ROOT: text }),
  reason: (text) => reason(new Error(text)),
  resolveLinks: (text) => resolveLinks(root, `/${text}`),
  'a configuration file': (text) => {
    writeFileSync(join(root.prefix, 'etc/hostext.conf'), `[${text.slice(0, 60_000)}`)
    return readConfiguration(root)
  },
  'each setting': (text) => {
    const { configuration } = readConfiguration({ prefix: '/nonexistent' })
    for (const set of Object.values(SETTINGS)) set(text, { ...configuration })
    for (const set of Object.values(SETTINGS)) set(`1${text}`, { ...configuration })
  },
  labels: (text) => judgeFit(new Map(labels(text)), { modules: true, kernel: () => true }, HOST),
  readRank: (text) => readRank(new Map([...labels(text), ['io.balena.features.host-extension', text]])),
  'a container': (text) =>
    config({
      ID: id,
      Name: text,
      Driver: text,
      Config: { Labels: { [text]: text }, Image: text },
      State: {},
    }),
  describeContainer: (text) =>
    describeContainer({ ...makeExtension('x').container, name: text, image: text }),
  essential: (text) => essentialBelow([essentialTree(['/*a*b*c', `/${text}`])], text),
  parseStack,
}

/** What has cost time in some program: rows of one character, and pairs, with an end that nothing expects. */
const ROWS = [
  '/',
  ' ',
  '\t',
  '\\',
  '"',
  "'",
  '=',
  ',',
  ':',
  '.',
  '*',
  '[',
  '-',
  '%',
  '$',
  'a',
  '1',
  '\n',
  '\r',
  '\0',
  '\u2800',
  '\ud800',
]
const PAIRS = [
  '/.',
  '../',
  'a ',
  ' =',
  '\\\n',
  '\\0',
  '\\040',
  '1 ',
  'a,',
  '*a',
  '[a',
  '"\\',
  '--',
  ' - ',
  '\ufeff\n',
]

for (const [name, read] of Object.entries(READERS)) {
  t.test(name, async (t) => {
    const slow: string[] = []
    for (const row of [...ROWS, ...PAIRS]) {
      const text = row.repeat(LENGTH / row.length)
      for (const input of [text, `${text}x`, `x${text}x`]) {
        const started = process.cpuUsage()
        try {
          read(input)
        } catch {
          // Too long for a name, or no such thing.
        }
        const { user, system } = process.cpuUsage(started)
        if ((user + system) / 1000 > MOST_MILLISECONDS)
          slow.push(`${JSON.stringify(row)}: ${(user + system) / 1000} ms`)
      }
    }
    t.same(slow, [])
  })
}
