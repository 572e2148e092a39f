import { writeFileSync } from 'node:fs'
import t from 'tap'
import { DAEMONS, DOCKER, readDaemon } from '../../../src/engine/daemon.js'
import { makeTree, type Tree } from '../../support/tree.js'

const read = (files: Tree, daemon = DOCKER) => readDaemon({ prefix: makeTree(t, files) }, daemon)
const FILE = '/etc/docker/daemon.json'
const json = (text: string | Buffer) => {
  const prefix = makeTree(t, { 'etc/docker/x': '' })
  writeFileSync(`${prefix}${FILE}`, text)
  return readDaemon({ prefix }, DOCKER)
}

t.test('nothing said', async (t) => {
  t.same(read({}), {})
  for (const text of [
    '',
    ' \n',
    '\ufeff',
    '{}',
    'null',
    '[]',
    '{"data-root": ""}',
    '{"features": [], "storage-driver": 1}',
  ])
    t.same(json(text), {}, text)
  t.same(json('{"features": {"containerd-snapshotter": "yes"}}'), {})
})

t.test('what the configuration file says', async (t) => {
  t.same(json('{"features": {"containerd-snapshotter": true}, "storage-driver": "vfs", "data-root": "/d"}'), {
    containerd: { value: true, where: FILE },
    driver: { value: 'vfs', where: FILE },
    dataRoot: { value: '/d', where: FILE },
  })
  t.match(json('{"graph": "/g"}').dataRoot, { value: '/g' }, 'the old name')
  t.match(json('{"graph": "/g", "data-root": "/d"}').dataRoot, { value: '/d' })
})

t.test('it has the encoding that its byte order mark says', async (t) => {
  const text = '{"data-root": "/srv/d"}'
  const little = Buffer.from(`\ufeff${text}`, 'utf16le')
  for (const [name, bytes] of Object.entries({
    'UTF-8': Buffer.from(`\ufeff${text}`),
    'UTF-16, little-endian': little,
    'UTF-16, big-endian': Buffer.from(little).swap16(),
  }))
    t.match(json(bytes), { dataRoot: { value: '/srv/d' }, problem: undefined }, name)
  for (const bytes of [little.subarray(0, 7), Buffer.from([0xfe, 0xff, 0, 0x7b])])
    t.same(json(bytes), { problem: `${FILE}: not valid JSON` })
})

t.test('what is wrong with it is said, and the rest counts', async (t) => {
  const unit = { 'usr/lib/systemd/system/docker.service': 'ExecStart=/usr/bin/dockerd -s vfs\n' }
  t.match(read({ ...unit, 'etc/docker/daemon.json': '{' }), {
    driver: { value: 'vfs' },
    problem: `${FILE}: not valid JSON`,
  })
  t.match(json('{"data-root": ["/x"], "storage-driver": "vfs"}'), {
    driver: { value: 'vfs' },
    dataRoot: undefined,
    problem: `${FILE}: data-root is not a string`,
  })
  t.match(read({ 'etc/docker/daemon.json/x': '' }).problem, `${FILE}: not a regular file but a directory`)
})

const unit = (command: string, more: Tree = {}) =>
  read({ 'usr/lib/systemd/system/docker.service': `[Service]\nExecStart=${command}\n`, ...more })
const where = 'the command line in docker.service'

t.test('what the command line says', async (t) => {
  for (const [words, value] of [
    ['--data-root /d', '/d'],
    ['--data-root=/d', '/d'],
    ['--graph /d', '/d'],
    ['-g /d', '/d'],
    ['-g=/d', '/d'],
    ['-g/d', '/d'],
    ['-D -g /d', '/d'],
    ['--data-root /a --data-root /d', '/d'],
    ['--data-root "/with space/d"', '/with space/d'],
    ["--data-root='/with space/d'", '/with space/d'],
    ['"--data-root=/d"', '/d'],
    ['--data-root /a\\ b', '/a b'],
    ['\\\n  --data-root \\\n  /d', '/d'],
  ] as const)
    t.same(unit(`/usr/bin/dockerd -H fd:// ${words}`), { dataRoot: { value, where } }, words)
  for (const words of ['--delta-data-root /d', '--log-driver g /d', 'data-root /d', ''])
    t.same(unit(`/usr/bin/balenad ${words}`), {}, words)
  t.match(unit('/usr/bin/dockerd -H fd:// --feature containerd-snapshotter=true'), {
    containerd: { value: true, where },
  })
  t.match(unit('/usr/bin/dockerd \\\n  --feature=containerd-snapshotter=false -s vfs'), {
    containerd: { value: false, where },
    driver: { value: 'vfs', where },
  })
  t.match(unit('/usr/bin/dockerd --feature containerd-snapshotter --storage-driver=overlay2'), {
    containerd: { value: true },
    driver: { value: 'overlay2' },
  })
  t.same(unit('/usr/bin/dockerd --feature other-containerd-snapshotter'), {})
})

t.test('a configuration file elsewhere', async (t) => {
  const files = { 'srv/d.json': '{"data-root": "/d"}', 'etc/docker/daemon.json': '{"data-root": "/no"}' }
  for (const words of ['--config-file /srv/d.json', '--config-file=/srv/d.json'])
    t.same(unit(`/usr/bin/dockerd ${words}`, files), { dataRoot: { value: '/d', where: '/srv/d.json' } })
})

