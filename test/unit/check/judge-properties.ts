/**
 * Images and roots at random: what `check` says about an image is what its preparation on a machine with that
 * root finds. (How layers become one image is in layers-properties.ts.)
 */
import { join } from 'node:path'
import t from 'tap'
import { noRoot } from '../../../src/check/base.js'
import { readDirectory } from '../../../src/check/directory.js'
import { judgeImage } from '../../../src/check/judge.js'
import { makeBase } from '../../../src/image/kept.js'
import { findEssentialLibraries } from '../../../src/image/libraries.js'
import { makePending } from '../../../src/image/prepare.js'
import { noteOf } from '../../support/check.js'
import { HOST } from '../../support/data-root.js'
import { STATE, sh } from '../../support/image.js'
import { cannotMount } from '../../support/private.js'
import { FIXED_SEED, type Random, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { makeTree } from '../../support/tree.js'

if (cannotMount) {
  t.pass(cannotMount, { skip: cannotMount })
  process.exit(0)
}

const MACHINES = 25

/** Directories that rules speak of, and others. */
const DIRECTORIES = [
  ...[
    'bin',
    'lib',
    'lib64',
    'sbin',
    'usr/bin',
    'usr/lib',
    'usr/sbin',
    'usr/local/bin',
    'usr/share',
    'usr/lib/x',
  ],
  ...['etc', 'etc/ssh', 'etc/systemd/system', 'etc/x.d', 'usr/lib/systemd/system', 'usr/lib/tmpfiles.d'],
  ...[
    'opt',
    'opt/x',
    'var',
    'var/lib',
    'var/lib/x',
    'var/cache',
    'var/log',
    'var/run',
    'var/x',
    'home',
    'home/u',
  ],
  ...['root', 'srv', 'run', 'run/x', 'tmp', 'dev', 'proc', 'sys', 'boot', 'media', 'mnt', 'data', 'data/x'],
]
const NAMES = [
  'a',
  'b',
  'x',
  'x.service',
  '.hidden',
  'hostname',
  'machine-id',
  'ssh_host_rsa_key',
  'a name',
  'ä',
]
const TEXTS = ['', 'x', 'root:x:0:0::/:/bin/sh', 'u:x:1000:1000::/home/u:/bin/sh', 'ID=debian']

function place(random: Random): string {
  const directory = random.pick(DIRECTORIES)
  return random.number(4) === 0 ? directory : `${directory}/${random.pick(NAMES)}`
}

/** One thing that a build does, or whoever made the root; it fails where something is in its way. */
function change(random: Random): string {
  const path = `'${place(random)}'`
  const owner = random.pick(['0:0', '100:100', '1000:1000'])
  return random.pick([
    `mkdir -p ${path}`,
    `mkdir -p "$(dirname ${path})" && echo '${random.pick(TEXTS)}' >${path}`,
    `mkdir -p "$(dirname ${path})" && echo '${random.pick(TEXTS)}' >${path}`,
    `mkdir -p "$(dirname ${path})" && ln -sn '${random.pick(['/', '../', ''])}${place(random)}' ${path}`,
    `mkdir -p "$(dirname ${path})" && echo '${random.pick(TEXTS)}' >'etc/${random.pick(['passwd', 'group', 'os-release'])}'`,
    `chmod ${random.pick(['700', '755', '1777', '4755', '000'])} ${path}`,
    `chown -h ${owner} ${path}`,
    `mkdir -p "$(dirname ${path})" && mkfifo ${path}.fifo`,
    `ln ${path} '${place(random)}'`,
  ])
}

const script = (random: Random, least: number, most: number): string =>
  Array.from(
    { length: least + random.number(most - least) },
    () => `(${change(random)}) 2>/dev/null || :`,
  ).join('\n')

/** What every root has. */
const ROOT = `mkdir -p usr/bin usr/lib usr/sbin etc var/lib run boot proc sys dev tmp
  printf 'root:x:0:0::/:/bin/sh\\n' >etc/passwd; printf 'root:x:0:\\n' >etc/group
  printf 'ID=debian\\nVERSION_ID=12\\n' >etc/os-release\n`
const MERGED = 'ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/sbin sbin\n'

for (const seed of [FIXED_SEED, ROTATING_SEED])
  t.test(`${MACHINES} machines, by HOSTEXT_TEST_SEED=${seed}`, async (t) => {
    const random = seeded(seed)
    let notes = 0
    for (let number = 0; number < MACHINES; number++) {
      const prefix = makeTree(t)
      const root = { prefix }
      const ofRoot = `${ROOT}${random.pick([MERGED, MERGED, ''])}${script(random, 0, 8)}`
      sh(prefix, ofRoot)
      const ofImage = script(random, 5, 40)
      sh(join(prefix, 'engine/overlay2/0'), ofImage)
      const base = makeBase(root, 'debian 12', STATE)
      const made = await makePending(
        { root, dataRoot: '/engine', base, libraries: () => findEssentialLibraries(root) },
        { directory: '/engine/overlay2', lower: ['0'], key: 'KEY', chain: '0' },
        undefined,
        0,
      ).catch((error: Error) => error)
      const image = makeTree(t)
      sh(image, ofImage)
      const subject = { format: 'image', name: 'x', labels: new Map(), architecture: undefined, layers: 1 }
      const document = judgeImage(
        { ...subject, ...readDirectory(image, false) },
        { ...noRoot(), root, base, state: STATE, host: HOST, name: 'debian 12 at /' },
      )
      const what = `root:\n${ofRoot}\nimage:\n${ofImage}`
      if (made instanceof Error) {
        const errors = document.findings.filter(({ level }) => level === 'error')
        if (!errors.some(({ text }) => text.includes(made.message)))
          t.same(errors, [{ level: 'error', text: made.message }], what)
        continue
      }
      const { facts } = made
      const { files, directories, bytes, copied } = facts
      const found = document.findings
        .filter(({ group, code }) => group === 'files' && code !== 'empty')
        .map(noteOf)
        .sort()
      notes += facts.notes.length
      const [said, was] = [
        { notes: found, ...document.size.tree },
        { notes: [...facts.notes].sort(), files, directories, bytes, copied },
      ]
      if (JSON.stringify(said) !== JSON.stringify(was)) t.same(said, was, what)
    }
    t.comment(`${notes} notes`)
    t.ok(seed !== FIXED_SEED || notes > MACHINES, `${notes} notes`)
  })
