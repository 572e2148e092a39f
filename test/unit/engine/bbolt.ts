import { spawnSync } from 'node:child_process'
import fs, {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Bucket, openDatabase } from '../../../src/engine/bbolt.js'
import { bboltFile, type Contents, writeMeta } from '../../support/bbolt.js'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { makeTree } from '../../support/tree.js'

const PATH = '/data/metadata.db'
const PAGE_SIZES = [4096, 16384, 65536]
/** From this size on, only the pages that are needed are read. */
const LARGE = (1 << 20) + 1

/** A machine with a database that can be written anew. */
function machine(t: Test): { root: { prefix: string }; file: string; write: (bytes: Buffer) => void } {
  const prefix = makeTree(t, { 'data/none': '' })
  const file = join(prefix, PATH)
  return { root: { prefix }, file, write: (bytes) => writeFileSync(file, bytes, { mode: 0o600 }) }
}

function open(root: { prefix: string }) {
  const database = openDatabase(root, PATH)
  if (!database) throw new Error('no database')
  return database
}

/** All that is in a bucket. */
function readAll(bucket: Bucket): Contents {
  return new Map(
    [...bucket.entries()].map(([key, entry]) => {
      const below = bucket.bucketOf(entry)
      return [key, below ? readAll(below) : (bucket.valueOf(entry) as string)]
    }),
  )
}

const keysOf = (bucket: Bucket | undefined): string[] => [...(bucket?.entries() ?? new Map()).keys()]

/** As bbolt orders keys, which are of bytes. */
function sorted(contents: Contents): Contents {
  return new Map(
    [...contents]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, typeof value === 'string' ? value : sorted(value)]),
  )
}

/** A bucket with `count` values, each with its number. */
function numbered(count: number, length = 10): Contents {
  return new Map(
    Array.from({ length: count }, (_, index) => [`key ${index}`, String(index).padEnd(length, '.')]),
  )
}

const SAMPLE: Contents = new Map<string, string | Contents>([
  ['value', 'text'],
  ['empty', ''],
  ['bytes', '\0\x80\xff'],
  ['small', new Map([['a', 'b']])],
  ['nothing', new Map()],
  ['large', numbered(3000, 40)],
  ['long', new Map([['value', 'x'.repeat(200_000)]])],
  ['deep', new Map([['down', new Map([['below', numbered(5)]])]])],
])

t.test('values and buckets, for each page size', async (t) => {
  const { root, file, write } = machine(t)
  for (const pageSize of PAGE_SIZES) {
    for (const isLarge of [false, true]) {
      write(bboltFile(SAMPLE, { pageSize }))
      // What follows the last page is never read.
      if (isLarge) truncateSync(file, Math.max(LARGE, readFileSync(file).length))
      const what = `pages of ${pageSize} bytes${isLarge ? ', a large file' : ''}`
      open(root).read((top) => {
        t.same([...readAll(top)], [...sorted(SAMPLE)], what)
        t.equal(top.value('value'), 'text')
        t.equal(top.value('empty'), '')
        t.equal(top.value('bytes'), '\0\x80\xff')
        t.equal(top.value('small'), undefined, 'a bucket has no value')
        t.equal(top.bucket('value'), undefined, 'a value is not a bucket')
        t.same(keysOf(top.bucket('nothing')), [])
        t.equal(top.bucket('nothing')?.value('a'), undefined)
        t.equal(top.bucket('large')?.value('key 2999'), '2999'.padEnd(40, '.'))
        t.equal(top.bucket('long')?.value('value')?.length, 200_000, 'a value on many pages')
        t.equal(top.bucket('deep')?.bucket('down')?.bucket('below')?.value('key 4'), '4.........')
        for (const none of ['', 'a', 'valu', 'values', '\xff'])
          t.equal(top.value(none) ?? top.bucket(none) ?? top.bucket('large')?.value(none), undefined, none)
      })
    }
  }
})

t.test('a tree of several levels', async (t) => {
  const { root, write } = machine(t)
  // Keys so long that a page has few: 2000 leaves, 20 branches, and more above them.
  const contents: Contents = new Map(
    Array.from({ length: 3000 }, (_, index) => [`${String(index).padStart(4, '0')}${'k'.repeat(900)}`, 'v']),
  )
  const bytes = bboltFile(contents)
  t.ok(bytes.length > LARGE)
  write(bytes)
  open(root).read((top) => {
    t.same(keysOf(top), [...contents.keys()])
    for (const key of [...contents.keys()].filter((_, index) => index % 97 === 0))
      t.equal(top.value(key), 'v')
    t.equal(top.value('0000'), undefined, 'less than all keys')
    t.equal(top.value('1500'), undefined)
    t.equal(top.value('3000'), undefined, 'more than all keys')
  })
})

