/**
 * The rules of images, on real directories: layers, a root, and what becomes of them. Scripts make them.
 */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { withMerged } from '../../../src/image/merged.js'
import type { StateEntry } from '../../../src/image/state-copy.js'
import { makeTree as makeKeptTree, type Owners } from '../../../src/image/tree.js'
import { isSameFile, listTree, NO_OWNERS, STATE, treeOf } from '../../support/image.js'
import { cannotMount } from '../../support/private.js'
import { makeTree } from '../../support/tree.js'

if (cannotMount) {
  t.pass(cannotMount, { skip: cannotMount })
  process.exit(0)
}

/** A root whose directories are links where they are on most machines. */
const MERGED =
  'mkdir -p usr/bin usr/lib usr/sbin etc var; ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/sbin sbin'

const owners = (users: [number, number][], groups: [number, number][] = users): Owners => ({
  users: new Map(users),
  groups: new Map(groups),
})

t.test('files are links to those of the layers, the uppermost of each', async (t) => {
  const { made, tree, out, layer } = await treeOf(t, [
    'mkdir -p usr/share; echo new >usr/share/x; mknod usr/share/gone c 0 0; mknod etc c 0 0',
    'mkdir -p usr/share etc; echo old >usr/share/x; echo y >usr/share/y; echo z >usr/share/gone; echo e >etc/e',
  ])
  t.same(tree, { usr: 'directory', 'usr/share': 'directory', 'usr/share/x': 'new', 'usr/share/y': 'y' })
  t.ok(isSameFile(join(out, 'usr/share/x'), join(layer(0), 'usr/share/x')))
  t.ok(isSameFile(join(out, 'usr/share/y'), join(layer(1), 'usr/share/y')))
  t.match(made, { files: 2, directories: 2, bytes: 6, copied: 0 })
  t.same([made.notes, made.state, made.hostKeys], [[], [], []])
})

t.test('a directory that one layer deletes and makes anew has only what is new', async (t) => {
  const { tree } = await treeOf(t, [
    'mkdir -p opt/app; echo 2 >opt/app/two; setfattr -n trusted.overlay.opaque -v y opt/app 2>/dev/null ||' +
      " python3 -c \"import os; os.setxattr('opt/app', 'trusted.overlay.opaque', b'y')\"",
    'mkdir -p opt/app; echo 1 >opt/app/one; echo old >opt/app/two',
  ])
  t.same(tree, { opt: 'directory', 'opt/app': 'directory', 'opt/app/two': '2' })
})

t.test('an image of one layer', async (t) => {
  const { tree } = await treeOf(t, ['mkdir etc; echo x >etc/x; mknod etc/whiteout c 0 0'])
  t.same(tree, { etc: 'directory', 'etc/x': 'x' }, 'a whiteout of nothing is nothing')
})

t.test('deletions that the kernel does not know', async (t) => {
  for (const name of ['.wh.gone', '.wh..wh..opq'])
    await t.rejects(treeOf(t, [`mkdir -p usr/share; : >usr/share/${name}`]), {
      message: new RegExp(
        `^/usr/share/${name.replaceAll('.', '\\.')} stands for a deletion, .* fuse-overlayfs `,
      ),
    })
  const { tree } = await treeOf(t, ['mkdir -p usr/share; : >usr/share/.wha; : >usr/share/.wh..wh.plnk'])
  t.same(Object.keys(tree).slice(2), ['usr/share/.wh..wh.plnk', 'usr/share/.wha'], 'other names')
})

t.test('a file whose contents a power cut has taken is no file of the image', async (t) => {
  const asked: string[][] = []
  const sizes = (layer: string, paths: ReadonlySet<string>) => {
    asked.push([layer.slice(layer.lastIndexOf('/') + 1), ...paths])
    return new Map([['/usr/lib/tool', 7]].filter(([path]) => paths.has(path as string)) as [string, number][])
  }
  await t.rejects(treeOf(t, ['mkdir -p usr/lib; : >usr/lib/tool'], ':', { sizes }), {
    message: /^\/usr\/lib\/tool is empty, and had 7 bytes when the engine unpacked it: /,
  })
  const others = 'mkdir -p usr/lib; echo longer >usr/lib/tool; : >usr/lib/empty'
  const { tree } = await treeOf(t, [others], ':', { sizes })
  t.same(tree['usr/lib/empty'], '', 'one that was always empty')
  t.same(asked, [
    ['0', '/usr/lib/tool'],
    ['0', '/usr/lib/empty'],
  ])
  await t.resolves(treeOf(t, ['mkdir -p usr/lib; : >usr/lib/tool'], ':', { sizes: () => undefined }))
})

