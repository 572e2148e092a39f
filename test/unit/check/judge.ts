import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Compared, noRoot } from '../../../src/check/base.js'
import { readDirectory } from '../../../src/check/directory.js'
import type { CheckDocument } from '../../../src/check/document.js'
import { judgeImage } from '../../../src/check/judge.js'
import { addMore, findNode, type Node } from '../../../src/check/memory.js'
import type { Subject } from '../../../src/check/subject.js'
import { makeBase } from '../../../src/image/kept.js'
import { findEssentialLibraries } from '../../../src/image/libraries.js'
import { makePending } from '../../../src/image/prepare.js'
import { noteOf } from '../../support/check.js'
import { HOST } from '../../support/data-root.js'
import { STATE, sh } from '../../support/image.js'
import { cannotMount } from '../../support/private.js'
import { makeTree } from '../../support/tree.js'

const FEATURE = new Map([['io.balena.features.host-extension', '1']])

/** A root that a script makes, to compare with. */
function rootOf(t: Test, base: string, more: Partial<Compared> = {}): Compared {
  const prefix = makeTree(t)
  sh(prefix, base)
  const root = { prefix }
  return {
    ...noRoot(),
    ...{
      root,
      base: makeBase(root, 'debian 12', more.state ?? STATE),
      state: STATE,
      host: HOST,
      name: 'debian 12 at /',
    },
    ...more,
  }
}

/** What is said about an image with the files that a script makes. */
function judge(t: Test, image: string, compared = noRoot(), more: Partial<Subject> = {}): CheckDocument {
  const directory = makeTree(t)
  sh(directory, image)
  const read = readDirectory(directory, false)
  const subject = { format: 'image', name: 'x', labels: FEATURE, architecture: undefined, layers: 1 }
  return judgeImage({ ...subject, ...read, ...more }, compared)
}

/** The findings, a line each; with a word, those whose code begins with it. */
const lines = ({ findings }: CheckDocument, code = ''): string[] =>
  findings
    .filter((finding) => finding.code.startsWith(code))
    .map(({ level, path, text }) => `${level}: ${path === null ? '' : `${path}: `}${text}`)

t.test(
  'the notes, the sizes and the state are those that a preparation finds',
  { skip: cannotMount },
  async (t) => {
    const base = `mkdir -p usr/bin usr/lib/x86_64-linux-gnu usr/share etc var/lib/own run boot opt
    ln -s usr/bin bin; ln -s usr/lib lib; ln -s /nowhere broken; chmod 0700 opt
    printf 'root:x:0:0::/:/bin/sh\\ntaken:x:100:100::/:/bin/sh\\n' >etc/passwd; printf 'root:x:0:\\n' >etc/group
    mkdir usr/share/directory; printf 'ID=debian\\nVERSION_ID=12\\n' >etc/os-release`
    const image = [
      `mkdir -p bin lib/x opt etc/ssh var/lib/app var/cache/apt var/log run/x usr/share broken dev
     echo a >bin/a; echo x >lib/x/x; echo k >etc/ssh/ssh_host_rsa_key; echo h >etc/hostname; echo s >var/lib/app/s
     echo c >var/cache/apt/c; echo l >var/log/l; echo r >run/x/r; echo f >usr/share/directory; echo b >broken/b`,
      `mkdir -p usr/bin etc usr/share/app; echo other >usr/bin/a; chown 100:100 usr/share/app; echo t >usr/share/app/t
     chown 100 usr/share/app/t; printf 'app:x:100:100::/:/bin/sh\\nroot2:x:0:0::/:/bin/sh\\nbad.name:x:7:7::/:/bin/sh\\n' >etc/passwd
     printf 'app:x:100:\\n' >etc/group; ln -s ../x usr/share/app/link; printf 'ID=other\\n' >etc/os-release`,
    ]
    const compared = rootOf(t, base)
    const { root } = compared
    for (const [index, script] of image.entries())
      sh(join(root.prefix, 'data/overlay2', String(index)), script)
    const preparation = {
      ...{ root, dataRoot: '/data', base: compared.base, libraries: () => findEssentialLibraries(root) },
    }
    const layers = { directory: '/data/overlay2', lower: ['0', '1'], key: 'KEY', chain: '0:1' }
    const { facts } = await makePending(preparation, layers, undefined, 0)
    const document = judge(t, [...image].reverse().join('\n'), compared)
    t.ok(facts.notes.length > 8, facts.notes.join('\n'))
    t.same(
      document.findings
        .filter(({ group }) => group === 'files')
        .map(noteOf)
        .sort(),
      [...facts.notes].sort(),
    )
    const { files, directories, bytes, copied } = facts
    t.same(document.size.tree, { files, directories, bytes, copied })
    t.same(document.state, ['/var/cache', '/var/lib', '/var/lib/app', '/var/lib/app/s', '/var/log'])
    t.match(document.users, [{ name: 'app', id: 999, from: '/etc/passwd' }])
    t.match(lines(document, 'foreign'), [
      "warning: it is a whole system (other), and this one is debian 12: its programs may want other libraries than the root's",
    ])
  },
)

