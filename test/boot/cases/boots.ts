import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { enable } from '../assemble.js'
import { BASE_REPORT, type Case, isStacked } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { reported } from '../machine.js'

/** A script for a boot that is not complete while its main job still runs. */
const PLAIN_REPORT = `
report decision cat /run/hostext.decision
report root findmnt -no SOURCE,FSTYPE,OPTIONS /
`

/** Boots for another purpose, and what a boot would do to the root if it were not stacked. */
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
        boots: [
          {
            commandLine: [
              'balena.nohostext',
              'systemd.mask=systemd-growfs-root.service',
              'systemd.mask=systemd-growfs@-.service',
            ],
          },
          {},
        ],
        script: `${BASE_REPORT}
report size sh -c 'df --output=size -BM /var | tail -n 1'
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        const [before, after] = outcome.boots.map((boot) =>
          Number.parseInt(boot.reports.get('size') ?? '', 10),
        ) as [number, number]
        t.ok(after - before > 150, `200 MiB more are there: ${before}, then ${after}`)
      },
    },
    {
      name: 'boots: a drop-in of the default target that pulls in a service',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          'etc/systemd/system/default.target.d/app.conf': '[Unit]\nWants=app.service\n',
          'etc/systemd/system/app.service':
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'cat /usr/share/one-layer/one.txt >>/run/app'\n",
        },
        script: `${BASE_REPORT}
report app cat /run/app
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(reported(outcome, 'app'), 'from one-layer', 'it starts once, in the stacked root')
      },
    },
    {
      name: 'boots: plain: an offline update',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: {
          // The update of this machine is what reports.
          'etc/systemd/system/update.service': '[Service]\nType=oneshot\nExecStart=/usr/lib/test/report\n',
        },
        prepare(root) {
          symlinkSync('var/update', join(root, 'system-update'))
          enable(root, 'update.service', 'system-update.target')
        },
        script: `${PLAIN_REPORT}
report others systemctl is-active multi-user.target
`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'decision'), 'plain root: an offline update is waiting (/system-update)')
        t.match(reported(outcome, 'root'), /ext4 +rw,/)
        t.equal(reported(outcome, 'others'), 'inactive', 'the boot is that of the update')
      },
    },
    {
      name: 'boots: plain: systemd.run=',
      boot: 'container',
      machine: {
        dataRoot: standard,
        commandLine: ['systemd.run=/usr/lib/test/report', 'systemd.run_success_action=none'],
        script: `${PLAIN_REPORT}
report run systemctl is-active kernel-command-line.service
`,
      },
      check(t, outcome) {
        t.match(reported(outcome, 'decision'), 'plain root: systemd.run= on the kernel command line')
        t.match(reported(outcome, 'root'), /ext4 +rw,/)
        t.equal(reported(outcome, 'run'), 'activating', 'it is the command that runs')
      },
    },
  ]
}