t.test('hard links between files stay, set-uid bits and capabilities too', async (t) => {
  const { tree, out } = await treeOf(t, [
    `mkdir -p usr/bin; echo x >usr/bin/a; ln usr/bin/a usr/bin/b; chmod 4755 usr/bin/a
     cp /bin/true usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping`,
  ])
  t.ok(isSameFile(join(out, 'usr/bin/a'), join(out, 'usr/bin/b')))
  t.equal(tree['usr/bin/a'], 'x 4755')
  t.match(capabilities(join(out, 'usr/bin/ping')), /cap_net_raw=ep/)
})

t.test('tables of cron, which runs none that has another name', async (t) => {
  const { made, out, layer } = await treeOf(t, [
    'mkdir -p etc/cron.d etc/cron.daily; echo 1 >etc/cron.d/job; echo 2 >etc/crontab; echo 3 >etc/cron.daily/x; chmod 600 etc/cron.d/job',
  ])
  for (const path of ['etc/cron.d/job', 'etc/crontab']) {
    const [copy, original] = [out, layer(0)].map((directory) => lstatSync(join(directory, path)))
    t.equal(copy?.nlink, 1, path)
    t.same([copy?.mode, copy?.uid, copy?.size], [original?.mode, original?.uid, original?.size])
  }
  t.ok(isSameFile(join(out, 'etc/cron.daily/x'), join(layer(0), 'etc/cron.daily/x')))
  t.match(made, { files: 3, copied: 4 })
})

function capabilities(path: string): string {
  return execFileSync('getcap', [path], { encoding: 'utf8' })
}

t.test('where the root has a link, files go where it leads', async (t) => {
  const { made, tree } = await treeOf(
    t,
    [
      `mkdir -p lib/systemd/system sbin bin usr/sbin opt/app usr/local/bin usr/lib/x
       echo unit >lib/systemd/system/x.service; echo s >sbin/s; echo b >bin/b; echo us >usr/sbin/us
       echo app >opt/app/app; echo l >usr/local/bin/l; echo ux >usr/lib/x/ux`,
    ],
    `mkdir -p usr/bin usr/lib etc var/opt var/usrlocal
     ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/sbin sbin; ln -s bin usr/sbin
     ln -s var/opt opt; ln -s ../var/usrlocal usr/local`,
  )
  t.same(tree, {
    usr: 'directory',
    'usr/bin': 'directory',
    'usr/bin/b': 'b',
    'usr/bin/s': 's',
    'usr/bin/us': 'us',
    'usr/lib': 'directory',
    'usr/lib/systemd': 'directory',
    'usr/lib/systemd/system': 'directory',
    'usr/lib/systemd/system/x.service': 'unit',
    'usr/lib/x': 'directory',
    'usr/lib/x/ux': 'ux',
    // What is behind a link to the state is state.
    'usr/share': 'directory',
    'usr/share/factory': 'directory',
    'usr/share/factory/var': 'directory',
    'usr/share/factory/var/opt': 'directory',
    'usr/share/factory/var/opt/app': 'directory',
    'usr/share/factory/var/opt/app/app': 'app',
    'usr/share/factory/var/usrlocal': 'directory',
    'usr/share/factory/var/usrlocal/bin': 'directory',
    'usr/share/factory/var/usrlocal/bin/l': 'l',
  })
  t.same(made.notes.sort(), [
    "moved: /bin to /usr/bin, where the root's link leads",
    "moved: /lib to /usr/lib, where the root's link leads",
    "moved: /opt to /var/opt, where the root's link leads: it is copied there once, and an update of the image does not replace it",
    "moved: /sbin to /usr/bin, where the root's link leads",
    "moved: /usr/local to /var/usrlocal, where the root's link leads: it is copied there once, and an update of the image does not replace it",
    "moved: /usr/sbin to /usr/bin, where the root's link leads",
  ])
  t.same(
    made.state.map(({ path }) => path),
    [
      '/var/opt',
      '/var/opt/app',
      '/var/opt/app/app',
      '/var/usrlocal',
      '/var/usrlocal/bin',
      '/var/usrlocal/bin/l',
    ],
  )
})

t.test('links of the image that are those of the root add nothing', async (t) => {
  const { made, tree } = await treeOf(
    t,
    ['mkdir -p usr/lib; ln -s usr/lib lib; ln -s usr/bin bin; echo x >usr/lib/x'],
    MERGED,
  )
  t.same(tree, { usr: 'directory', 'usr/lib': 'directory', 'usr/lib/x': 'x' })
  t.same(made.notes, [])
})

