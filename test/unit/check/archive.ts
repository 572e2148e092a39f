import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import zlib, { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { readArchive } from '../../../src/check/archive.js'
import { findNode, type Node, walk } from '../../../src/check/memory.js'
import type { Subject } from '../../../src/check/subject.js'
import { oneLine } from '../../../src/text/printable.js'
import { PROJECT } from '../../support/paths.js'
import { seeded } from '../../support/seeded.js'
import { type TarItem, tarOf } from '../../support/tar.js'
import { makeTree } from '../../support/tree.js'

const ARCHIVES = join(PROJECT, 'test/archives')
const CHOICE = { image: undefined, architecture: 'amd64' }
const directory = makeTree(t)

/** What engines add to a container, or to one that a build has run. */
const ENGINES_OWN =
  /^\/(?:\.dockerenv|dev|proc|sys|run|mnt|etc\/(?:hosts|mtab|resolv\.conf|hostname))(?:$|\/)/

function list(top: Node): Record<string, string> {
  const found: Record<string, string> = {}
  walk(top, (path, { mode, uid, gid, size, target, children }) => {
    if (ENGINES_OWN.test(path)) return
    found[path] = `${mode.toString(8)} ${uid}:${gid} ${children ? '' : (target ?? size)}`
  })
  return found
}

function read(bytes: Buffer, choice: Parameters<typeof readArchive>[1] = CHOICE): Promise<Subject> {
  const file = join(directory, 'archive.tar')
  writeFileSync(file, bytes)
  return readArchive(file, choice, false)
}

/** The one line that an archive ends in. */
async function problem(bytes: Buffer, choice = CHOICE): Promise<string> {
  try {
    await read(bytes, choice)
  } catch (error) {
    const { message } = error as Error
    t.equal(oneLine(message), message)
    t.ok(message.length < 1000, message)
    return message.replaceAll(directory, '')
  }
  return 'no problem'
}

/** Node 20 has none; test/unit/check/limits.ts reads one with our runtime. */
const hasZstd = 'zstdCompressSync' in zlib
const NAMES = [
  'docker-save.tar.gz',
  'docker-save-oci.tar',
  'oci-gzip.tar',
  'podman-docker-archive.tar.gz',
  'podman-oci-archive.tar',
]

t.test('the archives of real engines show what a container of the image shows', async (t) => {
  const exported = await readArchive(join(ARCHIVES, 'docker-export.tar.gz'), CHOICE, false)
  t.match(exported, { format: 'file system archive', layers: 1 })
  t.equal(exported.labels, undefined)
  const expected = list(exported.top)
  t.match(expected, {
    '/usr/share/app/changed': '100644 0:0 4',
    '/usr/share/app/deleted': '100644 0:0 6',
    '/usr/share/app/gone': '100644 0:0 29',
    '/usr/share/app/replaced/new': '100644 1234:1234 4',
    '/usr/share/app/kept': '100644 0:0 5',
    '/usr/share/app/link': '120777 0:0 ../app/kept',
    '/usr/share/app/fifo': '10644 0:0 0',
    '/usr/bin/app': '104755 0:0 30',
  })
  t.notOk('/usr/share/app/replaced/old' in expected)
  t.ok(Object.keys(expected).some((path) => path.length > 250))
  for (const name of [...NAMES, ...(hasZstd ? ['oci-zstd.tar'] : [])]) {
    const subject = await readArchive(join(ARCHIVES, name), CHOICE, false)
    t.same(list(subject.top), expected, name)
    t.match(Object.fromEntries(subject.labels ?? []), {
      'io.balena.features.host-extension': '1',
      'io.balena.image.os-version': '1*',
    })
    t.equal(subject.architecture, 'amd64')
    t.match(subject.name, /app:1$/)
    const { top } = subject
    t.match(findNode(top, '/etc/passwd')?.more?.text?.toString(), /^app:x:990/m)
  }
})

t.test('from a pipe, and compressed as a whole', async (t) => {
  const program = `
    import { readArchive } from '${PROJECT}/src/check/archive.ts'
    const { format, layers, name } = await readArchive('-', { image: undefined, architecture: undefined }, false)
    console.log(format, layers, name)
  `
  const run = (input: Buffer): string =>
    execFileSync('npx', ['tsx', '--input-type=module', '-e', program], {
      cwd: PROJECT,
      input,
      encoding: 'utf8',
    })
  t.equal(run(gzipSync(readFileSync(join(ARCHIVES, 'oci-gzip.tar')))), 'OCI archive 5 app:1\n')
})

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')
type Made = { layers?: Buffer[]; config?: object; items?: (blobs: TarItem[]) => TarItem[]; names?: string[] }

/** An OCI archive; `items` changes its entries. */
function oci({
  layers = [tarOf([{ name: 'a' }])],
  config,
  items = (all) => all,
  names = ['app:1'],
}: Made): Buffer {
  const blobs: TarItem[] = []
  const add = (text: string | Buffer): { digest: string; size: number } => {
    blobs.push({ name: `blobs/sha256/${sha256(text)}`, text })
    return { digest: `sha256:${sha256(text)}`, size: Buffer.byteLength(text as string) }
  }
  const own = config ?? { architecture: 'amd64', config: {}, rootfs: { diff_ids: layers.map(() => 'x') } }
  const manifest = add(JSON.stringify({ config: add(JSON.stringify(own)), layers: layers.map(add) }))
  const index = {
    manifests: names.map((name) => ({
      ...manifest,
      annotations: { 'org.opencontainers.image.ref.name': name },
    })),
  }
  return tarOf(
    items([
      ...blobs,
      { name: 'oci-layout', text: '{}' },
      { name: 'index.json', text: JSON.stringify(index) },
    ]),
  )
}

t.test('layers before and after the manifest, twice in an image, and beside what is no layer', async (t) => {
  const one = tarOf([{ name: 'd/one' }])
  const two = tarOf([{ name: 'd/.wh.one' }, { name: 'two' }])
  t.same(Object.keys(list((await read(oci({ layers: [one, two] }))).top)), ['/d', '/two'])
  t.same(Object.keys(list((await read(oci({ layers: [one, two, one] }))).top)), ['/d', '/d/one', '/two'])
  const other: TarItem = { name: `blobs/sha256/${'0'.repeat(64)}`, text: 'no layer'.repeat(100) }
  t.same(Object.keys(list((await read(oci({ items: (all) => [other, ...all] }))).top)), ['/a'])
  t.same(Object.keys(list((await read(oci({ items: (all) => [...all].reverse() }))).top)), ['/a'])
  t.same(Object.keys(list((await read(oci({ layers: [gzipSync(one)] }))).top)), ['/d', '/d/one'])
})

t.test('an archive with several images, and one for several processors', async (t) => {
  const several = oci({ names: ['app:1', 'docker.io/library/other:2'] })
  t.equal(
    await problem(several),
    '/archive.tar has several images (app:1, docker.io/library/other:2): name one with --image=NAME',
  )
  t.equal((await read(several, { ...CHOICE, image: 'other:2' })).name, 'docker.io/library/other:2')
  t.equal(
    await problem(several, { ...CHOICE, image: 'none' } as never),
    '/archive.tar has no image none; it has app:1, docker.io/library/other:2',
  )
})

t.test('what is missing, damaged or another thing', async (t) => {
  const without = (name: RegExp) => oci({ items: (all) => all.filter((item) => !name.test(item.name)) })
  t.equal(
    await problem(without(/index/)),
    '/archive.tar has neither manifest.json nor index.json: incomplete',
  )
  const layer = sha256(tarOf([{ name: 'a' }]))
  t.equal(
    await problem(without(new RegExp(layer))),
    `/archive.tar: the layer blobs/sha256/${layer} is missing`,
  )
  const changed = (name: RegExp, change: (text: string) => string | Buffer) =>
    oci({
      items: (all) =>
        all.map((item) => (name.test(item.name) ? { ...item, text: change(String(item.text)) } : item)),
    })
  t.equal(await problem(changed(/index/, () => '{')), '/archive.tar: index.json is not valid JSON: damaged')
  t.equal(await problem(changed(/index/, () => '[]')), '/archive.tar: index.json is not an index of images')
  t.equal(await problem(changed(/index/, () => '{"manifests":[]}')), '/archive.tar has no image')
  t.match(
    await problem(changed(/index/, (text) => text.replace(/sha256:[0-9a-f]+/, '../../etc/passwd'))),
    /a manifest has \.\.\/\.\.\/etc\/passwd in place of a digest$/,
  )
  t.match(
    await problem(changed(/^blobs/, (text) => text.replace('amd64', 'arm64'))),
    /does not have the hash that is its name: damaged$/,
  )
  t.match(
    await problem(oci({ layers: [Buffer.from('{"not":"a layer"}')] })),
    /^\/archive\.tar: the layer blobs\/sha256\/[0-9a-f]{64} is missing$/,
  )
  t.match(
    await problem(
      oci({ layers: [gzipSync(tarOf([{ name: 'a', text: 'x'.repeat(9999) }])).subarray(0, 60)] }),
    ),
    /^\/archive\.tar: blobs\/sha256\/[0-9a-f]{64} \(gzip\) cannot be decompressed: truncated$/,
  )
  t.match(
    await problem(oci({ layers: [tarOf([{ name: '../x' }])] })),
    /which no engine unpacks: its name leads out/,
  )
  t.equal(
    await problem(oci({ config: { rootfs: { diff_ids: [] } } })),
    '/archive.tar has 1 layers of an image with 0: damaged',
  )
  t.match(
    await problem(oci({ config: { config: { Labels: { a: 1 } }, rootfs: { diff_ids: ['x'] } } })),
    /: a label is not a string$/,
  )
  t.equal(await problem(Buffer.from('hello')), '/archive.tar is not an archive of tar(1)')
  t.equal(await problem(Buffer.alloc(0)), '/archive.tar is empty: not an archive of tar(1)')
  t.equal(
    await problem(tarOf([{ name: 'manifest.json', text: '[]' }, { name: 'x' }])),
    'no problem',
    'a file system may have such a file',
  )
})

t.test('a real archive that is cut off or changed anywhere ends in one line, or is as it was', async (t) => {
  const random = seeded(Number(process.env.HOSTEXT_TEST_SEED ?? 7))
  let refused = 0
  for (const name of NAMES) {
    const file = readFileSync(join(ARCHIVES, name))
    const bytes = name.endsWith('.gz') ? gunzipSync(file) : file
    for (let count = 0; count < 25; count++) {
      const damaged = Buffer.from(bytes.subarray(0, count % 2 ? bytes.length : random.number(bytes.length)))
      for (let change = 0; change < count % 5; change++)
        damaged[random.number(damaged.length || 1)] = random.number(256)
      if ((await problem(damaged)) !== 'no problem') refused++
    }
  }
  t.ok(refused > 50, `${refused} of 125`)
})

t.test('files that were copied into a system are known by its history', async (t) => {
  const file = (name: string): Buffer => tarOf([{ name, text: name }])
  const layers = ['etc/first', 'etc/os-release', 'etc/passwd', 'etc/motd', 'etc/issue'].map(file)
  const own = async (steps: object[], of = layers): Promise<string[]> => {
    const config = { architecture: 'amd64', config: {}, rootfs: { diff_ids: of.map(() => 'x') } }
    const { top } = await read(oci({ layers: of, config: { ...config, history: steps } }))
    const found: string[] = []
    walk(top, (path, { more }) => void (more?.isOwn && found.push(path)))
    return found
  }
  const history = [
    { created_by: 'COPY first / # buildkit' },
    { created_by: 'ADD rootfs.tar / # buildkit' },
    { created_by: 'LABEL a=b', empty_layer: true },
    { created_by: 'RUN /bin/sh -c apt-get install x # buildkit' },
    { created_by: '/bin/sh -c #(nop) COPY file:0123 in /etc/motd ' },
    { created_by: 'COPY issue /etc/issue # buildkit' },
  ]
  t.same(await own(history), ['/etc/motd', '/etc/issue'])
  t.same(await own(history.slice(1)), [], 'one that says too little')
  t.same(await own([null, 'x', ...history] as object[]), ['/etc/motd', '/etc/issue'], 'and damaged ones')
  t.same(await own([...history.slice(0, -1), {}]), ['/etc/motd'])
  t.same(await own(history.slice(3), layers.slice(2)), [], 'no system: all of it is its own')
})
