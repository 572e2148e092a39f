import { execFileSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DEFAULT_DATA_ROOTS } from '../../../src/engine/places.js'
import { PROJECT } from '../../support/paths.js'
import { makeTree } from '../../support/tree.js'

const PACKAGING = join(PROJECT, 'packaging/debian')
const NODE = 'usr/lib/hostext/node'

/** Runs a script of the package as dpkg does for another root: DPKG_ROOT in dpkg(1). */
function run(name: string, root: string, ...words: string[]): void {
  execFileSync('sh', [join(PACKAGING, `hostext.${name}`), ...words], {
    env: { PATH: process.env.PATH, DPKG_ROOT: root },
    stdio: 'pipe',
  })
}

/** What hostext keeps in a data root. */
const kept = (place: string): Record<string, string> => ({
  [`${place}/hostext/trees/A.1/usr/file`]: '',
  [`${place}/hostext/good`]: '',
  [`${place}/image/engine`]: '',
})

t.test('the link to Debian’s nodejs comes and goes with the runtime of hostext', async (t) => {
  const root = makeTree(t, { 'usr/bin/node': 'node', 'usr/lib/hostext/hostext.cjs': '' })
  const node = join(root, NODE)
  run('postinst', root, 'configure')
  t.equal(readlinkSync(node), '../../bin/node')
  t.equal(readFileSync(node, 'utf8'), 'node')
  run('postinst', root, 'triggered', '/usr/lib/hostext/node')
  t.equal(readlinkSync(node), '../../bin/node')
  run('prerm', root, 'upgrade', '2')
  t.ok(existsSync(node), 'an upgrade keeps it')
  run('prerm', root, 'remove')
  t.notOk(lstatSync(node, { throwIfNoEntry: false }))

  writeFileSync(node, 'the runtime')
  run('postinst', root, 'configure')
  run('prerm', root, 'remove')
  t.equal(readFileSync(node, 'utf8'), 'the runtime', 'the file of the other package stays')
})

t.test('purge', { skip: process.getuid?.() !== 0 && 'what hostext keeps is root’s' }, async (t) => {
  const named = {
    'etc/hostext.conf': '[Engine]\n  DataRoot = /named/by/hostext\n#DataRoot=/commented\n',
    'etc/docker/daemon.json': '{ "debug": true,\n "data-root": "/named/by/docker/" }\n',
    'etc/containers/storage.conf': '[storage]\ngraphroot = "/named/by podman"\n',
    'etc/containerd/config.toml': "version = 2\nroot = '/named/by/containerd'\n",
  }
  const places = ['/named/by/hostext', '/named/by/docker', '/named/by podman', '/named/by/containerd']
  const defaults = [...DEFAULT_DATA_ROOTS, '/var/lib/containerd', '/var/lib/docker/containerd/daemon']
  const others = {
    ...kept('commented'),
    'srv/hostext/trees/x': '',
    'var/lib/hostext/etc/upper/motd': 'changed',
    'var/lib/hostext/etc/work/work/x': '',
    'var/lib/hostext/etc/base/shadow': '',
  }
  const root = makeTree(t, {
    ...named,
    ...others,
    ...Object.assign({}, ...[...places, ...defaults].map((place) => kept(place.slice(1)))),
  })
  run('postrm', root, 'remove')
  for (const place of [...places, ...defaults])
    t.ok(existsSync(join(root, place, 'hostext/trees')), `removing keeps ${place}`)
  run('postrm', root, 'purge')
  for (const place of [...places, ...defaults]) {
    t.notOk(existsSync(join(root, place, 'hostext')), place)
    t.ok(existsSync(join(root, place, 'image/engine')), `what is the engine’s stays in ${place}`)
  }
  t.ok(existsSync(join(root, 'commented/hostext/good')))
  t.ok(existsSync(join(root, 'srv/hostext/trees/x')))
  t.equal(readFileSync(join(root, 'var/lib/hostext/etc/upper/motd'), 'utf8'), 'changed')
  for (const name of ['work', 'base']) t.notOk(existsSync(join(root, 'var/lib/hostext/etc', name)), name)
  run('postrm', root, 'purge')
})

t.test(
  'purge leaves what may be somebody else’s',
  { skip: process.getuid?.() !== 0 && 'only root can give files away' },
  async (t) => {
    const root = makeTree(t, {
      ...kept('elsewhere'),
      ...kept('var/lib/balena-engine'),
      'var/lib/containers/storage/hostext/good': '',
      'var/lib/docker/containers/x': '',
      'var/lib/hostext/etc/upper/.keep': '',
    })
    symlinkSync('/elsewhere/hostext', join(root, 'var/lib/docker/hostext'))
    chownSync(join(root, 'var/lib/balena-engine/hostext'), 1000, 1000)
    run('postrm', root, 'purge')
    t.ok(existsSync(join(root, 'elsewhere/hostext/trees')), 'behind a link')
    t.ok(existsSync(join(root, 'var/lib/balena-engine/hostext/trees')), 'another user’s')
    t.ok(existsSync(join(root, 'var/lib/containers/storage/hostext/good')), 'without trees')
  },
)
