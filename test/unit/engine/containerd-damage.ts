/**
 * Databases of containerd that are damaged in every way, each by its number; a tenth as many by the seed of
 * this run. Never another exception than an Error with a line that names a file, never a hang, never layers
 * that are not the image's. `HOSTEXT_TEST_NUMBER=N` runs one of them, `HOSTEXT_TEST_CASES=N` as many.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { openSnapshots } from '../../../src/engine/containerd.js'
import { bboltFile } from '../../support/bbolt.js'
import { damageDatabase } from '../../support/bbolt-damage.js'
import {
  CONTAINERD,
  containersIn,
  DAEMON,
  DATABASE,
  type Image,
  Store,
  type StoredContainer,
} from '../../support/containerd.js'
import { copyDataRoot, DATA } from '../../support/data-root.js'
import { FIXED_SEED, ROTATING_SEED, seeded } from '../../support/seeded.js'
import { makeTree } from '../../support/tree.js'

const CASES = Number(process.env.HOSTEXT_TEST_CASES ?? 2000)
const ONE = process.env.HOSTEXT_TEST_NUMBER
t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)

type Subject = {
  prefix: string
  /** containerd's root, and the database below it. */
  place: string
  database: string
  bytes: Buffer
  older: Buffer
  known: { container: StoredContainer; expected: string }[]
}

/** What a real engine left. */
function realSubject(t: Test): Subject {
  const { root, data } = copyDataRoot(t, 'containerd')
  const place = `${DATA}/${DAEMON}`
  const database = `${place}/io.containerd.snapshotter.v1.overlayfs/metadata.db`
  const bytes = readFileSync(root.prefix + database)
  const snapshots = openSnapshots(root, { root: place })
  const known = [...containersIn(data).values()].map((container) => ({
    container,
    expected: JSON.stringify(snapshots?.layers(container)),
  }))
  return { prefix: root.prefix, place, database, bytes, older: bytes, known }
}

/** A store with 12 containers of 6 images, and what its database was before the last of them came. */
function makeSubject(t: Test, hasImages: boolean): Subject {
  const store = new Store()
  const containers: [StoredContainer, Image][] = []
  let older: Buffer = Buffer.alloc(0)
  for (let index = 0; index < 6; index++) {
    // Some share layers, some have labels, and lie in pages of their own for that.
    const diffs = ['base', `middle ${index % 3}`, ...Array.from({ length: index }, (_, n) => `${index}.${n}`)]
    const image = store.addImage(diffs, {
      isPulled: index % 2 === 1,
      isCommitted: index === 4,
      isIndex: index < 3,
    })
    containers.push([store.addContainer(`a ${index}`, image), image])
    containers.push([store.addContainer(`b ${index}`, image, { hasInit: index % 2 === 0 }), image])
    store.add(`${index}`.repeat(25), 'view', { parent: store.keyOf(image.layers[0] as string) })
    if (index === 4) older = bboltFile(store.contents(), { txid: 99 })
  }
  if (!hasImages) store.blobs.clear()
  const prefix = makeTree(t)
  store.write(prefix)
  const known = containers.map(([container, image]) => ({
    container,
    expected: JSON.stringify(store.expected(image)),
  }))
  const bytes = bboltFile(store.contents(), { txid: 100 })
  return { prefix, place: CONTAINERD, database: DATABASE, bytes, older, known }
}

/** The text that `work` returns or throws. */
function outcome(work: () => unknown): { found?: string; error?: unknown } {
  try {
    return { found: JSON.stringify(work()) }
  } catch (error) {
    return { error }
  }
}

/** What is wrong with an error; undefined if nothing is. */
function judge(error: unknown, database: string): string | undefined {
  const text = error instanceof Error ? error.message : `${error}`
  const isPlain = text.length < 600 && !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)
  return isPlain && text.startsWith(`${database}: `) ? undefined : `threw ${JSON.stringify(text)}`
}

/** What is wrong with how a store is read; `right`: how many containers have their layers. */
function read({ prefix, place, database, known }: Subject): { wrong: string | undefined; right: number } {
  let right = 0
  let snapshots: ReturnType<typeof openSnapshots>
  try {
    snapshots = openSnapshots({ prefix }, { root: place })
  } catch (error) {
    return { wrong: judge(error, database), right }
  }
  for (const { container, expected } of known) {
    const { found, error } = outcome(() => snapshots?.layers(container))
    if (found === expected) right++
    else if (found !== undefined || error === undefined) return { wrong: `${found}, not ${expected}`, right }
    const wrong = error === undefined ? undefined : judge(error, database)
    if (wrong) return { wrong, right }
  }
  return { wrong: undefined, right }
}

t.test('damaged databases', async (t) => {
  const subjects = [makeSubject(t, true), makeSubject(t, false), realSubject(t)]
  for (const subject of subjects) {
    writeFileSync(subject.prefix + subject.database, subject.bytes)
    t.same(read(subject), { wrong: undefined, right: subject.known.length })
  }
  t.same(
    subjects.map(({ known }) => known.length),
    [12, 12, 9],
  )
  let right = 0
  let wrong = 0
  const numbers = ONE === undefined ? [...Array(CASES).keys()] : [Number(ONE)]
  const started = Date.now()
  for (const [seed, every] of [
    [FIXED_SEED, 1],
    [ROTATING_SEED, 10],
  ] as const) {
    for (const number of numbers) {
      if (number % every !== 0 && ONE === undefined) continue
      const random = seeded(seed * 1_000_003 + number)
      const subject = random.pick(subjects)
      const { what, left } = damageDatabase(Buffer.from(subject.bytes), subject.older, random)
      const file = subject.prefix + subject.database
      writeFileSync(file, left)
      // A file of this size is read page by page.
      if (random.number(2)) truncateSync(file, (1 << 20) + 4096)
      const result = read(subject)
      right += result.right
      if (!result.wrong) continue
      wrong++
      if (wrong < 20)
        t.fail(`HOSTEXT_TEST_SEED=${seed} HOSTEXT_TEST_NUMBER=${number}: ${what}: ${result.wrong}`)
    }
  }
  t.comment(`${numbers.length} databases: ${right} containers have their layers; ${Date.now() - started} ms`)
  t.equal(wrong, 0)
  // Otherwise the damage would be so great that nothing is tried.
  if (ONE === undefined) t.ok(right > CASES * 3, `${right} containers have their layers`)
})