t.test('a link of the image where the root has another one', async (t) => {
  const { made, tree } = await treeOf(
    t,
    [
      `mkdir -p nix/store/env/bin usr; echo x >nix/store/env/bin/x; ln -s nix/store/env/bin bin
       ln -s /usr/lib lib; ln -s usr/bin sbin; ln -s x usr/link`,
    ],
    `${MERGED}; rm -r usr/sbin; ln -s bin usr/sbin; ln -s y usr/link`,
  )
  t.equal(tree['nix/store/env/bin/x'], 'x')
  t.same([tree.bin, tree.lib, tree.sbin], [undefined, undefined, undefined])
  t.equal(tree['usr/link'], '-> x', 'any other is a file as all others')
  t.same(made.notes, ['not taken: /bin: the root has another link there, to /usr/bin'])
})

t.test('a link of the image where the root has a directory', async (t) => {
  const { made, tree } = await treeOf(
    t,
    ['mkdir -p usr/bin; echo x >usr/bin/x; ln -s bin usr/sbin; ln -s /nowhere opt; echo file >srv'],
    'mkdir -p usr/bin usr/sbin opt srv',
  )
  t.same(tree, { usr: 'directory', 'usr/bin': 'directory', 'usr/bin/x': 'x' })
  t.same(made.notes, [
    'not taken: /opt: the root has a directory there',
    'not taken: /srv: the root has a directory there',
  ])
})

t.test('a directory of the image where the root has a link that leads to none', async (t) => {
  const image = 'for d in a b c d e f g h; do mkdir $d; echo $d >$d/file; done; mkdir usr; echo u >usr/u'
  const { made, tree } = await treeOf(
    t,
    [image],
    `ln -s run/a a; ln -s nowhere b; ln -s c c; ln -s / d; ln -s file e; echo file >file
     ln -s ../../../usr f; mkdir usr; ln -s g2 g; ln -s g g2; ln -s file/x h`,
  )
  t.equal(tree['usr/u'], 'u')
  t.equal(tree['usr/file'], 'f', 'a link that climbs ends at the top, as for the kernel')
  t.equal(tree['nowhere/file'], 'b', 'the directory will be there')
  t.notOk(
    Object.keys(tree).some((path) => /^(?:run|c|d|e|g|g2|h)(?:\/|$)/.test(path)),
    Object.keys(tree).join(' '),
  )
  t.same(made.notes.sort(), [
    'dropped: /a: nothing of an image is visible there',
    "moved: /b to /nowhere, where the root's link leads",
    "moved: /f to /usr, where the root's link leads",
    'not taken: /c: the root has a link there that leads to no directory',
    'not taken: /d: the root has a link there that leads to no directory',
    'not taken: /e: the root has a link there that leads to no directory',
    'not taken: /g: the root has a link there that leads to no directory',
    'not taken: /h: the root has a link there that leads to no directory',
  ])
})

t.test('what the image has at the place itself comes before what is moved there', async (t) => {
  const { made, tree } = await treeOf(
    t,
    ['mkdir -p bin usr/bin; echo moved >bin/x; echo own >usr/bin/x'],
    MERGED,
  )
  t.equal(tree['usr/bin/x'], 'own')
  t.same(made.notes.sort(), [
    "moved: /bin to /usr/bin, where the root's link leads",
    'not taken: /bin/x: the image has another file at /usr/bin/x',
  ])
})

t.test('a link of the image to what is moved to its own place', async (t) => {
  for (const [image, root] of [
    // Debian's open-iscsi, where /usr/sbin is a link; an image that is not merged, where /bin and /lib are.
    [
      'mkdir -p usr/bin usr/sbin; ln -s usr/sbin sbin; ln -s /sbin/x usr/bin/x; echo x >usr/sbin/x',
      'ln -s bin usr/sbin; ln -s usr/bin sbin',
    ],
    ['mkdir -p usr/bin bin; ln -s ../../bin/x usr/bin/x; echo x >bin/x', 'ln -s usr/bin bin'],
    ['mkdir -p usr/bin bin; ln -s /usr/bin/x bin/x; echo x >usr/bin/x', 'ln -s usr/bin bin'],
    [
      'mkdir -p usr/bin bin; ln -s /bin/x usr/bin/x; echo x >bin/x',
      'ln -s usr/bin bin; ln -s /opt/x usr/bin/x',
    ],
  ] as const) {
    const { made, tree } = await treeOf(t, [image], `mkdir -p usr/bin; ${root}`)
    t.equal(tree['usr/bin/x'], 'x', image)
    t.notMatch(made.notes.join('\n'), /not taken/)
    t.equal(made.files, Object.values(tree).filter((what) => what !== 'directory').length)
  }
  const { tree } = await treeOf(
    t,
    ['mkdir -p usr/lib lib/x usr/bin; ln -s /lib/x usr/lib/x; echo y >lib/x/y; ln -s /bin/none usr/bin/none'],
    MERGED,
  )
  t.equal(tree['usr/lib/x/y'], 'y', 'a directory')
  t.equal(tree['usr/bin/none'], undefined, 'a link to itself would hide what the root has there')
})

