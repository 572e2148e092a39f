import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import type { Layers } from '../../../src/engine/engine.js'
import {
  idsFile,
  isTreeName,
  makeBase,
  readIds,
  readTreeFacts,
  readTrees,
  treePath,
} from '../../../src/image/kept.js'
import { findEssentialLibraries } from '../../../src/image/libraries.js'
import { keepTrees, makePending, type Preparation } from '../../../src/image/prepare.js'
import { listDirectory, type Root } from '../../../src/machine/files.js'
import { isSameFile, listTree, STATE, sh } from '../../support/image.js'
import { PROJECT } from '../../support/paths.js'
import { cannotMount } from '../../support/private.js'
import { makeTree } from '../../support/tree.js'

if (cannotMount) {
  t.pass(cannotMount, { skip: cannotMount })
  process.exit(0)
}

const DATA = '/data'

/**
 * A machine with an engine that has images, each a list of scripts that make its layers, the uppermost first.
 */
function machine(t: Test, base: string, images: Record<string, string[]>, os = 'debian 12') {
  const root: Root = { prefix: makeTree(t) }
  sh(root.prefix, base)
  sh(join(root.prefix, DATA, 'overlay2'), ':')
  const layers = (name: string): Layers => ({
    directory: `${DATA}/overlay2`,
    lower: (images[name] ?? []).map((_, index) => `${name}${index}`),
    key: `KEY${name}`,
    chain: (images[name] ?? []).map((_, index) => `${name}${index}`).join(':'),
  })
  for (const [name, scripts] of Object.entries(images))
    for (const [index, script] of scripts.entries())
      sh(join(root.prefix, DATA, 'overlay2', `${name}${index}`), script)
  const preparation = (): Preparation => ({
    root,
    dataRoot: DATA,
    base: makeBase(root, os, STATE),
    libraries: () => findEssentialLibraries(root),
  })
  const prepare = async (...names: string[]) => {
    const pending = []
    for (const [index, name] of names.entries())
      pending.push(await makePending(preparation(), layers(name), undefined, index))
    keepTrees(root, DATA, pending)
    return pending
  }
  const own = join(root.prefix, DATA, 'hostext')
  const tree = (name: string) => join(root.prefix, treePath(DATA, name))
  return { root, layers, preparation, prepare, own, tree }
}

t.test('a tree with its facts, nothing else', async (t) => {
  const { root, layers, preparation, prepare, own, tree } = machine(t, 'mkdir -p usr/lib etc', {
    a: ['mkdir -p usr/lib; echo x >usr/lib/x', 'mkdir etc; echo y >etc/y; echo h >etc/hostname'],
  })
  const [kept] = await prepare('a')
  if (!kept) throw new Error('no tree')
  t.match(kept.name, /^KEYa\.[0-9a-f]{8}$/)
  t.ok(isTreeName(kept.name))
  t.same(listDirectory(root, `${DATA}/hostext`), ['trees'])
  t.same(listDirectory(root, `${DATA}/hostext/trees`), [kept.name])
  t.same(listDirectory(root, `${DATA}/hostext/trees/${kept.name}`), ['facts', 'tree'])
  t.same(listTree(tree(kept.name)), {
    etc: 'directory',
    'etc/y': 'y',
    usr: 'directory',
    'usr/lib': 'directory',
    'usr/lib/x': 'x',
  })
  for (const path of [own, join(own, 'trees'), join(own, 'trees', kept.name)])
    t.equal(lstatSync(path).mode & 0o777, 0o700, path)
  t.equal(lstatSync(tree(kept.name)).mode & 0o777, 0o755, 'the top of the root')
  t.equal(lstatSync(join(own, 'trees', kept.name, 'facts')).mode & 0o777, 0o600)
  t.same(readTreeFacts(root, DATA, kept.name), kept.facts)
  t.match(kept.facts, {
    layers: 'a0:a1',
    lookedAt: { os: 'debian 12', state: STATE, libraries: { length: 0 } },
    notes: ['dropped: /etc/hostname: it belongs to the machine'],
    ...{ files: 2, directories: 3, bytes: 4, copied: 0 },
  })
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), { name: kept.name })
})

