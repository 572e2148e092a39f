import t from 'tap'
import { readOtherGenerators } from '../../../src/machine/other-generators.js'
import { makeTree } from '../../support/tree.js'

t.test('generators that may make mounts', async (t) => {
  const prefix = makeTree(t, {
    'usr/lib/systemd/system-generators/systemd-fstab-generator': '.mount',
    'usr/lib/systemd/system-generators/hostext-generator': '.mount',
    'usr/lib/systemd/system-generators/zfs-mount-generator': 'printf %s.mount',
    'usr/lib/systemd/system-generators/netplan': 'a link to .network',
    'usr/lib/systemd/system-generators/masked': '.mount',
    'etc/systemd/system-generators/masked': '-> /dev/null',
    'usr/lib/systemd/system-generators/large': 'x'.repeat(2 << 20),
    'usr/lib/systemd/system-generators/podman-system-generator': 'x'.repeat(2 << 20),
    'usr/local/lib/systemd/system-generators/own': '-> /opt/own',
    'opt/own': 'srv-x.mount',
  })
  t.same(readOtherGenerators({ prefix }), ['large', 'own', 'zfs-mount-generator'])
  t.same(readOtherGenerators({ prefix: '/nonexistent' }), [])
})
