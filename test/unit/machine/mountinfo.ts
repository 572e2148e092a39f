import t from 'tap'
import { isBelow, isMountedWritable, mountOf, parseMountinfo } from '../../../src/machine/mountinfo.js'

const mounts = parseMountinfo(`22 1 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 ro,errors=remount-ro
23 22 0:21 / /proc rw shared:2 - proc proc rw
nonsense
24 22 254:2 /sub /mnt/my\\040data rw - ext4 /dev/vda2 rw
25 22 0:30 / / ro - overlay hostext ro,lowerdir=0:/
`)
t.equal(mounts.length, 4)
t.same(mounts[2], {
  device: '254:2',
  root: '/sub',
  mountPoint: '/mnt/my data',
  type: 'ext4',
  source: '/dev/vda2',
  superOptions: ['rw'],
})
t.equal(
  mountOf(mounts, '/')?.source,
  'hostext',
  'of two mounts at one place the later one covers the earlier',
)
t.equal(mountOf(mounts, '/mnt/my data/docker')?.source, '/dev/vda2')
t.equal(mountOf(mounts, '/mnt/my database')?.source, 'hostext')
t.equal(mountOf([], '/'), undefined)
t.ok(isBelow('/a/b', '/a'))
t.ok(isBelow('/a', '/a'))
t.ok(isBelow('/a', '/'))
t.notOk(isBelow('/ab', '/a'))

t.test(
  'writable is what its superblock lets be written: in the sandbox of generators every mount is read-only',
  async (t) => {
    for (const [mount, superblock, writable] of [
      ['rw,noatime', 'rw', true],
      ['ro', 'rw', true],
      ['rw', 'ro', false],
    ] as const) {
      const [line] = parseMountinfo(`22 1 254:1 / / ${mount} - ext4 /dev/vda ${superblock}\n`)
      t.equal(isMountedWritable(line), writable, `${mount} ${superblock}`)
    }
    t.notOk(isMountedWritable(undefined))
  },
)