t.test('prepared twice: the same name; a base that has changed: another one', async (t) => {
  const { root, layers, preparation, prepare } = machine(t, 'mkdir -p usr/lib', {
    a: ['mkdir -p usr/lib; echo x >usr/lib/x'],
  })
  const trees = () => listDirectory(root, `${DATA}/hostext/trees`).filter(isTreeName)
  const [first] = await prepare('a')
  const [second] = await prepare('a')
  t.equal(second?.name, first?.name)
  t.equal(trees().length, 1)
  sh(root.prefix, 'chmod 0700 usr')
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), {
    change: '/usr was directory 0:0 0755 and is directory 0:0 0700',
  })
  const [third] = await prepare('a')
  t.not(third?.name, first?.name)
  t.equal(trees().length, 2, 'another stack may need the old one')
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), { name: third?.name })
})

t.test('the same tree, whether or not a file system is mounted already', async (t) => {
  const { root, layers, preparation } = machine(t, 'mkdir -p boot usr; chmod 755 boot usr', {
    a: ['mkdir -p boot/efi usr; echo x >usr/x'],
  })
  const over = { ...preparation(), base: makeBase(root, 'debian 12', STATE, ['/boot']) }
  const before = await makePending(over, layers('a'), undefined, 0)
  t.same(before.facts.lookedAt.places, [
    ['/boot', 'mount point'],
    ['/boot/efi', 'mount point'],
    ['/usr', 'directory 0:0 0755'],
  ])
  sh(root.prefix, 'mkdir boot/efi; chmod 700 boot boot/efi')
  const after = await makePending(
    { ...over, base: makeBase(root, 'debian 12', STATE, ['/boot']) },
    layers('a'),
    undefined,
    1,
  )
  t.equal(after.name, before.name)
})

t.test('damaged facts are made anew, and the running root keeps its files', async (t) => {
  const { root, layers, preparation, prepare, own, tree } = machine(t, ':', { a: ['echo x >x'] })
  const [first] = await prepare('a')
  const stacked = openSync(tree(first?.name ?? ''), 'r')
  t.teardown(() => closeSync(stacked))
  writeFileSync(join(own, 'trees', first?.name ?? '', 'facts'), '{')
  t.same(readTrees(root, DATA, preparation().base).find(layers('a')), { change: undefined })
  const [second] = await prepare('a')
  t.equal(second?.name, first?.name)
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), { name: first?.name })
  t.same(readdirSync(`/proc/self/fd/${stacked}`), ['x'])
})

t.test('what an interrupted preparation has left is in nobody’s way', async (t) => {
  const { root, prepare, own } = machine(t, ':', { a: ['echo x >x'] })
  sh(join(own, 'trees/new0/tree/usr'), 'echo half >x')
  const [kept] = await prepare('a')
  t.same(listTree(join(own, 'trees')), {
    [`${kept?.name}`]: 'directory 0700',
    [`${kept?.name}/facts`]: `${readFileSync(join(own, 'trees', kept?.name ?? '', 'facts'), 'utf8').slice(0, 60)} 0600`,
    [`${kept?.name}/tree`]: 'directory',
    [`${kept?.name}/tree/x`]: 'x',
  })
  t.notOk(isTreeName('new0'))
  t.equal(readTreeFacts(root, DATA, 'new0'), undefined)
})

