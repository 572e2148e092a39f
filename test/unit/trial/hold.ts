import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ListedContainer } from '../../../src/engine/api.js'
import { HOLDER_LABELS } from '../../../src/image/labels.js'
import { heldText } from '../../../src/trial/held.js'
import { holderName, planHold } from '../../../src/trial/hold.js'
import { type Builder, withEngine, writeContext } from '../../boot/engine.js'
import { prepareHost } from '../../boot/packages.js'
import { BUNDLE } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const image = (digit: string) => `sha256:${digit.repeat(64)}`

/** The holder of an image, as the engine lists it. */
function holder(digit: string, change: Partial<ListedContainer> = {}): ListedContainer {
  const imageId = image(digit)
  const names = [holderName(imageId)]
  return { id: `id-${digit}`, names, imageId, labels: { ...HOLDER_LABELS }, state: 'created', ...change }
}

t.test('the plan', async (t) => {
  const wifi = { container: 'wifi', image: image('a') }
  const gpu = { container: 'gpu', image: image('b') }
  t.same(planHold([wifi, gpu], [holder('b')]), {
    create: [{ image: image('a'), for: ['wifi'] }],
    remove: [],
    unknown: [],
  })
  const nothing = { create: [], remove: [], unknown: [] }
  t.same(planHold([wifi, gpu], [holder('b'), holder('a')]), nothing, 'nothing has changed')
  t.same(planHold([], []), nothing)
  t.same(planHold([], [holder('a'), holder('b')]), { ...nothing, remove: [holder('a'), holder('b')] })
  t.same(
    planHold([wifi, { container: 'wifi-too', image: image('a') }], []),
    { ...nothing, create: [{ image: image('a'), for: ['wifi', 'wifi-too'] }] },
    'one holder an image',
  )
  t.same(planHold([{ container: 'old', image: undefined }], []), { ...nothing, unknown: ['old'] })
  for (const state of ['dead', 'removing']) {
    t.equal(planHold([wifi], [holder('a', { state })]).create.length, 1, `${state}: holds nothing`)
  }
})

t.test('only our own containers are removed', async (t) => {
  for (const change of [
    { names: ['wifi'] },
    { names: [] },
    { names: [holderName(image('b'))] },
    { names: [`${holderName(image('a'))}x`] },
    { labels: {} },
    { labels: { 'io.hostext.hold': 'yes' } },
  ]) {
    t.same(planHold([], [holder('a', change)]).remove, [], JSON.stringify(change))
  }
})

/** A machine with this record and its engine's socket; `hostext hold` on it. */
function machine(t: Test, held: string | undefined, socket?: string) {
  const root = makeTree(t, held === undefined ? { 'run/x': '' } : { 'run/hostext/held': held })
  if (socket) symlinkSync(socket, join(root, 'run/docker.sock'))
  return (text?: string) => {
    if (text !== undefined) writeFileSync(join(root, 'run/hostext/held'), text)
    const { status, stdout, stderr } = spawnSync(process.execPath, [BUNDLE, 'hold'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOSTEXT_ROOT: root },
    })
    return { status, stdout, stderr }
  }
}

t.test('no engine, no record, no sense', async (t) => {
  const dataRoot = '/var/lib/docker'
  const extensions = [{ container: 'wi\nfi', image: image('a') }]
  const stderr =
    'hostext: not held: wi\\x0afi: no engine keeps its data in /var/lib/docker: none of /run/docker.sock, /run/balena-engine.sock, /run/balena.sock exists\n'
  t.same(machine(t, heldText({ dataRoot, extensions }))(), { status: 1, stdout: '', stderr })
  const stdout = 'nothing is stacked in this boot: nothing to hold\n'
  t.same(machine(t, undefined)(), { status: 0, stdout, stderr: '' })
  for (const held of [
    '',
    '{}',
    '[]\n',
    '"x"\n',
    '{"dataRoot":1}\n',
    '{"dataRoot":"/x"}\n{"image":"x"}\n',
    'x',
  ]) {
    t.match(
      machine(t, held)(),
      { status: 1, stdout: '', stderr: /^hostext: error: \/run\/hostext\/held: / },
      held,
    )
  }
})

const problem = prepareHost()
if (problem && process.env.CI === 'true') throw new Error(`nothing may be skipped here: ${problem}`)