t.test('relative links that are moved lead where they led', async (t) => {
  const { made, tree } = await treeOf(
    t,
    [
      `mkdir -p bin lib/a lib64 opt/app; ln -s ../usr/libexec/y bin/y; ln -s z bin/z; ln -s ../sbin/s bin/s
       ln -s ../b.so lib/a/b.so; ln -s ../../usr/x lib/a/x; ln -s /lib/c lib/a/c; ln -s ../lib/ld.so lib64/ld.so
       ln -s ../../usr/bin/app opt/app/app; ln -s data opt/app/link`,
    ],
    `${MERGED}; mkdir -p usr/lib64; ln -s usr/lib64 lib64; ln -s var/opt opt`,
  )
  t.match(tree, {
    'usr/bin/y': '-> /usr/libexec/y',
    'usr/bin/z': '-> z',
    'usr/bin/s': '-> ../sbin/s',
    'usr/lib/a/b.so': '-> ../b.so',
    'usr/lib/a/x': '-> /usr/x',
    'usr/lib/a/c': '-> /lib/c',
    'usr/lib64/ld.so': '-> ../lib/ld.so',
  })
  t.same(
    made.state.filter(({ link }) => link !== undefined),
    [
      { path: '/var/opt/app/app', link: '/usr/bin/app' },
      { path: '/var/opt/app/link', link: 'data' },
    ],
  )
  t.equal(made.files, 7)
})

t.test('a directory and a file of the image that end up at one place', async (t) => {
  const { made, tree } = await treeOf(
    t,
    [
      'mkdir -p lib/x usr/lib; echo moved >lib/x/y; echo own >usr/lib/x; mkdir -p usr/sbin/z; mkdir sbin; echo f >sbin/z',
    ],
    MERGED,
  )
  t.equal(tree['usr/lib/x'], 'own')
  t.equal(tree['usr/sbin/z'], 'directory')
  t.match(made.notes.join('\n'), /not taken: \/lib\/x/)
  t.match(made.notes.join('\n'), /not taken: \/sbin\/z/)
})

t.test('owner and mode of a directory that the root has are the root’s', async (t) => {
  const { made, tree } = await treeOf(
    t,
    [
      `mkdir -p usr/lib/app etc/systemd/system etc/own tmp2
       chmod 0700 usr; chown -R 1000:1000 etc/systemd; chmod 2775 etc/own; chown 5:6 etc/own
       echo x >usr/x; echo unit >etc/systemd/system/x.service; chown 1000 etc/systemd/system/x.service`,
    ],
    'mkdir -p usr/lib etc/systemd/system; chown 7:8 usr/lib; chmod 0711 etc',
  )
  t.match(tree, {
    usr: 'directory',
    'usr/lib': 'directory 7:8',
    'usr/lib/app': 'directory',
    etc: 'directory 0711',
    'etc/systemd': 'directory',
    'etc/systemd/system': 'directory',
    'etc/systemd/system/x.service': 'unit 1000:0',
    'etc/own': 'directory 5:6 2775',
  })
  t.same(made.notes.sort(), [
    "/etc/systemd/system: owner and mode are the root's, not 1000:1000 0755",
    "/etc/systemd: owner and mode are the root's, not 1000:1000 0755",
    "/etc: owner and mode are the root's, not 0:0 0755",
    "/usr/lib: owner and mode are the root's, not 0:0 0755",
    "/usr: owner and mode are the root's, not 0:0 0700",
  ])
  for (const [path, what] of [
    ['/usr', 'directory 0:0 0755'],
    ['/etc', 'directory 0:0 0711'],
    ['/etc/systemd/system', 'directory 0:0 0755'],
    ['/etc/own', 'nothing'],
  ])
    t.same(
      made.looked.filter(([place]) => place === path),
      [[path, what]],
    )
})

t.test('the top of the tree is the root’s', async (t) => {
  const { out } = await treeOf(t, ['echo x >x; chmod 0777 .; chown 1000 .'])
  const { mode, uid } = statSync(out)
  t.same([mode & 0o7777, uid], [0o755, 0])
})