/** Runs `script` in a mount namespace of its own, in which `$0` is the root of a machine. */
function privately(root: Root, before: string): { status: number | null; output: string } {
  const program = `
    import { makeBase } from '${PROJECT}/src/image/kept.ts'
    import { makePending, keepTrees } from '${PROJECT}/src/image/prepare.ts'
    const root = { prefix: process.argv[2] }
    const layers = { directory: '${DATA}/overlay2', lower: ['a0'], key: 'KEYa' }
    const libraries = () => ({ names: [], files: [], links: [], shadows: [] })
    const preparation = { root, dataRoot: '${DATA}', base: makeBase(root, 'debian 12', ['/var']), libraries }
    try { keepTrees(root, '${DATA}', [await makePending(preparation, layers, 0)]); console.log('kept') }
    catch (error) { console.log('failed: ' + error.message) }
    for (const name of (await import('node:fs')).readdirSync(root.prefix + '${DATA}/hostext/trees', { recursive: true })) console.log('left: ' + name)`
  const file = join(root.prefix, 'program.mts')
  writeFileSync(file, program)
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    [
      '-m',
      'sh',
      '-ec',
      `cd "$0"; ${before}; exec "$1" --import "$2" "$3" "$0"`,
      root.prefix,
      process.execPath,
      join(PROJECT, 'node_modules/tsx/dist/esm/index.mjs'),
      file,
    ],
    { encoding: 'utf8', cwd: PROJECT },
  )
  return { status, output: stdout + stderr }
}

t.test('no room: nothing is kept, nothing is left', async (t) => {
  const { root } = machine(t, ':', {})
  const { output } = privately(
    root,
    `mount -t tmpfs -o size=1m tmpfs data; mkdir -p data/overlay2/a0/usr data/hostext/trees
     i=0; while [ $i -lt 40 ]; do echo x >data/overlay2/a0/usr/$i; chown 100 data/overlay2/a0/usr/$i; i=$((i+1)); done
     mkdir data/overlay2/a0/etc; echo 'app:x:100:100::/:/bin/sh' >data/overlay2/a0/etc/passwd
     mkdir etc; echo 'other:x:100:100::/:/bin/sh' >etc/passwd
     head -c 100000 /dev/zero >data/overlay2/a0/usr/big; chown 100 data/overlay2/a0/usr/big
     head -c 2000000 /dev/zero >data/full 2>/dev/null || true`,
  )
  t.match(output, /^failed: .*no space left on device/m)
  t.notMatch(output, /^left: /m)
})

t.test('a file system that cannot be written', async (t) => {
  const { root } = machine(t, ':', { a: ['echo x >x'] })
  sh(join(root.prefix, DATA, 'hostext/trees'), ':')
  const { output } = privately(root, 'mount --bind data data; mount -o remount,bind,ro data')
  t.match(output, /^failed: .*read-only file system$/m)
  t.notMatch(output, /^left: /m)
})

t.test('a disk that does not take what is written', async (t) => {
  const { root, layers, preparation } = machine(t, ':', { a: ['echo x >x'] })
  const bin = join(root.prefix, 'bin')
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
  })
  process.env.PATH = `${bin}:${PATH}`
  const pending = await makePending(preparation(), layers('a'), undefined, 0)
  const trees = () => listDirectory(root, `${DATA}/hostext/trees`)
  const sync = (script: string) => {
    sh(bin, `printf '%s\\n' '#!/bin/sh' 'echo "$@" >>$0.log' '${script}' >sync; chmod +x sync; : >sync.log`)
    keepTrees(root, DATA, [pending])
    return readFileSync(join(bin, 'sync.log'), 'utf8').replaceAll(root.prefix, '')
  }
  const broken = 'echo "sync: error syncing /data: Input/output error" >&2; exit 1'
  t.throws(() => sync(broken), {
    message: 'trees cannot be written to the disk: error syncing /data: Input/output error',
  })
  t.same(trees(), ['new0'])
  const simple = '[ $# -eq 0 ] || { echo "sync: invalid option -- f" >&2; exit 1; }'
  const both = '-f /data/hostext/trees\n\n'
  t.equal(sync(simple), both + both, 'one that writes everything')
  t.same(trees(), [pending.name])
})

t.test('layers that cannot be mounted', async (t) => {
  const { root, layers, preparation } = machine(t, ':', { a: ['echo x >x', 'echo y >y'] })
  rmSync(join(root.prefix, DATA, 'overlay2/a1'), { recursive: true })
  await t.rejects(
    makePending(preparation(), layers('a'), undefined, 0),
    /^its layers cannot be mounted: .*\S/,
  )
  t.same(listDirectory(root, `${DATA}/hostext/trees`), [])
})