t.test('an empty database', async (t) => {
  const { root, write } = machine(t)
  write(bboltFile(new Map()))
  t.same(
    open(root).read((top, txid) => [keysOf(top), top.value('a'), top.bucket('v1'), txid]),
    [[], undefined, undefined, 7],
  )
})

const bytes = fc
  .uint8Array({ maxLength: 30 })
  .map((array) => Buffer.from(array).toString('latin1'))
  .filter((text) => text !== '')
const value = fc.oneof(
  { weight: 8, arbitrary: bytes },
  { weight: 1, arbitrary: fc.nat(20_000).map((length) => 'v'.repeat(length)) },
)
const { bucket } = fc.letrec<{ bucket: Contents; item: string | Contents }>((tie) => ({
  item: fc.oneof({ depthSize: 'small', withCrossShrink: true }, value, tie('bucket')),
  bucket: fc
    .array(fc.tuple(bytes, tie('item')), { maxLength: 60 })
    .map((entries) => new Map(entries) as Contents),
}))

t.comment(`HOSTEXT_TEST_SEED=${ROTATING_SEED}`)
t.test('whatever was written is read', async (t) => {
  const { root, file, write } = machine(t)
  const format = fc.record({
    pageSize: fc.constantFrom(...PAGE_SIZES),
    fill: fc.constantFrom(0.1, 0.5, 1),
    txid: fc.integer({ min: 1, max: 2 ** 48 }),
    padded: fc.boolean(),
  })
  const property = fc.property(bucket, format, fc.boolean(), (contents, format, isLarge) => {
    const written = bboltFile(contents, format)
    write(written)
    if (isLarge) truncateSync(file, Math.max(LARGE, written.length))
    const found = open(root).read((top, txid) => {
      if (txid !== format.txid) throw new Error(`transaction ${txid}`)
      return readAll(top)
    })
    if (JSON.stringify(entries(found)) !== JSON.stringify(entries(sorted(contents))))
      throw new Error('differs')
  })
  for (const parameters of [
    { seed: FIXED_SEED, numRuns: 150 },
    { seed: ROTATING_SEED, numRuns: 50 },
  ]) {
    const details = fc.check(property, parameters)
    t.equal(details.failed ? fc.defaultReportMessage(details) : 'holds', 'holds')
  }
})

function entries(contents: Contents): unknown[] {
  return [...contents].map(([key, value]) => [key, typeof value === 'string' ? value : entries(value)])
}

t.test('the newer valid meta page counts', async (t) => {
  const { root, write } = machine(t)
  const txid = () => open(root).read((_, txid) => txid)
  for (const pageSize of PAGE_SIZES) {
    for (const newer of [6, 7]) {
      const bytes = bboltFile(SAMPLE, { pageSize, txid: newer })
      const pageOf = (txid: number) => (txid % 2) * pageSize
      write(bytes)
      t.equal(txid(), newer)
      // A flipped bit, in each field of the newer one and in its checksum.
      for (const field of [0, 4, 8, 12, 16, 24, 32, 40, 48, 56, 63]) {
        const damaged = Buffer.from(bytes)
        const at = pageOf(newer) + 16 + field
        damaged[at] = (damaged[at] as number) ^ 1
        write(damaged)
        t.equal(txid(), newer - 1, `${pageSize}: page ${newer % 2}, byte ${field}`)
        const both = pageOf(newer - 1) + 16 + field
        damaged[both] = (damaged[both] as number) ^ 1
        write(damaged)
        t.throws(txid, /^\/data\/metadata\.db: not a bbolt database: neither of its meta pages is valid$/)
      }
    }
  }
})

t.test('meta pages with a valid checksum that say what cannot be', async (t) => {
  const { root, write } = machine(t)
  const read = () => open(root).read((top) => keysOf(top))
  const meta = { pageSize: 4096, root: 3, freelist: 2, highWater: 4, txid: 9 }
  for (const [what, wrong, message] of [
    ['a page size', { pageSize: 8192 }, /: a page size of 8192 bytes$/],
    ['a root that is a meta page', { root: 1 }, /: damaged: there is no page 1$/],
    ['a root that is the freelist', { root: 2 }, /: damaged: a page is neither branch nor leaf$/],
    ['a root beyond the end', { root: 4 }, /: damaged: there is no page 4$/],
    [
      'a root beyond the end of the file',
      { root: 90, highWater: 91 },
      /: damaged: page 90 is beyond its end$/,
    ],
  ] as const) {
    const bytes = bboltFile(new Map([['a', 'b']]))
    for (const page of [0, 1])
      writeMeta(bytes.subarray(page * 4096), page, { ...meta, ...wrong, txid: 9 - page })
    write(bytes)
    t.throws(read, message, what)
  }
  const bytes = bboltFile(new Map([['a', 'b']]))
  writeMeta(bytes, 0, { ...meta, txid: 2 ** 60 })
  write(bytes)
  t.equal(
    open(root).read((_, txid) => txid),
    7,
    'numbers of more than 53 bits',
  )
})

