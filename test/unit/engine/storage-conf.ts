import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { readStorageConf } from '../../../src/engine/storage-conf.js'
import { makeTree, type Tree } from '../../support/tree.js'

const ETC = 'etc/containers/storage.conf'
const USR = 'usr/share/containers/storage.conf'
const read = (t: Test, files: Tree) => readStorageConf({ prefix: makeTree(t, files) })
const DEFAULT = {
  file: undefined,
  graphroot: '/var/lib/containers/storage',
  others: [],
  problem: undefined,
  messages: [],
}
const graphroot = (path: string, more = ''): string => `[storage]\ngraphroot = "${path}"\n${more}`

t.test('without a file, and with one that says nothing of this', async (t) => {
  t.strictSame(read(t, {}), DEFAULT)
  for (const text of [
    '',
    '# [storage]\n',
    '[storage]\n',
    '[storage]\ndriver = ""\ngraphroot = ""\nrunroot = "/x"\n',
  ])
    t.strictSame(read(t, { [ETC]: text }), DEFAULT, text)
  for (const text of [
    'storage = 5',
    'storage = []',
    '[[storage]]\ngraphroot = "/a"',
    '[storage]\noptions = "x"',
  ])
    t.strictSame(read(t, { [ETC]: text }), DEFAULT, text)
})

t.test('everything, as Fedora and people write it', async (t) => {
  const text = `
# Comments # and more
[storage]
driver = "overlay"
runroot = '/run/containers/storage'
graphroot = "/data/containers//storage/" # here
imagestore = "/data/images"
transient_store = false

[storage.options]
additionalimagestores = [
  "/usr/lib/containers/storage", # read-only
  "/data/images",
]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos=""}

[storage.options.overlay]
mountopt = "nodev,metacopy=on"
force_mask = ""
`
  const found = {
    ...DEFAULT,
    file: `/${ETC}`,
    graphroot: '/data/containers/storage',
    others: ['/data/images', '/usr/lib/containers/storage'],
  }
  t.strictSame(read(t, { [ETC]: text }), found)
  t.strictSame(
    read(t, { [ETC]: `\ufeff${text.replaceAll('\n', '\r\n')}` }),
    found,
    'with a BOM, from Windows',
  )
  t.strictSame(
    read(t, { [ETC]: text.replaceAll('[storage', '[Storage').replace('graphroot', 'GraphRoot') }),
    found,
  )
  t.strictSame(
    read(t, { [ETC]: 'storage.graphroot = "/a"\nstorage.options = {additionalimagestores = ["/b"]}\n' }),
    {
      ...DEFAULT,
      file: `/${ETC}`,
      graphroot: '/a',
      others: ['/b'],
    },
  )
})

t.test('which main file counts', async (t) => {
  const both = { [ETC]: graphroot('/etc-one'), [USR]: graphroot('/usr-one') }
  t.match(read(t, both), { graphroot: '/etc-one', file: `/${ETC}` })
  t.match(read(t, { [USR]: graphroot('/usr-one') }), { graphroot: '/usr-one', file: `/${USR}` })
  t.strictSame(read(t, { ...both, [ETC]: '[storage]\n' }), DEFAULT, 'nothing of the other one is added')
  t.match(read(t, { [USR]: graphroot('/usr-one'), [ETC]: '-> nowhere' }), { graphroot: '/usr-one' })
})

t.test('drop-ins, in the order of their names; later directories hide earlier ones', async (t) => {
  const files = {
    [ETC]: graphroot('/main'),
    [`${USR}.d/10-a.conf`]: graphroot('/usr-10'),
    [`${USR}.d/90-z.conf`]: graphroot('/usr-90'),
    [`${ETC}.d/50-b.conf`]: graphroot('/etc-50'),
  }
  t.match(read(t, files), { graphroot: '/usr-90', file: `/${USR}.d/90-z.conf` })
  t.match(read(t, { ...files, [`${ETC}.d/90-z.conf`]: '' }), { graphroot: '/etc-50' })
  t.match(read(t, { ...files, [`${ETC}.d/99.conf`]: graphroot('') }).graphroot, DEFAULT.graphroot)
  t.match(read(t, { ...files, [`${ETC}.d/99.txt`]: graphroot('/x') }), { graphroot: '/usr-90' })
  const rootful = 'etc/containers/storage.rootful.conf.d/99.conf'
  t.match(read(t, { ...files, [rootful]: graphroot('/rootful') }), { graphroot: '/rootful' })
  t.match(
    read(t, { ...files, 'etc/containers/storage.rootless.conf.d/99.conf': graphroot('/rootless') }),
    { graphroot: '/usr-90' },
    'nobody else’s',
  )
  t.match(read(t, { ...files, [`${ETC}.d/99.conf`]: '-> 50-b.conf' }), { graphroot: '/usr-90' }, 'no links')
})

