import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { prepare } from '../../../src/commands/prepare.js'
import { isTreeName, TREES } from '../../../src/image/kept.js'
import type { Root } from '../../../src/machine/files.js'
import { readAndDecide } from '../../../src/read.js'
import { copyDataRoot, DATA, find } from '../../support/data-root.js'
import { cannotMount } from '../../support/private.js'
import { walk, writeTree } from '../../support/tree.js'

if (cannotMount) {
  t.pass(cannotMount, { skip: cannotMount })
  process.exit(0)
}

function machine(t: Test, dataRoot?: string): { root: Root; data: string; trees: () => string[] } {
  const { root, data } = copyDataRoot(t, dataRoot)
  writeTree(root.prefix, {
    'proc/self/mountinfo': '22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n',
    'usr/lib/systemd/system/soft-reboot.target': '',
    'etc/fstab': '/dev/vda1 / ext4 rw\n',
  })
  const directory = join(root.prefix, DATA, TREES)
  return { root, data, trees: () => (existsSync(directory) ? readdirSync(directory).sort() : []) }
}

const short = (lines: string[]) =>
  lines.map((line) => line.replace(/ \(.*?\)/, '').replace(/[A-Z0-9]{26}\.[0-9a-f]{8}/, 'TREE'))

t.test('prepares, and shows what is kept', async (t) => {
  const { root, trees } = machine(t)
  const { lines, done } = await prepare(root, {}, false)
  t.equal(done, true)
  t.match(
    short(lines).filter((line) => line.startsWith('prepared')),
    ['many-layers', 'override', 'one-layer', 'additive'].map(
      (name) => new RegExp(`^prepared: ${name}: \\d+ files, \\d+ directories, \\d\\.\\d s$`),
    ),
  )
  t.match(
    short(lines).filter((line) => line.startsWith('kept')),
    ['additive', 'one-layer', 'override', 'many-layers'].map(
      (name) => new RegExp(`^kept: TREE: ${name}, \\d+ files of 0\\.0 MiB$`),
    ),
  )
  t.equal(lines.length, 8)
  t.equal(trees().length, 4)
  for (const tree of trees()) {
    const directory = join(root.prefix, DATA, TREES, tree)
    const { copied, files } = JSON.parse(readFileSync(join(directory, 'facts'), 'utf8'))
    t.equal(copied, 0, 'as the engine names its layers, nothing is copied')
    const found = walk(join(directory, 'tree')).filter(({ entry }) => entry.isFile())
    t.equal(found.length, files)
    for (const { path } of found) t.ok(statSync(join(directory, 'tree', path)).nlink > 1, path)
  }
  const again = await prepare(root, {}, false)
  t.same(
    again.lines,
    lines.filter((line) => line.startsWith('kept')),
    'nothing is done twice',
  )
  t.equal(again.done, true)
})

/** Has the image of `override` something that cannot be prepared. */
function spoil(data: string): void {
  const { mountId } = find(data, 'override')
  const lower = readFileSync(join(data, 'overlay2', mountId, 'lower'), 'utf8').split(':')
  writeTree(join(data, 'overlay2', lower[1] as string), {
    'usr/lib/tmpfiles.d': '-> /etc/cron.d',
    'var/lib/app/x': '',
  })
}

t.test('one that cannot be prepared is named, and leaves the others alone', async (t) => {
  const { root, data, trees } = machine(t)
  spoil(data)
  const { lines, done } = await prepare(root, {}, false)
  t.equal(done, false)
  t.equal(lines.filter((line) => line.startsWith('prepared')).length, 3)
  t.same(
    short(lines).filter((line) => line.startsWith('not prepared')),
    ['not prepared: override: it has a symbolic link at /usr/lib/tmpfiles.d'],
  )
  t.equal(trees().length, 3)
})

