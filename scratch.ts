import { bootContainer, bootVm } from './test/machine/machine.js'
import { standardDataRoot } from './test/machine/extensions.js'
import { dataRoot } from './test/machine/engine.js'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const REPORT = `
for try in $(seq 600); do systemctl is-system-running | grep -qE "initializing|starting" || break; sleep 0.1; done
report state systemctl is-system-running
report failed systemctl --failed --plain --no-legend
report root findmnt -no SOURCE,FSTYPE,OPTIONS /
report layers systemctl list-units --plain --no-legend 'run-hostext-*.mount'
report decision cat /run/hostext.decision
report mountlog cat /run/hostext/mount.log
report mounts sh -c 'findmnt -rno TARGET,SOURCE,FSTYPE,OPTIONS | grep -vE "^/(proc|sys|dev)"'
report jobs systemctl list-jobs --no-legend
`
const [which, ...releases] = process.argv.slice(2)
const FEATURE = 'LABEL io.balena.features.host-extension=1'
const cases: Record<string, () => any> = {
  volatile: () => ({ dataRoot: standardDataRoot(), script: REPORT + `
report write sh -c 'echo x > /etc/new && cat /etc/new; ls -la /etc | head -5; systemctl status etc.mount; ls -la /run/hostext /run/hostext/etc'
` }),
  persistent: () => ({ dataRoot: standardDataRoot(), files: { 'etc/hostext.conf': '[Root]\nEtc=persistent\n' }, script: REPORT + `
report write sh -c 'echo x > /etc/new && cat /etc/new; systemctl status etc.mount; ls -laR /var/lib/hostext'
` }),
  collect: () => ({ dataRoot: standardDataRoot(), files: { 'etc/hostext.conf': '[Root]\nState=/var /home /root /srv /data-source\n', 'etc/fstab': '/data-source /mnt/data none bind 0 0\n/dev/vda / ext4 rw 0 1\n' },
    prepare: (root: string) => { mkdirSync(join(root, 'data-source'), { recursive: true }); renameSync(join(root, 'var/lib/docker'), join(root, 'data-source/docker')); writeFileSync(join(root, 'data-source/remove_me_to_reset'), ''); mkdirSync(join(root, 'mnt/data')) },
    script: REPORT }),
  collectplain: () => ({ files: { 'etc/fstab': '/data-source /mnt/data none bind 0 0\n/dev/vda / ext4 rw 0 1\n' },
    prepare: (root: string) => { mkdirSync(join(root, 'data-source'), { recursive: true }); mkdirSync(join(root, 'mnt/data')) },
    script: REPORT }),
  missing: () => ({ files: { 'etc/hostext.conf': '[Boot]\nTimeout=10s\n', 'etc/fstab': '/dev/nothing /mnt/data ext4 nofail,x-systemd.device-timeout=20s 0 2\n/dev/vda / ext4 rw 0 1\n' },
    prepare: (root: string) => { mkdirSync(join(root, 'mnt/data')) },
    script: REPORT }),
  indexes: () => ({ dataRoot: dataRoot('scratch', [
    { name: 'lib', dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`, files: { 'tree/etc/ld.so.conf.d/zz.conf': '/opt/zz/lib\n', 'tree/usr/lib/udev/hwdb.d/61-zz.hwdb': 'zz:*\n ZZ=1\n', 'tree/usr/lib/sysusers.d/zz.conf': 'u zz - "zz"\n' }, }]),
    script: REPORT + `
report cache sh -c 'ls -la /etc/ld.so.cache /usr/lib/udev/hwdb.bin; systemd-hwdb query zz:a; find /run/hostext/index; id zz; systemctl status systemd-sysusers.service; ls -la /usr/lib/systemd/system/sysinit.target.wants/'
` }),
}
for (const release of (releases.length ? releases : ['bookworm', 'trixie']) as any) {
  try {
    const o = await bootContainer({ release, ...cases[which]!() }, 100)
    console.log(`=== ${release} ${o.seconds} s`)
    for (const [k, v] of o.reports) if (!k.endsWith('.status')) console.log(`--- ${k} (${o.reports.get(k + '.status')})\n${v}`)
    console.log(o.console.split('\n').filter((l) => /hostext/.test(l) && !l.startsWith('@@')).join('\n'))
  } catch (e) { console.log(String(e).slice(-6000)) }
}