t.test('what the machine needs to boot, and what it hides', async (t) => {
  const base = 'mkdir -p usr/bin etc; touch usr/bin/sh usr/bin/cat usr/bin/other etc/issue'
  const essential = ['/usr/bin/sh', '/usr/bin/cat']
  const replaces = judge(
    t,
    'mkdir -p usr/bin; touch usr/bin/sh usr/bin/cat usr/bin/other',
    rootOf(t, base, { essential }),
  )
  t.equal(replaces.position, 'below')
  t.same(lines(replaces), [
    "warning: /usr/bin/cat: the machine needs the root's to boot: the image goes below the root and only adds files",
    "warning: /usr/bin/sh: the machine needs the root's to boot: the image goes below the root and only adds files",
    "notice: 3 of its files are hidden by the root's: /usr/bin/cat, /usr/bin/other, /usr/bin/sh",
  ])
  const harmless = judge(t, 'mkdir -p usr/bin; touch usr/bin/other', rootOf(t, base, { essential }))
  t.equal(harmless.position, 'above')
  t.same(lines(harmless), ["notice: it replaces 1 of the root's files: /usr/bin/other"])
  const additive = judge(t, 'mkdir -p usr/bin; touch usr/bin/sh', rootOf(t, base, { essential }), {
    labels: new Map([['io.balena.image.class', 'overlay']]),
  })
  t.equal(additive.position, 'below')
  t.same(lines(additive), ["notice: 1 of its files is hidden by the root's: /usr/bin/sh"])
  t.match(lines(judge(t, 'mkdir -p usr/bin; touch usr/bin/sh')), [
    /^warning: \/usr\/bin\/sh: a machine that has it/,
  ])
  const covered = judge(
    t,
    'mkdir -p mnt/data srv; touch mnt/data/x',
    rootOf(t, base, { places: ['/mnt/data'], state: [] }),
  )
  t.match(lines(covered), [
    'warning: /mnt/data: its files below it are not visible: something of the machine is mounted there',
    'warning: /srv: its files below it are read-only: this machine keeps no state there',
  ])
})

t.test('whether it is for this machine', async (t) => {
  const base = 'mkdir -p usr etc'
  const labels = new Map([...FEATURE, ['io.balena.image.kernel-version', '5.10.0']])
  t.match(lines(judge(t, 'touch x', rootOf(t, base), { labels })), [
    'error: it would be left out: it is for kernel 5.10.0, but 6.1.0 is running',
  ])
  const host = { ...HOST, kernel: undefined }
  t.match(lines(judge(t, 'touch x', rootOf(t, base, { host, kernels: ['6.1.0-1'] }), { labels })), [
    'warning: io.balena.image.kernel-version: it is for kernel 5.10.0, and the root has 6.1.0-1',
  ])
  t.same(lines(judge(t, 'touch x', rootOf(t, base, { host, kernels: ['5.10.0-1'] }), { labels })), [])
  t.same(lines(judge(t, 'touch x', rootOf(t, base, { architecture: 'amd64' }), { architecture: 'arm64' })), [
    'error: it is for arm64, and the root for amd64: its programs do not run',
  ])
  const system = "mkdir etc; printf 'ID=debian\\nVERSION_ID=12\\n' >etc/os-release"
  t.match(lines(judge(t, system), 'whole'), [/^notice: it is a whole system \(debian 12\)/])
  t.match(lines(judge(t, system, rootOf(t, base)), 'whole'), [
    /^notice: it is a whole system, the same as the root/,
  ])
  const skip = rootOf(t, base, { host: { ...HOST, skipsForeign: true } })
  t.match(lines(judge(t, 'mkdir etc; echo ID=x >etc/os-release', skip), 'left-out'), [/ForeignSystem=skip$/])
})

