import t from 'tap'
import { DEFAULTS } from '../../../src/machine/configuration.js'
import { type FstabEntry, isAutomatic, parseFstab } from '../../../src/machine/fstab.js'
import { type KernelCommandLine, readCommandLine } from '../../../src/machine/kernel-command-line.js'
import { type MountPoint, parseMountinfo } from '../../../src/machine/mountinfo.js'
import type { PlannedMount } from '../../../src/machine/planned.js'
import { chooseState, findOwn, findUsed, isRootWritable, withData } from '../../../src/stack/state.js'

const planned = (text: string): PlannedMount[] =>
  parseFstab(text)
    .filter(isAutomatic)
    .map((entry) => ({ ...entry, from: '/etc/fstab' }))

t.test('State=auto', async (t) => {
  const everything = ['/var', '/home', '/root', '/srv', '/tmp']
  t.same(chooseState('auto', false, [], everything), { state: [], refused: [] })
  t.same(chooseState('auto', true, [], everything).state, ['/var', '/home', '/root', '/srv'])
  t.same(chooseState('auto', true, [], ['/var', '/tmp']).state, ['/var'], 'real directories')
  t.same(chooseState('auto', true, planned('x /home ext4\nx /srv/data ext4'), everything).state, [
    '/var',
    '/root',
    '/srv',
  ])
})

t.test("the engine's data stays writable, as on the plain root", async (t) => {
  const machine = {
    configuration: DEFAULTS,
    commandLine: readCommandLine([]),
    fstab: parseFstab('x / ext4 rw'),
    planned: planned('y /mnt/disk ext4'),
    opensRoot: false,
    mounts: parseMountinfo('22 1 254:1 / / ro shared:1 - ext4 /dev/vda1 ro\n'),
  }
  const data = ['/data/docker', '/data/docker/containerd', '/var/lib/containerd', '/mnt/disk/docker']
  t.same(withData(machine, ['/var'], data), ['/var', '/data/docker'], 'on the root, once, in no state yet')
  t.same(withData({ ...machine, fstab: parseFstab('x / ext4 ro') }, [], data), [], 'a read-only root')
  const configuration = { ...DEFAULTS, state: ['/var'] }
  t.same(withData({ ...machine, configuration }, ['/var'], data), ['/var'], 'State= says what it is')
})

t.test(
  'what the initrd has mounted is not part of the root, unless it shows the same file system',
  async (t) => {
    const mounts = parseMountinfo(`1 0 8:1 /root / ro - btrfs /dev/sda1 rw
2 1 8:2 / /var rw - ext4 /dev/sda2 rw
3 1 8:1 /home /home rw - btrfs /dev/sda1 rw
`)
    t.same(findOwn(mounts, ['/var', '/home', '/srv', '/var/lib/x', '/variable']), [
      '/home',
      '/srv',
      '/variable',
    ])
    t.same(findOwn([], ['/var']), ['/var'], 'nothing is known')
    const sandbox = parseMountinfo(`1 0 8:1 / / ro - ext4 /dev/sda1 rw
2 1 0:40 / /tmp rw - tmpfs tmpfs rw
`)
    t.same(findOwn(sandbox, ['/var', '/tmp']), ['/var', '/tmp'], 'what PID 1 gives its generators')
  },
)

t.test('State= with a list', async (t) => {
  t.same(chooseState(['/data', '/nope'], false, [], ['/data']), {
    state: ['/data'],
    refused: [{ path: '/nope', why: 'is not a directory of the root, or is behind a link' }],
  })
  t.same(chooseState([], true, [], []), { state: [], refused: [] })
  t.same(
    chooseState(['/data/x', '/var'], true, planned('x /data ext4\ny /var ext4 noauto'), ['/data/x', '/var']),
    { state: ['/var'], refused: [{ path: '/data/x', why: 'is on a file system of its own (/etc/fstab)' }] },
  )
})

t.test('what a mount or swap writes to stays writable, where it is on the root', async (t) => {
  const use = (path: string) => ({ path, kind: 'directory' as const })
  const mounts = parseMountinfo(
    '1 0 8:1 / / ro - ext4 /dev/sda1 ro\n2 1 8:2 / /media/disk ro - ext4 /dev/sdb rw\n',
  )
  const paths = ['/data', '/data/inner', '/database', '/media/disk/x', '/opt/app', '/var/x']
  t.same(
    findUsed({ uses: paths.map(use), planned: planned('x /opt ext4'), mounts }, ['/var']).map(
      ({ path }) => path,
    ),
    ['/data', '/database'],
  )
})

t.test('whether the root would be writable', async (t) => {
  const [rw, ro, both] = ['x / ext4 defaults', 'x / ext4 ro', 'x / ext4 ro,rw'].map(
    (line) => parseFstab(line)[0],
  )
  const mount = (option: string) => ({
    root: '/',
    device: '',
    mountPoint: '/',
    type: '',
    source: '',
    superOptions: [option],
  })
  const line = { target: 'default.target' }
  const isWritable = (
    entry: FstabEntry | undefined,
    words: KernelCommandLine,
    root: MountPoint | undefined,
    opensRoot = false,
  ) => isRootWritable(entry, words, root, opensRoot)
  t.ok(isWritable(rw, { ...line, root: 'ro' }, mount('ro')), 'fstab says so, and systemd-remount-fs does it')
  t.notOk(isWritable(ro, { ...line, root: 'rw' }, mount('rw')))
  t.ok(isWritable(both, line, undefined))
  t.ok(isWritable(undefined, { ...line, root: 'rw' }, mount('ro')))
  t.notOk(isWritable(undefined, { ...line, root: 'ro' }, mount('rw')))
  t.ok(isWritable(undefined, line, mount('rw')))
  t.notOk(isWritable(undefined, line, mount('ro')))
  t.notOk(isWritable(undefined, line, undefined))
  t.ok(isWritable(undefined, line, mount('ro'), true), 'its partition has the type of a root')
  t.ok(isWritable(undefined, line, mount('rw'), false))
  t.notOk(isWritable(ro, line, mount('ro'), true), 'fstab says what it is')
  t.notOk(isWritable(undefined, { ...line, root: 'ro' }, mount('ro'), true), 'the command line says it')
  for (const type of ['squashfs', 'erofs', 'overlay'])
    t.notOk(isWritable(rw, { ...line, root: 'rw' }, { ...mount('rw'), type }, true), type)
})