t.test('what belongs to the machine', async (t) => {
  const { made, tree } = await treeOf(t, [
    `mkdir -p etc/ssh var/lib/dbus; echo 1 >etc/machine-id; echo p >etc/passwd; echo s >etc/shadow; echo h >etc/hosts
     ln -s ../proc/mounts etc/mtab; ln -s ../run/resolv.conf etc/resolv.conf; mkdir etc/hostname; echo x >etc/hostname/x
     echo k >etc/ssh/ssh_host_rsa_key; echo c >etc/ssh/sshd_config; echo own >etc/own
     echo id >var/lib/dbus/machine-id`,
  ])
  const { etc, 'etc/own': own, 'etc/ssh': ssh, 'etc/ssh/sshd_config': sshd, ...rest } = tree
  t.same([etc, own, ssh, sshd], ['directory', 'own', 'directory', 'c'])
  t.same(Object.keys(rest).pop(), 'usr/share/factory/var/lib/dbus')
  t.equal(Object.keys(rest).filter((path) => path.startsWith('etc')).length, 0)
  t.same(made.hostKeys, ['/etc/ssh/ssh_host_rsa_key'])
  t.same(
    made.notes.sort(),
    [
      ...[
        'hostname',
        'hosts',
        'machine-id',
        'mtab',
        'passwd',
        'resolv.conf',
        'shadow',
        'ssh/ssh_host_rsa_key',
      ].map((name) => `dropped: /etc/${name}: it belongs to the machine`),
      'dropped: /var/lib/dbus/machine-id: it belongs to the machine',
    ].sort(),
  )
})

t.test('words for PID 1', async (t) => {
  const { made, tree } = await treeOf(t, [
    'mkdir -p etc; touch .dockerenv .autorelabel etc/initrd-release; ln -s var system-update; echo x >x',
  ])
  t.same(tree, { etc: 'directory', x: 'x' })
  t.match(made.notes, { length: 4 })
  t.match(made.notes[0], /^dropped: \/\.autorelabel: systemd would take the machine for something else$/)
})

t.test('what keeps services from being reached while an image is built', async (t) => {
  const image = 'mkdir -p usr/sbin; echo exit 101 >usr/sbin/policy-rc.d; echo x >usr/sbin/x'
  for (const [root, kept] of [
    [':', 'usr/sbin/x'],
    ['mkdir -p usr/bin; ln -s bin usr/sbin', 'usr/bin/x'],
  ] as const) {
    const { made, tree } = await treeOf(t, [image], root)
    t.same(Object.keys(tree).pop(), kept)
    t.equal(Object.keys(tree).length, 3)
    t.match(made.notes.join('\n'), /dropped: \/usr\/s?bin\/policy-rc\.d: it is for building images/)
  }
})

t.test('API directories, empty or not', async (t) => {
  const { made, tree } = await treeOf(t, [
    'mkdir -p dev proc run/x sys tmp usr; mknod dev/console c 5 1; echo x >run/x/y; echo u >usr/u',
  ])
  t.same(tree, { usr: 'directory', 'usr/u': 'u' })
  t.same(made.notes, [
    'dropped: /dev: nothing of an image is visible there',
    'dropped: /run: nothing of an image is visible there',
  ])
})

const withoutOwners = (state: StateEntry[]) => state.map(({ directory: _, ...entry }) => entry)

t.test('state is kept in the factory, and listed', async (t) => {
  const { made, tree, out, layer } = await treeOf(t, [
    `mkdir -p var/lib/app/data var/lib/dpkg var/cache/app var/log/app home/app root/.config srv/www var/lib/empty
     chown 5:6 var/lib/app; chmod 0750 var/lib/app; echo x >var/lib/app/data/x; chmod 0600 var/lib/app/data/x
     echo s >var/lib/dpkg/status; echo c >var/cache/app/c; echo l >var/log/app/l; chown 7 var/log/app
     ln -s app var/lib/link; echo h >home/app/h; echo r >root/.config/r; echo w >srv/www/w
     mkfifo var/lib/app/fifo`,
  ])
  t.same(tree, {
    usr: 'directory',
    'usr/share': 'directory',
    'usr/share/factory': 'directory',
    'usr/share/factory/home': 'directory',
    'usr/share/factory/home/app': 'directory',
    'usr/share/factory/home/app/h': 'h',
    'usr/share/factory/root': 'directory',
    'usr/share/factory/root/.config': 'directory',
    'usr/share/factory/root/.config/r': 'r',
    'usr/share/factory/srv': 'directory',
    'usr/share/factory/srv/www': 'directory',
    'usr/share/factory/srv/www/w': 'w',
    'usr/share/factory/var': 'directory',
    'usr/share/factory/var/cache': 'directory',
    'usr/share/factory/var/cache/app': 'directory',
    'usr/share/factory/var/lib': 'directory',
    'usr/share/factory/var/lib/app': 'directory 5:6 0750',
    'usr/share/factory/var/lib/app/data': 'directory',
    'usr/share/factory/var/lib/app/data/x': 'x 0600',
    'usr/share/factory/var/lib/empty': 'directory',
    'usr/share/factory/var/log': 'directory',
    'usr/share/factory/var/log/app': 'directory 7:0',
  })
  t.ok(isSameFile(join(out, 'usr/share/factory/home/app/h'), join(layer(0), 'home/app/h')))
  t.same(withoutOwners(made.state), [
    ...['/home/app', '/home/app/h', '/root/.config', '/root/.config/r', '/srv/www', '/srv/www/w'].map(
      (path) => ({ path }),
    ),
    ...['/var/cache', '/var/cache/app', '/var/lib', '/var/lib/app', '/var/lib/app/data'].map((path) => ({
      path,
    })),
    { path: '/var/lib/app/data/x' },
    { path: '/var/lib/empty' },
    { path: '/var/lib/link', link: 'app' },
    { path: '/var/log' },
    { path: '/var/log/app' },
  ])
  t.same(made.notes, [
    'not taken: /var/lib/app/fifo: only files, directories and links are copied to the state',
    'not taken: 3 logs, caches and databases of packages below /var, /home, /root, /srv',
  ])
})