t.test('modules, for which kernels', async (t) => {
  const image =
    'mkdir -p lib/modules/6.1.0/extra lib/modules/5.10.0; touch lib/modules/6.1.0/extra/a.ko.xz lib/modules/5.10.0/b.ko'
  const document = judge(t, image, rootOf(t, 'mkdir -p usr etc', { kernels: ['6.1.0'] }))
  t.same(document.modules, [
    { release: '5.10.0', count: 1 },
    { release: '6.1.0', count: 1 },
  ])
  t.match(lines(document, 'modules'), [
    'notice: /lib/modules/5.10.0: 1 kernel module for 5.10.0, but 6.1.0 is running: they are not loaded',
    'notice: /lib/modules/6.1.0: 1 kernel module for 6.1.0, which is running',
  ])
  const other = judge(t, 'mkdir -p lib/modules/5; touch lib/modules/5/b.ko', rootOf(t, 'mkdir -p usr etc'))
  t.match(lines(other, 'modules'), [/^warning: .*they are not loaded$/])
})

t.test('nothing in it, no labels, and a container that was started', async (t) => {
  t.same(lines(judge(t, ':')), ['warning: it has no files'])
  t.match(lines(judge(t, 'touch x', noRoot(), { labels: undefined, format: 'directory' })), [
    /^notice: a directory has no labels: /,
  ])
  t.match(lines(judge(t, 'touch x', noRoot(), { unmeant: 'it has been started' })), [
    'warning: this container is not an extension: it has been started',
  ])
})

t.test('an image that cannot be prepared is left out', async (t) => {
  const document = judge(
    t,
    'mkdir -p usr/lib var/lib/app; echo s >var/lib/app/s; ln -s /x usr/lib/tmpfiles.d',
  )
  t.same(lines(document, 'left-out'), [
    'error: it cannot be prepared, so it would be left out: it has a symbolic link at /usr/lib/tmpfiles.d',
  ])
  t.match(document, { position: null, size: { image: { files: 2 }, tree: { files: 0 } } })
})

t.test('a recipe of an image among its files', async (t) => {
  const has = (subject: Partial<Subject>): string | undefined =>
    lines(judge(t, 'touch Dockerfile', noRoot(), subject)).find((line) => line.includes('/Dockerfile'))
  t.match(has({ labels: undefined, format: 'directory' }), /give its name with the tag$/)
  t.match(
    has({ format: 'docker archive' }),
    /^warning: \/Dockerfile: it becomes a file of the root: "COPY \. \/"/,
  )
  t.same(lines(judge(t, 'mkdir -p Dockerfile usr/src; touch usr/src/Dockerfile'), 'recipe'), [])
})

t.test('what its author has copied into a system, and the root hides', async (t) => {
  const directory = makeTree(t)
  sh(
    directory,
    'mkdir -p etc bin; echo ID=debian >etc/os-release; echo x | tee etc/motd etc/issue etc/own >bin/sh',
  )
  const read = readDirectory(directory, false)
  for (const name of ['motd', 'own']) addMore(findNode(read.top, `etc/${name}`) as Node, { isOwn: true })
  const subject = { name: 'x', labels: FEATURE, architecture: undefined, layers: 2, ...read, format: 'image' }
  const script = 'mkdir -p etc bin; echo x | tee etc/motd etc/issue >bin/sh'
  const document = judgeImage(subject, rootOf(t, script, { essential: ['/bin/sh'] }))
  t.equal(document.position, 'below')
  t.same(lines(document, 'own-hidden'), [
    "warning: /etc/motd: the root's own file hides it: a second image with it, FROM scratch, can be above the root",
  ])
})

t.test('owners without a name', async (t) => {
  t.same(lines(judge(t, 'mkdir d; touch d/x; chown -R 1000:1000 d')), [
    'warning: /d: it belongs to 1000:1000, who has no name in the image or the root, and so do 1 more files: "COPY --chown=0:0"?',
  ])
})

t.test('the document has only what can be printed', async (t) => {
  const name = "$(printf 'a\\033[31m\\nb')"
  const document = judge(
    t,
    `mkdir -p etc/ssh; touch "etc/ssh/ssh_host_x_key" "${name}"; chmod 4777 "${name}"`,
  )
  t.equal(document.privileges[0]?.path, '/a\\x1b[31m\\x0ab')
  t.same(JSON.parse(JSON.stringify(document)), document)
  t.match(document, { summary: { error: 0 } })
})