t.test('what is not a database, or not root’s', async (t) => {
  const { root, file, write } = machine(t)
  t.equal(openDatabase(root, PATH), undefined, 'no file')
  t.equal(openDatabase(root, '/data/none/metadata.db'), undefined, 'no directory')
  const refused = (message: RegExp, what: string) =>
    t.throws(() => open(root).read((top) => keysOf(top)), message, what)
  const isNone = /^\/data\/metadata\.db: not a bbolt database/
  for (const [bytes, what] of [
    [Buffer.alloc(0), 'an empty file'],
    [Buffer.from('x'), 'a byte'],
    [Buffer.alloc(100_000), 'zeros'],
    [Buffer.alloc(LARGE + 4096), 'many zeros'],
    [bboltFile(SAMPLE).subarray(0, 50), 'half a meta page'],
  ] as const) {
    write(bytes)
    refused(isNone, what)
  }
  write(bboltFile(SAMPLE))
  chmodSync(file, 0o666)
  refused(/^\/data\/metadata\.db: can be written by users other than root \(mode 0666\)$/, 'mode')
  chmodSync(file, 0o600)
  truncateSync(file, (256 << 20) + 1)
  refused(/^\/data\/metadata\.db: 268435457 bytes, more than 268435456$/, 'too large')
  truncateSync(file, 256 << 20)
  t.same(
    open(root).read((top) => keysOf(top)),
    [...sorted(SAMPLE).keys()],
    'just not too large',
  )
  rmSync(file)
  symlinkSync('/dev/zero', file)
  refused(/: not a regular file but a symbolic link$/, 'a link')
  rmSync(file)
  mkdirSync(file)
  refused(/: not a regular file but a directory$/, 'a directory')
  rmSync(file, { recursive: true })
  spawnSync('mkfifo', [file])
  refused(/: not a regular file but a FIFO$/, 'a FIFO')
})

/** The place of an element of page `id`. */
const element = (id: number, index: number, pageSize = 4096) => id * pageSize + 16 + 16 * index

/** `keys` is read, or a key is looked for, in the bucket `large`, which has branches. */
const DAMAGE: [what: string, damage: (bytes: Buffer, branch: number) => void, message: RegExp][] = [
  ['a page with another number', (bytes, branch) => bytes.writeUInt32LE(9, branch * 4096), /is another one$/],
  [
    'a page number of more than 32 bits',
    (bytes, branch) => bytes.writeUInt32LE(1, element(branch, 0) + 12),
    /there is no page \d+$/,
  ],
  [
    'another kind of page',
    (bytes, branch) => bytes.writeUInt16LE(3, branch * 4096 + 8),
    /neither branch nor leaf$/,
  ],
  [
    'more elements than the page has room for',
    (bytes, branch) => bytes.writeUInt16LE(60_000, branch * 4096 + 10),
    /more elements than bytes$/,
  ],
  [
    'more pages than there are',
    (bytes, branch) => bytes.writeUInt32LE(100_000, branch * 4096 + 12),
    /is beyond its end$/,
  ],
  [
    'a loop',
    (bytes, branch) => bytes.writeUInt32LE(branch, element(branch, 0) + 8),
    /is in two places$|levels/,
  ],
  [
    'a page below the first two',
    (bytes, branch) => bytes.writeUInt32LE(0, element(branch, 0) + 8),
    /there is no page 0$/,
  ],
]

t.test('a damaged page', async (t) => {
  const { root, file, write } = machine(t)
  const contents: Contents = new Map([['large', numbered(3000, 40)]])
  const sound = bboltFile(contents)
  const branch = [...Array(Math.floor(sound.length / 4096)).keys()].find(
    (id) => id > 1 && sound.readUInt16LE(id * 4096 + 8) === 1,
  ) as number
  t.ok(branch, 'there is a branch')
  const read = (use: (large: Bucket) => unknown) => () =>
    open(root).read((top) => use(top.bucket('large') as Bucket))
  for (const isLarge of [false, true]) {
    for (const [what, damage, message] of DAMAGE) {
      const bytes = Buffer.from(sound)
      damage(bytes, branch)
      write(bytes)
      if (isLarge) truncateSync(file, LARGE)
      const named = new RegExp(`^/data/metadata\\.db: damaged: .*(?:${message.source})`)
      t.throws(
        read((large) => keysOf(large)),
        named,
        `${what}: all keys`,
      )
      t.throws(
        read((large) => large.value('key 0')),
        named,
        `${what}: one key`,
      )
    }
  }
})

