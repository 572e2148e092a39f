import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { check } from '../../../src/commands/check.js'
import { copyDataRoot } from '../../support/data-root.js'
import { PROJECT } from '../../support/paths.js'
import { cannotMount } from '../../support/private.js'
import { makeTree } from '../../support/tree.js'

const ARCHIVE = join(PROJECT, 'test/archives/oci-gzip.tar')
const ROOT = {
  'usr/lib/os-release': 'ID=debian\nVERSION_ID=12\n',
  'etc/os-release': '-> ../usr/lib/os-release',
  'usr/bin/sleep*': 'x',
}

t.test('an archive, on no root', async (t) => {
  const { document, lines, status } = await check({}, [ARCHIVE], { noRoot: true })
  t.same(lines.slice(0, 3), [
    'OCI archive app:1; amd64; 5 layers; 16 files, 1 KiB',
    'as an extension above the root on any root (the image alone was looked at; --root DIR compares it with one)',
    '',
  ])
  t.match(lines.at(-1), /^good: 0 errors, \d+ warnings, \d+ notices$/)
  t.equal(status, 0)
  t.match(document, {
    root: null,
    position: 'above',
    labels: { 'io.balena.features.host-extension': '1' },
    users: [{ name: 'app', id: 990 }],
    units: [{ name: 'app.service', state: 'not enabled', install: ['multi-user.target'] }],
    privileges: [{ path: '/usr/bin/app', mode: '4755' }],
  })
})

t.test('on a root, and with each threshold', async (t) => {
  const environment = { HOSTEXT_ROOT: makeTree(t, ROOT) }
  const { document, status } = await check(environment, [ARCHIVE])
  t.match(document, { root: { name: /^debian 12 at \// } })
  t.equal(status, 0, 'no error')
  t.equal((await check(environment, [ARCHIVE], { failOn: 'warning' })).status, 1)
  t.equal((await check(environment, [ARCHIVE], { failOn: 'notice' })).status, 1)
  t.match((await check(environment, [ARCHIVE], { failOn: 'warning' })).lines.at(-1), /^not good: 0 errors/)
  const directory = makeTree(t, { 'usr/share/x': '' })
  t.equal((await check(environment, [directory], { failOn: 'notice' })).status, 1, 'it has no labels')
  t.equal((await check(environment, [directory], { failOn: 'warning' })).status, 0)
})

t.test('many notices of one kind', async (t) => {
  const files = Array.from({ length: 30 }, (_, index) => [`var/lib/x/${index}`, ''])
  const { lines, document } = await check({}, [makeTree(t, Object.fromEntries(files))], { noRoot: true })
  t.equal(lines.filter((line) => line.includes('copied to the state once')).length, 10)
  t.ok(lines.includes('  notice: 20 more like this; --json has all'))
  t.match(document, { summary: { notice: 31 } })
})

t.test('what is wrong is one line, and says how it was called wrongly', async (t) => {
  const said = async (words: string[], options = {}, environment = {}) => {
    const { lines, status, document } = await check(environment, words, { noRoot: true, ...options })
    t.same(document, { error: lines[0] })
    t.equal(lines.length, 1)
    return `${status} ${lines[0]}`
  }
  const usage = '2 check: name one image, container, directory or archive; "-" is standard input'
  t.equal(await said([]), usage)
  t.equal(await said(['a', 'b']), usage)
  t.equal(await said(['a'], { failOn: 'all' }), '2 check: --fail-on= takes error, warning, notice, not all')
  t.match(
    await said(['/etc/hostname\x1b']),
    /^1 check: \/etc\/hostname\\x1b is neither a file, nor a container or an image/,
  )
  t.equal(await said(['/dev/null']), '1 check: /dev/null is neither a file nor a directory')
  t.match(
    await said([join(PROJECT, 'package.json')]),
    /^1 check: \S+package\.json is not an archive of tar\(1\)$/,
  )
  const layout = makeTree(t, { 'oci-layout': '{}' })
  t.match(await said([layout]), /is an unpacked archive of an image \(it has oci-layout\): "tar -C DIRECTORY/)
  const empty = makeTree(t)
  t.equal(
    await said([ARCHIVE], { noRoot: false }, { HOSTEXT_ROOT: empty }),
    `1 check: ${empty} is not a root file system: it has no /usr or no /etc`,
  )
})

t.test('containers of a real engine, which does not run', { skip: cannotMount }, async (t) => {
  const { root } = copyDataRoot(t)
  for (const [path, text] of Object.entries(ROOT))
    execFileSync('sh', [
      '-ec',
      'mkdir -p "$(dirname "$0")"; printf %s "$1" >"$0"',
      join(root.prefix, path),
      text,
    ])
  const environment = { HOSTEXT_ROOT: root.prefix }
  const { lines, document } = await check(environment, ['one-layer'])
  t.match(lines[0], /^container of Docker one-layer \(one-layer:1\); 1 layer; /)
  t.match(document, { position: 'above', labels: { 'io.balena.features.host-extension': '1' } })
  t.match((await check(environment, ['many-layers'])).lines[0], /; \d+ layers; /)
  t.match((await check(environment, ['nowhere'])).lines, [
    'check: nowhere is neither a file, nor a container or an image of an engine (/var/lib/docker)',
  ])
})

t.test('as a command', async (t) => {
  const run = (...words: string[]) =>
    spawnSync('npx', ['tsx', 'src/commands.ts', 'check', ...words], { cwd: PROJECT, encoding: 'utf8' })
  const { stdout, status } = run('--json', '--no-root', ARCHIVE)
  t.match(JSON.parse(stdout), { schema: 'hostext', version: 1, command: 'check' })
  t.equal(status, 0)
  t.equal(run('--no-root', '--fail-on=warning', ARCHIVE).status, 1)
  t.equal(run('--wrong', ARCHIVE).status, 2)
  const wrong = run('--no-root', '/dev/null')
  t.same(
    [wrong.stdout, wrong.stderr, wrong.status],
    ['', 'hostext: error: check: /dev/null is neither a file nor a directory\n', 1],
  )
})