t.test('users that the root lacks', async (t) => {
  const image = (uid: number) =>
    `mkdir -p etc var/lib/app; echo 'app:x:${uid}:${uid}:App:/var/lib/app:/usr/sbin/nologin' >etc/passwd
     echo 'app:x:${uid}:' >etc/group; chown ${uid}:${uid} var/lib/app; echo x >app; chown ${uid} app`
  const base =
    "mkdir etc; printf 'root:x:0:0::/:/bin/sh\\nother:x:100:100::/:/bin/sh\\n' >etc/passwd; echo 'other:x:100:' >etc/group"
  const { root, prepare, tree, layers, preparation } = machine(t, base, { a: [image(100)], b: [image(555)] })
  const [kept] = await prepare('a')
  if (!kept) throw new Error('no tree')
  const id = readIds(root, DATA).users.app
  t.ok(id && id !== 100)
  t.same(readIds(root, DATA), { users: { app: id }, groups: { app: id } })
  t.equal(lstatSync(root.prefix + idsFile(DATA)).mode & 0o777, 0o600)
  const list = listTree(tree(kept.name))
  t.equal(list.app, `x ${id}:0`)
  t.equal(list['usr/share/factory/var/lib/app'], `directory ${id}:${id}`)
  t.match(
    readFileSync(join(tree(kept.name), 'usr/lib/sysusers.d/00-hostext-KEYa.conf'), 'utf8'),
    new RegExp(`^u app ${id}:app "App" /var/lib/app /usr/sbin/nologin$`, 'm'),
  )
  const [update] = await prepare('b')
  t.equal(listTree(tree(update?.name ?? '')).app, `x ${id}:0`, 'an update keeps the ID that was given')
  t.match(update?.facts.lookedAt.ids, { users: { app: id }, groups: { app: id } })

  // The boot creates it with this ID.
  sh(root.prefix, `echo 'app:x:${id}:${id}::/:/bin/sh' >>etc/passwd; echo 'app:x:${id}:' >>etc/group`)
  t.match(
    readTrees(root, DATA, preparation().base).find(layers('a')),
    { name: kept.name },
    'still the same tree',
  )
  sh(root.prefix, `sed -i 's/^app:x:${id}/app:x:777/' etc/passwd`)
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), {
    change: "app has another ID, or its ID is another one's",
  })
})

t.test('a user of the machine keeps an ID that was given to one who was never created', async (t) => {
  const image =
    'mkdir etc; echo node:x:1000:1000::/:/bin/sh >etc/passwd; echo node:x:1000: >etc/group; echo x >x; chown 1000:1000 x'
  const { root, prepare, tree, layers, preparation } = machine(
    t,
    'mkdir etc; echo root:x:0:0::/:/bin/sh >etc/passwd; echo root:x:0: >etc/group',
    { a: [image] },
  )
  await prepare('a')
  t.same(readIds(root, DATA), { users: { node: 1000 }, groups: { node: 1000 } })
  sh(
    root.prefix,
    `mkdir -p var/lib/hostext/etc/upper; cp etc/passwd etc/group var/lib/hostext/etc/upper
     cd var/lib/hostext/etc/upper; echo alice:x:1000:1000::/:/bin/sh >>passwd; echo alice:x:1000: >>group`,
  )
  const [again] = await prepare('a')
  t.equal(listTree(tree(again?.name ?? '')).x, 'x 999:999')
  t.match(again?.facts.lookedAt.ids, { users: { node: 999 }, groups: { node: 999 } })
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), { name: again?.name })
})

