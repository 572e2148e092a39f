import t from 'tap'
import { ESSENTIAL, type EssentialTree, essentialBelow, essentialTree } from '../../../src/image/essential.js'
import { libraryPaths } from '../../../src/image/libraries.js'

/** Whether a path of the root is essential. */
function isEssential(path: string, paths: readonly string[] = ESSENTIAL): boolean {
  let levels: EssentialTree[] = [essentialTree(paths)]
  for (const name of path.split('/').filter(Boolean)) {
    const below = essentialBelow(levels, name)
    if (below === true) return true
    levels = below
  }
  return false
}

t.test('what a machine needs to boot', async (t) => {
  for (const path of [
    '/usr/sbin/init',
    '/usr/lib/systemd/systemd',
    '/usr/lib/systemd/systemd-udevd',
    // What the scripts in generators/ run while the stack is made and marked, and what runs them.
    ...'mount umount mountpoint systemctl udevadm cp mv sync sh dash bash busybox'
      .split(' ')
      .map((name) => `/usr/bin/${name}`),
    '/usr/lib/hostext/node',
    '/usr/lib/systemd/system-generators/hostext-generator',
    '/etc/fstab',
    '/etc/os-release',
    '/etc/hostext.conf.d/x.conf',
  ])
    t.ok(isEssential(path), path)
  for (const path of [
    '/usr/bin/wifi',
    '/usr/bin/mount.nfs',
    '/usr/lib/systemd/system/wifi.service',
    '/usr/lib/systemd/network/x.network',
    '/usr/lib/x86_64-linux-gnu/libwifi.so.1',
    '/usr/lib/firmware/libc.so.6',
    '/usr/lib/modules/6.1.0/ld-x',
    '/usr/share/fstab',
    '/usr',
    '/etc',
  ])
    t.notOk(isEssential(path), path)
})

t.test('the libraries of a root, and the links to them', async (t) => {
  const directory = '/usr/lib/x86_64-linux-gnu'
  const paths = libraryPaths({
    names: ['libmount.so.1'],
    files: [[`${directory}/libmount.so.1.1.0`, 1]],
    links: [`${directory}/libmount.so.1`],
    shadows: ['/usr/local/lib/libmount.so.1'],
  })
  for (const path of [`${directory}/libmount.so.1.1.0`, `${directory}/libmount.so.1`])
    t.ok(isEssential(path, paths), path)
  for (const path of [
    `${directory}/libmount.so`,
    `${directory}/libmount.so.1.2.0`,
    '/usr/local/lib/libmount.so.1',
  ])
    t.notOk(isEssential(path, paths), path)
})

t.test('patterns', async (t) => {
  const paths = ['/a/b*c/d', '/e/*', '/f', '/f/g', '/a/bxc/h', '/x*y*z']
  for (const path of ['/a/bc/d', '/a/bxxc/d', '/e/x', '/f/g', '/f/x', '/a/bxc/h', '/a/bxc/d', '/x1y2z'])
    t.ok(isEssential(path, paths), path)
  for (const path of ['/a/b/d', '/a/c/d', '/a/bc/x', '/e', '/a/bc/h', '/xz', '/xyyx'])
    t.notOk(isEssential(path, paths), path)
})