t.test('a disk that does not take the trees: each is named, and what nothing needs is removed', async (t) => {
  const { root, trees } = machine(t)
  const old = join(root.prefix, DATA, TREES, 'OLD.01234567')
  mkdirSync(old, { recursive: true, mode: 0o700 })
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
  })
  const bin = join(root.prefix, 'broken')
  writeTree(bin, { sync: '#!/bin/sh\necho "sync: error syncing x: No space left on device" >&2\nexit 1\n' })
  chmodSync(join(bin, 'sync'), 0o755)
  process.env.PATH = `${bin}:${PATH}`
  const { lines, done } = await prepare(root, {}, false)
  t.equal(done, false)
  const why = 'trees cannot be written to the disk: error syncing x: No space left on device'
  t.same(
    short(lines).filter((line) => line.startsWith('not kept')),
    ['many-layers', 'override', 'one-layer', 'additive'].map((name) => `not kept: ${name}: ${why}`),
  )
  t.same(trees(), [])
  mkdirSync(join(root.prefix, 'run/hostext'), { recursive: true })
  await prepare(root, {}, true)
  const said = readFileSync(join(root.prefix, 'run/hostext/unprepared'), 'utf8')
  t.equal(said.split(why).length, 5, 'in a boot, for its decision')
})

t.test('in a boot the reasons are for the decision, and nothing is removed', async (t) => {
  const { root, data, trees } = machine(t)
  spoil(data)
  const old = join(root.prefix, DATA, TREES, 'OLD.01234567')
  mkdirSync(old, { recursive: true, mode: 0o700 })
  mkdirSync(join(root.prefix, 'run/hostext'), { recursive: true })
  t.match(readAndDecide(root, {}).decision, { wait: { preparing: { length: 4 } } })
  const { lines, done } = await prepare(root, {}, true)
  t.equal(done, false)
  t.same(lines.length, 3)
  t.equal(trees().length, 4, 'what is not needed goes when the machine is up')
  writeTree(root.prefix, { 'run/hostext/collected': '' })
  const { decision } = readAndDecide(root, {})
  t.match(decision, { plan: { extensions: { length: 3 } } })
  t.match(
    decision.messages[0]?.text.replace(/\(.*?\)/, '()'),
    'left out: override (): it is not prepared: it has a symbolic link at /usr/lib/tmpfiles.d',
  )
  await prepare(root, {}, false)
  t.equal(trees().length, 3)
})

t.test('the trees of extensions that are left out stay', async (t) => {
  const { root, data, trees } = machine(t)
  await prepare(root, {}, false)
  const before = trees()
  const { config } = find(data, 'one-layer')
  const json = JSON.parse(readFileSync(config, 'utf8'))
  json.Config.Labels['io.balena.image.os-version'] = '5.0.0'
  writeFileSync(config, JSON.stringify(json))
  const { lines } = await prepare(root, {}, false)
  t.equal(
    short(lines)[0],
    'left out: one-layer: it is for OS version 5.0.0, but os-release has no VERSION_ID',
  )
  t.same(trees(), before)
  t.equal(
    short(lines).filter((line) => /^kept: TREE: for an extension that is left out, /.test(line)).length,
    1,
  )
  t.match(
    readAndDecide(root, {}).decision,
    { plan: { extensions: { length: 3 } } },
    'and the next boot waits for nothing',
  )
})

t.test('the trees of containers that are gone stay as long as a stack needs them', async (t) => {
  const { root, data, trees } = machine(t)
  await prepare(root, {}, false)
  const { decision } = readAndDecide(root, {})
  if (!('plan' in decision) || decision.plan.safety.kind !== 'trial') throw new Error('no trial')
  writeTree(root.prefix, { 'var/lib/docker/hostext/good': decision.plan.safety.trial.record })
  const { id } = find(data, 'one-layer')
  rmSync(join(data, 'containers', id), { recursive: true })
  const { lines } = await prepare(root, {}, false)
  t.equal(trees().length, 4)
  t.equal(short(lines).filter((line) => /^kept: TREE: for a stack of an earlier boot, /.test(line)).length, 1)
  rmSync(join(data, 'hostext/good'))
  const after = await prepare(root, {}, false)
  t.equal(trees().length, 3)
  t.same(
    short(after.lines).filter((line) => line.startsWith('removed')),
    ['removed: TREE: nothing needs it'],
  )
})

t.test('the last extension is gone: so are all trees', async (t) => {
  const { root, data, trees } = machine(t)
  await prepare(root, {}, false)
  for (const id of readdirSync(join(data, 'containers')))
    rmSync(join(data, 'containers', id), { recursive: true })
  const { lines, done } = await prepare(root, {}, false)
  t.equal(done, true)
  t.match(
    lines[0],
    /^nothing to prepare: no container is a host extension: 0 in \/var\/lib\/docker, no engine in /,
  )
  t.same(trees(), [])
})

