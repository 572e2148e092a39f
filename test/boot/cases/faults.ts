import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isPlain, isStacked, said } from '../checks.js'
import { type Disk, extentsOf, freeExtents, type MadeDisk } from '../disks.js'
import { dataRoot } from '../engine.js'
import { containerDirectory, FEATURE, prepareImages, standardDataRoot, treeOf } from '../extensions.js'
import { type Outcome, reported } from '../machine.js'
import { type Kind, mapperWord, wholeDisk } from '../mapper.js'

/** A settle time that is short enough for a test, and time for an emulated machine to find its disks. */
const CONFIGURATION = '[Boot]\nTimeout=3min\n[Safety]\nSettle=1s\n'
const FILES = { 'etc/hostext.conf': CONFIGURATION }

/**
 * Reports what the stack adds, and its record in `record` once it is marked good, which takes Settle= after
 * the boot.
 */
const script = (record: string, before = '') => `${before}${BASE_REPORT}
report one cat /usr/share/one-layer/one.txt
report replaced cat /usr/share/base/replaced
for try in $(seq 300); do
	grep -q "on trial" /run/hostext.decision && [ ! -e /run/hostext/good ] || break
	# If it was not stacked, it must not be marked either; ten times Settle= shows that.
	[ "$try" -lt 50 ] || findmnt -no SOURCE / | grep -q hostext || break
	sleep 0.2
done
report good cat ${record}/good
`
const ON_ROOT = '/var/lib/docker/hostext'
const ON_DATA = '/mnt/data/docker/hostext'

export const dataDisk: Disk = {
  filesystem: 'ext4',
  label: 'data',
  uuid: '00000000-0000-4000-8000-646174610000',
  from: 'mnt/data',
  size: '400M',
}

/** Moves the engine's data to a data partition, with the file that says that it must not be wiped. */
export function moveToDataPartition(root: string): void {
  mkdirSync(join(root, 'mnt/data'), { recursive: true })
  renameSync(join(root, 'var/lib/docker'), join(root, 'mnt/data/docker'))
  writeFileSync(join(root, 'mnt/data/remove_me_to_reset'), '')
}

/** The same, with the images prepared where the root file system was made. */
function prepareOnDataPartition(root: string): void {
  moveToDataPartition(root)
  prepareImages(root)
}

/** Checks that all four extensions are stacked. */
function isWhole(t: Test, outcome: Outcome): void {
  t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/)
  t.equal(reported(outcome, 'one'), 'from one-layer')
  t.equal(reported(outcome, 'replaced'), 'from override')
  t.equal(reported(outcome, 'layers').match(/loaded active mounted/g)?.length, 4, 'every layer is mounted')
}

/** The data partition was waited for, and the plain root booted without it. */
function isPlainWithoutData(t: Test, outcome: Outcome): void {
  isPlain(t, outcome, /\/mnt\/data is not mounted: whatever an engine keeps in .* is left out/, [
    /^mnt-data\.mount/,
    /hostext/,
  ])
}

/** Faults of disks, clocks and kernels. */
export function cases(): Case[] {
  return [
    ...fullDiskCases(),
    ...dataPartitionCases(),
    ...checkCases(),
    ...machineCases(),
    ...runtimeCases(),
    ...engineFaultCases(),
  ]
}

/**
 * The first boot fills the file system to its last block. The second one, without hostext, shows what fails
 * for that reason alone. The third one would stack for the first time. The fourth one has space again.
 */
function fullDisk(where: string, record: string): Pick<Case['machine'], 'boots' | 'script'> {
  return {
    boots: [{ commandLine: ['balena.nohostext'] }, { commandLine: ['balena.nohostext'] }, {}, {}],
    script: `${script(
      record,
      `
report free sh -c 'df --output=avail ${where} | tail -n 1'
fill() {
	fallocate -l "$(df --output=avail -B1 ${where} | tail -n 1)" ${where}/fill-1
	# Fill even the blocks that are reserved for root; then the first block of every inode is one too many.
	dd if=/dev/zero of=${where}/fill-2 bs=64k 2>/dev/null
	dd if=/dev/zero of=${where}/fill-3 bs=1k 2>/dev/null
	sync
}
[ "$boot" -gt 2 ] || fill
`,
    )}[ "$boot" != 3 ] || { rm -f ${where}/fill-* && sync; }\n`,
  }
}

