import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { OFF_SWITCHES, REPAIR_WORDS } from '../../../src/machine/kernel-command-line.js'
import {
  type Boot,
  boot,
  DATA,
  keep,
  lookedAt,
  runStub,
  STUB,
  startBoot,
  starts,
  written,
} from '../../support/known.js'
import { PROJECT } from '../../support/paths.js'
import { makeTree, type Tree, writeTree } from '../../support/tree.js'

const shells = [['dash'], ['busybox', 'sh'], ['bash', '--posix']]

for (const shell of shells) {
  t.test(`a known boot: ${shell.join(' ')}`, async (t) => {
    const { root, first } = await keep(t, undefined, shell)
    t.equal(first.stderr, '', 'what is kept is kept without a word')
    for (const turn of ['once', 'and again']) {
      const second = boot(root, shell)
      t.equal(second.started, false, `no runtime, ${turn}`)
      t.same(written(second), written(first))
      t.match(second.stderr, /^hostext: stacking 4 host extensions over the root: /m)
      t.notOk(second.run['hostext/known/seen'], 'nothing is kept again')
    }
    t.test('new containers', async (t) => {
      const containers = join(root, DATA, 'containers')
      const [like = ''] = readdirSync(containers)
      const text = readFileSync(join(containers, like, 'config.v2.json'), 'utf8')
        .replace(/"Labels":\{[^}]*\}/, '"Labels":{}')
        .replaceAll(like, ID)
      const add = (number: number, change: (text: string) => string = (text) => text): string => {
        const id = String(number).padStart(64, 'e')
        writeTree(containers, { [`${id}/config.v2.json`]: change(text.replaceAll(ID, id)) })
        chmodSync(join(containers, id), 0o710)
        return join(containers, id)
      }
      for (let number = 0; number < 30; number++) add(number)
      t.equal(boot(root, shell).started, false, 'ordinary ones')
      rmSync(add(0), { recursive: true })
      t.equal(boot(root, shell).started, false, 'one is gone')
      // In an initrd, standard input is the console: whatever reads it hangs.
      const input = join(root, 'fifo')
      execFileSync('mkfifo', [input])
      const descriptor = openSync(input, 'r+')
      startBoot(root)
      t.equal(runStub(root, shell, {}, descriptor).started, false, 'and nothing waits at the console')
      closeSync(descriptor)
      const changes: [string, (text: string) => string][] = [
        ['an extension', (text) => text.replace('"Labels":{', `"Labels":{"${LABEL}":"1"`)],
        ['truncated', (text) => text.slice(0, 40)],
        ['of another driver', (text) => text.replace('"Driver":"overlay2"', '"Driver":"overlayfs"')],
      ]
      for (const [index, [what, change]] of changes.entries()) {
        const path = add(31 + index, change)
        t.equal(boot(root, shell).started, true, what)
        rmSync(path, { recursive: true })
        t.equal(boot(root, shell).started, false, `${what}: gone`)
      }
      const open = add(34)
      chmodSync(open, 0o777)
      t.equal(boot(root, shell).started, true, 'users can write to its directory')
      rmSync(open, { recursive: true })
    })
  })
}

const LABEL = 'io.balena.features.host-extension'

/** Stands for the ID of a container. */
const ID = '#'.repeat(64)

/** Changes what a path is, as little as can be. Returns what undoes it. */
function changeKind(path: string): () => void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat) return create(path)
  if (stat.isSymbolicLink()) {
    const target = readlinkSync(path)
    const link = (target: string): void => {
      rmSync(path)
      symlinkSync(target, path)
    }
    link(`./${target}`)
    return () => link(target)
  }
  chmodSync(path, stat.mode ^ 0o020)
  return () => chmodSync(path, stat.mode)
}

/** Creates an empty file, and the directories above it. */
function create(path: string, text = ''): () => void {
  let first = path
  const times: [string, Date, Date][] = []
  while (!lstatSync(dirname(first), { throwIfNoEntry: false })) first = dirname(first)
  const above = lstatSync(dirname(first))
  times.push([dirname(first), above.atime, above.mtime])
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return () => {
    rmSync(first, { recursive: true })
    for (const [path, atime, mtime] of times) utimesSync(path, atime, mtime)
  }
}

function changeText(path: string): () => void {
  if (!lstatSync(path, { throwIfNoEntry: false })) return create(path, '\n')
  const before = readFileSync(path)
  appendFileSync(path, '\n')
  return () => writeFileSync(path, before)
}

