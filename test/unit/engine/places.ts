import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isDocker } from '../../../src/engine/docker.js'
import { DEFAULT_DATA_ROOTS, findDataRoots, findHomes } from '../../../src/engine/places.js'
import { cannotMount } from '../../support/private.js'
import { makeTree, type Tree } from '../../support/tree.js'

const engine = (path: string) => ({ [`${path}/containers/x`]: '' })
const find = (t: Parameters<typeof makeTree>[0], files: Tree, configured?: string) =>
  findDataRoots({ prefix: makeTree(t, files) }, configured)
const paths = (...args: Parameters<typeof find>) => find(...args).places.map(({ path }) => path)

const DEFAULTS = [
  '/mnt/data/docker',
  '/var/lib/docker',
  '/var/lib/balena-engine',
  '/var/snap/docker/common/var-lib-docker',
  '/var/lib/containers/storage',
]

t.test('in order: what settings name, balenaOS, the defaults of the engines', async (t) => {
  t.same(paths(t, {}), DEFAULTS, 'they may not be mounted yet')
  t.same(DEFAULT_DATA_ROOTS, DEFAULTS)
  const all = {
    'etc/docker/daemon.json': '{"data-root": "/data/docker/"}',
    ...engine('data/docker'),
    ...engine('mnt/data/docker'),
    ...engine('var/lib/docker'),
  }
  const found = find(t, all)
  t.same(
    found.places.map(({ path }) => path),
    ['/data/docker', ...DEFAULTS],
  )
  t.match(found.places[0], { engine: 'Docker', source: '/etc/docker/daemon.json', left: undefined })
  t.same([found.exposed, found.messages], [{}, []])
  t.same(paths(t, all, '/var/lib/docker'), ['/var/lib/docker'], 'DataRoot= is the only one')
})

t.test('an engine whose settings name another place has left its default', async (t) => {
  const { places } = find(t, {
    'etc/docker/daemon.json': '{"data-root": "/d"}',
    'etc/balena-engine/daemon.json': '{"data-root": "/var/lib/balena-engine"}',
  })
  t.same(
    places.flatMap(({ path, left }) => (left === undefined ? [] : [[path, left]])),
    [['/var/lib/docker', 'Docker keeps its data in /d now (/etc/docker/daemon.json)']],
  )
  t.equal(places.filter(({ path }) => path === '/var/lib/balena-engine').length, 1)
})

t.test('a data root with `..` in it', async (t) => {
  const files = { 'etc/docker/daemon.json': '{"data-root": "/a/../b/docker"}', a: '-> /c/d', 'c/d/x': '' }
  const { places, messages } = find(t, files)
  t.same(messages, [])
  t.equal(places[0]?.path, '/c/b/docker')
})

t.test('the settings that count are those of the engine whose place it is', async (t) => {
  const files = {
    'etc/docker/daemon.json': '{"data-root": "/d", "storage-driver": "vfs"}',
    'etc/balena-engine/daemon.json': '{"storage-driver": "aufs"}',
  }
  const driver = (path: string, configured?: string) =>
    find(t, files, configured).places.find((place) => place.path === path)?.settings.driver?.value
  t.equal(driver('/d'), 'vfs')
  t.equal(driver('/var/lib/balena-engine'), 'aufs')
  t.equal(driver('/mnt/data/docker'), 'aufs')
  t.equal(driver('/var/lib/balena-engine', '/var/lib/balena-engine'), 'aufs')
  t.equal(driver('/other', '/other'), 'vfs', "Docker's for any other")
})

t.test('links are followed, and two names of one place count once', async (t) => {
  t.same(paths(t, { 'var/lib/docker': '-> /mnt/data/docker' }), [
    '/mnt/data/docker',
    ...DEFAULTS.filter((path) => !path.endsWith('/docker')),
  ])
  t.same(paths(t, { var: '-> disk/var' }, '/var/lib/docker'), ['/disk/var/lib/docker'])
})

const DOCKER_UNIT = { 'usr/lib/systemd/system/docker.service': 'ExecStart=/usr/bin/dockerd\n' }
const BALENA_UNIT = { 'usr/lib/systemd/system/balena.service': 'ExecStart=/usr/bin/balenad -s aufs\n' }
const DOCKERS = { 'etc/docker/daemon.json': '{"storage-driver": "vfs"}' }
const LINK = { 'var/lib/docker': '-> /mnt/data/docker' }

