import t from 'tap'
import { findContainerdRoots } from '../../../src/engine/containerd-conf.js'
import { makeTree, type Tree } from '../../support/tree.js'

const find = (files: Tree, dataRoots: string[] = []) =>
  findContainerdRoots({ prefix: makeTree(t, files) }, dataRoots)
const toml = (text: string, more: Tree = {}) => find({ 'etc/containerd/config.toml': text, ...more })
const DEFAULT = { path: '/var/lib/containerd' }

t.test('the default, and that of a containerd that dockerd starts', async (t) => {
  t.same(find({}), { roots: [DEFAULT], messages: [] })
  t.same(find({}, ['/var/lib/docker']).roots, [DEFAULT, { path: '/var/lib/docker/containerd/daemon' }])
})

t.test('what the configuration says', async (t) => {
  t.same(toml('version = 2\nroot = "/srv/c/"\n').roots, [{ path: '/srv/c' }])
  t.same(
    toml('version = 3\n[plugins."io.containerd.snapshotter.v1.overlayfs"]\nroot_path = "/fast/snapshots"\n')
      .roots,
    [{ ...DEFAULT, snapshots: '/fast/snapshots' }],
  )
  for (const key of [
    'plugins."io.containerd.snapshotter.v1.overlayfs".root_path',
    "plugins.overlayfs.'root_path'",
  ])
    t.same(toml(`${key} = "/fast/snapshots"\n`).roots, [{ ...DEFAULT, snapshots: '/fast/snapshots' }], key)
  for (const text of ['', 'root = ""\n', 'root = 1\nplugins = 1\n', 'root = "relative"\n'])
    t.same(toml(text), { roots: [DEFAULT], messages: [] }, text)
})

t.test('what it imports counts after it', async (t) => {
  const files = {
    'etc/containerd/conf.d/a.toml': 'root = "/a"\n',
    'etc/containerd/conf.d/b.txt': 'root = "/b"\n',
  }
  const roots = (imports: string) => toml(`imports = [${imports}]\nroot = "/main"\n`, files).roots
  t.same(roots('"/etc/containerd/conf.d/*.toml"'), [{ path: '/a' }])
  t.same(roots('"/etc/containerd/conf.d/b.txt", 1'), [{ path: '/b' }])
  t.same(roots('"/nowhere/*.toml"'), [{ path: '/main' }])
  t.same(roots('"conf.d/*.toml"'), [{ path: '/a' }], 'from the directory of the file')
  t.same(roots('"../containerd/./conf.d/a.toml"'), [{ path: '/a' }])
})

t.test('what an imported file imports counts, too', async (t) => {
  const files = {
    'etc/containerd/a.toml': 'imports = ["d/*.toml", "config.toml", "a.toml"]\nroot = "/a"\n',
    'etc/containerd/b.toml': 'root = "/b"\n',
    'etc/containerd/d/c.toml': '[plugins.overlayfs]\nroot_path = "/c/snapshots"\n',
  }
  t.same(toml('imports = ["a.toml", "b.toml"]\nroot = "/main"\n', files).roots, [
    { path: '/b', snapshots: '/c/snapshots' },
  ])
  const chain = Object.fromEntries(
    Array.from({ length: 150 }, (_, number) => [
      `etc/containerd/${number}.toml`,
      `imports = ["${number + 1}.toml"]\nroot = "/${number}"\n`,
    ]),
  )
  t.same(toml('imports = ["0.toml"]\n', chain).roots, [{ path: '/99' }], 'not for ever')
})

t.test('what its command line says', async (t) => {
  const unit = (words: string, more: Tree = {}) =>
    find({ 'usr/lib/systemd/system/containerd.service': `ExecStart=/usr/bin/containerd ${words}\n`, ...more })
      .roots
  t.same(unit('--root /srv/c'), [{ path: '/srv/c' }])
  for (const words of ['--config /srv/c.toml', '-c /srv/c.toml'])
    t.same(unit(words, { 'srv/c.toml': 'root = "/d"\n' }), [{ path: '/d' }])
})

t.test('what cannot be read is said in one line', async (t) => {
  for (const [text, problem] of [
    ['root = \n', /^\/etc\/containerd\/config\.toml: [ -~]+; ignored$/],
    ['x'.repeat(300_000), /^\/etc\/containerd\/config\.toml: 300000 bytes, more than 262144; ignored$/],
  ] as const) {
    const { roots, messages } = toml(text)
    t.same(roots, [DEFAULT])
    t.equal(messages.length, 1)
    t.match(messages[0]?.text, problem)
  }
})
