import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Neither hostext nor a case needs these units, and each costs an emulated machine a second or more. */
const MASKED = [
  'getty@.service',
  'serial-getty@.service',
  'systemd-logind.service',
  'systemd-timesyncd.service',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
  'e2scrub_reap.service',
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'fstrim.timer',
  'modprobe@.service',
  'dev-hugepages.mount',
  'dev-mqueue.mount',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
]

/** These are 170 of 250 devices. For those of the CPU and of ACPI, udev also loads a dozen modules. */
const LEFT_ALONE = ['acpi', 'cpu', 'memory', 'pnp', 'tty', 'vc', 'vtconsole']
const TRIGGER = `[Service]
ExecStart=
ExecStart=udevadm trigger --type=all --action=add ${LEFT_ALONE.map((name) => `--subsystem-nomatch=${name}`).join(' ')}
`

/** Removes from the tree of a machine with disks what only makes its boots longer. */
export function makeLean(tree: string): void {
  const units = join(tree, 'etc/systemd/system')
  for (const unit of MASKED) symlinkSync('/dev/null', join(units, unit))
  const dropIns = join(units, 'systemd-udev-trigger.service.d')
  mkdirSync(dropIns)
  writeFileSync(join(dropIns, 'lean.conf'), TRIGGER)
}