function changeTime(path: string): () => void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat) return create(path)
  utimesSync(path, stat.atime, new Date(stat.mtimeMs - 1000))
  return () => utimesSync(path, stat.atime, stat.mtime)
}

const common = new Set<string>()
for (const name of ['known-good', 'etc-persistent', 'store-containerd', 'store-podman']) {
  t.test(`a change of each input alone is noticed: ${name}`, async (t) => {
    const { root } = await keep(t, name)
    if (boot(root).started) throw new Error('it is not known')
    // It needs not decide.
    rmSync(join(root, 'decided'), { recursive: true })
    const seen = lookedAt(root)
    const [texts, stats, times, names] = [seen.texts, seen.stats, seen.times, seen.names].map((set) =>
      [...set].filter((path) => !/^\/proc\/(?:self|1|cmdline)/.test(path)).map((path) => path.slice(1)),
    ) as [string[], string[], string[], string[]]
    // What all machines have was changed in the first one.
    const isNew = (path: string): boolean => name === 'known-good' || !common.has(path)
    for (const path of [...texts, ...stats, ...times, ...names]) if (name === 'known-good') common.add(path)
    const check = (what: string, path: string, change: (path: string) => () => void): void => {
      const undo = change(join(root, path))
      const started = starts(root)
      undo()
      if (!started) t.fail(`${what}: ${path}`)
    }
    // Those in /run are not there before the boot.
    const lasting = (path: string): boolean => !path.startsWith('run/') && isNew(path)
    for (const path of texts.filter(lasting)) check('text', path, changeText)
    for (const path of stats.filter(lasting)) check('kind', path, changeKind)
    for (const path of times.filter(lasting)) check('time', path, changeTime)
    for (const path of names.filter(lasting)) check('names', path, (path) => create(join(path, 'another')))
    t.ok(texts.length > 20 && stats.length > 100 && times.length > 5 && names.length > 10, 'all was changed')
    t.equal(boot(root).started, false, 'and undone')
  })
}

