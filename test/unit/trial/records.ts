import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Host } from '../../../src/image/compatibility.js'
import { compareExtensions, countAbove } from '../../../src/stack/order.js'
import { type RecordedStack, recordOn, recordStack, stackText } from '../../../src/stack/record.js'
import { parseStack, readLastGood, readRecords, restoreStack } from '../../../src/trial/records.js'
import { copyDataRoot, DATA, found, HOST, makeLook, prepareAll } from '../../support/data-root.js'
import { makeExtension, makeIdentity, makeStack } from '../../support/plan.js'

const stack = (...names: string[]): RecordedStack => recordStack(makeStack(names, 1))

t.test('what is written is what is read', async (t) => {
  const written = stack('wifi', 'a\n"b" \u2028')
  for (const rank of [
    { kind: 'overlay' },
    { kind: 'override', priority: -3 },
    { kind: 'override', priority: 'lowest' },
  ] as const)
    written.extensions.push({ ...stack('ranked').extensions[0], rank } as never)
  t.equal(stackText(written).split('\n').length, 7, 'a line each')
  t.same(parseStack(stackText(written)), written)
})

t.test('a base that is not on record, or in another form, is unknown', async (t) => {
  const written = recordOn(makeIdentity(), makeStack(['wifi'], 1))
  const text = stackText(written)
  t.same(parseStack(text), written)
  const { base, ...without } = written
  for (const [from, to] of [
    [`,"base":${JSON.stringify(base)}`, ''],
    ['"kernel":"6.1.0-1",', ''],
    ['"hostext":"1.2.3"', '"hostext":1'],
    [JSON.stringify(base), '[]'],
    [JSON.stringify(base), 'null'],
  ] as const) {
    t.ok(text.includes(from), from)
    t.same(parseStack(text.replace(from, to)), without, `${from} -> ${to}`)
  }
  const newer = text.replace('"base":{', '"base":{"more":{"x":1},')
  t.same(parseStack(newer), written, 'a later version may record more')
})

t.test('a record can be read again, whatever texts its containers have', async (t) => {
  const long = '\u0001\ud800'.repeat(1 << 20)
  const labels: [string, string][] = [
    ['io.balena.image.kernel-version', '6.1.0'],
    ['io.balena.image.kernel-abi-id', long],
    ['io.balena.image.os-version', long],
  ]
  const extension = makeExtension('wifi')
  const container = { ...extension.container, name: long, image: long }
  const most = recordStack(Array(499).fill({ ...extension, container, labels }))
  t.same(most.extensions[0]?.labels, [
    ['io.balena.image.kernel-version', '6.1.0'],
    ['io.balena.image.kernel-abi-id', long.slice(0, 1024)],
    ['io.balena.image.os-version', long.slice(0, 1024)],
  ])
  const { root, data } = copyDataRoot(t)
  mkdirSync(join(data, 'hostext'))
  writeFileSync(join(data, 'hostext/trial.1'), stackText(most))
  t.match(readRecords(root, DATA), { good: { length: 0 }, tried: [{ attempts: 1 }], problems: { length: 0 } })
  const old = stackText(stack('wifi')).replace('"labels":[],', '')
  t.same(parseStack(old), stack('wifi'), 'a record from before it had labels')
})

t.test('a part of a record, or anything else, is none', async (t) => {
  const text = stackText(stack('one', 'two'))
  for (let length = 0; length < text.length; length++)
    t.equal(parseStack(text.slice(0, length)), undefined, `${length} characters`)
  for (const [from, to] of [
    ['"above":1', '"above":3'],
    ['"above":1', '"above":2'],
    ['"above":1', '"above":-1'],
    ['"above":1', '"above":0.5'],
    ['"extensions":2', '"extensions":1'],
    ['ABCDEF', '../DEF'],
    ['.01234567', '.0123456'],
    ['.01234567', '.01234567/..'],
    ['"tree":"', '"lower":"'],
    ['"kind":"feature"', '"kind":"x"'],
    ['"name":"one"', '"name":1'],
    ['"id":"a', '"id":"../a'],
  ] as const) {
    t.not(text.replace(from, to), text)
    t.equal(parseStack(text.replace(from, to)), undefined, `${from} -> ${to}`)
  }
  t.equal(parseStack('{"above":0,"extensions":0}\n'), undefined, 'no stack is empty')
})

t.test('the text of the last good record', async (t) => {
  const { root, data } = copyDataRoot(t)
  const text = stackText(stack('one', 'two'))
  const record = join(data, 'hostext/good')
  t.equal(readLastGood(root, DATA), undefined, 'no record')
  mkdirSync(join(data, 'hostext'))
  writeFileSync(record, text)
  t.equal(readLastGood(root, DATA), text)
  chmodSync(record, 0o666)
  t.equal(readLastGood(root, DATA), undefined, 'written by anyone')
  rmSync(record)
  writeFileSync(join(data, 'hostext/previous'), text)
  t.equal(readLastGood(root, DATA), undefined, 'the one before it is looked for among the records')
})

