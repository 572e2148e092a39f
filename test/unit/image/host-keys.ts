import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isKeyUnit, makeKeyUnits } from '../../../src/image/host-keys.js'
import { makeTree } from '../../support/tree.js'

const dropbear = (type: string) => `/etc/dropbear/dropbear_${type}_host_key`
const INITIATOR = '/etc/iscsi/initiatorname.iscsi'

t.test('a unit for each program whose files an image brought', async (t) => {
  t.same(makeKeyUnits([]), [])
  t.same(makeKeyUnits(['/etc/nvme/hostnqn', '/etc/nvme/hostid']), [], 'nvme(1) needs none')
  const units = makeKeyUnits([
    '/etc/ssh/ssh_host_rsa_key',
    dropbear('rsa'),
    `${dropbear('rsa')}.pub`,
    INITIATOR,
  ])
  t.same(
    units.map(({ name }) => name),
    ['hostext-ssh-keys.service', 'hostext-dropbear-keys.service', 'hostext-iscsi-name.service'],
  )
  for (const { name } of units) t.ok(isKeyUnit(name))
  t.notOk(isKeyUnit('hostext-trial.service'))
})

t.test('the keys that the image had, of the same types', async (t) => {
  const [unit] = makeKeyUnits([dropbear('rsa'), dropbear('ed25519')])
  t.equal(
    unit?.text,
    `# Made by hostext: what an image brought is not for the machines that use it.
[Unit]
Description=Make the host keys of Dropbear on this machine
ConditionPathExists=|!/etc/dropbear/dropbear_ed25519_host_key
ConditionPathExists=|!/etc/dropbear/dropbear_rsa_host_key
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target
Before=shutdown.target dropbear.service dropbear.socket
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c "[ -e ${dropbear('ed25519')} ] || dropbearkey -t ed25519 -f ${dropbear('ed25519')}"
ExecStart=sh -c "[ -e ${dropbear('rsa')} ] || dropbearkey -t rsa -f ${dropbear('rsa')}"
`,
  )
})

t.test(
  'the name of an initiator, before iscsid, which is before network mounts and so maybe /var',
  async (t) => {
    t.notMatch(makeKeyUnits([INITIATOR])[0]?.text, 'sysinit.target')
    const directory = makeTree(t, { 'bin/iscsi-iname*': '#!/bin/sh\necho iqn.2024-01.org:1\n' })
    const file = join(directory, 'name')
    const [unit] = makeKeyUnits([INITIATOR])
    const script = /^ExecStart=sh -c "(.*)"$/m.exec(unit?.text ?? '')?.[1] ?? ''
    const run = (path: string) =>
      // systemd makes one $ of two.
      execFileSync('/bin/sh', ['-c', script.replaceAll('$$', '$').replaceAll(INITIATOR, file)], {
        env: { PATH: path },
        stdio: 'pipe',
      })
    t.throws(() => run('/nowhere'), { message: /iscsi-iname: not found/ })
    t.notOk(existsSync(file), 'no file without a name')
    run(join(directory, 'bin'))
    t.equal(readFileSync(file, 'utf8'), 'InitiatorName=iqn.2024-01.org:1\n')
  },
)