/** A stack that has never booted is not tried if that cannot be recorded. */
function isFullDisk(t: Test, outcome: Outcome): void {
  const [plain, full, after] = [2, 3, 4].map((number) => bootOf(outcome, number)) as [
    Outcome,
    Outcome,
    Outcome,
  ]
  t.match(reported(full, 'free'), /^\s*0$/, 'it is full')
  t.equal(reported(full, 'target'), 'active', 'multi-user.target is reached')
  const failed = (boot: Outcome) =>
    reported(boot, 'failed').replaceAll(/ .*$/gm, '').split('\n').filter(Boolean)
  const ours = failed(full).filter((unit) => !failed(plain).includes(unit) && !/hostext|nextroot/.test(unit))
  t.same(ours, [], 'nothing fails that does not fail on a plain root')
  t.notMatch(reported(full, 'root'), /^hostext/, 'the root is the plain one')
  t.match(said(full), /No space left on device/, 'it says that there is nowhere to record the trial')
  t.match(said(full), /plain root, extensions are left out/)
  t.not(full.reports.get('good.status'), '0')
  isWhole(t, after)
  t.equal(after.reports.get('good.status'), '0', 'with space again the stack is marked good')
}

function fullDiskCases(): Case[] {
  const standard = standardDataRoot()
  return [
    {
      name: 'faults: a full root',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        // A journal on the disk would free the one block that the record takes.
        files: { ...FILES, 'etc/systemd/journald.conf.d/test.conf': '[Journal]\nStorage=volatile\n' },
        ...fullDisk('/var', ON_ROOT),
        // So that the record is what has no room.
        prepare: prepareImages,
      },
      check: (t, outcome) => isFullDisk(t, outcome),
    },
    {
      name: 'faults: a full data partition',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        files: FILES,
        ...fullDisk('/mnt/data', ON_DATA),
        prepare: prepareOnDataPartition,
        disks: [{ ...dataDisk, size: '100M' }],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 defaults 0 2\n`,
      },
      check: (t, outcome) => isFullDisk(t, outcome),
    },
  ]
}

const onMapper = (kind: Kind, choose: (disk: MadeDisk) => ReturnType<typeof extentsOf>) => ({
  commandLine: (disks: MadeDisk[]) => {
    const disk = disks[1] as MadeDisk
    return [mapperWord('data', disk, choose(disk), kind)]
  },
})

/** A machine whose data partition is on a disk that fails where `choose` says. */
function failing(
  kind: Kind,
  choose: (disk: MadeDisk) => ReturnType<typeof extentsOf>,
  boots: number,
): Omit<Case['machine'], 'script'> {
  const boot = onMapper(kind, choose)
  return {
    dataRoot: standardDataRoot(),
    files: FILES,
    prepare: prepareOnDataPartition,
    initrd: true,
    disks: [dataDisk],
    fstab: (root) =>
      `${root} / ext4 rw 0 1\n/dev/mapper/data /mnt/data ext4 nofail,x-systemd.device-timeout=60s 0 0\n`,
    boots: Array.from({ length: boots }, () => boot),
  }
}

function dataPartitionCases(): Case[] {
  const standard = standardDataRoot()
  const container = containerDirectory(standard, 'one-layer').slice(standard.length)
  let treeOfOne = ''
  return [
    {
      name: 'faults: a read-only data partition',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        files: FILES,
        // Nothing can be prepared there.
        prepare: prepareOnDataPartition,
        disks: [dataDisk],
        fstab: (root) => `${root} / ext4 rw 0 1\nLABEL=data /mnt/data ext4 ro 0 2\n`,
        script: script(ON_DATA),
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isWhole(t, outcome)
        t.match(said(outcome), /rollback is off: .*read-only/i)
      },
    },
    {
      name: "faults: a container's metadata on a bad sector",
      boot: 'uml',
      machine: {
        ...failing('error', (disk) => extentsOf(disk, `/docker${container}/config.v2.json`), 1),
        script: script(ON_DATA),
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.match(reported(outcome, 'decision'), /left out: a container: \S*config\.v2\.json: i\/o error/)
        t.equal(reported(outcome, 'replaced'), 'from override', 'the others are stacked')
        t.not(outcome.reports.get('one.status'), '0')
      },
    },
    {
      // overlayfs would ask this tree first for every path, so nothing in the merged root could be read.
      name: 'faults: the directory of a tree on a bad sector',
      boot: 'uml',
      machine: {
        ...failing('error', (disk) => extentsOf(disk, `/docker/${treeOfOne}`), 1),
        prepare(root) {
          prepareOnDataPartition(root)
          treeOfOne = treeOf(join(root, 'mnt/data/docker'), 'one-layer')
        },
        script: script(ON_DATA),
      },
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/)
        t.equal(reported(outcome, 'state'), 'running')
        t.match(reported(outcome, 'decision'), /left out: one-layer \(.*\): \S*\/tree: i\/o error/)
        t.equal(reported(outcome, 'replaced'), 'from override', 'the others are stacked')
        t.not(outcome.reports.get('one.status'), '0')
      },
    },
    {
      name: 'faults: a data partition that cannot be mounted',
      boot: 'uml',
      machine: {
        ...failing('error', () => [{ start: 2, count: 2 }], 1),
        script: script(ON_DATA),
      },
      check: isPlainWithoutData,
    },
    {
      name: 'faults: a data partition that takes no write',
      boot: 'uml',
      machine: {
        ...failing('unwritable', wholeDisk, 1),
        script: script(ON_DATA),
      },
      // The kernel does not mount it writable, and systemd does not mount it read-only unless fstab says so.
      check: isPlainWithoutData,
    },
    {
      name: 'faults: a data partition on which a record cannot be written',
      boot: 'uml',
      machine: {
        ...failing('unwritable', freeExtents, 1),
        prepare(root) {
          // The record has to fail, not its directory.
          prepareOnDataPartition(root)
        },
        // Small, because the free extents have to fit on a kernel command line.
        disks: [{ ...dataDisk, size: '100M' }],
        // The second boot has a disk without faults.
        boots: [onMapper('unwritable', freeExtents), onMapper('unwritable', () => [])],
        script: script(ON_DATA),
      },
      check(t, outcome) {
        const failing = bootOf(outcome, 1)
        isPlain(t, failing, /Input\/output error/, [/nextroot/, /hostext/])
        t.match(said(failing), /plain root, extensions are left out/)
        t.not(failing.reports.get('good.status'), '0')
        isWhole(t, outcome)
        t.match(reported(outcome, 'decision'), /on trial: boot 1 of 2/)
        t.equal(outcome.reports.get('good.status'), '0', 'on a disk that works it is marked good')
      },
    },
    {
      name: 'faults: a read-only data partition on a disk that takes no write',
      boot: 'uml',
      fullOnly: true,
      machine: {
        ...failing('unwritable', wholeDisk, 1),
        fstab: (root) => `${root} / ext4 rw 0 1\n/dev/mapper/data /mnt/data ext4 ro,noload 0 0\n`,
        script: script(ON_DATA),
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isWhole(t, outcome)
        t.match(said(outcome), /rollback is off: .*read-only/i)
      },
    },
  ]
}

/** A machine on which this script checks the root; `$device` is its disk. */
function checking(text: string): Pick<Case['machine'], 'dataRoot' | 'prepare'> {
  return {
    dataRoot: standardDataRoot(),
    prepare(root) {
      const program = join(root, 'usr/sbin/fsck.ext4')
      // It is a link to e2fsck.
      rmSync(program)
      const line = '#!/bin/sh\nfor device; do :; done\n'
      writeFileSync(program, line + text, { mode: 0o755 })
      prepareImages(root)
    },
  }
}

/** What becomes of a boot whose root is damaged: e2fsck(8), EXIT CODE. */
function checkCases(): Case[] {
  return [
    {
      name: 'faults: the check of the root mends it and asks for a reboot',
      boot: 'uml',
      machine: {
        // The first bytes of the disk belong to nobody, and can be written to.
        ...checking(`[ "$(head -c 6 "$device")" = mended ] && exec e2fsck "$@"
printf mended | dd of="$device" conv=notrunc 2>/dev/null
exit 3
`),
        boots: [{ expectEnd: 'reboot', limit: 180 }, {}],
        files: FILES,
        script: script(ON_ROOT),
      },
      check(t, outcome) {
        t.match(bootOf(outcome, 1).console, 'hostext: the root file system was mended')
        const second = bootOf(outcome, 2)
        isStacked(t, second)
        isWhole(t, second)
      },
    },
    {
      name: 'faults: the check of the root is masked',
      boot: 'uml',
      machine: {
        dataRoot: standardDataRoot(),
        prepare: prepareImages,
        commandLine: ['systemd.mask=systemd-fsck-root.service'],
        files: FILES,
        script: script(ON_ROOT),
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isWhole(t, outcome)
      },
    },
    {
      name: 'faults: the check of the root finds what it cannot mend',
      boot: 'uml',
      fullOnly: true,
      machine: {
        ...checking('exit 4\n'),
        boots: [{ commandLine: ['balena.nohostext'] }, {}],
        files: {
          ...FILES,
          // In the place of the shell, which nobody types anything to.
          'etc/systemd/system/emergency.service.d/test.conf':
            '[Service]\nExecStart=\nExecStart=/usr/lib/test/report\n',
        },
        script: `echo heard
sleep 5
report emergency systemctl is-active emergency.target
report jobs systemctl list-jobs --no-legend
report root findmnt -no SOURCE,OPTIONS /
report target systemctl is-active sysinit.target
report hostext sh -c 'dmesg | grep hostext:'
report next systemctl show -P Id default.target
`,
      },
      check(t, outcome) {
        for (const number of [1, 2]) {
          const boot = bootOf(outcome, number)
          t.equal(reported(boot, 'emergency'), 'active', 'emergency mode')
          t.equal(reported(boot, 'jobs'), '', 'which nothing ends')
          t.equal(reported(boot, 'target'), 'inactive', 'nothing else has started')
          t.match(boot.console, /^heard\r?$/m, 'the shell writes to the console')
          t.equal(reported(boot, 'next'), 'graphical.target', 'whoever leaves it goes on with the boot')
        }
        t.match(reported(outcome, 'root'), /^\/dev\/\S+ +ro/, 'nothing is written to the root')
        t.match(reported(outcome, 'hostext'), 'the check of the root file system failed: emergency mode')
      },
    },
  ]
}

function machineCases(): Case[] {
  const standard = standardDataRoot()
  return [
    {
      // power-cuts.ts cuts at every other moment; a container can only crash.
      name: 'faults: the power is cut in the first boot of a stack',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        boots: [{ cut: { at: 'Welcome to', after: 500 }, expectEnd: 'cut' }, {}],
        script: script(ON_ROOT),
      },
      check(t, outcome) {
        const boot = bootOf(outcome, 2)
        isStacked(t, boot)
        isWhole(t, boot)
        t.equal(boot.reports.get('good.status'), '0', 'the second attempt is a good one')
      },
    },
    {
      name: 'faults: the clock is at 1970',
      boot: 'vm',
      machine: {
        dataRoot: standard,
        files: FILES,
        boots: [1, 2].map(() => ({ qemu: ['-rtc', 'base=1970-01-02'] })),
        script: `${script(ON_ROOT)}report clock sh -c 'dmesg | grep rtc_cmos'\n`,
      },
      check(t, outcome) {
        for (const number of [1, 2]) {
          const boot = bootOf(outcome, number)
          t.match(reported(boot, 'clock'), /setting system clock to 1970-01-02/)
          isStacked(t, boot)
          isWhole(t, boot)
          t.equal(boot.reports.get('good.status'), '0', 'the stack is marked good')
        }
      },
    },
    {
      name: 'faults: a kernel without overlayfs',
      boot: 'uml',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: script(ON_ROOT),
        prepare(root) {
          const modules = join(root, 'usr/lib/modules')
          const files = readdirSync(modules, { recursive: true, encoding: 'utf8' })
          const overlay = files.filter((path) => /\/overlay\.ko(?:\.\w+)?$/.test(path))
          if (overlay.length === 0) throw new Error(`no overlay module in ${modules}`)
          for (const path of overlay) rmSync(join(modules, path))
        },
      },
      check: (t, outcome) =>
        isPlain(t, outcome, /unknown filesystem type 'overlay'/, [
          /hostext-stack/,
          /run-hostext/,
          /rollback/,
        ]),
    },
  ]
}

/** A script `text` in place of the runtime, which is then called node.real. */
function wrapped(text: string): Pick<Case['machine'], 'files' | 'prepare'> {
  return {
    files: { ...FILES, 'usr/lib/hostext/wrapper*': `#!/bin/sh\n${text}\n` },
    prepare(root) {
      const lib = join(root, 'usr/lib/hostext')
      renameSync(join(lib, 'node'), join(lib, 'node.real'))
      renameSync(join(lib, 'wrapper'), join(lib, 'node'))
    },
  }
}