t.test('two users of one ID, of which one can be created', async (t) => {
  const image =
    "mkdir etc; printf 'node:x:1000:1000::/:/bin/sh\\napp:x:1000:1000::/:/bin/sh\\n' >etc/passwd; printf 'node:x:1000:\\napp:x:1000:\\n' >etc/group"
  const { root, prepare, layers, preparation } = machine(t, 'mkdir etc; : >etc/passwd; : >etc/group', {
    a: [image],
  })
  const [kept] = await prepare('a')
  t.same(kept?.facts.notes.slice(2), [
    'not taken: user app: it cannot be created on this machine',
    'not taken: group app: it cannot be created on this machine',
  ])
  // The boot creates the other one.
  sh(root.prefix, "echo 'node:x:1000:1000::/:/bin/sh' >>etc/passwd; echo 'node:x:1000:' >>etc/group")
  t.match(readTrees(root, DATA, preparation().base).find(layers('a')), { name: kept?.name })
})

t.test('libraries that the root needs, in a directory that the image has searched first', async (t) => {
  const library = (name: string): string =>
    execFileSync('sh', ['-c', `ldd /usr/bin/mount | grep -o '/[^ ]*/${name}'`], { encoding: 'utf8' }).trim()
  const blkid = library('libblkid.so.1')
  const base = `mkdir -p usr/bin etc; cp /usr/bin/mount usr/bin; printf 'include /etc/ld.so.conf.d/*.conf\\n${dirname(blkid)}\\n' >etc/ld.so.conf
    for file in $(ldd /usr/bin/mount | grep -o '/[^ ]*'); do mkdir -p ".$(dirname "$file")"; cp "$file" ".$file"; done`
  const image = `mkdir -p etc/ld.so.conf.d opt/vendor/lib .${dirname(blkid)}
    printf '/opt/vendor/lib\n${dirname(blkid)}\n' >etc/ld.so.conf.d/vendor.conf
    cp ${blkid} opt/vendor/lib/libblkid.so.1.9; ln -s libblkid.so.1.9 opt/vendor/lib/libblkid.so.1
    cp ${blkid} .${blkid}; cp ${blkid} opt/vendor/lib/libother.so.1; echo text >opt/vendor/lib/libmount.so.1
    cp ${library('libc.so.6')} opt/vendor/lib/; printf '\\377' | dd of=opt/vendor/lib/libc.so.6 bs=1 seek=18 conv=notrunc status=none`
  const { prepare, tree } = machine(t, base, { a: [image] })
  const [kept] = await prepare('a')
  const list = Object.keys(listTree(tree(kept?.name ?? '')))
  t.same(
    list.filter((path) => path.startsWith('opt/vendor/lib/')).sort(),
    ['libblkid.so.1.9', 'libc.so.6', 'libmount.so.1', 'libother.so.1'].map(
      (name) => `opt/vendor/lib/${name}`,
    ),
    'without the name by which the root would find it; what is of another architecture, or none, stays',
  )
  t.ok(list.includes(blkid.slice(1)), 'what the root has itself is for another rule')
  t.match(
    kept?.facts.notes.find((line) => line.includes('vendor')),
    /^not taken: \/opt\/vendor\/lib\/libblkid\.so\.1: the root's own programs would find it before/,
  )
})

t.test('libraries in a directory that only the root’s configuration of the loader names', async (t) => {
  const base = `mkdir -p etc/ld.so.conf.d usr/lib/x86_64-linux-gnu usr/local; ln -s usr/lib lib; ln -s ../vc usr/local/vc
    echo 'include /etc/ld.so.conf.d/*.conf' >etc/ld.so.conf
    printf '/lib/x86_64-linux-gnu\\n/usr/lib64\\n/opt/cuda/lib64\\n/usr/local/vc\\n/lib/x86_64-linux-gnu/tegra\\n' >etc/ld.so.conf.d/x.conf`
  const { root, prepare } = machine(t, base, {
    a: [
      'mkdir -p usr/lib/x86_64-linux-gnu usr/lib64 opt; echo x | tee usr/lib/x86_64-linux-gnu/libx.so.1 usr/lib64/liby.so opt/libz.so',
    ],
    b: ['mkdir -p usr/lib/x86_64-linux-gnu/tegra; echo x >usr/lib/x86_64-linux-gnu/tegra/libx.so.1'],
    c: ['mkdir -p opt/cuda-12/lib64; ln -s /opt/cuda-12 opt/cuda; echo x >opt/cuda-12/lib64/libx.so.1'],
    d: ['mkdir -p usr/vc; echo x >usr/vc/libx.so.1; echo x >usr/vc/readme'],
    e: ['mkdir -p usr/vc opt; echo x >usr/vc/readme; echo x >opt/libx.so'],
  })
  const trees = await prepare('a', 'b', 'c', 'd', 'e')
  t.same(
    trees.map(({ facts }) => facts.indexed),
    [undefined, true, true, true, undefined],
  )
  for (const { name, facts } of trees) t.same(readTreeFacts(root, DATA, name), facts)
})