t.test('with the tools of busybox', async (t) => {
  const applets = execFileSync('busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n')
  const tools = makeTree(t, Object.fromEntries(applets.map((name) => [name, '-> /bin/busybox'])))
  t.ok(['find', 'sha256sum', 'stat', 'tar'].every((name) => applets.includes(name)))
  const environment = { PATH: tools }
  const { root, first } = await keep(t, undefined, [join(tools, 'sh')], environment)
  const again = (): Boot => boot(root, [join(tools, 'sh')], environment)
  const second = again()
  t.equal(second.started, false)
  t.same(written(second), written(first))
  const { texts, stats, times, names } = lookedAt(root)
  const check = (what: string, paths: Iterable<string>, change: (path: string) => () => void): void => {
    // Every tenth: it is for the program to name them.
    for (const [index, path] of [...paths].entries()) {
      if (index % 10 !== 3 || /^\/(?:proc|run)\//.test(path)) continue
      const undo = change(join(root, path))
      if (!again().started) t.fail(`${what}: ${path}`)
      undo()
    }
  }
  check('text', texts, changeText)
  check('kind', stats, changeKind)
  check('time', times, changeTime)
  check('names', names, (path) => create(join(path, 'another')))
  const sums = join(root, DATA, 'hostext/known/sums')
  const whole = readFileSync(sums)
  writeFileSync(sums, whole.subarray(0, whole.length >> 1))
  t.equal(again().started, true, 'half of what was kept')
  writeFileSync(sums, whole)
  chmodSync(dirname(sums), 0o722)
  t.equal(again().started, true, 'others can write there')
  chmodSync(dirname(sums), 0o700)
  t.equal(again().started, false)
})

t.test('a data root that a setting names', async (t) => {
  const daemon = { 'etc/docker/daemon.json': '{"data-root": "/srv/engine"}\n' }
  for (const files of [
    { 'etc/hostext.conf': '[Engine]\nDataRoot=/srv/engine\n' },
    daemon,
    // Without what is known, the runtime would have to say what these mean.
    { ...daemon, 'etc/fstab': 'LABEL=root / ext4 rw 0 1\ntmpfs /mnt tmpfs defaults 0 0\n' },
    { ...daemon, 'proc/cmdline': 'root=/dev/vda1 ro systemd.mount-extra=tmpfs:/tmp/x:tmpfs\n' },
  ] as Tree[]) {
    const { root, own } = await keep(t, undefined, undefined, {}, (root) => {
      renameSync(join(root, DATA), join(root, 'srv/engine'))
      writeTree(root, files)
    })
    t.equal(own, join(root, 'srv/engine/hostext'))
    t.equal(boot(root).started, false, Object.keys(files).join())
    const asked = boot(root, undefined, {}, { 'run/hostext/asked': '' })
    t.ok(asked.run['hostext.decision'], 'asked whether it is known')
    appendFileSync(join(root, 'etc/fstab'), '# a comment\n')
    t.equal(boot(root).started, true)
  }
})

t.test('a file appears where a link has led nowhere', async (t) => {
  for (const path of ['etc/docker/daemon.json', 'etc/crypttab', 'etc/systemd/system/docker.service']) {
    const { root } = await keep(t, undefined, undefined, {}, (root) => {
      rmSync(join(root, path), { force: true })
      const up = '../'.repeat(path.split('/').length - 1)
      writeTree(root, { [path]: `-> ${up}srv/first`, 'srv/first': '-> second/file' })
    })
    t.equal(boot(root).started, false, path)
    const undo = create(join(root, 'srv/second/file'), '{}\n')
    t.equal(boot(root).started, true, `${path}: there now`)
    undo()
    t.equal(boot(root).started, false, `${path}: gone again`)
  }
})

t.test('the directories of trees are looked at: the root cannot do without them', async (t) => {
  const { root } = await keep(t)
  const trees = `${DATA}/hostext/trees`
  const { names } = lookedAt(root)
  const kept = readdirSync(join(root, trees))
  t.ok(kept.length > 0)
  for (const name of kept) {
    t.ok(names.has(`/${trees}/${name}/tree`), name)
    t.equal(names.has(`/${trees}/${name}/tree/usr`), existsSync(join(root, trees, name, 'tree/usr')))
  }
})

t.test('asked whether a boot is known, it only says that', async (t) => {
  const { root } = await keep(t)
  const ask = (): Boot => boot(root, undefined, {}, { 'run/hostext/asked': '' })
  t.ok(ask().run['hostext.decision'])
  appendFileSync(join(root, 'etc/fstab'), '# a comment\n')
  const { started, run } = ask()
  t.equal(started, false)
  t.same(
    Object.keys(run).filter((path) => path !== 'hostext/asked' && !/^hostext\.\w+$/.test(path)),
    [],
  )
  t.notOk(run['hostext.decision'])
  rmSync(join(root, 'var/lib'), { recursive: true })
  t.notOk(ask().run['hostext.decision'], 'nor that there is no engine')
  t.ok(boot(root).run['hostext.decision'])
})

t.test('mounts', async (t) => {
  const { root } = await keep(t)
  const file = join(root, 'proc/self/mountinfo')
  const text = readFileSync(file, 'utf8')
  const check = (what: string, changed: string, expected: boolean): void => {
    if (changed === text) throw new Error(`${what}: nothing was changed`)
    writeFileSync(file, changed)
    t.equal(boot(root).started, expected, what)
  }
  const [first = ''] = text.split('\n').filter((line) => line.includes(' / / '))
  const fields = first.split(' ')
  const dash = fields.indexOf('-')
  const change = (index: number, to: string): string => text.replace(first, fields.with(index, to).join(' '))
  check('a number of a mount', change(0, '77'), false)
  check('the number of the mount above', change(1, '78'), false)
  check('the device', change(2, '254:9'), true)
  check('a directory of the file system', change(3, '/other'), true)
  check('the type', change(dash + 1, 'btrfs'), true)
  check('the source', change(dash + 2, '/dev/other'), true)
  check('the options', change(dash + 3, 'rw,other'), true)
  check('the group of peers', text.replace(' - ', ' shared:77 master:3 - '), false)
  check('another mount', `${text}90 1 254:7 / /data rw - ext4 /dev/vdb rw\n`, true)
  const sandbox = '91 1 0:7 / /tmp rw - tmpfs tmpfs rw\n92 1 0:8 / /dev/shm rw - tmpfs tmpfs rw\n'
  check('what PID 1 mounts, which the initrd has not yet', text + sandbox, false)
  const credentials = '93 1 0:9 / /run/credentials/systemd-journald.service ro - tmpfs tmpfs ro\n'
  check('what a service of the initrd has', text + credentials, false)
  writeFileSync(file, text)
  t.equal(boot(root, undefined, { SYSTEMD_VIRTUALIZATION: 'container:lxc' }).started, true, 'in a container')
})

t.test('the kernel command line', async (t) => {
  const { root } = await keep(t)
  const file = join(root, 'proc/cmdline')
  const line = readFileSync(file, 'utf8').trim()
  const isKnown = (words: string): boolean => {
    writeFileSync(file, `${words}\n`)
    const { started, run } = boot(root)
    return !started && run['hostext/locked/normal/hostext.target'] !== undefined
  }
  for (const word of [
    'quiet',
    'bootcount=3',
    'BOOT_IMAGE=/boot/vmlinuz',
    'console=ttyS0',
    'x=1',
    '6',
    'rows',
  ])
    t.ok(isKnown(`${line} ${word}`), word)
  const source = readFileSync(join(PROJECT, 'src/machine/kernel-command-line.ts'), 'utf8')
  const keys = [...source.matchAll(/key === '([^']+)'/g)].map(([, key]) => key as string)
  t.ok(keys.length > 8)
  const switches = [
    ...OFF_SWITCHES,
    ...REPAIR_WORDS,
    '2',
    '3',
    '4',
    '5',
    'ro',
    'rw',
    'roothash=1',
    'usrhash=1',
  ]
  for (const word of [...switches, ...keys.flatMap((key) => [key, `${key}=x`, key.replaceAll('_', '-')])])
    t.notOk(isKnown(`${line} ${word}`), word)
  t.notOk(isKnown(`${line} x="a b"`), 'a quote')
  t.ok(isKnown(line))
  t.test('in a container', async (t) => {
    const environment = { SYSTEMD_VIRTUALIZATION: 'container:lxc' }
    const { root } = await keep(t, 'container-allowed', undefined, environment)
    const isKnown = (...words: string[]): boolean => {
      const all = ['/sbin/init', 'systemd.unit=multi-user.target', ...words, '']
      writeFileSync(join(root, 'proc/1/cmdline'), all.join('\0'))
      return !boot(root, undefined, environment).started
    }
    t.ok(isKnown())
    t.ok(isKnown('test.boot=3'))
    t.notOk(isKnown('systemd.unit=rescue.target'))
    t.notOk(isKnown('hostext.skip=a b'))
  })
})

t.test('what is kept is root’s, whole, and not a link', async (t) => {
  const { root, own } = await keep(t)
  const known = join(own, 'known')
  const check = (what: string, change: () => void, undo: () => void): void => {
    change()
    t.equal(boot(root).started, true, what)
    undo()
    t.equal(boot(root).started, false, `${what}: undone`)
  }
  for (const path of [known, dirname(known), join(root, DATA), join(known, 'sums')]) {
    const { mode } = lstatSync(path)
    check(
      `others can write: ${path.slice(root.length)}`,
      () => chmodSync(path, mode | 0o002),
      () => chmodSync(path, mode),
    )
    check(
      `its group can write: ${path.slice(root.length)}`,
      () => chmodSync(path, mode | 0o020),
      () => chmodSync(path, mode),
    )
  }
  for (const name of ['seen', 'sums', 'paths', 'units.tar']) {
    const path = join(known, name)
    const whole = readFileSync(path)
    for (const length of [0, 1, whole.length >> 2, whole.length >> 1, whole.length - 2])
      check(
        `${name} with ${length} bytes`,
        () => writeFileSync(path, whole.subarray(0, length)),
        () => writeFileSync(path, whole),
      )
    check(
      `no ${name}`,
      () => rmSync(path),
      () => writeFileSync(path, whole),
    )
  }
  check(
    'a link',
    () => {
      renameSync(known, join(root, 'elsewhere'))
      symlinkSync(join(root, 'elsewhere'), known)
    },
    () => {
      rmSync(known)
      renameSync(join(root, 'elsewhere'), known)
    },
  )
})

t.test('where /run cannot take it, the boot is plain', async (t) => {
  const { root } = await keep(t)
  const tools = makeTree(t, {
    'tar*': '#!/bin/sh\nfor last; do :; done\nmkdir -p "$last/hostext/locked"\nexit 2\n',
  })
  const { started, run } = boot(root, undefined, { PATH: `${tools}:${process.env.PATH}` })
  t.equal(started, false)
  t.match(
    run['hostext.decision'],
    /^plain root: what was kept in \/var\/lib\/docker\/hostext\/known cannot be written/,
  )
  t.notOk(run['hostext/locked'], 'and nothing of it is left')
})

t.test('only for the directories of PID 1', async (t) => {
  const { root } = await keep(t)
  const work = makeTree(t, { 'normal/x': '', 'early/x': '', 'late/x': '' })
  startBoot(root)
  execFileSync('dash', [STUB, join(work, 'normal'), join(work, 'early'), join(work, 'late')], {
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
    stdio: 'ignore',
  })
  rmSync(join(root, 'started'))
  t.pass('the runtime was started')
})
