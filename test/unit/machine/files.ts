import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  inputRoot,
  listDirectory,
  readText,
  reason,
  resolveLinks,
  seeContainer,
  statLink,
  statTimes,
  unseen,
} from '../../../src/machine/files.js'
import { seeNothing } from '../../../src/machine/seen.js'
import { makeTree } from '../../support/tree.js'

t.test('below HOSTEXT_ROOT', async (t) => {
  t.same(inputRoot({}), { prefix: '' })
  t.same(inputRoot({ HOSTEXT_ROOT: '/some/where//' }), { prefix: '/some/where' })
})

t.test('a file, none, too large a one, a directory, a loop', async (t) => {
  const root = { prefix: makeTree(t, { file: 'text', 'dir/x': '', loop: '-> loop' }) }
  t.equal(readText(root, '/file'), 'text')
  t.equal(readText(root, '/missing'), undefined)
  t.equal(readText(root, '/file/below'), undefined)
  t.match(readText(root, '/file', 3), { message: '/file: 4 bytes, more than 3' })
  t.match(readText(root, '/dir'), { message: '/dir: not a regular file but a directory' })
  t.match(
    readText(root, '/dir', 1, () => 'x'),
    { message: '/dir: not a regular file but a directory' },
  )
  t.match(readText(root, '/loop'), { message: '/loop: too many symbolic links encountered' })
})

t.test('what would hang, or has no end', { timeout: 20_000 }, async (t) => {
  const root = { prefix: makeTree(t, { null: '-> /dev/null', link: '-> file', file: 'text' }) }
  spawnSync('mkfifo', [join(root.prefix, 'fifo')])
  symlinkSync('/dev/zero', join(root.prefix, 'zero'))
  t.match(readText(root, '/fifo'), { message: '/fifo: not a regular file but a FIFO' })
  t.match(readText(root, '/zero'), { message: '/zero: not a regular file but a device' })
  // A file that does not say its size.
  t.match(readText({ prefix: '' }, '/proc/self/status', 100), {
    message: '/proc/self/status: more than 100 bytes',
  })
  t.match(readText({ prefix: '' }, '/proc/self/status'), /^Name:/)
  t.equal(readText(root, '/link'), 'text')
  t.match(
    readText(root, '/link', 100, () => undefined),
    { message: '/link: not a regular file but a symbolic link' },
  )
  t.match(
    readText(root, '/file', 100, () => 'is refused'),
    { message: '/file: is refused' },
  )
  t.equal(statLink(root, `/${'x'.repeat(300)}`), undefined, 'a name that is too long')
})

t.test('names are sorted; no directory has none', async (t) => {
  const root = { prefix: makeTree(t, { 'd/b': '', 'd/a': '', 'd/C': '', loop: '-> loop' }) }
  t.same(listDirectory(root, '/d'), ['C', 'a', 'b'])
  t.same(listDirectory(root, '/none'), [])
  t.throws(() => listDirectory(root, '/loop'), /^\/loop: too many symbolic links/)
  t.ok(statLink(root, '/loop')?.isSymbolicLink())
  t.equal(statLink(root, '/none'), undefined)
})

t.equal(reason('text'), 'text')
for (const errno of [-74, -117]) {
  const message = `Unknown system error ${errno}: Unknown system error ${errno}, scandir '/x'`
  t.equal(reason(Object.assign(new Error(message), { errno })), 'the file system is damaged there')
}

t.test('/etc with the changes that are kept', async (t) => {
  const prefix = makeTree(t, {
    'etc/both/base': 'base',
    'etc/both/changed': 'base',
    'etc/both/deleted': 'base',
    'etc/only/base': 'base',
    'etcetera/x': 'base',
    'upper/both/changed': 'upper',
    'upper/both/new': 'upper',
    'upper/new/x': 'upper',
    'upper/cetera/x': 'upper',
  })
  const root = { prefix, changes: join(prefix, 'upper') }
  const read = (path: string) => readText(root, path)
  t.same(
    ['both/base', 'both/changed', 'both/new', 'new/x', 'only/base'].map((path) => read(`/etc/${path}`)),
    ['base', 'upper', 'upper', 'upper', 'base'],
  )
  t.equal(read('/etcetera/x'), 'base')
  t.same(listDirectory(root, '/etc/both'), ['base', 'changed', 'deleted', 'new'])
  t.same(listDirectory(root, '/etc/new'), ['x'])
  t.same(listDirectory(root, '/etc/only'), ['base'])
  if (spawnSync('mknod', [join(prefix, 'upper/both/deleted'), 'c', '0', '0']).status !== 0) return
  t.equal(read('/etc/both/deleted'), undefined)
  t.equal(statLink(root, '/etc/both/deleted'), undefined)
  t.same(listDirectory(root, '/etc/both'), ['base', 'changed', 'new'])
  spawnSync('mknod', [join(prefix, 'upper/only'), 'c', '0', '0'])
  t.equal(read('/etc/only/base'), undefined, 'what is in a deleted directory')
  t.same(listDirectory(root, '/etc/only'), [])
})

t.test('what is looked at is noted', async (t) => {
  const prefix = makeTree(t, { 'etc/a/b': 'b', 'upper/a/c': 'c', real: '-> etc', file: '' })
  const seen = seeNothing()
  const root = { prefix, seen }
  readText(root, '/file')
  statLink(root, '/absent')
  statTimes(root, '/etc')
  listDirectory(root, '/etc')
  resolveLinks(root, '/real/a')
  readText(unseen(root), '/etc/a/b')
  seeContainer(root, '/data/containers/1/config.v2.json')
  const paths = (set: Set<string>) => [...set].sort()
  t.same(paths(seen.texts), ['/data/containers/1/config.v2.json', '/file'])
  t.same(paths(seen.stats), [
    '/absent',
    '/data/containers/1',
    '/data/containers/1/config.v2.json',
    '/etc',
    '/etc/a',
    '/file',
    '/real',
  ])
  t.same(paths(seen.times), ['/etc'])
  t.same(paths(seen.names), ['/etc'])
})

t.test('what is looked at in /etc with changes: both, and all on the way', async (t) => {
  const prefix = makeTree(t, { 'etc/a/b': 'b', 'upper/a/c': 'c' })
  const seen = seeNothing()
  const root = { prefix, seen, changes: join(prefix, 'upper') }
  readText(root, '/etc/a/b')
  statLink(root, '/file')
  t.same([...seen.texts].sort(), ['/etc/a/b', '/upper/a/b'])
  t.same([...seen.stats].sort(), ['/etc/a/b', '/file', '/upper/a', '/upper/a/b'])
})

t.test('links in a path', async (t) => {
  const root = {
    prefix: makeTree(t, {
      'real/docker/x': '',
      absolute: '-> /real',
      relative: '-> real/./docker/../docker',
      'deep/up': '-> ../../real',
      dangling: '-> /nowhere/at/all',
      loop: '-> loop',
      outside: '-> /../../etc',
    }),
  }
  for (const [path, resolved] of [
    ['/real/docker', '/real/docker'],
    ['/absolute/docker', '/real/docker'],
    ['/relative/x', '/real/docker/x'],
    ['/deep/up/docker', '/real/docker'],
    ['/dangling/x', '/nowhere/at/all/x'],
    ['/not/there', '/not/there'],
    ['/outside/x', '/etc/x'],
    ['/', '/'],
  ] as const)
    t.equal(resolveLinks(root, path), resolved, path)
  t.match(resolveLinks(root, '/loop/x'), /^\//, 'a loop ends')
})
