/**
 * Images and roots at random: whatever they are, nothing is outside of the tree, nothing that must not be in
 * it is, and every file of the image is in the tree, or a note says why not.
 */
import { lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { findDropped, stateOf } from '../../../src/image/rules.js'
import { FACTORY, makeTree as makeKeptTree } from '../../../src/image/tree.js'
import { resolveLinks, statLink } from '../../../src/machine/files.js'
import { isBelow } from '../../../src/machine/mountinfo.js'
import { printable } from '../../../src/text/printable.js'
import { NO_OWNERS, STATE } from '../../support/image.js'
import { FIXED_SEED, ROTATING_SEED } from '../../support/seeded.js'
import { makeTree, walk } from '../../support/tree.js'

/** Few names, so that images and roots meet. */
const NAMES = [
  'usr',
  'lib',
  'bin',
  'etc',
  'var',
  'run',
  'opt',
  'share',
  'factory',
  'passwd',
  'ssh',
  'dpkg',
  'log',
  'x',
]
const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 })
  .map((names) => names.join('/'))
const target = fc.oneof(
  path,
  path.map((path) => `/${path}`),
  path.map((path) => `../${path}`),
  fc.constantFrom('/', '.', '..', '/run', '/etc/passwd', 'nowhere'),
)
const entry = fc.oneof(
  { weight: 3, arbitrary: fc.record({ path, kind: fc.constant('file' as const), text: fc.constant('') }) },
  {
    weight: 1,
    arbitrary: fc.record({ path, kind: fc.constant('directory' as const), text: fc.constant('') }),
  },
  { weight: 2, arbitrary: fc.record({ path, kind: fc.constant('link' as const), text: target }) },
)
const entries = fc.array(entry, { maxLength: 14 })
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never

/** Makes what can be made of these: an entry whose directory is no directory is left out. */
function write(directory: string, list: readonly Entry[], state: readonly string[] = []): void {
  for (const place of ['', ...state]) mkdirSync(directory + place)
  for (const { path, kind, text } of list) {
    const place = join(directory, path)
    const names = path.split('/').slice(0, -1)
    const isFree = names.every((_, index) => {
      const stat = statLink({ prefix: directory }, `/${names.slice(0, index + 1).join('/')}`)
      return !stat || stat.isDirectory()
    })
    if (!isFree || statLink({ prefix: directory }, `/${path}`)) continue
    mkdirSync(dirname(place), { recursive: true })
    if (kind === 'file') writeFileSync(place, path)
    else if (kind === 'link') symlinkSync(text, place)
    else mkdirSync(place)
  }
}

function ensure(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

const work = makeTree(t)

/** Throws an Error if anything is wrong with the tree of this image for this root. */
function check([image, root]: [Entry[], Entry[]]): void {
  for (const name of ['view', 'base', 'out']) rmSync(join(work, name), { recursive: true, force: true })
  const view = join(work, 'view')
  const out = join(work, 'out')
  const base = { prefix: join(work, 'base') }
  write(view, image)
  // What is state is a directory of the root.
  write(base.prefix, root, STATE)
  mkdirSync(out)
  const before = walk(work).length
  const made = makeKeptTree({ view, layers: [view], out, base, state: STATE, owners: NO_OWNERS })
  const tree = walk(out)
  ensure(walk(work).length === before + tree.length, 'something is outside of the tree')

  for (const { path, entry } of tree) {
    const place = `/${path}`
    ensure(!findDropped(place), `dropped, and there: ${place}`)
    ensure(!STATE.some((state) => isBelow(place, state)), `state in the tree: ${place}`)
    const own = statLink(base, place)
    if (!own || isBelow(place, FACTORY) || isBelow(FACTORY, place)) continue
    if (entry.isDirectory()) {
      const stat = lstatSync(join(out, path))
      ensure(!own.isSymbolicLink(), `a directory in place of a link of the root: ${place}`)
      // An extension that replaces files may have a directory where the root has a file.
      if (!own.isDirectory()) continue
      ensure(stat.mode === own.mode && stat.uid === own.uid, `another mode: ${place}`)
    } else ensure(!own.isDirectory(), `something else in place of a directory of the root: ${place}`)
  }
  ensure(made.files === tree.filter(({ entry }) => !entry.isDirectory()).length, 'the number of files')
  ensure(made.directories === tree.filter(({ entry }) => entry.isDirectory()).length, 'and of directories')

  const inodes = new Set(tree.map(({ path }) => lstatSync(join(out, path)).ino))
  const listed = new Set(made.state.map(({ path }) => path))
  const notes = made.notes
    .filter(({ kind }) => kind === 'dropped' || kind === 'not taken')
    .flatMap(({ path }) => path ?? [])
  for (const { path, entry } of walk(view)) {
    if (entry.isDirectory() || inodes.has(lstatSync(join(view, path)).ino)) continue
    const place = resolveLinks(base, `/${path}`)
    const own = join(resolveLinks(base, dirname(`/${path}`)), basename(path))
    const isNamed = notes.some((name) => [`/${path}`, place, own].some((other) => isBelow(other, name)))
    const isState = STATE.some((state) => isBelow(own, state))
    // A link of the state is a line; packages' databases, caches and logs are not taken.
    if (isState && (listed.has(own) || stateOf(own) !== 'all')) continue
    const root = statLink(base, own)
    const isSame =
      entry.isSymbolicLink() &&
      (root?.isDirectory() ||
        (root?.isSymbolicLink() &&
          (readlinkSync(base.prefix + own) === readlinkSync(join(view, path)) ||
            resolveLinks(base, own) ===
              resolveLinks(base, resolve(own, '..', readlinkSync(join(view, path)))))))
    // A link that is moved is written anew, and one that would lead to itself is not taken.
    const target = entry.isSymbolicLink() ? readlinkSync(join(view, path)) : ''
    const isMoved = target !== '' && own !== `/${path}` && statLink({ prefix: out }, own)?.isSymbolicLink()
    const meant = resolve(`/${path}`, '..', target)
    const isItself = target !== '' && join(resolveLinks(base, dirname(meant)), basename(meant)) === own
    ensure(
      isNamed || isSame || isMoved || isItself,
      `lost without a word: ${printable(path)} (${own})\n${made.notes.join('\n')}`,
    )
  }
}

t.test('whatever the image and the root are', async (t) => {
  for (const parameters of [
    { seed: FIXED_SEED, numRuns: 600 },
    { seed: ROTATING_SEED, numRuns: 200 },
  ]) {
    const details = fc.check(fc.property(fc.tuple(entries, entries), check), parameters)
    const report = `${(details.errorInstance as Error)?.message}\n${fc.defaultReportMessage(details)}`
    t.equal(details.failed ? report : 'holds', 'holds')
  }
})
