import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { readMachine } from '../../../src/machine/machine.js'
import { findObstacle } from '../../../src/stack/obstacle.js'
import { decide, keep, lookedAt, replays, runEntries } from '../../support/known.js'
import { addPiece, PIECES } from '../../support/pieces.js'
import { FIXED_SEED, type Random, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { makeTree, type Tree, walk } from '../../support/tree.js'

/**
 * Random changes of a machine whose decision is kept: whatever they are, if the stub decides as before, the
 * program decides the same.
 */

/** Changes something, and says what; undefined if it does not apply. */
type Change = (root: string, random: Random) => string | undefined

/** The files whose text counts, of each machine. */
const texts = new Map<string, ReadonlySet<string>>()

/**
 * The files of a machine, without those that a boot finds made anew. Two kinds of files do not count for a
 * decision that is kept (docs/design.md, "A known stack computes nothing"): what is in a kept tree, which
 * nobody changes once it is made, and what is in the directory of a container that was no extension.
 */
function everything(root: string): string[] {
  return counting(root, /^.*\/containers\/[0-9a-f]{64}(?=\/)/)
}

/** The same, and of these containers not even whether the directory is fit: only that it is there. */
function fitting(root: string): string[] {
  return counting(root, /^.*\/containers\/[0-9a-f]{64}(?=\/|$)/)
}

function counting(root: string, containers: RegExp): string[] {
  return walk(root)
    .map(({ path }) => path)
    .filter((path) => {
      if (/^(?:run|decided|proc|usr\/lib\/hostext)(?:\/|$)|hostext\/known(?:\/|$)/.test(path)) return false
      if (/\/hostext\/trees\/[^/]+\/tree\//.test(path)) return false
      const container = containers.exec(path)?.[0]
      return container === undefined || texts.get(root)?.has(`/${container}/config.v2.json`)
    })
}

const isFile = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false

function anyFile(root: string, random: Random): string | undefined {
  const files = everything(root).filter((path) => isFile(join(root, path)))
  return files.length > 0 ? random.pick(files) : undefined
}

function edit(path: string, change: (text: string) => string): void {
  const text = isFile(path) ? readFileSync(path, 'latin1') : ''
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, change(text), 'latin1')
}

/** A line that is added to a file, or the file with that line. */
const LINES: [string, string[]][] = [
  [
    'etc/fstab',
    ['tmpfs /srv tmpfs rw 0 0', '/dev/vdc /mnt/data ext4 rw 0 2', '/swap none swap sw 0 0', '# nothing'],
  ],
  [
    'etc/hostext.conf',
    [
      '[State]\nState=/var',
      '[Etc]\nEtc=volatile',
      '[Safety]\nRollback=no',
      '[Engine]\nDataRoot=/data',
      '# nothing',
    ],
  ],
  ['etc/hostext.conf.d/50.conf', ['[Stack]\nSkip=one-layer', '[Stack]\nForeign=yes', '[Safety]\nSettle=5s']],
  ['etc/os-release', ['VERSION_ID=14', 'NAME=other']],
  ['usr/lib/os-release', ['VERSION_ID=15']],
  ['etc/docker/daemon.json', ['{"data-root": "/data"}', '{"storage-driver": "vfs"}', '{}', 'no JSON']],
  ['etc/systemd/system/docker.service', ['[Service]\nExecStart=/usr/bin/dockerd -g /data']],
  ['etc/systemd/system/srv.mount', ['[Mount]\nWhat=tmpfs\nWhere=/srv\nType=tmpfs']],
  ['usr/lib/systemd/system/data.mount', ['[Mount]\nWhat=/dev/vdd\nWhere=/var/lib/docker']],
  ['etc/crypttab', ['x /dev/vdb none']],
  ['etc/containers/storage.conf', ['[storage]\ngraphroot = "/data"']],
  ['etc/containerd/config.toml', ['root = "/data"']],
  [
    'proc/cmdline',
    [' quiet', ' systemd.unit=rescue.target', ' balena.nohostext', ' hostext.skip=one-layer', ' x="y'],
  ],
  [
    'proc/self/mountinfo',
    ['90 1 254:9 / /srv rw - ext4 /dev/vdz rw', '91 1 0:77 / /tmp rw - tmpfs tmpfs rw'],
  ],
]

const CHANGES: Record<string, Change> = {
  line(root, random) {
    const [path, lines] = random.pick(LINES)
    const line = random.pick(lines)
    edit(join(root, path), (text) =>
      path === 'proc/cmdline' ? `${text.trim()}${line}\n` : `${text}${line}\n`,
    )
    return `${path}: ${line}`
  },
  'a byte of a file'(root, random) {
    const path = anyFile(root, random)
    if (path === undefined) return undefined
    const bytes = readFileSync(join(root, path))
    if (bytes.length === 0) return undefined
    const place = random.number(bytes.length)
    bytes[place] = (bytes[place] as number) ^ (1 << random.number(7))
    writeFileSync(join(root, path), bytes)
    return `${path}: byte ${place}`
  },
  'the end of a file'(root, random) {
    const path = anyFile(root, random)
    if (path === undefined) return undefined
    const bytes = readFileSync(join(root, path))
    writeFileSync(join(root, path), bytes.subarray(0, random.number(bytes.length + 1)))
    return path
  },
  'the time of a file'(root, random) {
    const path = random.pick(everything(root))
    if (lstatSync(join(root, path)).isSymbolicLink()) return undefined
    utimesSync(join(root, path), 1.6e9, 1.6e9 + random.number(1000))
    return path
  },
  'a mode'(root, random) {
    const path = random.pick(fitting(root))
    const { mode } = lstatSync(join(root, path))
    if (lstatSync(join(root, path)).isSymbolicLink()) return undefined
    chmodSync(join(root, path), (mode ^ random.pick([0o020, 0o002, 0o001, 0o010])) & 0o7777)
    return path
  },
  'an owner'(root, random) {
    if (process.getuid?.() !== 0) return undefined
    const path = random.pick(fitting(root))
    if (lstatSync(join(root, path)).isSymbolicLink()) return undefined
    chownSync(join(root, path), random.pick([0, 1000]), random.pick([0, 1000]))
    return path
  },
  'something is gone'(root, random) {
    const path = random.pick(everything(root))
    rmSync(join(root, path), { recursive: true })
    return path
  },
  'another name'(root, random) {
    const path = random.pick(everything(root))
    renameSync(join(root, path), join(root, `${path}.old`))
    return path
  },
  'a link in its place'(root, random) {
    const path = random.pick(fitting(root))
    const place = join(root, path)
    const stat = lstatSync(place)
    if (stat.isSymbolicLink()) {
      const target = readlinkSync(place)
      rmSync(place)
      symlinkSync(`${target}.other`, place)
    } else {
      renameSync(place, `${place}.real`)
      symlinkSync(`${path.slice(path.lastIndexOf('/') + 1)}.real`, place)
    }
    return path
  },
  'a new file'(root, random) {
    const directories = everything(root).filter((path) => lstatSync(join(root, path)).isDirectory())
    const path = `${random.pick(directories)}/${random.pick(['new', 'x.mount', 'x.conf', 'x.service', '.x'])}`
    edit(join(root, path), (text) => `${text}new\n`)
    return path
  },
  'a container of another ID'(root, random) {
    const containers = everything(root).filter((path) => /\/containers\/[0-9a-f]{64}$/.test(path))
    if (containers.length === 0) return undefined
    const like = random.pick(containers)
    const id = Array.from({ length: 64 }, () => random.number(16).toString(16)).join('')
    const kind = random.pick(['ordinary', 'as it is', 'truncated', 'other driver'])
    cpSync(join(root, like), join(root, dirname(like), id), { recursive: true })
    chmodSync(join(root, dirname(like), id), 0o710)
    const config = join(root, dirname(like), id, 'config.v2.json')
    if (!isFile(config)) return undefined
    edit(config, (text) => {
      const own = text.replaceAll(like.slice(-64), id)
      if (kind === 'ordinary') return own.replace(/"Labels":\{[^}]*\}/, '"Labels":{}')
      if (kind === 'truncated') return own.slice(0, 300)
      return kind === 'other driver' ? own.replace('"overlay2"', '"btrfs"') : own
    })
    return `${kind}, like ${like.slice(-64, -52)}`
  },
  'a container that is ordinary'(root, random) {
    return CHANGES['a container of another ID']?.(root, { ...random, pick: (values) => values[0] as never })
  },
  'what nobody looks at'(root, random) {
    const places = ['usr/share/doc/x', 'var/log/x', 'home/user/x', 'srv/x', 'etc/profile.d/x.sh', 'opt/x/y']
    const path = random.pick(places)
    edit(join(root, path), (text) => `${text}x\n`)
    return path
  },
  'words that mean nothing'(root, random) {
    const word = random.pick(['quiet', 'splash', 'bootcount=2', 'console=ttyS0', 'panic=10'])
    edit(join(root, 'proc/cmdline'), (text) => `${text.trim()} ${word}\n`)
    return word
  },
  'an image or a container of Podman'(root, random) {
    const files = everything(root).filter((path) =>
      /overlay-(?:containers|images|layers)\/\w+\.json$/.test(path),
    )
    if (files.length === 0) return undefined
    const path = random.pick(files)
    edit(join(root, path), (text) => {
      const list = JSON.parse(text) as unknown[]
      return JSON.stringify(random.pick([list.slice(1), [...list, ...list.slice(0, 1)], list.reverse()]))
    })
    return path
  },
  'what other machines have'(root, random) {
    const kind = random.pick(Object.keys(PIECES))
    const made = addPiece(root, (PIECES[kind] as (random: Random) => Tree)(random))
    return made.length > 0 ? `${kind}: ${made.join(' ')}` : undefined
  },
  'a record'(root, random) {
    const records = everything(root).filter((path) =>
      /\/hostext\/(?:good|previous|other|reduced|trial\.\d)$/.test(path),
    )
    if (records.length === 0) return undefined
    const path = random.pick(records)
    const to = join(
      root,
      dirname(path),
      random.pick(['good', 'previous', 'other', 'trial.0', 'trial.2', 'back.1']),
    )
    renameSync(join(root, path), to)
    return `${path} -> ${to.slice(to.lastIndexOf('/'))}`
  },
}