t.test('lists of stores replace each other, or are added', async (t) => {
  const stores = (...lists: string[]): string[] =>
    read(
      t,
      Object.fromEntries(
        lists.map((list, index) => [
          `${ETC}.d/${index}.conf`,
          `[storage.options]\nadditionalimagestores = ${list}\n`,
        ]),
      ),
    ).others
  // What Podman's own tests expect: slice_test.go in storage/pkg/configfile of container-libs.
  t.same(stores('["/1", "/2"]'), ['/1', '/2'])
  t.same(stores('["/7", {append=true}, "/8"]'), ['/7', '/8'])
  t.same(stores('["/1"]', '["/2"]'), ['/2'])
  t.same(stores('["/1"]', '[{append=true}, "/4"]'), ['/1', '/4'])
  t.same(stores('[{append=true}, "/4"]', '["/1"]'), ['/4', '/1'])
  t.same(stores('["/1"]', '["/10", {append=false}]'), ['/10'])
  t.same(stores('["/1"]', '["/10", {append=false}]', '["/7", {append=true}]'), ['/10', '/7'])
  t.same(stores('["/1"]', '[]'), [])
})

t.test('what no store can be stacked with', async (t) => {
  const problem = (text: string) => read(t, { [ETC]: text }).problem
  t.equal(problem('[storage]\ndriver = "vfs"\n'), `its storage driver is vfs, not overlay (/${ETC})`)
  t.equal(problem('[storage]\ndriver = "x\\ny"\n'), `its storage driver is x\\x0ay, not overlay (/${ETC})`)
  for (const driver of ['overlay', 'overlay2', ''])
    t.equal(problem(`[storage]\ndriver = "${driver}"\n`), undefined)
  const masked = `its files do not have the modes that they have in the images: /${ETC} sets force_mask`
  for (const mask of ['shared', 'private', '0700', '0'])
    t.equal(problem(`[storage.options.overlay]\nforce_mask = "${mask}"\n`), masked, mask)
  t.equal(problem('[storage.options]\nforce_mask = 0o700\n'), masked)
  t.equal(problem('[storage.options]\nforce_mask = 0\n'), undefined)
  t.equal(problem('[storage.options.overlay]\nforce_mask = ""\n'), undefined)
  t.equal(
    problem('[storage]\ntransient_store = true\n'),
    `it forgets its containers at each boot: /${ETC} sets transient_store`,
  )
  const later = {
    [ETC]: '[storage]\ndriver = "vfs"\n',
    [`${ETC}.d/1.conf`]: '[storage]\ndriver = "overlay"\n',
  }
  t.equal(read(t, later).problem, undefined)
})

