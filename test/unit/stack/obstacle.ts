import t from 'tap'
import { DEFAULTS } from '../../../src/machine/configuration.js'
import { parseFstab } from '../../../src/machine/fstab.js'
import type { Machine } from '../../../src/machine/machine.js'
import { parseMountinfo } from '../../../src/machine/mountinfo.js'
import { findObstacle, findUnfit } from '../../../src/stack/obstacle.js'

const ROOT = '25 1 254:1 / / rw - ext4 /dev/vda1 rw'
const mount = (point: string, type: string, source: string, options = 'rw'): string =>
  `26 25 0:40 / ${point} rw - ${type} ${source} ${options}`
const machine = (change: Partial<Machine>, ...mounts: string[]): Machine =>
  ({
    commandLine: {},
    configuration: DEFAULTS,
    inContainer: false,
    mounts: parseMountinfo([ROOT, ...mounts].join('\n')),
    softReboot: true,
    hasNextRoot: false,
    updateWaits: false,
    hasPurgeMarker: false,
    ...change,
  }) as Machine

t.test('why a boot stays plain', async (t) => {
  t.equal(findObstacle(machine({})), undefined)
  const off = { off: 'rescue on the kernel command line' }
  t.equal(findObstacle(machine({ commandLine: off as Machine['commandLine'] })), off.off)
  t.match(findObstacle(machine({ inContainer: true })), 'running in a container, and Container=no')
  t.equal(
    findObstacle(machine({ inContainer: true, configuration: { ...DEFAULTS, container: true } })),
    undefined,
  )
  t.match(findObstacle(machine({ updateWaits: true })), 'an offline update is waiting')
  t.match(findObstacle(machine({ softReboot: false })), 'no directory /usr/lib/hostext/nextroot')
  t.equal(findObstacle(machine({ softReboot: false, hasNextRoot: true })), undefined)
  t.equal(
    findObstacle(machine({}, mount('/', 'overlay', 'hostext', 'ro,lowerdir=0:/'))),
    'the root is stacked already',
  )
})

t.test('the first boot sets the machine up', async (t) => {
  const id = mount('/etc/machine-id', 'tmpfs', 'tmpfs')
  const first = (change: Partial<Machine>, ...mounts: string[]): string | undefined => {
    const fstab = parseFstab('/dev/vda1 / ext4 rw\n')
    const facts = { isFirstBoot: true, fstab, planned: [], opensRoot: false, ...change }
    return findObstacle(machine(facts, ...mounts))
  }
  t.match(first({}, id), 'the first boot of this machine, which sets it up')
  t.equal(first({ isFirstBoot: false }, id), undefined, 'an ID that was empty')
  const forGood = 'every boot would be the first one'
  t.equal(first({}), undefined, 'the kernel command line says so of a machine with an ID')
  t.equal(first({ fstab: parseFstab('/dev/vda1 / ext4 ro\n') }, id), undefined, forGood)
  for (const type of ['tmpfs', 'ramfs', 'rootfs'])
    t.equal(first({}, mount('/', type, type), id), undefined, forGood)
  t.equal(first({}, mount('/', 'overlay', 'overlayroot'), id), undefined, forGood)
  t.equal(first({}, mount('/etc', 'ext4', '/dev/vdb'), id), undefined, forGood)
  const own = { ...parseFstab('/dev/vdb /etc ext4\n')[0], from: '/etc/fstab' }
  t.equal(first({ planned: [own as Machine['planned'][0]] }, id), undefined, forGood)
})

t.test('a root that is an overlay', async (t) => {
  const over = (lower: string, ...more: string[]): string | undefined =>
    findObstacle(machine({}, ...more, mount('/', 'overlay', 'overlay', `rw,${lower},upperdir=/u`)))
  t.equal(over('lowerdir=/media/ro', mount('/media/ro', 'ext4', '/dev/vda1')), undefined)
  t.equal(over('lowerdir=/hidden'), undefined, 'of a layer that only the initrd could see, nothing is known')
  const deep = /already an overlay on an overlay/
  const lower = mount('/media/ro', 'overlay', 'overlay', 'ro,lowerdir=/a:/b')
  t.match(over('lowerdir=/other:/media/ro', lower), deep)
  t.match(over('lowerdir+=/other,lowerdir+=/media/ro', lower), deep, 'as Linux 6.8 lists them')
})

t.test('a data root from which nothing can be stacked', async (t) => {
  t.equal(findUnfit(machine({}), '/var/lib/docker'), undefined)
  t.match(
    findUnfit(machine({}, mount('/var', 'overlay', 'overlay')), '/var/lib/docker'),
    'is on an overlay (/var)',
  )
  const data = mount('/mnt/data', 'ext4', '/dev/vdb')
  t.match(findUnfit(machine({}, data), '/mnt/data/docker'), 'remove_me_to_reset is missing')
  t.equal(findUnfit(machine({ hasPurgeMarker: true }, data), '/mnt/data/docker'), undefined)
  t.equal(findUnfit(machine({}, data), '/srv/docker'), undefined)
})
