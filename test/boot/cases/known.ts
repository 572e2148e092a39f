import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { BASE_REPORT, bootOf, type Case, isClean, isStacked, MARKED, said } from '../checks.js'
import { standardDataRoot } from '../extensions.js'
import { librariesDataRoot } from '../indexes.js'
import { type Outcome, reported } from '../machine.js'
import { disk, moveToDataPartition } from './layout.js'

/**
 * The boots after a good one: the second keeps what it has decided, and the runtime does not start in those
 * that follow, until something changes.
 */

const GENERATOR = '/run/systemd/generator'
const SETTINGS = {
  'etc/hostext.conf': '[Safety]\nSettle=1s\n',
  // With this one, Node.js would not start.
  'etc/ssl/openssl.cnf': '[damaged\n',
}

/** `keep`: whether this boot had something to keep; `units`: what the generator has written. */
const script = (dataRoot: string, more = ''): string => `${BASE_REPORT}${MARKED}
[ "$boot" != 1 ] || marked
report keep systemctl show -P ConditionResult hostext-keep.service
report known ls ${dataRoot}/hostext/known
report units sh -c 'cd /run/hostext && find layers first locked target stacked [0-9]* empty volatile-root -type f -exec sha256sum {} + -o -printf "%p %m %l\\n" | sort'
report one cat /usr/share/one-layer/one.txt
report starts sh -c 'grep -osE "prepare boot|/run/systemd/generator( |$)" /run/runtime-starts'
${more}
`

/** Notes in /run each time that the runtime starts. */
function countStarts(root: string): void {
  const node = join(root, 'usr/lib/hostext/node')
  renameSync(node, `${node}.real`)
  writeFileSync(node, '#!/bin/sh\necho "$@" >>/run/runtime-starts\nexec /usr/lib/hostext/node.real "$@"\n')
  chmodSync(node, 0o755)
}

/** The boots of a machine on which nothing changes: on trial, kept, known. */
function isKnownFrom(t: Test, outcome: Outcome, third: number): void {
  isClean(t, outcome)
  for (const number of [1, 2, third]) {
    isStacked(t, bootOf(outcome, number))
    t.equal(reported(outcome, 'one', number), 'from one-layer')
    t.match(
      said(bootOf(outcome, number)),
      /stacking \d+ host extensions over the root: /,
      `boot ${number} says so`,
    )
  }
  t.equal(reported(outcome, 'keep', 2), 'yes', 'the second boot keeps what it has decided')
  t.match(reported(outcome, 'known', 2), /^(?:head\.0\n)?ids\npaths\nseen\nsums\nunits\.tar$/)
  t.equal(reported(outcome, 'keep', third), 'no', 'and the one after it has nothing to keep')
  t.equal(reported(outcome, 'units', third), reported(outcome, 'units', 2), 'which writes the same')
  t.match(reported(outcome, 'units', 2), /layers\/normal\/run-hostext-0\.mount/)
  t.match(reported(outcome, 'starts', 1), GENERATOR, 'the first boot starts it')
}

/** Copies a container: as one without labels, then with all of them. */
const CONTAINERS = `
cd /var/lib/docker/containers
like=$(grep -l features.host-extension */config.v2.json | head -n 1 | cut -d/ -f1)
add() { id=$(printf '%064d' "$1"); mkdir -m 710 $id; sed "$2;s/$like/$id/g" $like/config.v2.json >$id/config.v2.json; }
case $boot in
3) for number in 1 2 3; do add $number 's/"Labels":{[^}]*}/"Labels":{}/'; done ;;
4) add 4 '' ;;
5) rm -r $id ;;
esac
`

/** How often PID 1 has started, and what must not depend on that. */
const IN_INITRD = `
report passes sh -c 'dmesg | grep -c "systemd\\[1\\]: systemd .* running in system mode"'
report mounts sh -c 'findmnt -rno TARGET,SOURCE,FSTYPE | grep -v "^/run/credentials" | sort'
report base ls /usr/lib/hostext/base
report target-of systemctl list-dependencies --plain hostext.target
report writes sh -c 'echo x >/var/lib/new && echo x >/etc/new && ! touch /usr/new'
`

/**
 * Whether a machine with that script was stacked before PID 1 started, once, or in its first pass. `others`:
 * how often systemd has started in the initrd.
 */