/** Those after which most boots decide as before. */
const HARMLESS = [
  'a container that is ordinary',
  'what nobody looks at',
  'words that mean nothing',
  'the time of a file',
]

/** What is in /run. Of several words of the command line that end in a plain root each side names one. */
function entries(root: string): Record<string, string> {
  const entries = runEntries(root)
  const decision = entries['hostext.decision'] ?? ''
  const word = / plain root: \S+ on the kernel command line\n$/
  return { ...entries, 'hostext.decision': decision.replace(word, ' plain root: turned off\n') }
}

/** What the stub says if it finds no extension. The program says first what is in the way of stacking any. */
const NOTHING = / plain root: no container is a host extension: .*\n$/

/** How many changes are made, one after the other, before the machine is made anew. */
const IN_A_ROW = 4

async function changed(t: Test, name: string, seed: number, count: number): Promise<Record<string, number>> {
  const random = seeded(seed)
  const { root } = await keep(t, name)
  texts.set(root, lookedAt(root).texts)
  const pristine = join(makeTree(t), 'root')
  const copy = (from: string, to: string): void => {
    rmSync(to, { recursive: true, force: true })
    execFileSync('cp', ['-a', from, to])
  }
  rmSync(join(root, 'decided'), { recursive: true })
  copy(root, pristine)
  const counts = { replayed: 0, decided: 0 }
  let made: string[] = []
  for (let number = 0; number < count; ) {
    if (made.length === IN_A_ROW) {
      copy(pristine, root)
      made = []
    }
    const kind = random.pick(random.number(4) === 0 ? HARMLESS : Object.keys(CHANGES))
    const what = CHANGES[kind]?.(root, random)
    if (what === undefined) continue
    made.push(`${kind}: ${what}`)
    number++
    const hasReplayed = replays(root)
    const isThere = existsSync(join(root, 'usr/lib/hostext/node'))
    // What is gone may have been the runtime.
    if (!isThere) t.match(readFileSync(join(root, 'run/hostext.decision'), 'utf8'), 'node is missing')
    if (!hasReplayed || !isThere) {
      counts.decided++
      // Nothing more is learned from it.
      made.length = IN_A_ROW
      continue
    }
    counts.replayed++
    const replayed = entries(root)
    try {
      decide(root)
    } catch (error) {
      t.fail(`${made.join('; ')}: ${(error as Error).message}`)
      continue
    }
    const again = entries(root)
    const [said, saidAgain] = [replayed['hostext.decision'] ?? '', again['hostext.decision'] ?? '']
    const obstacle = findObstacle(readMachine({ prefix: root }, {}))
    if (NOTHING.test(said) && saidAgain.endsWith(` plain root: ${obstacle}\n`))
      replayed['hostext.decision'] = saidAgain
    if (JSON.stringify(replayed) !== JSON.stringify(again)) t.same(replayed, again, made.join('; '))
  }
  return counts
}

t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)
for (const [name, count] of [
  ['known-good', 60],
  ['store-podman', 20],
  ['store-containerd', 20],
] as const)
  for (const seed of [FIXED_SEED, ROTATING_SEED])
    t.test(`${count} changes of ${name}, by HOSTEXT_TEST_SEED=${seed}`, async (t) => {
      const { replayed = 0, decided = 0 } = await changed(t, name, seed, count)
      t.equal(replayed + decided, count)
      t.comment(`${replayed} decided as before`)
      // Both happen often, or this would show nothing.
      if (seed === FIXED_SEED) t.ok(replayed > count / 8 && decided > count / 8, `${replayed} and ${decided}`)
    })