/** An engine with an extension `wifi` whose image has two layers, a file in each. */
function withExtension(
  t: Test,
  builder: Builder,
  use: (wifi: {
    docker: (...words: string[]) => string
    refused: (...words: string[]) => string
    socket: string
    data: string
    work: string
    imageId: string
    /** The files of the image, in its layers on the disk. */
    files: string[]
    /** Which of them are still there. */
    left: () => string[]
  }) => void,
): void {
  const work = makeTree(t, { 'context/x': '' })
  const data = join(work, 'docker')
  writeContext(join(work, 'context'), {
    name: 'wifi',
    dockerfile: `FROM scratch
LABEL io.balena.features.host-extension=1
VOLUME /var/lib/wifi
COPY one /usr/share/wifi/one
COPY two /usr/share/wifi/two
`,
    files: { one: 'one\n', two: 'two\n' },
  })
  withEngine(data, ({ docker, build, socket }) => {
    build(builder, 'wifi:1', join(work, 'context'))
    docker('create', '--name', 'wifi', 'wifi:1', '/none')
    const layers = join(data, 'overlay2')
    const files = readdirSync(layers).flatMap((layer) =>
      ['one', 'two']
        .map((name) => join(layers, layer, 'diff/usr/share/wifi', name))
        .filter((path) => existsSync(path)),
    )
    use({
      docker,
      refused(...words) {
        try {
          return `not refused: ${docker(...words)}`
        } catch (error) {
          return (error as Error).message
        }
      },
      socket,
      data,
      work,
      imageId: docker('image', 'inspect', '--format', '{{.Id}}', 'wifi:1'),
      files,
      left: () => files.filter((path) => existsSync(path)),
    })
  })
}

const NEW = /^held: wifi, by container hostext-hold-[0-9a-f]{12}\n$/
const QUIET = { status: 0, stdout: '', stderr: '' }

t.test('an engine that holds', { skip: problem ?? false }, async (t) => {
  withExtension(t, 'classic', ({ docker, refused, socket, data, imageId, files, left }) => {
    t.equal(files.length, 2)
    const record = heldText({ dataRoot: data, extensions: [{ container: 'wifi', image: imageId }] })
    const none = heldText({ dataRoot: data, extensions: [] })
    const hold = machine(t, record, socket)
    const name = holderName(imageId)
    const all = () => docker('ps', '--all', '--format', '{{.Names}} {{.State}}')

    t.match(hold(), { status: 0, stdout: NEW, stderr: '' })
    t.same(all().split('\n').sort(), [`${name} created`, 'wifi created'])
    const { Config, HostConfig } = JSON.parse(docker('inspect', name))[0]
    t.match(Config, { Image: imageId, Cmd: ['/none'], Labels: HOLDER_LABELS })
    t.equal(HostConfig.NetworkMode, 'none')
    t.same(hold(), QUIET, 'nothing changes, nothing is said')

    t.comment('what is refused, and what is kept')
    t.equal(docker('rm', 'wifi'), 'wifi', 'the extension itself can be removed')
    t.match(docker('image', 'prune', '--all', '--force'), /^Total reclaimed space: 0B$/)
    t.match(
      refused('rmi', 'wifi:1'),
      /conflict: unable to remove repository reference "wifi:1" \(must force\) - container [0-9a-f]{12} is using its referenced image/,
    )
    t.match(
      refused('rmi', imageId),
      /conflict: unable to delete [0-9a-f]{12} \(must be forced\) - image is being used by stopped container/,
    )
    docker('system', 'prune', '--all', '--force', '--filter', 'label!=io.hostext.hold')
    t.same(left(), files)
    t.same(hold(), QUIET)
    t.match(docker('rmi', '--force', 'wifi:1'), /^Untagged: wifi:1\nDeleted: sha256:/)
    t.same(left(), files, 'the image is gone, its layers are not: the holder refers to them')
    t.same(hold(), QUIET)

    t.comment('no longer stacked')
    t.same(hold(none), { ...QUIET, stdout: `no longer held: removed container ${name}\n` })
    t.same(left(), [], 'the layers go with their last container')
    t.equal(
      docker('volume', 'ls', '--quiet', '--filter', 'dangling=true').split('\n').length,
      1,
      'that of wifi',
    )
    t.same(hold(none), QUIET)

    t.comment('an image that is not there any more')
    const { status, stdout, stderr } = hold(record)
    t.same([status, stdout], [1, ''])
    t.equal(stderr, `hostext: not held: wifi: No such image: ${imageId} (status 404)\n`)
  })
})