t.test('whose the place of balenaOS is, if the default of Docker leads there', async (t) => {
  const found = (files: Tree, configured?: string) =>
    find(t, files, configured).places.map(({ path, engine, settings, left }) => [
      ...[path, engine, settings.driver?.value, left],
    ])
  const docker = ['/mnt/data/docker', 'Docker', 'vfs', undefined]
  t.same(found({ ...LINK, ...DOCKERS })[0], docker)
  t.same(found({ ...LINK, ...DOCKERS, ...DOCKER_UNIT, ...engine('mnt/data/docker') })[0], docker)
  t.same(found({ ...LINK, ...DOCKERS }, '/mnt/data/docker')[0], docker)
  t.same(
    found({
      ...LINK,
      'etc/docker/daemon.json': '{"data-root": "/var/lib/docker", "storage-driver": "vfs"}',
    })[0],
    docker,
  )
  const balena = ['/mnt/data/docker', 'balenaEngine', 'aufs', undefined]
  t.same(found({ ...LINK, ...DOCKERS, ...BALENA_UNIT })[0], balena, 'the real one')
  t.same(found({ ...LINK, ...DOCKERS, ...BALENA_UNIT }, '/mnt/data/docker')[0], balena)
  const moved = { 'etc/docker/daemon.json': '{"data-root": "/d", "storage-driver": "vfs"}' }
  t.match(found({ ...LINK, ...moved }).slice(0, 2), [
    ['/d', 'Docker', 'vfs', undefined],
    ['/mnt/data/docker', 'Docker', 'vfs', /^Docker keeps its data in \/d now/],
  ])
})

t.test('two mounts of one directory count once', { skip: cannotMount }, async (t) => {
  const prefix = makeTree(t, { ...DOCKERS, ...engine('mnt/data/docker'), 'var/lib/docker/x': '' })
  const program = `import('${new URL('../../../src/engine/places.js', import.meta.url)}').then(({ findDataRoots }) =>
    console.log(JSON.stringify(findDataRoots({ prefix: '${prefix}' }, undefined).places)))`
  const script = 'mount --bind "$1/mnt/data/docker" "$1/var/lib/docker" && exec "$0" -e "$2"'
  const words = ['-m', 'sh', '-c', script, process.execPath, prefix, program]
  const { stdout, stderr } = spawnSync('unshare', words, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  })
  t.equal(stderr, '')
  const { length, 0: first } = JSON.parse(stdout)
  t.match(first, { path: '/mnt/data/docker', engine: 'Docker', settings: { driver: { value: 'vfs' } } })
  t.equal(length, DEFAULTS.length - 1)
})

t.test('two names of one root of containerd count once', async (t) => {
  const { containerd } = find(t, { 'var/lib/containerd': '-> docker/containerd/daemon' }, '/var/lib/docker')
  t.same(containerd, [{ path: '/var/lib/docker/containerd/daemon' }])
})

t.test('an engine keeps its containers there, or what stands in their place is named', async (t) => {
  const prefix = makeTree(t, { ...engine('a'), 'b/containers': '', 'c/containers': '-> ../a/containers' })
  t.same(
    ['/a', '/b', '/c', '/d'].filter((path) => isDocker({ prefix }, path)),
    ['/a', '/b', '/c'],
  )
})

t.test('the data of an engine that maps users is named', async (t) => {
  const { places, messages } = find(t, engine('var/lib/docker/100000.100000'))
  t.same(
    places.map(({ path }) => path),
    DEFAULTS,
    'and not read',
  )
  t.same(
    messages.map(({ text }) => text),
    [
      '/var/lib/docker/100000.100000: the data of an engine with user namespaces (userns-remap) is not read; its extensions are left out',
    ],
  )
  t.same(find(t, { 'var/lib/docker/1.2/x': '', 'var/lib/docker/x.1/containers/x': '' }).messages, [])
})

t.test('settings that cannot be used', async (t) => {
  for (const [text, problem] of [
    ['{', 'not valid JSON'],
    ['{"data-root": "relative"}', 'data-root is not an absolute path: relative'],
    ['{"data-root": ["/x"]}', 'data-root is not a string'],
  ] as const) {
    const { places, messages } = find(t, { 'etc/docker/daemon.json': text, ...engine('var/lib/docker') })
    t.same(
      places.map(({ path, left }) => [path, left]),
      DEFAULTS.map((path) => [path, undefined]),
    )
    t.same(messages, [{ level: 'warning', text: `/etc/docker/daemon.json: ${problem}; ignored` }])
  }
})

t.test('where containerd may have the layers, and where hostext may keep its own', async (t) => {
  const found = find(t, {}, '/data/docker')
  t.same(
    found.containerd.map(({ path }) => path),
    ['/var/lib/containerd', '/data/docker/containerd/daemon'],
  )
  t.same(findHomes(found), ['/data/docker', '/var/lib/containerd', '/data/docker/containerd/daemon'])
  const linked = find(t, { 'var/lib/containerd': '-> ../../srv/c', srv: '-> disk' }, '/data/docker')
  t.equal(linked.containerd[0]?.path, join('/disk/c'))
})

t.test(
  'the snapshots of containerd that are elsewhere: links are followed, and nobody else may move them',
  async (t) => {
    const config = '[plugins."io.containerd.snapshotter.v1.overlayfs"]\nroot_path = "/fast/snapshots"\n'
    const prefix = makeTree(t, { 'etc/containerd/config.toml': config, 'disk/x': '', fast: '-> disk' })
    chmodSync(join(prefix, 'disk'), 0o777)
    const { containerd, exposed } = findDataRoots({ prefix }, '/data/docker')
    t.same(containerd[0], { path: '/var/lib/containerd', snapshots: '/disk/snapshots' })
    t.match(exposed['/var/lib/containerd'], /^\/disk can be written by users other than root/)
  },
)