t.test('the next boot may stack, and on another kernel than that of this machine', async (t) => {
  for (const proc of [
    { 'proc/cmdline': 'balena.nohostext\n' },
    { 'proc/sys/kernel/osrelease': '6.1.0\n' },
    {},
  ]) {
    const { root, data, trees } = machine(t)
    writeTree(root.prefix, proc)
    const { config } = find(data, 'one-layer')
    const json = JSON.parse(readFileSync(config, 'utf8'))
    json.Config.Labels['io.balena.image.kernel-version'] = '5.0.0'
    writeFileSync(config, JSON.stringify(json))
    await prepare(root, {}, false)
    t.equal(trees().length, 4, JSON.stringify(proc))
  }
})

t.test('nothing to prepare', async (t) => {
  const { root, data } = machine(t)
  rmSync(data, { recursive: true })
  const { lines, done } = await prepare(root, {}, false)
  t.match(lines, [/^nothing to prepare: no container is a host extension: no engine in /])
  t.equal(done, true)
})

t.test('a container that the engine makes meanwhile is prepared, too', async (t) => {
  const { root, data, trees } = machine(t)
  const late = join(data, 'containers', find(data, 'one-layer').id)
  renameSync(late, join(data, 'late'))
  const working = prepare(root, {}, false)
  while (trees().length === 0) await setImmediate()
  renameSync(join(data, 'late'), late)
  const { lines, done } = await working
  t.equal(done, true)
  t.match(
    short(lines).filter((line) => line.startsWith('prepared')),
    ['many-layers', 'override', 'additive', 'one-layer'].map((name) => new RegExp(`^prepared: ${name}: `)),
  )
  t.equal(short(lines).filter((line) => line.startsWith('kept')).length, 4)
})

t.test('what took some time is kept before the rest is prepared', async (t) => {
  const { root, trees } = machine(t)
  const { uptime } = process
  let seconds = 0
  process.uptime = () => {
    seconds += 11
    return seconds
  }
  t.teardown(() => {
    process.uptime = uptime
  })
  const working = prepare(root, {}, true)
  while (trees().filter(isTreeName).length === 0) await setImmediate()
  t.ok(trees().filter(isTreeName).length < 4, 'the power may be cut now')
  await working
  t.equal(trees().filter(isTreeName).length, 4)
})

t.test('something else where the trees are to be kept', async (t) => {
  // To open a FIFO for its lock would wait for ever.
  for (const [what, make] of [
    ['a file', (path: string) => writeFileSync(path, '')],
    ['a FIFO', (path: string) => execFileSync('mkfifo', [path])],
  ] as const) {
    const { root } = machine(t)
    make(join(root.prefix, DATA, 'hostext'))
    t.same(await prepare(root, {}, false), {
      lines: ['nothing to prepare: every extension is left out'],
      done: true,
    })
    const said = readAndDecide(root, {}).decision.messages.map(({ text }) => text)
    t.match(said.join('\n'), /^left out: everything the engine keeps in \/var\/lib\/docker: .*hostext/m, what)
  }
})

t.test('two at once: one after the other', async (t) => {
  const { root, trees } = machine(t)
  const both = await Promise.all([prepare(root, {}, false), prepare(root, {}, false)])
  t.equal(both.flatMap(({ lines }) => lines).filter((line) => line.startsWith('prepared')).length, 4)
  t.equal(trees().length, 4)
})

/** A machine with boots: its system, what is decided in a boot, and that boot's end. */
function booting(t: Test) {
  const { root, data, trees } = machine(t)
  const build = (version: string) =>
    writeTree(root.prefix, { 'usr/lib/os-release': `ID=os\nVERSION_ID=${version}\n` })
  /** Its system is this version now, and the images are prepared for it. */
  const update = async (version: string) => {
    build(version)
    await prepare(root, {}, false)
  }
  const decided = () => {
    const { decision } = readAndDecide(root, {})
    if (!('plan' in decision)) throw new Error('no plan')
    return decision.plan
  }
  /** Does what generators/steps/trial and generators/steps/good do. */
  const mark = () => {
    const { safety } = decided()
    const records = join(root.prefix, DATA, 'hostext')
    const trial = 'trial' in safety ? safety.trial : undefined
    if (trial) writeFileSync(join(records, `${trial.name}.${trial.attempt}`), trial.record)
    const { marks } = trial ?? (('mark' in safety && safety.mark) || { marks: [] })
    for (const [from, to] of marks) renameSync(join(records, from), join(records, to))
  }
  return { root, data, trees, build, update, decided, mark }
}