t.test('SSH host keys of the image: the machine makes its own', async (t) => {
  const { prepare, tree } = machine(t, 'mkdir -p lib/x usr; ln -s ../lib usr/lib', {
    a: ['mkdir -p etc/ssh; echo secret >etc/ssh/ssh_host_rsa_key; echo x >etc/ssh/sshd_config'],
  })
  const [kept] = await prepare('a')
  const list = listTree(tree(kept?.name ?? ''))
  t.equal(list['etc/ssh/ssh_host_rsa_key'], undefined)
  t.match(
    readFileSync(join(tree(kept?.name ?? ''), 'lib/systemd/system/hostext-ssh-keys.service'), 'utf8'),
    /\nExecStart=ssh-keygen -A\n/,
  )
  for (const server of ['ssh.service', 'sshd.service', 'ssh.socket', 'sshd.socket'])
    t.equal(
      list[`lib/systemd/system/${server}.wants/hostext-ssh-keys.service`],
      '-> ../hostext-ssh-keys.service',
    )
  t.equal(list['usr/lib'], undefined, 'the root has a link there')
  t.notOk(Object.keys(list).some((path) => path.includes('dropbear')))
})

t.test('the keys of Dropbear, and the names of storage', async (t) => {
  const { prepare, tree } = machine(t, 'mkdir -p usr/lib', {
    a: [
      `mkdir -p etc/dropbear etc/iscsi etc/nvme; echo k >etc/dropbear/dropbear_rsa_host_key
       echo InitiatorName=x >etc/iscsi/initiatorname.iscsi; touch etc/nvme/hostnqn etc/nvme/hostid etc/iscsi/iscsid.conf`,
    ],
  })
  const [kept] = await prepare('a')
  const list = listTree(tree(kept?.name ?? ''))
  t.same(
    Object.keys(list).filter((path) => path.startsWith('etc/') && !list[path]?.startsWith('directory')),
    ['etc/iscsi/iscsid.conf'],
  )
  t.equal(
    list['usr/lib/systemd/system/dropbear.service.wants/hostext-dropbear-keys.service'],
    '-> ../hostext-dropbear-keys.service',
  )
  t.equal(
    list['usr/lib/systemd/system/iscsid.service.wants/hostext-iscsi-name.service'],
    '-> ../hostext-iscsi-name.service',
  )
  t.equal(kept?.facts.notes.length, 4)
})

t.test('nothing is put through a link of the image', async (t) => {
  const outside = makeTree(t)
  for (const [place, also] of [
    ['usr/lib/sysusers.d', 'mkdir -p etc; echo "app:x:100:100::/:/bin/sh" >etc/passwd'],
    ['usr/lib/tmpfiles.d', 'mkdir -p var/lib/app'],
    ['usr/lib/systemd/system/ssh.service.wants', 'mkdir -p etc/ssh; echo k >etc/ssh/ssh_host_rsa_key'],
    ['usr/lib/systemd', 'mkdir -p etc/ssh; echo k >etc/ssh/ssh_host_rsa_key'],
  ] as const) {
    const { root, layers, preparation } = machine(t, ':', {
      a: [`mkdir -p "$(dirname ${place})"; ln -s ${outside} ${place}; ${also}`],
    })
    await t.rejects(makePending(preparation(), layers('a'), undefined, 0), {
      message: `it has a symbolic link at /${place}`,
    })
    t.same(listTree(outside), {}, place)
    t.same(listDirectory(root, `${DATA}/hostext/trees`), [])
  }
})

