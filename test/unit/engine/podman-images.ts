import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { imageReader } from '../../../src/engine/podman-images.js'
import { openStore } from '../../../src/engine/podman-store.js'
import { copyPodman, GRAPHROOT, IMAGES, type Podman, sha256 } from '../../support/podman.js'

const readerOf = ({ root }: Podman, hasDigests = true) =>
  imageReader(
    root,
    [openStore(root, GRAPHROOT, false), openStore(root, IMAGES, true)],
    hasDigests ? sha256 : undefined,
  )
const fileOf = (id: string): string =>
  `overlay-images/${id}/=${Buffer.from(`sha256:${id}`).toString('base64')}`

t.test('an image: its labels, its layers', async (t) => {
  const podman = copyPodman(t)
  const { image } = podman.record('layers')
  const { labels, layer, mapped, diffIds } = readerOf(podman)(image)
  t.equal(labels.get('io.balena.image.override'), '10')
  t.match(layer, /^[0-9a-f]{64}$/)
  t.same(mapped, [])
  t.equal(diffIds.length, 4)
  t.ok(diffIds.every((diffId) => /^sha256:[0-9a-f]{64}$/.test(diffId)))
  t.equal(readerOf(podman)(podman.record('base').image).diffIds.length, 2, 'one of the other store')
})

t.test('an image in no store', async (t) => {
  const podman = copyPodman(t)
  t.throws(() => readerOf(podman)('0'.repeat(64)), {
    message: `its image 000000000000 is not in ${GRAPHROOT} or ${IMAGES}`,
  })
})

t.test('a configuration that the manifest names, as with zstd:chunked', async (t) => {
  const podman = copyPodman(t)
  const { image } = podman.record('app')
  const other = 'a'.repeat(64)
  const file = join(podman.data, fileOf(image))
  podman.edit('overlay-images/images.json', (records) => {
    for (const record of records) if (record.id === image) record.id = other
  })
  mkdirSync(join(podman.data, `overlay-images/${other}`))
  const directory = join(podman.data, `overlay-images/${other}`)
  writeFileSync(join(directory, fileOf(image).split('/').at(-1) as string), readFileSync(file))
  const manifest = readFileSync(join(podman.data, `overlay-images/${image}/manifest`), 'utf8')
  const read = (text: string, hasDigests = true) => {
    writeFileSync(join(directory, 'manifest'), text)
    return readerOf(podman, hasDigests)(other)
  }
  t.equal(read(manifest).labels.get('io.balena.image.override'), '10')
  const size = /\/manifest: it does not have the size that images\.json says: truncated or damaged$/
  t.throws(() => read(`${manifest} `), { message: size })
  const changed = manifest.replace('"schemaVersion":2', '"schemaVersion":3')
  t.throws(() => read(changed), {
    message: /\/manifest: it does not have the digest that its name says: damaged$/,
  })
  t.equal(read(changed, false).diffIds.length, 1, 'without digests')
  const config = /"config":\{[^}]*\}/
  t.match(manifest, config)
  for (const wrong of ['{"digest":"sha256:../../../etc"}', '{"digest":5}', '[]', '"x"']) {
    const text = manifest.replace(config, `"config":${wrong}`).padEnd(manifest.length)
    t.throws(() => read(text.slice(0, manifest.length), false), {
      message: /\/manifest: no config\.digest$/,
    })
  }
})

t.test('texts that are not what they were', async (t) => {
  for (const [what, change, message] of [
    ['shorter', (text: string) => text.slice(0, -9), /does not have the size that images\.json says/],
    [
      'another label',
      (text: string) => text.replace('"10"', '"99"'),
      /does not have the digest that its name says/,
    ],
  ] as const) {
    const podman = copyPodman(t)
    const { image } = podman.record('app')
    const file = join(podman.data, fileOf(image))
    const text = readFileSync(file, 'utf8')
    t.not(change(text), text, what)
    writeFileSync(file, change(text))
    t.throws(() => readerOf(podman)(image), { message })
  }
  const podman = copyPodman(t)
  const { image } = podman.record('app')
  const file = join(podman.data, fileOf(image))
  rmSync(file)
  t.throws(() => readerOf(podman)(image), { message: `${GRAPHROOT}/${fileOf(image)}: no such file` })
  mkdirSync(file)
  t.throws(() => readerOf(podman)(image), {
    message: `${GRAPHROOT}/${fileOf(image)}: not a regular file but a directory`,
  })
})

t.test('values that no engine writes', async (t) => {
  const podman = copyPodman(t)
  const { image } = podman.record('app')
  const file = join(podman.data, fileOf(image))
  const json = JSON.parse(readFileSync(file, 'utf8'))
  podman.edit('overlay-images/images.json', (records) => {
    for (const record of records) delete record['big-data-sizes']
  })
  const read = (text: string) => {
    writeFileSync(file, text)
    return readerOf(podman, false)(image)
  }
  const place = `${GRAPHROOT}/${fileOf(image)}`
  for (const [change, why] of [
    [{ config: 5 }, 'config is not an object'],
    [{ config: { Labels: 'x' } }, 'Labels is not an object'],
    [{ config: { Labels: { a: 1 } } }, 'a label is not a string'],
    [{ rootfs: null }, 'no rootfs.diff_ids'],
    [{ rootfs: { diff_ids: 'x' } }, 'no rootfs.diff_ids'],
    [{ rootfs: { diff_ids: [5] } }, 'no rootfs.diff_ids'],
  ] as const)
    t.throws(() => read(JSON.stringify({ ...json, ...change })), { message: `${place}: ${why}` })
  for (const text of ['', '[]', 'null', '{"config"'])
    t.throws(() => read(text), { message: `${place}: not a JSON object: truncated or damaged` })
  for (const config of [undefined, null, {}, { Labels: null }])
    t.equal(read(JSON.stringify({ ...json, config })).labels.size, 0)

  podman.edit('overlay-images/images.json', (records) => {
    for (const record of records) if (record.id === image) record.layer = '../../..'
  })
  t.throws(() => read(JSON.stringify(json)), {
    message: `${GRAPHROOT}/overlay-images/images.json: the layer of image ${image.slice(0, 12)} is not a layer ID`,
  })
})
