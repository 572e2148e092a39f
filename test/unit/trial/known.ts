import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { seeNothing } from '../../../src/machine/seen.js'
import { whatWasSeen } from '../../../src/trial/known.js'
import { makeTree, type Tree } from '../../support/tree.js'

const PLACE = '/var/lib/docker'

/** The paths of an engine's data, which come first. */
const OWN = ['', '/hostext', '/hostext/known', '/hostext/known/sums'].map((name) => `.//${PLACE}${name}`)

/** How the paths are spelled, on a machine with these files. */
function spelled(t: Test, files: Tree, add: (seen: ReturnType<typeof seeNothing>) => void): string[] {
  const seen = seeNothing()
  add(seen)
  const paths = whatWasSeen(seen, makeTree(t, files), PLACE)?.paths.split('\0')
  t.same(paths?.slice(0, OWN.length), OWN)
  t.equal(paths?.at(-1), '', 'each ends with a NUL')
  return paths?.slice(OWN.length, -1) ?? []
}

t.test('the spelling of a path says what counts', async (t) => {
  const files = {
    'etc/fstab': '',
    'etc/systemd/system/x.service': '',
    'usr/lib/node': '',
    'data/containers/1': '',
  }
  const paths = spelled(t, files, (seen) => {
    seen.texts.add('/etc/fstab').add('/etc/systemd').add('/proc/self/mountinfo').add('/proc/cmdline')
    seen.stats.add('/').add('/etc/fstab').add('/usr')
    seen.times.add('/usr/lib/node')
    seen.names.add('/etc/systemd/system').add('/')
    seen.containers.set('/data/containers', ['overlay2'])
  })
  t.same(
    paths.sort(),
    [
      '.',
      './././.',
      '././/data/containers/.',
      '././etc/systemd/system/.',
      './/usr/lib/node',
      './etc/fstab',
      'etc/systemd',
      'usr',
    ].sort(),
    'without what the shell reads in another way; a directory has no text',
  )
})

t.test('what is missing is missing as long as the directory above it is', async (t) => {
  const paths = spelled(t, { 'etc/systemd/system/x.service': '', 'usr/a/file': '' }, (seen) => {
    seen.stats.add('/var/lib/containers/storage/x').add('/var/lib/containers').add('/etc/nothing')
    seen.stats.add('/usr/a/file/below').add('/usr/a/b/c')
    seen.texts.add('/etc/systemd/system/y.service').add('/var/y')
    seen.names.add('/etc/systemd/system').add('/run/systemd/system')
    seen.times.add('/opt/bin')
  })
  t.same(
    paths.sort(),
    ['././etc/systemd/system/.', 'etc/nothing', 'opt', 'run', 'usr/a/b', 'usr/a/file/below', 'var'].sort(),
  )
})

t.test('a link counts as a link, and has the text of its file', async (t) => {
  const root = makeTree(t, { 'usr/lib/os-release': '', 'usr/lib/d/x': '' })
  mkdirSync(join(root, 'etc'))
  symlinkSync('../usr/lib/os-release', join(root, 'etc/os-release'))
  symlinkSync('../usr/lib/d', join(root, 'etc/d'))
  symlinkSync('other', join(root, 'etc/dangling'))
  symlinkSync('../srv/nowhere', join(root, 'etc/other'))
  const seen = seeNothing()
  for (const name of ['os-release', 'd', 'dangling']) seen.texts.add(`/etc/${name}`)
  t.same(whatWasSeen(seen, root, PLACE)?.paths.split('\0').slice(OWN.length), [
    './etc/os-release',
    'etc/d',
    'usr/lib/d',
    'etc/dangling',
    'etc/other',
    'srv/nowhere',
    '',
  ])
})

t.test('assignments for the shell', async (t) => {
  const seen = seeNothing()
  seen.containers.set('/var/lib/docker/containers', ['overlay2', 'overlayfs'])
  seen.heads.set('/dev/vda', 17408)
  t.equal(
    whatWasSeen(seen, makeTree(t), PLACE)?.variables,
    `data='var/lib/docker'
containers='var/lib/docker/containers overlay2 overlayfs'
heads='17408 dev/vda'
`,
  )
})

t.test('a path that the shell would take for something else: nothing is kept', async (t) => {
  const root = makeTree(t)
  for (const path of ["/etc/it's", '/etc/two\nlines', '/etc/ä', '/etc/\x1b[0m', '/etc/\t'])
    for (const kind of ['texts', 'stats', 'times', 'names'] as const) {
      mkdirSync(join(root, 'etc'), { recursive: true })
      writeFileSync(join(root, path), '')
      const seen = seeNothing()
      seen[kind].add(path)
      t.equal(whatWasSeen(seen, root, PLACE), undefined, `${kind}: ${JSON.stringify(path)}`)
    }
  const seen = seeNothing()
  seen.containers.set('/data/containers', ["'; reboot; '"])
  t.equal(whatWasSeen(seen, root, PLACE), undefined, 'a driver')
  t.equal(whatWasSeen(seeNothing(), root, "/data/it's"), undefined, 'the data root')
})

t.test('a partition table far away on its disk is not kept', async (t) => {
  const seen = seeNothing()
  seen.heads.set('/dev/vda', 2 ** 20)
  t.ok(whatWasSeen(seen, makeTree(t), PLACE))
  seen.heads.set('/dev/vda', 2 ** 20 + 1)
  t.equal(whatWasSeen(seen, makeTree(t), PLACE), undefined)
})