t.test('directories for what is added are the root’s', async (t) => {
  const { prepare, tree } = machine(
    t,
    'mkdir -p usr/lib/tmpfiles.d; chmod 0711 usr/lib/tmpfiles.d; chown 3:4 usr/lib',
    {
      a: ['mkdir -p var/lib/app'],
    },
  )
  const [kept] = await prepare('a')
  const list = listTree(tree(kept?.name ?? ''))
  t.equal(list['usr/lib'], 'directory 3:4')
  t.equal(list['usr/lib/tmpfiles.d'], 'directory 0711')
  t.match(
    readFileSync(join(tree(kept?.name ?? ''), 'usr/lib/tmpfiles.d/zz-hostext-KEYa.conf'), 'utf8'),
    /\nC \/var\/lib\/app\n/,
  )
})

t.test(
  'a directory of the state in one of another owner',
  { skip: !existsSync('/usr/bin/systemd-tmpfiles') && 'no systemd-tmpfiles' },
  async (t) => {
    const { root, prepare, tree } = machine(t, 'mkdir -p etc home; : >etc/passwd; : >etc/group', {
      a: ['mkdir -p home/app/conf; echo x >home/app/conf/x; chown 1000:1000 home/app'],
    })
    const [kept] = await prepare('a')
    t.match(kept?.facts.notes, [/^not taken: single files below \/home\/app\/conf: /])
    execFileSync('cp', ['-a', `${tree(kept?.name ?? '')}/.`, root.prefix])
    // Twice: the second time, all of it is there.
    for (const _ of [1, 2]) {
      const { stderr } = spawnSync('systemd-tmpfiles', [`--root=${root.prefix}`, '--create'], {
        encoding: 'utf8',
      })
      t.notMatch(stderr, /unsafe/)
      t.equal(readFileSync(join(root.prefix, 'home/app/conf/x'), 'utf8'), 'x\n')
    }
  },
)

t.test('a whole system of another release', async (t) => {
  const release = (name: string) =>
    `mkdir -p usr/lib etc; printf 'ID=%s\\nVERSION_ID=1' ${name} >usr/lib/os-release; ln -s ../usr/lib/os-release etc/os-release`
  const { prepare } = machine(
    t,
    ':',
    {
      a: [release('alpine')],
      b: [release('debian')],
      c: ['echo x >x'],
      d: ['mkdir -p etc; ln -s /proc/version etc/os-release'],
    },
    'debian 1',
  )
  const kept = await prepare('a', 'b', 'c', 'd')
  t.same(
    kept.map(({ facts }) => facts.foreign),
    ['alpine 1', undefined, undefined, undefined],
  )
})

t.test('programs for another processor than the root’s', async (t) => {
  const { prepare } = machine(t, 'mkdir -p usr/bin; cp /bin/true usr/bin/env', {
    a: [
      "mkdir -p usr/bin; cp /bin/true usr/bin/x; printf '\\377' | dd of=usr/bin/x bs=1 seek=18 conv=notrunc status=none",
    ],
    b: ['mkdir -p usr/bin; cp /bin/true usr/bin/x'],
  })
  const [other, same] = await prepare('a', 'b')
  t.match(other?.facts.mismatch, { image: /^ELF machine \d+$/, root: /^[a-z]/ })
  t.equal(same?.facts.mismatch, undefined)
})

t.test('the links of an image’s own files lead nowhere else than into the image', async (t) => {
  const outside = makeTree(t, { passwd: 'app:x:100:100::/:/bin/sh\n', release: 'ID=outside\n' })
  const { prepare, tree } = machine(t, ':', {
    a: [`mkdir etc; ln -s ${outside}/passwd etc/passwd; ln -s ${outside}/release etc/os-release; echo x >x`],
  })
  const [kept] = await prepare('a')
  t.same(kept?.facts.lookedAt.ids, { users: {}, groups: {} })
  t.equal(kept?.facts.foreign, undefined)
  t.equal(existsSync(join(tree(kept?.name ?? ''), 'usr/lib/sysusers.d')), false)
})

