import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { BASE_REPORT, type Case } from '../checks.js'
import { reported } from '../machine.js'

const IMAGE = 'var/lib/extensions/tried'
const UNIT = '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n'

/** What docs/comparison.md says was tried of other programs. */
export function cases(): Case[] {
  return [
    {
      name: 'comparison: what an image of systemd-sysext brings at boot',
      boot: 'uml',
      fullOnly: true,
      machine: {
        files: {
          [`${IMAGE}/usr/lib/extension-release.d/extension-release.tried`]:
            'ID=_any\nEXTENSION_RELOAD_MANAGER=1\n',
          [`${IMAGE}/usr/share/tried`]: 'a file\n',
          [`${IMAGE}/etc/tried`]: 'a file\n',
          [`${IMAGE}/var/lib/tried`]: 'a file\n',
          [`${IMAGE}/usr/lib/systemd/system/tried.service`]: UNIT,
          [`${IMAGE}/usr/lib/tmpfiles.d/tried.conf`]: 'f /run/tried 0644 root root - made\n',
          [`${IMAGE}/usr/lib/sysusers.d/tried.conf`]: 'u tried -\n',
          [`${IMAGE}/usr/lib/sysctl.d/70-tried.conf`]: 'kernel.panic_on_oops = 1\n',
          [`${IMAGE}/usr/lib/modules-load.d/tried.conf`]: 'dummy\n',
        },
        prepare(root) {
          for (const [path, target] of [
            [`${IMAGE}/usr/lib/systemd/system/multi-user.target.wants/tried.service`, '../tried.service'],
            [
              'etc/systemd/system/sysinit.target.wants/systemd-sysext.service',
              '/usr/lib/systemd/system/systemd-sysext.service',
            ],
          ] as const) {
            mkdirSync(join(root, path, '..'), { recursive: true })
            symlinkSync(target, join(root, path))
          }
        },
        script: `${BASE_REPORT}
report file cat /usr/share/tried
report etc cat /etc/tried
report var cat /var/lib/tried
report unit systemctl is-active tried.service
report tmpfiles cat /run/tried
report user getent passwd tried
report sysctl cat /proc/sys/kernel/panic_on_oops
report module ls -d /sys/module/dummy
report usr findmnt -no OPTIONS /usr
`,
      },
      check(t, outcome) {
        t.equal(reported(outcome, 'file'), 'a file', 'a file in /usr is there')
        t.match(reported(outcome, 'usr'), /\bro\b/, 'and /usr is read-only')
        for (const key of ['etc', 'var']) t.not(outcome.reports.get(`${key}.status`), '0', `none in /${key}`)
        t.equal(reported(outcome, 'unit'), 'inactive', 'a unit that it enables is known, and not started')
        t.equal(reported(outcome, 'user'), '', 'a user is not created')
        t.equal(reported(outcome, 'sysctl'), '0', 'a setting of sysctl.d has no effect')
        t.not(outcome.reports.get('module.status'), '0', 'a module of modules-load.d is not loaded')
        t.equal(reported(outcome, 'tmpfiles'), 'made', 'a line of tmpfiles.d is used')
      },
    },
  ]
}