function runtimeCases(): Case[] {
  const standard = standardDataRoot()
  return (
    [
      // A limit on virtual memory: the runtime reserves far more than it uses, so it cannot start.
      [
        'has no memory to start',
        'ulimit -v 100000',
        /the runtime ended with status \d+: extensions are left out/,
      ],
      // This is what the kernel does when the machine is out of memory.
      [
        'is killed for want of memory',
        'kill -9 $$',
        /the runtime was killed \(out of memory, or it hung for 20 s\): extensions are left out/,
      ],
    ] as const
  ).map(
    ([name, text, why]): Case => ({
      name: `faults: the runtime ${name}`,
      boot: 'container',
      machine: {
        dataRoot: standard,
        ...wrapped(`${text}\nexec /usr/lib/hostext/node.real "$@"`),
        script: script(ON_ROOT),
      },
      check: (t, outcome) => isPlain(t, outcome, why),
    }),
  )
}

/**
 * The file that the engine was about to rename to config.v2.json: NewAtomicFileWriter in moby's pkg/ioutils.
 */
const TEMPORARY = '.tmp-config.v2.json2718281828'

function engineFaultCases(): Case[] {
  const standard = standardDataRoot()
  const second = dataRoot('second', [
    {
      name: 'second',
      dockerfile: `FROM scratch\n${FEATURE}\nCOPY file /usr/share/second\n`,
      files: { file: 'from second\n' },
    },
  ])
  return [
    {
      name: "faults: two engines' data roots",
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: `${script(ON_DATA)}report second cat /usr/share/second\nreport other ls ${ON_ROOT}\n`,
        prepare(root) {
          moveToDataPartition(root)
          execFileSync('cp', ['-aT', second, join(root, 'var/lib/docker')])
        },
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isWhole(t, outcome)
        t.not(outcome.reports.get('second.status'), '0')
        t.match(
          reported(outcome, 'decision'),
          'left out: second: it is in /var/lib/docker (Docker), and the extensions of this machine come from /mnt/data/docker (balenaEngine); DataRoot= in hostext.conf chooses',
        )
        t.match(reported(outcome, 'decision'), /on trial: .*; writable: .*\/mnt\/data\/docker/s)
        t.not(outcome.reports.get('other.status'), '0', "the other engine's data is not written to")
      },
    },
    {
      name: 'faults: a file of an image without its contents, after a power cut',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: script(ON_ROOT),
        prepare(root) {
          const layers = join(root, 'var/lib/docker/overlay2')
          const file = (name: string) => join(layers, name, 'diff/usr/share/one-layer/one.txt')
          const layer = readdirSync(layers).find((name) => existsSync(file(name)))
          writeFileSync(file(layer as string), '')
        },
      },
      check(t, outcome) {
        t.match(reported(outcome, 'root'), /^hostext +overlay +ro,/)
        t.match(
          reported(outcome, 'decision'),
          /left out: one-layer \(.*\): it is not prepared: \/usr\/share\/one-layer\/one\.txt is empty, and had \d+ bytes when the engine unpacked it/,
        )
        t.equal(reported(outcome, 'replaced'), 'from override', 'the others are stacked')
        t.not(outcome.reports.get('one.status'), '0')
      },
    },
    {
      name: "faults: an engine that was killed while it wrote a container's metadata anew",
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: script(ON_ROOT),
        prepare(root) {
          const data = join(root, 'var/lib/docker')
          for (const [index, name] of ['one-layer', 'override', 'service'].entries()) {
            const directory = containerDirectory(data, name)
            const text = readFileSync(join(directory, 'config.v2.json'), 'utf8')
            writeFileSync(join(directory, TEMPORARY), text.slice(0, (text.length * index) / 2))
          }
        },
      },
      check(t, outcome) {
        isStacked(t, outcome)
        isWhole(t, outcome)
        t.notMatch(said(outcome), /left out/)
      },
    },
    {
      name: "faults: an engine that was killed before it had written a new container's metadata",
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: script(ON_ROOT),
        prepare(root) {
          const data = join(root, 'var/lib/docker')
          const directory = containerDirectory(data, 'one-layer')
          renameSync(join(directory, 'config.v2.json'), join(directory, TEMPORARY))
        },
      },
      check(t, outcome) {
        isStacked(t, outcome)
        t.not(outcome.reports.get('one.status'), '0')
        t.equal(reported(outcome, 'replaced'), 'from override')
        t.match(reported(outcome, 'decision'), /left out: a container: \S*config\.v2\.json: no such file/)
      },
    },
    {
      name: 'faults: an engine that was killed while it made its first container',
      boot: 'container',
      machine: {
        dataRoot: standard,
        files: FILES,
        script: script(ON_ROOT),
        prepare(root) {
          const data = join(root, 'var/lib/docker')
          for (const id of readdirSync(join(data, 'containers'))) {
            const directory = join(data, 'containers', id)
            renameSync(join(directory, 'config.v2.json'), join(directory, TEMPORARY))
          }
        },
      },
      // Its settings are for the runtime to read, so it is the runtime that finds them.
      check: (t, outcome) => isPlain(t, outcome, /plain root: every extension is left out/),
    },
  ]
}
