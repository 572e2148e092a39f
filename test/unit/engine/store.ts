import t from 'tap'
import { chooseStore, findStale, readStoreSettings, type StoreSettings } from '../../../src/engine/store.js'
import { makeTree, type Tree } from '../../support/tree.js'

t.test('the store in use', async (t) => {
  const on = { value: true, where: 'x' }
  const off = { value: false, where: 'x' }
  const named = (value: string) => ({ value, where: 'y' })
  for (const [settings, drivers, driver] of [
    [{}, [], 'overlay2'],
    [{}, ['overlay2'], 'overlay2'],
    [{}, ['overlay2', 'overlayfs'], 'overlayfs'],
    [{ containerd: on }, ['overlay2'], 'overlayfs'],
    [{ containerd: on, driver: named('overlay2') }, ['overlay2'], 'overlayfs'],
    [{ containerd: off }, ['overlay2', 'overlayfs'], 'overlay2'],
    [{ driver: named('overlay2') }, ['overlayfs'], 'overlay2'],
    [{ driver: named('btrfs') }, ['overlay2'], 'btrfs'],
    [{ containerd: off, driver: named('vfs') }, ['overlay2'], 'vfs'],
  ] as [Partial<StoreSettings>, string[], string][]) {
    const store = chooseStore({ containerd: undefined, driver: undefined, ...settings }, new Set(drivers))
    t.equal(store.driver, driver, JSON.stringify([settings, drivers]))
  }
})

t.test('what is left in another store is named with both, and why', async (t) => {
  const why = 'somebody said so'
  t.equal(findStale('overlay2', { driver: 'overlay2', why }), undefined)
  t.equal(
    findStale('overlay2', { driver: 'overlayfs', why }),
    'it is in the overlay2 store, but the engine now uses the containerd store: create it again there (somebody said so)',
  )
  t.match(
    findStale('overlayfs', { driver: 'overlay2', why }),
    /in the containerd store, .* the overlay2 store:/,
  )
  t.match(findStale('overlay2', { driver: 'btr\nfs', why }), /now uses the btr\\x0afs store:/)
  t.equal(findStale('vfs', { driver: 'overlay2', why }), undefined, 'that is another matter')
})

t.test('what dockerd was told', async (t) => {
  const read = (files: Tree) => readStoreSettings({ prefix: makeTree(t, files) })
  const json = (text: string) => read({ 'etc/docker/daemon.json': text })
  t.same(read({}), { containerd: undefined, driver: undefined })
  t.same(json('{"features": {"containerd-snapshotter": true}, "storage-driver": "vfs"}'), {
    containerd: { value: true, where: '/etc/docker/daemon.json' },
    driver: { value: 'vfs', where: '/etc/docker/daemon.json' },
  })
  for (const odd of [
    '{',
    '[]',
    '{"features": [], "storage-driver": 1}',
    '{"features": {"containerd-snapshotter": "yes"}}',
  ])
    t.same(json(odd), { containerd: undefined, driver: undefined }, odd)

  const unit = (command: string, more: Tree = {}) =>
    read({ 'usr/lib/systemd/system/docker.service': `[Service]\nExecStart=${command}\n`, ...more })
  const where = "dockerd's command line"
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
  t.match(unit('/usr/bin/dockerd --feature other-containerd-snapshotter'), { containerd: undefined })

  const debian = '/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\nEnvironmentFile=-/etc/default/docker'
  const options = {
    'etc/default/docker': '#DOCKER_OPTS="-s vfs"\nDOCKER_OPTS="--feature containerd-snapshotter -s btrfs"\n',
  }
  t.match(
    unit(debian, options),
    { containerd: { value: true }, driver: { value: 'btrfs' } },
    "Debian's own file",
  )
  t.same(unit(debian), { containerd: undefined, driver: undefined }, 'it need not be there')
  t.match(
    unit(debian, {
      ...options,
      'usr/lib/systemd/system/docker.service.d/10-x.conf':
        '[Service]\nExecStart=\nExecStart=/bin/dockerd -s zfs\n',
      'etc/systemd/system/docker.service.d/10-x.conf':
        '[Service]\nExecStart=\nExecStart=/bin/dockerd -s vfs\n',
    }),
    { containerd: undefined, driver: { value: 'vfs' } },
    'a drop-in; of one name that of the administrator',
  )
})
