import t, { type Test } from 'tap'
import type { Root } from '../../../src/machine/files.js'
import { parseFstab } from '../../../src/machine/fstab.js'
import { describePlanned, isRemote, readPlanned, readSwaps } from '../../../src/machine/planned.js'
import { readEnabled } from '../../../src/machine/unit-files.js'
import { makeTree, type Tree } from '../../support/tree.js'

const planned = (t: Test, files: Tree, fstab = '', extra: string[] = []) =>
  plannedOn({ prefix: makeTree(t, files) }, fstab, extra)
const plannedOn = (root: Root, fstab: string, extra: string[]) =>
  readPlanned(root, parseFstab(fstab), extra, readEnabled(root), [])
const places = (...words: Parameters<typeof planned>) => planned(...words).map(({ mountPoint }) => mountPoint)
const enabled = (name: string): Tree => ({
  [`etc/systemd/system/local-fs.target.wants/${name}`]: `-> ../${name}`,
})

t.test('what fstab mounts, where systemd mounts it', async (t) => {
  const fstab = 'x / ext4\nx /data ext4\nx //srv/./x/ ext4\nx /no ext4 noauto\nx none swap\n'
  t.same(places(t, { data: '-> mnt/data' }, fstab), ['/mnt/data', '/srv/x'])
})

t.test('the kernel command line', async (t) => {
  const words = [
    '/dev/sdb:/mnt/data:ext4:ro,noatime',
    'tmpfs\\x3ax:/mnt/b\\:c',
    '/dev/sdc:relative',
    'nothing',
    '/dev/sdd:/no:ext4:noauto',
  ]
  const rest = { passno: 1, from: 'systemd.mount-extra= on the kernel command line' }
  t.same(planned(t, {}, '', words), [
    { source: '/dev/sdb', mountPoint: '/mnt/data', type: 'ext4', options: ['ro', 'noatime'], ...rest },
    { source: 'tmpfs:x', mountPoint: '/mnt/b:c', type: 'auto', options: [], ...rest },
  ])
})

t.test('a /var in memory, where nothing else is mounted there', async (t) => {
  const on = (fstab: string) => readPlanned({ prefix: makeTree(t) }, parseFstab(fstab), [], [], [], true)
  const from = 'systemd.volatile=state on the kernel command line'
  t.match(on(''), [{ source: 'tmpfs', mountPoint: '/var', type: 'tmpfs', from }])
  t.match(on('/dev/vda2 /var ext4\n'), [{ source: '/dev/vda2', from: '/etc/fstab' }], 'as fstab says')
  t.same(places(t, {}), [])
})

t.test('units that are enabled', async (t) => {
  const unit = '[Mount]\nWhat=/dev/sdb\nWhere=/mnt/data\nType=ext4\nOptions=noatime,_netdev\n'
  const files = { 'etc/systemd/system/mnt-data.mount': unit }
  t.same(places(t, files), [], 'one that is not')
  t.same(planned(t, { ...files, ...enabled('mnt-data.mount') }), [
    {
      source: '/dev/sdb',
      mountPoint: '/mnt/data',
      type: 'ext4',
      options: ['noatime', '_netdev'],
      passno: 0,
      from: '/etc/systemd/system/mnt-data.mount',
    },
  ])
  t.same(places(t, { ...files, ...enabled('mnt-data.automount') }), ['/mnt/data'], 'at the first access')
  t.same(places(t, enabled('gone.mount')), [])
  t.same(places(t, { 'etc/systemd/system/m.mount': '-> /dev/null', ...enabled('m.mount') }), [], 'masked')
})