t.test('variables', async (t) => {
  const debian = '/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\nEnvironmentFile=-/etc/default/docker'
  const options = {
    'etc/default/docker': '#DOCKER_OPTS="-s vfs"\nDOCKER_OPTS="--feature containerd-snapshotter -s btrfs"\n',
  }
  t.match(
    unit(debian, options),
    { containerd: { value: true }, driver: { value: 'btrfs' } },
    "Debian's own file",
  )
  t.same(unit(debian), {}, 'it need not be there')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd's
  t.match(unit('/bin/dockerd $A ${B}\nEnvironment="A=-s vfs" B=-g/d'), {
    driver: { value: 'vfs' },
    dataRoot: { value: '/d' },
  })
  // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd's
  t.match(unit('/bin/dockerd --data-root=${DIR}/d $NONE\nEnvironment=DIR=/srv'), {
    dataRoot: { value: '/srv/d' },
  })
})

t.test('variables of files count more than those of Environment=, wherever they are named', async (t) => {
  const files = {
    'etc/default/docker': 'A=-s btrfs\n',
    'etc/docker.d/b': 'A=-s zfs\n',
    'etc/docker.d/c': 'A=-g/c\n',
  }
  const driver = (lines: string) => unit(`/bin/dockerd $A\n${lines}`, files).driver?.value
  t.equal(driver('EnvironmentFile=/etc/default/docker\nEnvironment="A=-s vfs"'), 'btrfs')
  t.equal(driver('Environment="A=-s vfs"\nEnvironment='), undefined, 'taken back')
  t.equal(driver('EnvironmentFile=/etc/default/docker\nEnvironmentFile=\nEnvironment="A=-s vfs"'), 'vfs')
  t.match(
    unit('/bin/dockerd $A\nEnvironmentFile=-/etc/docker.d/*', files).dataRoot,
    { value: '/c' },
    'the last one',
  )
  t.equal(driver('EnvironmentFile=-/etc/docker.d/[b]'), 'zfs')
})

t.test('specifiers that say nothing but the name of the unit', async (t) => {
  const files = { 'etc/default/docker': 'A=-s btrfs\n' }
  for (const name of ['%p', '%N'])
    t.match(unit(`/bin/dockerd $A\nEnvironmentFile=-/etc/default/${name}`, files), {
      driver: { value: 'btrfs' },
    })
  t.match(unit('/bin/dockerd -g /srv/%n/%%').dataRoot, { value: '/srv/docker.service/%' })
  t.match(unit('/bin/dockerd -g /srv/%h').dataRoot, { value: '/srv/%h' }, 'others stay')
})

t.test('a shell that starts the daemon', async (t) => {
  for (const command of [
    '/bin/sh -c "exec dockerd --data-root /d"',
    "-/usr/bin/env A=b bash -ec 'dockerd --data-root=/d'",
    '/bin/sh -c "exec dockerd $OPTIONS"\nEnvironment=OPTIONS=--data-root=/d',
  ])
    t.same(unit(command), { dataRoot: { value: '/d', where } }, command)
  t.same(unit('/usr/bin/start "dockerd --data-root /d"'), {
    problem:
      'the command line in docker.service: the data root in "dockerd --data-root /d" is not understood',
  })
  t.same(unit('/usr/bin/start "dockerd -D"'), {})
})

t.test('drop-ins', async (t) => {
  const dropIn = (command: string) => `[Service]\nExecStart=\nExecStart=${command}\n`
  const files = {
    'usr/lib/systemd/system/docker.service.d/10-x.conf': dropIn('/bin/dockerd -s zfs'),
    'etc/systemd/system/docker.service.d/10-x.conf': dropIn('/bin/dockerd -s vfs'),
  }
  t.match(unit('/bin/dockerd -s btrfs', files), { driver: { value: 'vfs' } }, 'of one name the first counts')
  t.match(
    unit('/bin/dockerd', { ...files, 'etc/systemd/system/docker.service.d/20.conf': dropIn('/bin/dockerd') }),
    { driver: undefined },
    'the last one says how it is started',
  )
  t.match(unit('/bin/dockerd -s vfs', { 'etc/systemd/system/docker.service.d': '' }), {
    driver: { value: 'vfs' },
  })
})

t.test('other engines have their own units and files', async (t) => {
  const [, balena, snap] = DAEMONS
  const files = {
    'lib/systemd/system/balena-engine.service': 'ExecStart=/usr/bin/balenad -g /b\n',
    'lib/systemd/system/docker.service': 'ExecStart=/usr/bin/dockerd -g /no\n',
    'var/snap/docker/current/config/daemon.json': '{"data-root": "/s"}',
  }
  t.match(read(files, balena), {
    dataRoot: { value: '/b', where: 'the command line in balena-engine.service' },
  })
  t.match(read(files, snap), { dataRoot: { value: '/s' } })
  t.match(read({ 'etc/balena-engine/daemon.json': '{"graph": "/b"}' }, balena), { dataRoot: { value: '/b' } })
})