t.test('what removes holders as well', { skip: problem ?? false }, async (t) => {
  withExtension(t, 'classic', ({ docker, socket, data, work, imageId, files, left }) => {
    const record = heldText({ dataRoot: data, extensions: [{ container: 'wifi', image: imageId }] })
    const hold = machine(t, record, socket)
    hold()
    docker('rm', 'wifi')
    t.match(docker('container', 'prune', '--force'), /^Deleted Containers:\n[0-9a-f]{64}\n/)
    t.same(left(), files, 'as long as the image is there')
    t.match(hold(), { status: 0, stdout: NEW, stderr: '' }, 'it can be held again')

    // A container that only looks like one of ours stays, and one that is in the way is named.
    docker('rm', holderName(imageId))
    docker('create', '--name', holderName(imageId), '--network=none', 'wifi:1', '/none')
    const conflict = hold()
    t.equal(conflict.status, 1)
    t.match(
      conflict.stderr,
      /^hostext: not held: wifi: Conflict\. The container name "[^"]*" is already in use/,
    )
    t.equal(conflict.stderr.split('\n').length, 2, 'one line')
    docker('rm', holderName(imageId))
    docker('create', '--name', 'mine', '--label', 'io.hostext.hold=1', '--network=none', 'wifi:1', '/none')
    t.same(hold(heldText({ dataRoot: data, extensions: [] })), QUIET)
    t.equal(docker('ps', '--all', '--format', '{{.Names}}'), 'mine')
    docker('rm', 'mine')

    t.match(hold(record), { status: 0, stdout: NEW })
    docker('system', 'prune', '--all', '--force')
    t.same(left(), [], 'system prune --all removes the holder, then the image')

    const elsewhere = hold(heldText({ dataRoot: join(work, 'other'), extensions: [] }))
    t.match(elsewhere, {
      status: 1,
      stderr: `no engine keeps its data in ${work}/other: the one at /run/docker.sock keeps its data in ${data}\n`,
    })
  })
})

for (const builder of ['classic', 'buildkit'] as const) {
  t.test(`let go, the image can be removed (${builder})`, { skip: problem ?? false }, async (t) => {
    withExtension(t, builder, ({ docker, socket, data, imageId, files, left }) => {
      const held = [{ container: 'wifi', image: imageId }]
      const hold = machine(t, heldText({ dataRoot: data, extensions: held }), socket)
      hold()
      docker('rm', 'wifi')
      docker('image', 'prune', '--all', '--force')
      docker('builder', 'prune', '--all', '--force')
      t.same(left(), files, 'what is held stays, also where the cache of the builder goes')
      t.match(hold(heldText({ dataRoot: data, extensions: [] })), { status: 0, stdout: /^no longer held: / })
      t.same(left(), files)
      t.match(docker('image', 'prune', '--all', '--force'), /untagged: wifi:1/)
      t.same(left(), [])
    })
  })
}

t.test('without a holder: the damage', { skip: problem ?? false }, async (t) => {
  withExtension(t, 'classic', ({ socket, work, files, left }) => {
    for (const directory of ['root', 'empty']) mkdirSync(join(work, directory))
    const lower = files.map((path) => path.replace(/\/usr\/.*/, ''))
    const script = `
mount -t overlay hostext-0 -o ro,lowerdir=empty:${lower.join(':')} root
cat root/usr/share/wifi/one
docker -H "unix://$0" rm wifi >&2
docker -H "unix://$0" image prune -af >&2
cat root/usr/share/wifi/two || echo 'two is gone'
echo 2 >/proc/sys/vm/drop_caches
cat root/usr/share/wifi/one || echo 'one is gone'
ls -A root
`
    // A mount namespace of its own, as the root of a machine is beside that of its engine's containers.
    const output = execFileSync('unshare', ['--mount', 'sh', '-c', script, socket], {
      cwd: work,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.same(output.split('\n'), ['one', 'two is gone', 'one is gone', ''])
    t.same(left(), [])
  })
})