t.test('a damaged element of a leaf', async (t) => {
  const { root, write } = machine(t)
  // The top is page 3, the bucket page 4: it is too large for a value.
  const contents: Contents = new Map<string, string | Contents>([
    ['inside', new Map([['a', 'b']])],
    ['value', 'text'],
  ])
  const sound = bboltFile(contents)
  const top = 3
  t.equal(sound.readUInt16LE(top * 4096 + 10), 2)
  const read = (change: (bytes: Buffer) => void, use: (top: Bucket) => unknown) => () => {
    const bytes = Buffer.from(sound)
    change(bytes)
    write(bytes)
    return open(root).read(use)
  }
  const value = (bucket: Bucket) => bucket.value('value')
  const inside = (bucket: Bucket) => keysOf(bucket.bucket('inside'))
  t.equal(read(() => {}, value)(), 'text')
  t.same(read(() => {}, inside)(), ['a'])
  const at = (index: number, field: number) => element(top, index) + field
  const key = /: damaged: a key is beyond the end of its page$/
  for (const field of [4, 8])
    t.throws(
      read((bytes) => bytes.writeUInt32LE(0xffffffff, at(1, field)), value),
      key,
      'a key',
    )
  t.throws(
    read((bytes) => bytes.writeUInt32LE(0xffffffff, at(1, 12)), value),
    /: damaged: a value is beyond the end of its page$/,
    'a value',
  )
  const start = at(0, 0) + sound.readUInt32LE(at(0, 4)) + 'inside'.length
  for (const [what, change, message] of [
    [
      'a bucket of 8 bytes',
      (bytes: Buffer) => bytes.writeUInt32LE(8, at(0, 12)),
      /: damaged: a bucket is too short$/,
    ],
    [
      'a bucket of 20 bytes',
      (bytes: Buffer) => bytes.writeUInt32LE(20, at(0, 12)),
      /: damaged: a bucket is too short$/,
    ],
    [
      'a branch in a leaf',
      (bytes: Buffer) => bytes.writeUInt16LE(1, start + 16 + 8),
      /: damaged: a branch in a leaf$/,
    ],
    [
      'more elements than its value has room for',
      (bytes: Buffer) => bytes.writeUInt16LE(2, start + 16 + 10),
      /more elements than bytes$/,
    ],
    [
      'a key that is beyond its value',
      (bytes: Buffer) => bytes.writeUInt32LE(100, start + 32 + 8),
      /: damaged: a key is beyond the end of its page$/,
    ],
    [
      'a page of its own that is not there',
      (bytes: Buffer) => bytes.writeUInt32LE(77, start),
      /: damaged: there is no page 77$/,
    ],
  ] as const)
    t.throws(read(change, inside), message, what)
})

t.test('pages that are reached again and again', async (t) => {
  const { root, file, write } = machine(t)
  // Every element of every branch leads to the page after its own: 100^30 ways.
  const count = 40
  const bytes = Buffer.alloc((count + 3) * 4096)
  for (const page of [0, 1])
    writeMeta(bytes.subarray(page * 4096), page, {
      pageSize: 4096,
      root: 3,
      freelist: 2,
      highWater: count + 3,
      txid: 7 - page,
    })
  for (let id = 3; id < count + 3; id++) {
    bytes.writeUInt32LE(id, id * 4096)
    bytes.writeUInt16LE(1, id * 4096 + 8)
    bytes.writeUInt16LE(100, id * 4096 + 10)
    for (let index = 0; index < 100; index++) bytes.writeUInt32LE(id + 1, element(id, index) + 8)
  }
  write(bytes)
  const levels = /: damaged: more levels than pages$/
  t.throws(() => open(root).read((top) => keysOf(top)), levels)
  t.throws(() => open(root).read((top) => top.value('a')), levels)
  // The same, and the last one is a leaf.
  bytes.writeUInt16LE(2, 20 * 4096 + 8)
  bytes.writeUInt16LE(0, 20 * 4096 + 10)
  write(bytes)
  t.throws(() => open(root).read((top) => keysOf(top)), /: damaged: page 20 is in two places$/)
  t.equal(
    open(root).read((top) => top.value('a')),
    undefined,
  )

  // Pages that claim all that follow them.
  for (let id = 3; id < count + 3; id++) {
    bytes.writeUInt32LE(count + 2 - id, id * 4096 + 12)
    bytes.writeUInt16LE(1, id * 4096 + 8)
    bytes.writeUInt16LE(7000, id * 4096 + 10)
  }
  write(bytes)
  t.throws(() => open(root).read((top) => keysOf(top)), /: damaged: (?:more elements than bytes|page \d+)/)
  truncateSync(file, LARGE)
  t.throws(() => open(root).read((top) => keysOf(top)), /: damaged: (?:pages overlap|more elements)/)
})

