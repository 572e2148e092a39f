import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { chainId, isDigest, openContent } from '../../../src/engine/content.js'
import { BLOBS, CONTAINERD, sha256 } from '../../support/containerd.js'
import { makeTree } from '../../support/tree.js'

/** A content store; `add` adds a blob and returns its digest. */
function content(t: Test) {
  const prefix = makeTree(t)
  mkdirSync(prefix + BLOBS, { recursive: true, mode: 0o755 })
  const fileOf = (digest: string) => join(prefix, BLOBS, digest.slice('sha256:'.length))
  const add = (blob: unknown): string => {
    const text = typeof blob === 'string' ? blob : JSON.stringify(blob)
    writeFileSync(fileOf(sha256(text)), text, { mode: 0o444 })
    return sha256(text)
  }
  const addManifest = (diffs: unknown): string =>
    add({ config: { digest: add({ rootfs: { type: 'layers', diff_ids: diffs } }) } })
  const diffsOf = (digest: string) => openContent({ prefix }, CONTAINERD).diffsOf(digest)
  return { add, addManifest, diffsOf, fileOf }
}

const [A, B, C] = [sha256('a'), sha256('b'), sha256('c')]

t.test('digests', async (t) => {
  t.ok(isDigest(A))
  for (const other of [undefined, 1, '', A.slice(1), `${A}0`, A.toUpperCase(), `${A}\n`, `x${A}`])
    t.notOk(isDigest(other), JSON.stringify(other))
})

t.test('the layers of an image', async (t) => {
  const { add, addManifest, diffsOf } = content(t)
  t.same(diffsOf(addManifest([A])), [[A]])
  t.same(diffsOf(addManifest([A, B, C])), [[A, B, C]])
  t.same(diffsOf(addManifest([])), [[]], 'FROM scratch and nothing else')
  t.same(diffsOf(add({ config: { digest: add({}) } })), [[]], 'no rootfs')
})

t.test('chain IDs', async (t) => {
  t.equal(chainId(undefined, A), A)
  t.equal(chainId(A, B), sha256(`${A} ${B}`))
  // The layers of an image, and the name that containerd itself gave to the uppermost one.
  const diffs = [
    'sha256:9fc0198b46475aae30b47d2be231dc0deaeab08eb2ff99f8bff337523fa16ca0',
    'sha256:433aa7e4bdaa3b31ee13fcb9ccfded5729d8f4620fc40dc471e38313a27d2f50',
    'sha256:a36bbdcbbbfc629930f6470c850851639e84d5c0f204fd90619e42c1970bbccd',
  ]
  let chain: string | undefined
  for (const diff of diffs) chain = chainId(chain, diff)
  t.equal(chain, 'sha256:208e4407321056a3e4cf20564d6c6eed640fd81230bc85a18ea2c31849defa91')
})

t.test('the manifests of an index that are there', async (t) => {
  const { add, addManifest, diffsOf } = content(t)
  const attestation = (digest: string) => ({
    digest,
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
  })
  const [one, two] = [addManifest([A]), addManifest([A, B])]
  t.same(diffsOf(add({ manifests: [{ digest: one }, { digest: two }] })), [[A], [A, B]])
  t.same(diffsOf(add({ manifests: [{ digest: C }, { digest: two }, attestation(one)] })), [[A, B]])
  t.same(diffsOf(add({ manifests: [attestation(one)] })), [], 'nothing but an attestation')
  t.same(diffsOf(add({ manifests: [{ digest: C }, null, {}, { digest: 'sha256:1' }] })), [])
  const below = add({ manifests: [{ digest: one }] })
  t.same(diffsOf(add({ manifests: [{ digest: below }, { digest: two }] })), [[A, B], [A]], 'an index in it')
})

t.test('what is gone', async (t) => {
  const { add, addManifest, diffsOf, fileOf } = content(t)
  t.same(diffsOf(A), [])
  t.same(diffsOf(add({ config: { digest: A } })), [], 'no configuration')
  const manifest = addManifest([A])
  rmSync(fileOf(manifest))
  t.same(diffsOf(manifest), [])
  t.same(openContent({ prefix: makeTree(t) }, CONTAINERD).diffsOf(A), [], 'no store')
})