t.test('users whose services run without a login', async (t) => {
  const { made, tree } = await treeOf(t, [
    'mkdir -p var/lib/systemd/linger var/lib/systemd/timers; touch var/lib/systemd/linger/app var/lib/systemd/random-seed',
  ])
  t.same(
    made.state.map(({ path }) => path),
    ['', '/systemd', '/systemd/linger', '/systemd/linger/app'].map((path) => `/var/lib${path}`),
  )
  t.equal(tree['usr/share/factory/var/lib/systemd/linger/app'], '')
  t.notOk('usr/share/factory/var/lib/systemd/timers' in tree)
  const other = await treeOf(t, ['mkdir -p var/lib/systemd/timers'])
  t.same(
    other.made.state.map(({ path }) => path),
    ['/var/lib'],
  )
})

t.test('where there is no state, the files are in the tree as they are', async (t) => {
  const { made, tree } = await treeOf(t, ['mkdir -p var/lib/x home/y; echo x >var/lib/x/x'], ':', {
    state: ['/home'],
  })
  t.equal(tree['var/lib/x/x'], 'x')
  t.equal(tree['usr/share/factory/home/y'], 'directory')
  t.same(made.state, [{ path: '/home/y', directory: { uid: 0 } }])
})

t.test('an image’s own factory stays', async (t) => {
  const { tree } = await treeOf(t, [
    'mkdir -p usr/share/factory/etc var/lib/x; echo p >usr/share/factory/etc/pam',
  ])
  t.equal(tree['usr/share/factory/etc/pam'], 'p')
  t.equal(tree['usr/share/factory/var/lib/x'], 'directory')
})

t.test(
  'owners that have another ID here: their files are copied, the engine’s stay as they are',
  async (t) => {
    const { made, tree, out, layer } = await treeOf(
      t,
      [
        `mkdir -p usr/bin var/lib/app etc/app; echo x >usr/bin/x; chown 100:101 usr/bin/x; chmod 6750 usr/bin/x
       touch -d 2001-02-03 usr/bin/x; echo g >usr/bin/g; chown 0:101 usr/bin/g; echo o >usr/bin/other; chown 5 usr/bin/other
       ln -s x usr/bin/l; chown -h 100 usr/bin/l; touch -h -d 2001-02-03 usr/bin/l; chown 100 etc/app
       chown 100:101 var/lib/app; echo d >var/lib/app/d; chown 100 var/lib/app/d; mkfifo -m 640 usr/bin/fifo; chown 100 usr/bin/fifo
       cp /bin/true usr/bin/cap; chown 100 usr/bin/cap; setcap cap_net_raw+ep usr/bin/cap`,
      ],
      ':',
      { owners: owners([[100, 900]], [[101, 901]]) },
    )
    t.match(tree, {
      'usr/bin/x': 'x 900:901 6750',
      'usr/bin/g': 'g 0:901',
      'usr/bin/other': 'o 5:0',
      'usr/bin/l': '-> x 900:0',
      'usr/bin/fifo': 'FIFO 900:0 0640',
      'etc/app': 'directory 900:0',
      'usr/share/factory/var/lib/app': 'directory 900:901',
      'usr/share/factory/var/lib/app/d': 'd 900:0',
    })
    t.match(listTree(layer(0)), {
      'usr/bin/x': 'x 100:101 6750',
      'usr/bin/l': '-> x 100:0',
      'usr/bin/g': 'g 0:101',
    })
    t.ok(isSameFile(join(out, 'usr/bin/other'), join(layer(0), 'usr/bin/other')))
    t.notOk(isSameFile(join(out, 'usr/bin/x'), join(layer(0), 'usr/bin/x')))
    for (const name of ['x', 'l'])
      t.equal(lstatSync(join(out, 'usr/bin', name)).mtime.getUTCFullYear(), 2001, `the time of ${name}`)
    t.match(capabilities(join(out, 'usr/bin/cap')), /cap_net_raw=ep/)
    t.match(capabilities(join(layer(0), 'usr/bin/cap')), /cap_net_raw=ep/)
    t.same(
      made.state.map(({ directory }) => directory?.uid),
      [0, 900, undefined],
      'the owners that directories of the state have here',
    )
    t.equal(made.copied, 2 + 2 + 1 + 2 + 0 + statSync('/bin/true').size)
  },
)