/** Runs `work`; `meet` is called after each reading from a file, with the number of its bytes. */
function watching<Result>(meet: (bytes: number) => void, work: () => Result): Result {
  const { readSync } = fs
  fs.readSync = ((...words: Parameters<typeof readSync>) => {
    const count = readSync(...words)
    meet(count)
    return count
  }) as typeof readSync
  syncBuiltinESMExports()
  try {
    return work()
  } finally {
    fs.readSync = readSync
    syncBuiltinESMExports()
  }
}

t.test('of a large file only what is needed is read', async (t) => {
  const { root, write } = machine(t)
  const bytes = bboltFile(
    new Map([
      ['large', numbered(20_000, 100)],
      ['small', new Map([['a', 'b']])],
    ]),
  )
  t.ok(bytes.length > 4 << 20)
  write(bytes)
  let read = 0
  const database = open(root)
  watching(
    (count) => {
      read += count
    },
    () => {
      t.equal(
        database.read((top) => top.bucket('small')?.value('a')),
        'b',
      )
      t.ok(read < 200_000, `${read} bytes`)
      read = 0
      t.equal(
        database.read((top) => top.bucket('large')?.value('key 777')),
        '777'.padEnd(100, '.'),
      )
      t.ok(read < 200_000, `${read} bytes`)
    },
  )
})

t.test('an engine that changes the file meanwhile', async (t) => {
  const { root, file, write } = machine(t)
  const state = (txid: number) =>
    Buffer.concat([bboltFile(new Map([['state', String(txid)]]), { txid }), Buffer.alloc(0)])
  for (const isLarge of [false, true]) {
    const put = (txid: number) => {
      write(state(txid))
      if (isLarge) truncateSync(file, LARGE)
    }
    // The file changes after one of the readings, whichever it is.
    for (let after = 1; after <= 3; after++) {
      put(7)
      let readings = 0
      const found = watching(
        () => {
          if (++readings === after) put(8)
        },
        () => open(root).read((top, txid) => [top.value('state'), txid]),
      )
      t.ok(readings >= after)
      t.ok(found[0] === String(found[1]), `a whole state: ${found}`)
    }
    // It is emptied for a moment.
    put(7)
    let readings = 0
    const found = watching(
      () => {
        readings++
        if (readings === 1) {
          write(Buffer.concat([state(8).subarray(0, 8192), Buffer.alloc(isLarge ? LARGE : 30_000)]))
        } else if (readings === 3) put(8)
      },
      () => open(root).read((top) => top.value('state')),
    )
    t.equal(found, '8', 'damage that is gone in the next reading')
    put(7)
    let txid = 8
    t.throws(
      () =>
        watching(
          () => put(++txid),
          () => open(root).read((top) => top.value('state')),
        ),
      /^\/data\/metadata\.db: it changes all the time$/,
    )
  }
  // A large one may change between two readings, too.
  write(state(7))
  truncateSync(file, LARGE)
  const database = open(root)
  t.equal(
    database.read((top) => top.value('state')),
    '7',
  )
  write(state(8))
  truncateSync(file, LARGE)
  t.equal(
    database.read((top) => top.value('state')),
    '8',
  )
})

t.test('an engine that makes the file larger after it was found', async (t) => {
  const { root, write } = machine(t)
  for (const length of [1000, 20_000]) {
    write(bboltFile(new Map()))
    const database = open(root)
    const contents: Contents = new Map([['large', numbered(length, 40)]])
    write(bboltFile(contents, { txid: 8 }))
    t.same([...database.read(readAll)], [...sorted(contents)])
  }
})

t.test('an error of the caller is the caller’s', async (t) => {
  const { root, file, write } = machine(t)
  write(bboltFile(SAMPLE))
  const throwing = () =>
    open(root).read(() => {
      throw new Error('mine')
    })
  t.throws(throwing, /^mine$/)
  truncateSync(file, LARGE)
  t.throws(throwing, /^mine$/)
})