t.test(
  'a machine that goes back to its other root finds its trees, and its stack is good there',
  async (t) => {
    const { root, trees, build, update, decided, mark } = booting(t)
    await update('1')
    const first = trees()
    mark()
    await update('2')
    t.equal(trees().length, 8, 'those of the old base stay')
    t.match(decided().safety, {
      kind: 'trial',
      trial: {
        attempt: 1,
        marks: [
          ['good', 'other'],
          ['trial.1', 'good'],
        ],
      },
    })
    t.match(
      readAndDecide(root, {}).decision.messages.map(({ text }) => text),
      ['on trial: boot 1 of 2; this stack booted well with os 1; now os 2'],
    )
    mark()
    await prepare(root, {}, false)
    t.equal(trees().length, 8, 'when it is good on the new one, too')
    for (const version of ['1', '2']) {
      build(version)
      t.match(decided().safety, { kind: 'known' }, version)
    }
    for (const name of first) t.ok(trees().includes(name), name)
  },
)

t.test(
  'a machine with two roots goes back to one and updates the other: what is good there stays',
  async (t) => {
    const { root, trees, build, update, decided, mark } = booting(t)
    await update('1')
    const first = trees()
    mark()
    await update('2')
    mark()
    build('1')
    t.match(decided().safety, { keep: undefined, mark: { failedUnits: 'ignore' } }, 'this boot is not kept')
    mark()
    t.notOk('mark' in decided().safety, 'and the next one writes nothing')
    t.match(decided().safety, { keep: { state: '/var' } })
    await update('3')
    mark()
    await prepare(root, {}, false)
    build('1')
    t.match(decided().safety, { kind: 'known' })
    for (const name of first) t.ok(trees().includes(name), name)
  },
)

t.test('a rollback goes to the stack that ran last, even if the machine had gone back to it', async (t) => {
  const { root, data, decided, mark } = booting(t)
  const put = (name: string, isThere: boolean) => {
    const paths = [join(data, 'containers', ids[name] ?? ''), join(data, name)]
    const [from = '', to = ''] = isThere ? paths.reverse() : paths
    renameSync(from, to)
  }
  const ids: Record<string, string> = {}
  for (const name of ['one-layer', 'additive']) ids[name] = find(data, name).id
  const names = () => decided().extensions.map(({ container }) => container.name)
  await prepare(root, {}, false)
  const all = names()
  mark()
  put('one-layer', false)
  mark()
  t.notSame(names(), all)
  put('one-layer', true)
  mark()
  put('additive', false)
  const { safety } = decided()
  if (safety.kind !== 'trial') throw new Error('no trial')
  writeFileSync(join(data, 'hostext/trial.2'), safety.trial.record)
  t.match(decided().safety, { kind: 'restored' })
  t.same(names(), all)
})

t.test('nothing is removed where all of an engine is left out', async (t) => {
  const elsewhere = 'elsewhere/file'
  const { root } = machine(t)
  rmSync(join(root.prefix, DATA), { recursive: true })
  const data = join(root.prefix, 'mnt/data/docker')
  const podman = 'var/lib/containers/storage'
  const tree = `${podman}/${TREES}/4SEC6JQODH2ETSVD6VX5R5RNID.1f1e00aa/facts`
  writeTree(root.prefix, {
    [elsewhere]: 'x',
    'mnt/data/docker/containers/x': '',
    'mnt/data/docker/hostext/x': '',
    [`${podman}/overlay-containers/containers.json`]: '[{"id":',
    [tree]: '{}',
  })
  symlinkSync('../../../../elsewhere', join(data, 'hostext/trees'))
  chmodSync(data, 0o777)
  t.same(await prepare(root, {}, false), {
    lines: ['nothing to prepare: every extension is left out'],
    done: true,
  })
  t.ok(existsSync(join(root.prefix, elsewhere)), 'whoever can make links there would choose what is removed')
  t.ok(existsSync(join(root.prefix, tree)), 'the list of containers may be whole again')
})

t.test('where there is no extension, nothing is made', async (t) => {
  const { root, data } = machine(t)
  for (const name of ['many-layers', 'override', 'one-layer', 'additive'])
    rmSync(join(data, 'containers', find(data, name).id), { recursive: true })
  const { lines } = await prepare(root, {}, false)
  t.match(lines, [/^nothing to prepare: /])
  t.notOk(existsSync(join(data, 'hostext')), 'or rollback would look for records there')
})