function isStackedIn(t: Test, outcome: Outcome, isInitrd: boolean, others = 0): void {
  isStacked(t, outcome)
  t.equal(reported(outcome, 'passes'), String((isInitrd ? 1 : 2) + others), 'so often PID 1 starts')
  t.equal(said(outcome).includes('hostext: stacked in the initrd'), isInitrd, 'the log says where')
  t.equal(outcome.boots[0]?.reports.get('writes.status'), '0', 'what has to be writable is, and nothing else')
}

/** The boots of a machine that stacks in its initrd; `isIn`: which of them, the third for one. */
function isStackedEarly(t: Test, outcome: Outcome, isIn: readonly boolean[], others = 0): void {
  isKnownFrom(t, outcome, 3)
  for (const [index, isInitrd] of isIn.entries()) isStackedIn(t, bootOf(outcome, index + 1), isInitrd, others)
  t.equal(reported(outcome, 'starts', 3), '', 'no start')
  for (const name of ['layers', 'mounts', 'base', 'target-of'])
    t.equal(reported(outcome, name, 3), reported(outcome, name, 2), `as after a switch: ${name}`)
}

export function cases(): Case[] {
  return [
    {
      name: 'known: a good stack is stacked without the runtime, and a new extension starts it',
      boot: 'container',
      machine: {
        dataRoot: standardDataRoot(),
        prepare: countStarts,
        boots: [{}, {}, {}, {}, {}],
        files: SETTINGS,
        script: script('/var/lib/docker', CONTAINERS),
      },
      check(t, outcome) {
        isKnownFrom(t, outcome, 3)
        t.equal(reported(outcome, 'starts', 3), '', 'no start')
        t.equal(reported(outcome, 'keep', 4), 'no', 'new containers that are none')
        t.equal(reported(outcome, 'units', 4), reported(outcome, 'units', 2))
        t.equal(reported(outcome, 'keep', 5), 'yes', 'a new one with a label')
        t.match(reported(outcome, 'decision', 5), /^warning: left out: .*000000000000/m)
        isStacked(t, bootOf(outcome, 5))
      },
    },
    {
      name: 'known: on a disk',
      boot: 'uml',
      machine: {
        dataRoot: standardDataRoot(),
        prepare: countStarts,
        boots: [{}, {}, { commandLine: ['bootcount=3'] }, { commandLine: ['systemd.gpt_auto=0'] }],
        files: SETTINGS,
        script: script('/var/lib/docker'),
      },
      check(t, outcome) {
        isKnownFrom(t, outcome, 3)
        t.equal(reported(outcome, 'starts', 3), '', 'no start')
        t.equal(reported(outcome, 'keep', 4), 'yes', 'a word of the kernel command line that matters')
        isStacked(t, bootOf(outcome, 4))
      },
    },
    {
      name: 'known: stacked in the initrd',
      boot: 'uml',
      machine: {
        dataRoot: standardDataRoot(),
        prepare: countStarts,
        initrd: 'stacks',
        boots: [{}, {}, {}, ...[4, 5].map(() => ({ commandLine: ['systemd.gpt_auto=0'] }))],
        files: SETTINGS,
        script: script('/var/lib/docker', IN_INITRD),
      },
      check(t, outcome) {
        isStackedEarly(t, outcome, [false, false, true, false, true])
      },
    },
    {
      name: 'known: stacked in an initrd of dracut, in which systemd runs',
      boot: 'uml',
      fullOnly: true,
      machine: {
        dataRoot: standardDataRoot(),
        prepare: countStarts,
        initrd: 'dracut',
        boots: [{}, {}, {}, {}],
        files: SETTINGS,
        script: script('/var/lib/docker', IN_INITRD),
      },
      check(t, outcome) {
        isStackedEarly(t, outcome, [false, false, true, true], 1)
      },
    },
    {
      name: 'known: what fails in an initrd of dracut is stacked later',
      boot: 'uml',
      fullOnly: true,
      machine: {
        dataRoot: standardDataRoot(),
        prepare: failsInInitrd,
        initrd: 'dracut',
        boots: [{}, {}, {}],
        files: SETTINGS,
        script: script('/var/lib/docker', IN_INITRD),
      },
      check: (t, outcome) => isStackedLater(t, outcome, 1),
    },
    {
      name: 'known: stacked in the initrd, with the indexes of an earlier boot',
      boot: 'uml',
      fullOnly: true,
      machine: {
        dataRoot: librariesDataRoot,
        initrd: 'stacks',
        boots: [{}, {}, {}],
        files: SETTINGS,
        script: script('/var/lib/docker', `${IN_INITRD}\nreport program feature-index`),
      },
      check(t, outcome) {
        isStackedIn(t, outcome, true)
        t.equal(reported(outcome, 'program'), 'from the library')
        // A soft-reboot loses it; a layer does not need it any more.
        const others = (boot: number) =>
          reported(outcome, 'mounts', boot).replace(/^\/run\/hostext\/index .*\n/m, '')
        t.equal(others(3), others(2))
      },
    },
    {
      name: 'known: stacked in the initrd, with the data in a place that a setting names',
      boot: 'uml',
      fullOnly: true,
      machine: {
        dataRoot: standardDataRoot(),
        prepare(root) {
          countStarts(root)
          moveToNamedPlace(root, 'srv/engine')
        },
        initrd: 'stacks',
        boots: [{}, {}, {}],
        files: SETTINGS,
        script: script('/srv/engine', IN_INITRD),
      },
      check(t, outcome) {
        isKnownFrom(t, outcome, 3)
        isStackedIn(t, outcome, true)
      },
    },
    {
      name: 'known: what fails in the initrd is stacked later',
      boot: 'uml',
      fullOnly: true,
      machine: {
        dataRoot: standardDataRoot(),
        prepare: failsInInitrd,
        initrd: 'stacks',
        boots: [{}, {}, {}],
        files: SETTINGS,
        script: script('/var/lib/docker', IN_INITRD),
      },
      check: (t, outcome) => isStackedLater(t, outcome),
    },
    onPartition({
      name: 'known: with the data on a partition of its own, nothing is prepared',
      place: 'mnt/data/docker',
      prepare: moveToDataPartition,
    }),
    {
      ...onPartition({
        name: 'known: with the data on a partition, in a place that a setting names',
        place: 'srv/data/engine',
        prepare: (root) => moveToNamedPlace(root, 'srv/data/engine'),
      }),
      fullOnly: true,
    },
  ]
}

