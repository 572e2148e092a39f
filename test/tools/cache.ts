import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t from 'tap'

process.env.HOSTEXT_TEST_CACHE = mkdtempSync(join(tmpdir(), 'hostext-cache-'))
const { CACHE, cached } = await import('../boot/cache.js')
t.teardown(() => rmSync(CACHE, { recursive: true }))
const writing = (text: string) => (made: string) => writeFileSync(join(made, 'file'), text)

t.test('a thing is made once for each recipe', async (t) => {
  const first = cached('thing', 'recipe 1', writing('one'))
  t.equal(
    cached('thing', 'recipe 1', () => t.fail('it is there')),
    first,
  )
  const second = cached('thing', 'recipe 2', writing('two'))
  t.not(second, first)
  t.equal(readFileSync(join(first, 'file'), 'utf8'), 'one', 'what another run may use stays')
})

t.test('what cannot be made leaves nothing', async (t) => {
  const fails = () => {
    throw new Error('no')
  }
  t.throws(() => cached('broken', 'recipe', fails), /^no$/)
  t.same(
    readdirSync(CACHE).filter((name) => name.startsWith('broken')),
    [],
  )
})

t.test('another run that makes the same may be faster', async (t) => {
  const directory = cached('both', 'recipe', (made) => {
    writing('ours')(made)
    const theirs = join(CACHE, basename(made).replace(/\.\d+$/, ''))
    mkdirSync(theirs)
    writing('theirs')(theirs)
  })
  t.equal(readFileSync(join(directory, 'file'), 'utf8'), 'theirs')
  t.same(
    readdirSync(CACHE).filter((name) => name.startsWith('both')),
    [basename(directory)],
  )
})

t.test('what is old goes, and what a run of old did not finish', async (t) => {
  const old = cached('old', 'recipe 1', writing('one'))
  const unfinished = `${old}.123`
  const other = cached('old-other', 'recipe 1', writing('one'))
  mkdirSync(unfinished)
  for (const directory of [old, unfinished, other]) utimesSync(directory, 0, 0)
  cached('old', 'recipe 2', writing('two'))
  t.notOk(existsSync(old))
  t.notOk(existsSync(unfinished))
  t.ok(existsSync(other), 'but not what has another name')
})