t.test('what is only mounted for an engine', async (t) => {
  const service = 'usr/lib/systemd/system/docker.service'
  const dropIn = 'etc/systemd/system/docker.service.d/x.conf'
  const start = { 'etc/systemd/system/multi-user.target.wants/docker.service': `-> /${service}` }
  const fstab =
    '/dev/vda2 /var/lib ext4 noauto\n/dev/vda3 /var/lib/docker ext4 noauto\n/dev/vda4 /srv ext4 noauto\n'
  const units = {
    'etc/systemd/system/var-lib-docker.mount': '[Mount]\nWhat=/dev/sdb\n',
    'etc/systemd/system/srv.mount': '[Mount]\nWhat=/dev/sdc\n',
    'etc/systemd/system/my\\x20disk.mount': '[Mount]\nWhat=/dev/sdd\n',
  }
  const asking = (line: string, files: Tree = start) => ({
    ...files,
    [service]: '[Service]\nExecStart=dockerd\n',
    [dropIn]: `[Unit]\n${line}\n`,
  })
  const both = ['/var/lib', '/var/lib/docker']
  t.same(places(t, asking('RequiresMountsFor=/var/lib/docker/volumes'), fstab), both, 'with what is above')
  t.same(places(t, asking('WantsMountsFor="/x" //var/lib/docker/'), fstab), both)
  t.same(places(t, asking('Requires=docker.socket var-lib-docker.mount'), fstab), both)
  t.same(places(t, asking('BindsTo=var-lib.mount'), fstab), ['/var/lib'])
  t.same(places(t, asking('Wants=srv.automount'), fstab), ['/srv'])
  t.same(places(t, asking('After=var-lib-docker.mount'), fstab), [], 'an order pulls nothing in')
  t.same(
    places(t, asking('RequiresMountsFor=/var/lib/docker', {}), fstab),
    [],
    'an engine that nothing starts',
  )
  const socket = { 'etc/systemd/system/sockets.target.wants/docker.socket': '-> /x' }
  t.same(places(t, asking('RequiresMountsFor=/var/lib/docker', socket), fstab), both, 'by its socket')
  t.same(places(t, asking('RequiresMountsFor=/srv "/my disk/x"', { ...start, ...units })), [
    '/srv',
    '/my disk',
  ])
  t.same(planned(t, asking('Requires=var-lib-docker.mount', { ...start, ...units })), [
    {
      ...{ source: '/dev/sdb', mountPoint: '/var/lib/docker', type: 'auto', options: [], passno: 0 },
      from: '/etc/systemd/system/var-lib-docker.mount',
    },
  ])
  t.same(places(t, asking('Requires=var-lib-docker.mount'), '', ['/dev/b:/var/lib/docker:ext4:noauto']), [
    '/var/lib/docker',
  ])
  const bound = '/dev/sdb1 /data ext4 noauto\n/data/docker /var/lib/docker none bind,noauto\n'
  t.same(
    places(t, asking('RequiresMountsFor=/var/lib/docker'), bound),
    ['/data', '/var/lib/docker'],
    'with what a bind shows',
  )
  t.same(places(t, {}, bound.replace('bind,noauto', 'bind')), ['/data', '/var/lib/docker'])
  const long = `/${'x/'.repeat(100_000)}`
  t.same(places(t, {}, `${long} /srv none bind\n`), ['/srv'], 'no path that the kernel takes')
})

t.test('a unit whose disk is checked, by the name that it gives it', async (t) => {
  const unit = (requires: string) =>
    `[Unit]\nRequires=${requires}\nAfter=systemd-fsck@x.service\n[Mount]\nWhat=/dev/sdb\n`
  const passno = (requires: string) =>
    planned(t, { 'run/hostext/generated/data.mount': unit(requires) })[0]?.passno
  t.equal(passno('x.service systemd-fsck@dev-sdb.service'), 1)
  t.equal(passno('x.service'), 0)
})

t.test('the first one for a place counts', async (t) => {
  const files = { 'etc/systemd/system/data.mount': '[Mount]\nWhat=/dev/unit\n', ...enabled('data.mount') }
  t.match(planned(t, files, '/dev/fstab /data ext4\n'), [{ source: '/dev/fstab' }])
})

t.test('what other generators mount, once it is seen', async (t) => {
  const found = planned(t, { 'run/hostext/generated/srv-x.mount': '[Mount]\nWhat=pool/x\nType=zfs\n' })
  t.match(found, [{ source: 'pool/x', mountPoint: '/srv/x', type: 'zfs' }])
  t.equal(found.map(describePlanned)[0], 'another generator (srv-x.mount): /srv/x (zfs)')
})

t.test('partitions by type', async (t) => {
  const partition = { mountPoint: '/home', device: '/dev/vda2', readOnly: true }
  t.match(readPlanned({ prefix: '/nonexistent' }, [], [], [], [partition]), [
    { source: '/dev/vda2', mountPoint: '/home', options: ['ro'] },
  ])
  const unit = { 'run/hostext/generated/home.mount': '[Mount]\nWhat=/dev/disk/by-diskseq/1-part2\n' }
  t.match(
    readPlanned({ prefix: makeTree(t, unit) }, [], [], [], [partition]),
    [{ source: '/dev/disk/by-diskseq/1-part2' }],
    'the unit of their generator, once it is seen',
  )
})

t.test('swap, by each of the ways to say so', async (t) => {
  const fstab = parseFstab('/swapfile none swap sw\n/off none swap noauto\n/dev/sda1 / ext4\n')
  const unit = (name: string, what: string): Tree => ({
    [`etc/systemd/system/${name}`]: `[Swap]\nWhat=${what}\n`,
  })
  const files = {
    ...unit('data-swap.swap', '/data/swap'),
    ...unit('off.swap', '/off'),
    'etc/systemd/system/swap.target.wants/data-swap.swap': '-> ../data-swap.swap',
    'etc/systemd/system/swap.target.wants/gone.swap': '-> ../gone.swap',
  }
  const root = { prefix: makeTree(t, files) }
  t.same(readSwaps(root, fstab, ['/my\\x3aswap:pri=5'], readEnabled(root)), [
    '/swapfile',
    '/my:swap',
    '/data/swap',
  ])
  t.same(readSwaps({ prefix: '/nonexistent' }, [], [], []), [])
})

t.test('what needs the network', async (t) => {
  t.ok(isRemote({ type: 'nfs4', options: [] }))
  t.ok(isRemote({ type: 'ext4', options: ['_netdev'] }))
  t.notOk(isRemote({ type: 'ext4', options: ['noatime'] }))
})