t.test('records of a data root', async (t) => {
  const { root, data } = copyDataRoot(t)
  t.same(readRecords(root, DATA), { good: [], tried: [], problems: [] })
  mkdirSync(join(data, 'hostext'))
  const write = (name: string, text: string) => writeFileSync(join(data, 'hostext', name), text)
  write('good', stackText(stack('good')))
  write('previous', stackText(stack('previous')))
  write('other', stackText(stack('other')))
  write('reduced', stackText(stack('reduced')))
  write('trial.2', stackText(stack('tried')))
  write('back.1', stackText(stack('gone back to')))
  write('reduced.3', stackText(stack('tried, reduced')))
  write('new', stackText(stack('cut short')).slice(0, 100))
  write('trial.0', stackText(stack('no number')))
  t.match(readRecords(root, DATA), {
    good: ['good', 'previous', 'other', 'reduced'].map((name) => ({ name, extensions: [{ name }] })),
    tried: [
      { name: 'back', attempts: 1, stack: { extensions: [{ name: 'gone back to' }] } },
      { name: 'reduced', attempts: 3, stack: { extensions: [{ name: 'tried, reduced' }] } },
      { name: 'trial', attempts: 2, stack: { extensions: [{ name: 'tried' }] } },
    ],
    problems: { length: 0 },
  })
  write('good', 'garbage')
  mkdirSync(join(data, 'hostext/trial.1'))
  writeFileSync(join(data, 'elsewhere'), stackText(stack('elsewhere')))
  symlinkSync('../elsewhere', join(data, 'hostext/trial.3'))
  t.match(readRecords(root, DATA), {
    good: ['previous', 'other', 'reduced'].map((name) => ({ name, extensions: [{ name }] })),
    tried: [{ attempts: 1 }, { attempts: 3 }, { attempts: 2 }],
    problems: [
      `${DATA}/hostext/good: not a record of a stack: this record is ignored`,
      `${DATA}/hostext/trial.1: not a regular file but a directory: this record is ignored`,
      `${DATA}/hostext/trial.3: not a regular file but a symbolic link: this record is ignored`,
    ],
  })
})

t.test(
  'a recorded stack is stacked again without its containers, as long as its trees are there',
  async (t) => {
    const { root, data } = copyDataRoot(t)
    mkdirSync(join(root.prefix, 'usr/share/one-layer'), { recursive: true })
    await prepareAll(root)
    const extensions = found(root).extensions.sort(compareExtensions)
    const recorded = parseStack(stackText(recordStack(extensions))) as RecordedStack
    for (const engines of ['containers', 'overlay2', 'image'])
      rmSync(join(data, engines), { recursive: true })
    const restore = (stack = recorded, more: Partial<Host> = {}, essential: string[] = []) =>
      restoreStack(
        root,
        DATA,
        { ...stack, source: `${DATA}/hostext/good` },
        makeLook(root, { essential, host: { ...HOST, ...more } }),
      )
    const restored = restore()
    t.same(
      restored.map(({ container, tree, contents }) => [container.name, tree, contents]),
      extensions.map(({ container, tree, contents }) => [container.name, tree, contents]),
    )
    const labelled = structuredClone(recorded)
    labelled.extensions[0]?.labels.push(['io.balena.image.kernel-version', '6.1.0'])
    t.equal(restore(labelled).length, restored.length)
    t.throws(
      () => restore(labelled, { kernel: { release: '6.12.1', abi: undefined } }),
      /^override does not fit this machine: it is for kernel 6\.1\.0, but 6\.12\.1 is running/,
      'the kernel is another one now',
    )
    const file = 'usr/share/one-layer/one.txt'
    writeFileSync(join(root.prefix, file), '')
    t.throws(
      () => restore(recorded, {}, [`/${file}`]),
      /^one-layer would replace \/usr\/share\/one-layer\/one\.txt/,
    )
    const below = restore({ ...recorded, above: 0 }, {}, [`/${file}`])
    t.equal(countAbove(below), 0, 'below the root it only adds')
    t.equal(below.length, restored.length)
    const place = join(data, 'hostext/trees', recorded.extensions[1]?.tree as string, 'facts')
    const facts = readFileSync(place, 'utf8')
    writeFileSync(place, facts.replace('"os":""', '"os":"debian 11"').replace(/"rules":\d+/, '"rules":1'))
    t.equal(restore().length, restored.length, 'another name of the system, older rules: it fits as it is')
    for (const [from, to, why] of [
      ['"state":["/var"]', '"state":["/srv"]', /: the state was \/srv and is \/var$/],
      [/"rules":\d+/, '"rules":99', /: the rules of images have changed with hostext$/],
      [/"rules":\d+/, '"rules":"x"', /: the rules of images have changed with hostext$/],
    ] as const) {
      t.not(facts.replace(from, to), facts)
      writeFileSync(place, facts.replace(from, to))
      t.throws(() => restore(), new RegExp(`^many-layers was prepared for another base root${why.source}`))
    }
    for (const damaged of ['', '{}', facts.slice(0, 100)]) {
      writeFileSync(place, damaged)
      t.throws(() => restore(), /^many-layers is gone: there is no tree [A-Z0-9]{26}\.[0-9a-f]{8}$/)
    }
  },
)