t.test('mistakes are named and ignored', async (t) => {
  const messages = (text: string) => read(t, { [ETC]: text }).messages
  for (const [text, why] of [
    ['[storage\n', ':1: Invalid TOML document: '],
    ['[storage]\n\ngraphroot = /x\n', ':3: Invalid TOML document: '],
    ['[storage]\ngraphroot = "/a"\ngraphroot = "/b"\n', ':3: Invalid TOML document: '],
    ['[storage]\ngraphroot = 5\n', ': graphroot is not a string; ignored'],
    ['[storage]\ndriver = ["overlay"]\n', ': driver is not a string; ignored'],
    ['[storage]\ntransient_store = "true"\n', ': transient_store is not a boolean; ignored'],
    ['[storage.options]\nforce_mask = "0700"\n', ': force_mask is not a number; ignored'],
    ['[storage.options]\nadditionalimagestores = "/a"\n', ': additionalimagestores is not an array; ignored'],
    [graphroot('data'), ': graphroot is not an absolute path without variables: data; ignored'],
    [graphroot('/../x'), ': graphroot is not an absolute path without variables: /../x; ignored'],
    [graphroot('$HOME/x'), ': graphroot is not an absolute path without variables: $HOME/x; ignored'],
    [graphroot('/home/$USER'), ': graphroot is not an absolute path without variables: /home/$USER; ignored'],
    [graphroot('/a\\u0007'), ': graphroot is not an absolute path without variables: /a\\x07; ignored'],
    [
      '[storage.options]\nadditionalimagestores = ["x"]\n',
      ': additionalimagestores is not an absolute path without variables: x; ignored',
    ],
  ] as const) {
    const found = read(t, { [ETC]: text })
    t.strictSame({ ...found, messages: [] }, DEFAULT, text)
    t.equal(found.messages.length, 1, text)
    t.match(found.messages[0], { level: 'warning', text: `/${ETC}${why}` })
    t.match(found.messages[0]?.text, /^[^\n]*; ignored$/)
  }
  t.same(messages('[storage]\nstrange = 5\n[other]\nx = 1\n'), [], 'other keys are no mistakes')
  t.equal(messages(' '.repeat((256 << 10) + 1))[0]?.text, `/${ETC}: 262145 bytes, more than 262144; ignored`)

  const prefix = makeTree(t, { [`${ETC}.d/a\nb.conf`]: '[', [`${ETC}.d/c.conf`]: graphroot('/c') })
  const { messages: odd, graphroot: path } = readStorageConf({ prefix })
  t.equal(path, '/c', 'the others count')
  t.match(odd[0]?.text, 'storage.conf.d/a\\x0ab.conf:1: ')
  rmSync(join(prefix, `${ETC}.d`), { recursive: true })
  writeFileSync(join(prefix, `${ETC}.d`), '')
  t.match(readStorageConf({ prefix }).messages, [{ text: `/${ETC}.d: not a directory; ignored` }])
  rmSync(join(prefix, `${ETC}.d`))
  symlinkSync('/nonexistent', join(prefix, `${ETC}.d`))
  t.match(readStorageConf({ prefix }).messages, [{ text: `/${ETC}.d: not a directory; ignored` }], 'a link')
  rmSync(join(prefix, `${ETC}.d`))
  mkdirSync(join(prefix, ETC))
  t.match(readStorageConf({ prefix }).messages, [{ text: 'not a regular file but a directory; ignored' }])
  rmSync(join(prefix, ETC), { recursive: true })
  symlinkSync('/dev/zero', join(prefix, ETC))
  t.match(readStorageConf({ prefix }).messages, [{ text: 'not a regular file but a device; ignored' }])
})

t.test('any text is read without an exception', async (t) => {
  const prefix = makeTree(t, { [ETC]: '' })
  const word = fc.constantFrom(
    ...['[storage]', '[storage.options]', '[[storage]]', 'graphroot', 'driver', '__proto__', 'constructor'],
    ...[
      '=',
      '"/a"',
      "'''",
      '"""',
      '[',
      ']',
      '{',
      '}',
      ',',
      '\n',
      '\r',
      '#',
      '.',
      '1e999',
      '0o7',
      'true',
      '\u0000',
    ],
    ...['1979-05-27T07:32:00Z', '\\u{d800}', 'append=true', '-9223372036854775808', 'inf'],
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 40 }), (words) => {
      writeFileSync(join(prefix, ETC), words.join(' '))
      const { graphroot: path, messages } = readStorageConf({ prefix })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
      return path.startsWith('/') && messages.every(({ text }) => !/[\x00-\x1f\x7f]/.test(text))
    }),
    { numRuns: 500 },
  )
  writeFileSync(join(prefix, ETC), `[storage]\nx = ${'['.repeat(100_000)}`)
  t.match(readStorageConf({ prefix }).messages, [{ text: `/${ETC}` }], 'deeply nested')
  chmodSync(join(prefix, ETC), 0o600)
})