/** A machine whose mounts fail in the initrd, when all is mounted, and only there. */
function failsInInitrd(root: string): void {
  const stack = join(root, 'usr/lib/hostext/stack')
  renameSync(stack, `${stack}.real`)
  writeFileSync(stack, '#!/bin/sh\n"$0.real" "$@"\n[ -e /proc/1/root/usr/lib/hostext/stack ]\n')
  chmodSync(stack, 0o755)
}

function isStackedLater(t: Test, outcome: Outcome, others = 0): void {
  isStackedIn(t, outcome, false, others)
  t.match(said(outcome), 'not stacked in the initrd, but later: the root did not mount')
  t.equal(reported(outcome, 'mounts'), reported(outcome, 'mounts', 2), 'nothing else is left')
}

/** Moves the engine's data to a place that its own settings name. */
function moveToNamedPlace(root: string, place: string): void {
  mkdirSync(dirname(join(root, place)), { recursive: true })
  renameSync(join(root, 'var/lib/docker'), join(root, place))
  mkdirSync(join(root, 'etc/docker'), { recursive: true })
  writeFileSync(join(root, 'etc/docker/daemon.json'), `{"data-root": "/${place}"}\n`)
}

/** The boots of a machine whose data is on a partition, which the first pass has to mount. */
function onPartition({
  name,
  place,
  prepare,
}: {
  name: string
  place: string
  prepare: (root: string) => void
}): Case {
  return {
    name,
    boot: 'uml',
    machine: {
      dataRoot: standardDataRoot(),
      prepare(root) {
        countStarts(root)
        prepare(root)
      },
      disks: [disk('data', dirname(place))],
      fstab: (root) => `${root} / ext4 defaults 0 1\nLABEL=data /${dirname(place)} ext4 defaults 0 2\n`,
      boots: [{}, {}, {}],
      files: SETTINGS,
      script: script(`/${place}`),
    },
    check(t, outcome) {
      isKnownFrom(t, outcome, 3)
      t.equal(reported(outcome, 'starts', 3).trim(), GENERATOR, 'the runtime only says what to mount')
      t.match(
        reported(outcome, 'starts', 2),
        /prepare boot/,
        'the boot before has looked whether something is',
      )
    },
  }
}
