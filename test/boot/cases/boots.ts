import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { BASE_REPORT, type Case, isPlain, isStacked } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { reported } from '../machine.js'

/** Boots that are for something else, and what a boot does to a root that is not there any more. */
export function cases(): Case[] {
  const standard = standardDataRoot()
  return [
    {
      name: 'boots: x-systemd.growfs grows the root through its state',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        spare: '200M',
        fstab: '/dev/ubda / ext4 rw,x-systemd.growfs 0 1\n',
        boots: [{ commandLine: ['balena.nohostext', 'systemd.mask=systemd-growfs-root.service'] }, {}],
        script: `${BASE_REPORT}
report size sh -c 'df --output=size -BM /var | tail -n 1'
report growfs systemctl show -P Result -P ActiveState systemd-growfs-root.service
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        const [before, after] = outcome.boots.map((boot) =>
          Number.parseInt(boot.reports.get('size') ?? '', 10),
        ) as [number, number]
        t.ok(after - before > 150, `200 MiB more are there: ${before}, then ${after}`)
        t.match(reported(outcome, 'growfs'), /success\nactive|active\nsuccess/)
      },
    },
    {
      name: 'boots: plain: an offline update',
      boot: 'container',
      machine: {
        dataRoot: standard,
        prepare(root) {
          symlinkSync('var/update', join(root, 'system-update'))
          // The update of this machine is to report.
          const wants = join(root, 'etc/systemd/system/system-update.target.wants')
          mkdirSync(wants)
          symlinkSync('../report.service', join(wants, 'report.service'))
        },
        script: `${BASE_REPORT}
report update systemctl is-active system-update.target
`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'decision'), 'plain root: an offline update waits (/system-update)')
        t.notMatch(reported(outcome, 'root'), /^hostext/)
        t.equal(reported(outcome, 'update'), 'active', 'the boot is that of the update')
      },
    },
    {
      name: 'boots: plain: systemd.run=',
      boot: 'container',
      machine: {
        dataRoot: standard,
        commandLine: ['systemd.run=/usr/lib/test/report', 'systemd.run_success_action=none'],
        script: `${BASE_REPORT}
report run systemctl is-active kernel-command-line.target
`,
      },
      check: (t, outcome) => isPlain(t, outcome, /plain root: systemd\.run= on the kernel command line/),
    },
  ]
}