t.test('hard links of an owner that has another ID', async (t) => {
  const { tree } = await treeOf(
    t,
    ['mkdir -p usr/bin; echo x >usr/bin/a; chown 100 usr/bin/a; ln usr/bin/a usr/bin/b'],
    ':',
    { owners: owners([[100, 900]]) },
  )
  t.equal(tree['usr/bin/a'], 'x 900:0')
  t.equal(tree['usr/bin/b'], 'x 900:0')
})

t.test('what no layer has at its place is copied', async (t) => {
  const moved = await treeOf(t, [
    `mkdir -p ../work merged ../1/usr/dir; echo d >../1/usr/dir/d; chown 5:6 ../1/usr/dir/d; chmod 2750 ../1/usr/dir/d
     unshare -m sh -ec 'mount -t overlay x -o index=off,redirect_dir=on,lowerdir=../1,upperdir=.,workdir=../work merged
       mv merged/usr/dir merged/usr/moved'
     rmdir merged; rm -rf ../work`,
    ':',
  ])
  t.same([moved.tree['usr/moved/d'], moved.tree['usr/dir']], ['d 5:6 2750', undefined], 'a renamed directory')
  t.equal(moved.made.copied, 2)
  const { made, tree, out } = await treeOf(t, ['mkdir usr; truncate -s 6 usr/file; : >usr/empty'], ':', {
    view: 'mkdir usr; echo hello >usr/file; chmod 0600 usr/file; : >usr/empty',
  })
  t.equal(tree['usr/file'], 'hello 0600', 'a layer that has its attributes only (metacopy)')
  t.equal(lstatSync(join(out, 'usr/empty')).nlink, 2, 'an empty file is whole')
  t.equal(made.copied, 6)
})

t.test('a file that is only a hole is a link, not a copy', async (t) => {
  const script = 'mkdir -p usr var/lib; truncate -s 300M usr/hole; truncate -s 1M var/lib/hole'
  for (const layers of [[script], [script, 'mkdir opt']]) {
    const { made, out } = await treeOf(t, layers)
    t.equal(made.copied, 0)
    for (const path of ['usr/hole', 'usr/share/factory/var/lib/hole'])
      t.match(lstatSync(join(out, path)), { nlink: 2, blocks: 0 }, path)
  }
})

t.test('names of every kind', async (t) => {
  const long = 'x'.repeat(255)
  const names = [
    'a b',
    'per%cent',
    '"quoted"',
    "'q'",
    'back\\slash',
    'new\nline',
    '\u001b[2J',
    '-option',
    'ж',
    '\u202e',
    '$HOME',
    'a:b',
    long,
  ]
  const quoted = names.map((name) => `'${name.replaceAll("'", "'\\''")}'`)
  const { made, tree } = await treeOf(t, [
    `mkdir -p usr/share var/lib; cd usr/share; for n in ${quoted.join(' ')}; do echo x >"./$n"; done
     cd ../../var/lib; for n in ${quoted.join(' ')}; do mkdir "./$n"; done
     cd ../../usr; printf x >"$(printf 'not-\\377-utf8')"; mkdir "$(printf 'dir-\\377')"`,
  ])
  for (const name of names) {
    t.equal(tree[`usr/share/${name}`], 'x', JSON.stringify(name.slice(0, 20)))
    t.equal(tree[`usr/share/factory/var/lib/${name}`], 'directory')
  }
  t.same(made.notes, [
    'not taken: /usr/dir-\ufffd: its name is not UTF-8',
    'not taken: /usr/not-\ufffd-utf8: its name is not UTF-8',
  ])
})

t.test('pipes, devices and sockets', async (t) => {
  const { tree } = await treeOf(t, [
    `mkdir -p usr/x; mkfifo usr/x/fifo; mknod usr/x/null c 1 3; mknod usr/x/disk b 7 0
     python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('usr/x/socket')"`,
  ])
  t.equal(tree['usr/x/fifo'], 'FIFO')
  t.match(tree['usr/x/null'], /^device \d+/)
  t.match(tree['usr/x/disk'], /^device \d+/)
  t.match(tree['usr/x/socket'], /^socket/)
})

t.test('libraries are noticed', async (t) => {
  const has = async (name: string) =>
    (await treeOf(t, [`mkdir -p usr/lib; echo x >usr/lib/${name}`])).made.hasLibraries
  for (const name of ['libx.so', 'libx.so.1', 'ld-linux-x86-64.so.2', 'libx.so.1.2.3'])
    t.ok(await has(name), name)
  for (const name of ['libx.a', 'libx.sox', 'so', 'x.socket']) t.notOk(await has(name), name)
})