t.test('more notes than anyone reads are counted', async (t) => {
  const { prepare } = machine(t, 'mkdir x; cd x; for i in $(seq 600); do mkdir $i; done', {
    a: ['mkdir x; cd x; for i in $(seq 600); do echo f >$i; done'],
  })
  const [kept] = await prepare('a')
  t.equal(kept?.facts.notes.length, 501)
  t.equal(kept?.facts.notes.at(-1), '100 more')
})

t.test('several at once', async (t) => {
  const { root, prepare, own } = machine(t, ':', {
    a: ['echo a >a'],
    b: ['echo b >b', 'echo c >c'],
    c: ['echo a >a'],
  })
  const kept = await prepare('a', 'b', 'c', 'a')
  t.equal(new Set(kept.map(({ name }) => name)).size, 3)
  t.equal(listDirectory(root, `${DATA}/hostext/trees`).filter(isTreeName).length, 3)
  for (const { name } of kept) t.ok(readTreeFacts(root, DATA, name), name)
  t.ok(
    isSameFile(join(own, 'trees', kept[0]?.name ?? '', 'tree/a'), join(root.prefix, DATA, 'overlay2/a0/a')),
  )
})

t.test(
  'users and state that systemd creates',
  { skip: !existsSync('/usr/bin/systemd-sysusers') && 'no systemd-sysusers' },
  async (t) => {
    const { root, prepare, tree } = machine(
      t,
      "mkdir -p etc usr var; echo 'root:x:0:0::/root:/bin/sh' >etc/passwd; echo 'root:x:0:' >etc/group",
      {
        a: [
          `mkdir -p etc 'var/lib/my app %n' var/lib/app/data; printf 'app:x:100:100::/var/lib/app:/usr/sbin/nologin\\n' >etc/passwd
       printf 'app:x:100:\\n' >etc/group; chown -R 100:100 var/lib/app; chmod 0750 var/lib/app; echo d >var/lib/app/data/d
       echo q >'var/lib/my app %n/"q" \\'; ln -s '100% "a b"\\c' var/lib/app/link; ln -s 'blank ' var/lib/app/blank; chown 100:100 var/lib/app/data/d; chmod 0640 var/lib/app/data/d`,
        ],
      },
    )
    const [kept] = await prepare('a')
    execFileSync('cp', ['-a', `${tree(kept?.name ?? '')}/.`, root.prefix])
    const create = () => {
      for (const words of [['systemd-sysusers'], ['systemd-tmpfiles', '--create']])
        execFileSync(words[0] as string, [`--root=${root.prefix}`, ...words.slice(1)], {
          stdio: ['ignore', 'ignore', 'pipe'],
        })
    }
    create()
    t.match(readFileSync(join(root.prefix, 'etc/passwd'), 'utf8'), /^app:x:100:100:/m)
    const state = () => listTree(join(root.prefix, 'var/lib'))
    const whole = {
      app: 'directory 100:100 0750',
      'app/data': 'directory 100:100',
      'app/data/d': 'd 100:100 0640',
      'app/link': '-> 100% "a b"\\c',
      'my app %n': 'directory',
      'my app %n/"q" \\': 'q',
    }
    t.match(state(), whole)
    sh(
      join(root.prefix, 'var/lib'),
      'echo changed >app/data/d; chmod 0700 app; rm app/link; rm -r "my app %n"; ln -s /etc/x app/link',
    )
    create()
    t.match(
      state(),
      {
        ...whole,
        app: 'directory 100:100 0700',
        'app/data/d': 'changed 100:100 0640',
        'app/link': '-> /etc/x',
      },
      'what is there stays, what was deleted comes back',
    )
  },
)