t.test('what was read is remembered', async (t) => {
  const prefix = makeTree(t)
  mkdirSync(prefix + BLOBS, { recursive: true, mode: 0o755 })
  const store = openContent({ prefix }, CONTAINERD)
  t.same(store.diffsOf(A), [])
  writeFileSync(join(prefix, BLOBS, A.slice(7)), 'a', { mode: 0o444 })
  t.same(store.diffsOf(A), [])
})

t.test('blobs that are damaged, or not what they should be', async (t) => {
  const { add, addManifest, diffsOf, fileOf } = content(t)
  const refused = (digest: string, why: string | RegExp, culprit = digest) =>
    t.throws(
      () => diffsOf(digest),
      new RegExp(`^${BLOBS}/${culprit.slice(7)}: ${typeof why === 'string' ? `${why}$` : why.source}`),
    )
  refused(add('{'), 'not a JSON object: {')
  refused(add('[]'), /not a JSON object/)
  refused(add('x\n\u001b[2J'.repeat(100)), /not a JSON object: \S{1,60}$/)
  refused(add(''), /not a JSON object/)
  for (const wrong of [{}, { config: 1 }, { config: { digest: 'sha256:1' } }, { manifests: {} }])
    refused(add(wrong), 'neither a manifest nor an index')
  for (const diffs of [1, 'x', {}, [1], ['sha256:1'], [A, null], Array(1001).fill(A)]) {
    const config = add({ rootfs: { diff_ids: diffs } })
    refused(add({ config: { digest: config } }), 'rootfs.diff_ids are not digests of layers', config)
  }
  const manifest = addManifest([A])
  const file = fileOf(manifest)
  chmodSync(file, 0o666)
  refused(manifest, /can be written by users other than root \(mode 0666\)/)
  rmSync(file)
  symlinkSync('/dev/zero', file)
  refused(manifest, 'not a regular file but a symbolic link')
  rmSync(file)
  spawnSync('mkfifo', [file])
  refused(manifest, 'not a regular file but a FIFO')
  rmSync(file)
  writeFileSync(file, Buffer.alloc((4 << 20) + 1), { mode: 0o444 })
  refused(manifest, '4194305 bytes, more than 4194304')
})

t.test('blobs that do not have the hash that is their name', async (t) => {
  const prefix = makeTree(t)
  mkdirSync(prefix + BLOBS, { recursive: true, mode: 0o755 })
  const write = (digest: string, blob: unknown): string => {
    const file = join(prefix, BLOBS, digest.slice(7))
    rmSync(file, { force: true })
    writeFileSync(file, typeof blob === 'string' ? blob : JSON.stringify(blob), { mode: 0o444 })
    return digest
  }
  const add = (blob: unknown): string => write(sha256(JSON.stringify(blob)), blob)
  const config = add({ rootfs: { diff_ids: [A] } })
  const manifest = add({ config: { digest: config } })
  const index = add({ manifests: [{ digest: manifest }] })
  const open = () => openContent({ prefix }, CONTAINERD)
  for (const digest of [manifest, index, A]) open().verify(digest)

  const damaged = (digest: string) =>
    new RegExp(`^${BLOBS}/${digest.slice(7)}: damaged: it does not have this hash$`)
  write(config, { rootfs: { diff_ids: [B] } })
  t.same(open().diffsOf(index), [[B]], 'it is read')
  t.throws(() => open().verify(index), damaged(config))
  t.throws(() => open().verify(manifest), damaged(config))
  write(manifest, { config: { digest: C } })
  t.same(open().diffsOf(index), [], 'and leads to nothing')
  t.throws(() => open().verify(index), damaged(manifest))
  for (const text of ['', 'x', '{}', '{"config":1}']) {
    write(manifest, text)
    t.throws(() => open().diffsOf(index), damaged(manifest), `what cannot be read: ${text}`)
  }
})

t.test('an index with more manifests than there are platforms', async (t) => {
  const { add, addManifest, diffsOf } = content(t)
  const gone = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ digest: sha256(`${index}`) }))
  const manifest = addManifest([A])
  t.same(diffsOf(add({ manifests: [...gone(199), { digest: manifest }] })), [[A]])
  t.throws(
    () => diffsOf(add({ manifests: [...gone(200), { digest: manifest }] })),
    new RegExp(`^${BLOBS}/${manifest.slice(7)}: one of more than 200 manifests$`),
  )
})