t.test('what depends on the root is remembered', async (t) => {
  const { made } = await treeOf(
    t,
    ['mkdir -p lib opt/app/deep usr/lib etc; echo x >lib/x; echo y >opt/app/deep/y'],
    `${MERGED}; chmod 0700 etc`,
  )
  const looked = new Map(made.looked)
  t.equal(looked.get('/lib'), 'link to /usr/lib')
  t.equal(looked.get('/opt'), 'nothing')
  t.equal(looked.get('/opt/app'), 'nothing')
  t.equal(looked.has('/opt/app/deep'), false, 'deeper ones only where they make a difference')
  t.equal(looked.get('/usr/lib'), 'directory 0:0 0755')
  t.equal(looked.get('/etc'), 'directory 0:0 0700')
})

t.test('a name that is no directory of a layer any more', async (t) => {
  const { tree } = await treeOf(t, ['echo file >opt', 'mkdir -p opt/x; echo y >opt/x/y'])
  t.same(tree, { opt: 'file' })
  const other = await treeOf(t, ['mkdir -p opt/x; echo y >opt/x/y', 'echo file >opt'])
  t.equal(other.tree['opt/x/y'], 'y')
})

t.test('how far it is', async (t) => {
  const seen: number[] = []
  const progress = (entries: number) => void seen.push(entries)
  const { made } = await treeOf(
    t,
    ['mkdir -p usr/x; cd usr/x; i=0; while [ $i -lt 2500 ]; do : >$i; i=$((i+1)); done'],
    ':',
    { progress },
  )
  t.equal(made.files, 2500)
  t.same(seen, [1000, 2000])
})

t.test('a link in a lower layer leads nowhere', async (t) => {
  const outside = makeTree(t, { secret: 'secret' })
  const { tree, out } = await treeOf(t, [
    'mkdir -p opt/app; echo x >opt/app/x',
    `mkdir opt; ln -s ${outside} opt/app`,
    'mkdir -p opt/app; echo y >opt/app/y; echo mine >opt/app/secret',
  ])
  t.same(tree, { opt: 'directory', 'opt/app': 'directory', 'opt/app/x': 'x' })
  t.notOk(isSameFile(join(out, 'opt/app/x'), join(outside, 'secret')))
})

t.test('an image that has something else where its state would be kept', async (t) => {
  const { made, tree } = await treeOf(t, [
    'mkdir -p usr/share var/lib/app; ln -s /etc usr/share/factory; echo x >var/lib/app/x; echo u >usr/u',
  ])
  t.equal(tree['usr/u'], 'u')
  t.equal(tree['usr/share/factory'], '-> /etc')
  t.same(made.notes, ['not taken: /var: the image has another file at /var'])
})

t.test('127 layers and 30,000 files, each in the uppermost layer that has it', async (t) => {
  const work = makeTree(t)
  const lower = Array.from({ length: 127 }, (_, index) => String(index))
  const directoryOf = (number: number): string => String(Math.floor(number / 127) % 12)
  for (const layer of lower)
    for (let number = 0; number < 12; number++)
      mkdirSync(join(work, 'layers', layer, 'usr/share', String(number)), { recursive: true })
  for (let number = 0; number < 30_000; number++) {
    const layer = number % 127
    // Every hundredth file is in the layer below, too.
    for (const name of lower.slice(layer, number % 100 === 0 ? layer + 2 : layer + 1))
      writeFileSync(join(work, 'layers', name, 'usr/share', directoryOf(number), String(number)), name)
  }
  for (const name of ['view', 'out', 'base']) mkdirSync(join(work, name))
  const layers = { directory: '/layers', lower, key: 'KEY', chain: 'KEY' }
  const made = await withMerged({ prefix: work }, layers, '/view', (view) =>
    makeKeptTree({
      view,
      layers: lower.map((name) => join(work, 'layers', name)),
      out: join(work, 'out'),
      base: { prefix: join(work, 'base') },
      state: STATE,
      owners: NO_OWNERS,
    }),
  )
  t.equal(made.files, 30_000)
  t.equal(made.copied, 0, 'all are links')
  t.equal(readFileSync(join(work, 'out/usr/share', directoryOf(300), '300'), 'utf8'), String(300 % 127))
  t.same(made.notes, [])
})

t.test('a link of the root that leads below what belongs to the machine', async (t) => {
  const { tree, made } = await treeOf(t, ['mkdir log; touch log/x'], 'ln -s /etc/passwd/usr log')
  t.notOk(
    Object.keys(tree).some((path) => path.startsWith('etc')),
    JSON.stringify(tree),
  )
  t.same(made.notes, ['dropped: /log: it belongs to the machine'])
})
