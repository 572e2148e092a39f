import { join } from 'node:path'
import { BASE_REPORT, type Case, isStacked } from '../checks.js'
import { indexesDataRoot } from '../indexes.js'
import { reported } from '../machine.js'
import { deepen, LONG_NAME, manyDataRoot, surplus } from '../many.js'

/** Files that need an index of all extensions and the root, and as many extensions as possible. */
export function cases(): Case[] {
  return [
    {
      name: 'modules, libraries, hardware data and users of extensions work in that boot',
      boot: 'vm',
      machine: {
        dataRoot: indexesDataRoot,
        devices: ['edu'],
        // Emulated, the indexes take half a minute, and more on a busy host.
        files: { 'etc/hostext.conf': '[Boot]\nTimeout=3min\n' },
        script: `${BASE_REPORT}
report first cat /sys/module/feature_first/parameters/bound
report second cat /sys/module/feature_second/parameters/answer
report root-module sh -c 'modprobe dummy && ls -d /sys/module/dummy'
report program feature-index
report hardware sh -c 'udevadm info --export-db | grep HOSTEXT_FEATURE'
report root-hardware sh -c 'systemd-hwdb query pci:v00008086d00001237sv0sd0bc06sc00i00 | grep VENDOR'
report user cat /run/feature-user/name
report library-of-the-root sh -c '/sbin/ldconfig -p | grep -c libc.so.6'
report etc-writable sh -c 'touch /etc/x && ldconfig && feature-index'
`,
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.equal(
          reported(outcome, 'first'),
          '1',
          'udev has loaded a module by its alias, and it has its device',
        )
        t.equal(reported(outcome, 'second'), '42', 'modules-load has loaded one that needs the other')
        t.equal(reported(outcome, 'root-module'), '/sys/module/dummy', "the root's own modules load")
        t.equal(reported(outcome, 'program'), 'from the library', 'a library outside the default directories')
        t.match(reported(outcome, 'hardware'), /HOSTEXT_FEATURE=found/, 'udev knows the hardware data')
        t.match(reported(outcome, 'root-hardware'), /VENDOR/, "the root's own hardware data is there")
        t.equal(reported(outcome, 'user'), 'feature', 'a service runs as a user that an extension ships')
        t.not(reported(outcome, 'library-of-the-root'), '0')
        t.equal(reported(outcome, 'etc-writable'), 'from the library', 'the index can be made again by hand')
      },
    },
    ...([499, 520] as const).map(
      (count): Case => ({
        name: `${count} extensions`,
        boot: 'container',
        machine: {
          // Five hundred mounts take minutes in emulation.
          boots: [{ limit: 950 }],
          dataRoot: () => manyDataRoot(count),
          files: { 'etc/hostext.conf': '[Boot]\nTimeout=15min\n[Safety]\nTrialTimeout=30min\n' },
          memory: 1536,
          prepare: (root) => deepen(join(root, 'var/lib/docker'), 127),
          script: `${BASE_REPORT}
report names sh -c 'grep "^warning: left out: " /run/hostext.decision | cut -d" " -f4'
report descriptions systemctl show -P Description 'run-hostext-*.mount'
report lower sh -c 'findmnt -no OPTIONS / | tr : "\\n" | wc -l'
report complaints sh -c 'cat /run/hostext/mount.log || true'
report dependencies systemctl list-dependencies --plain --no-pager hostext.target
report deepest cat /usr/share/most-layers/0
report highest cat /usr/share/most-layers/added-1
`,
        },
        check(t, outcome) {
          isStacked(t, outcome)
          // Once, in a boot that was well, systemctl showed nothing; this says what it said instead.
          const found = ['layers', 'descriptions', 'dependencies'].map(
            (key) => `${outcome.reports.get(`${key}.status`)} ${reported(outcome, key).slice(0, 300)}`,
          )
          t.equal(reported(outcome, 'layers').match(/loaded active mounted/g)?.length, 499, { found })
          t.equal(reported(outcome, 'complaints'), '', 'the lists mount all of them')
          t.equal(reported(outcome, 'lower'), '500', '499 extensions and the root')
          t.equal(reported(outcome, 'deepest'), 'from most-layers', 'the lowest of 127 layers')
          t.equal(reported(outcome, 'highest'), 'from added', 'and the uppermost')
          t.same(
            reported(outcome, 'dependencies')
              .match(/(?<=run-hostext-)\d+(?=\.mount)/g)
              ?.map(Number),
            Array.from({ length: 499 }, (_, number) => number),
            'the stack in order',
          )
          const leftOut = reported(outcome, 'names').split('\n').filter(Boolean)
          t.same(leftOut.sort(), surplus(count), 'the lowest are left out, and named')
          t.ok(
            reported(outcome, 'descriptions').includes(LONG_NAME.slice(0, 250)),
            'a name of 250 characters',
          )
        },
      }),
    ),
  ]
}
