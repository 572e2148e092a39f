import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ownCgroup } from '../boot/cgroup.js'
import { withContainer } from '../boot/container.js'
import { type Emulator, withDisks } from '../boot/disk-machine.js'
import { dataRoot } from '../boot/engine.js'
import { FEATURE } from '../boot/extensions.js'
import { type Boot, type BootOptions, type Machine, machineError } from '../boot/machine.js'
import { run } from '../boot/process.js'
import { onProcessor } from '../boot/processors.js'
import { debian, type Release } from '../boot/rootfs.js'
import { uml, umlCommand } from '../boot/uml.js'
import { TESTED } from '../support/runtime.js'

/** `uml-initrd`: user-mode Linux that boots with an initrd, which stacks known boots. */
export type Way = 'container' | 'uml' | 'uml-initrd'

/**
 * One life of a machine, in seconds. `wall`: from start to end. `processor`: what all its processes took; of
 * a container, from start to end; of user-mode Linux, from PID 1's first line to multi-user.target, or, with
 * an initrd, from the start of that.
 */
export type Life = { wall: number; processor: number }

/** Boots that come before those that are measured: on trial, and the one that keeps its decision. */
const BEFORE = 2

/** Ends the machine as soon as multi-user.target is reached. The first boots wait until hostext is done. */
const REPORT = `#!/bin/sh
out=/dev/console
[ -d /sys/class/tty/ttyS1 ] && [ "$(systemd-detect-virt --container)" = none ] && out=/dev/ttyS1
[ "$out" = /dev/ttyS1 ] && stty -F /dev/ttyS1 raw -echo
cmdline=/proc/cmdline
[ "$out" = /dev/ttyS1 ] || cmdline=/proc/1/cmdline
boot=$(tr '\\0' ' ' <$cmdline | sed -n 's/.*test\\.boot=\\([0-9]*\\).*/\\1/p')
read -r spent _ </proc/1/schedstat
set -- $(cat /proc/1/stat)
shift 13
echo "@@multi-user: $spent $3 $4" >$out
if [ -e /usr/lib/hostext/node ] && [ "$boot" -le ${BEFORE + 1} ]; then
	systemctl is-system-running --wait >/dev/null
	[ "$boot" != 1 ] || for try in $(seq 600); do [ -e /run/hostext/good ] && break; sleep 0.1; done
	echo "@@known: $(systemctl show -P ConditionResult hostext-keep.service) $(findmnt -no SOURCE /) $(systemctl list-units --plain --no-legend 'run-hostext-[0-9]*.mount' | wc -l)" >$out
fi
echo '@@END: ' >$out
# The end of what was written may still be on its way.
sleep 0.05
systemctl --no-block --job-mode=replace-irreversibly start poweroff.target
`

/** `count` images of one layer each, made by a real engine. */
function manyImages(count: number): string {
  const sources = Array.from({ length: count }, (_, index) => ({
    name: `extension-${index}`,
    dockerfile: `FROM scratch\n${FEATURE}\nCOPY file /usr/share/extension-${index}/file\n`,
    files: { file: `from extension-${index}\n` },
  }))
  return dataRoot(`lives-${count}`, sources)
}

/**
 * What a machine boots with: `hostext`: that of a checkout, with a known-good stack; `plain`: nothing;
 * `empty`: a first pass that does nothing but end itself in the same way, which is what no first pass can
 * cost less than.
 */
export type Side = { hostext: string } | 'plain' | 'empty'

/** A generator that boots into a target of its own, once, and a script that changes to the same root. */
const EMPTY = {
  'usr/lib/systemd/system-generators/empty*': `#!/bin/sh
[ ! -e /run/empty ] || exit 0
true >/run/empty
printf '[Unit]\\nDefaultDependencies=no\\nAllowIsolate=yes\\nRequires=empty.service\\nAfter=empty.service\\n' >"$1/empty.target"
printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=oneshot\\nExecStart=/usr/lib/test/empty\\nStandardOutput=null\\nStandardError=null\\nSuccessExitStatus=SIGTERM SIGKILL\\n' >"$1/empty.service"
ln -s "$1/empty.target" "$2/default.target"
`,
  'usr/lib/test/empty*': `#!/bin/sh
if [ -e /usr/lib/systemd/system/soft-reboot.target ]; then
	mkdir /run/nextroot
	mount --bind / /run/nextroot
	kill -s RTMAX-13 1
else
	mount --bind / /usr/lib/nextroot
	systemctl --no-block switch-root /usr/lib/nextroot
fi
`,
}

/** A root file system with the hostext of a checkout, or without any. */
function rootOf(release: Release, side: Side, into: string): string {
  const { root } = debian(release)
  if (typeof side === 'string') return root
  const directory = join(into, 'installed')
  execFileSync('cp', ['-a', `${root}/.`, directory])
  execFileSync(process.execPath, ['build.mjs', 'install', '--destdir', directory, ...TESTED], {
    cwd: side.hostext,
    stdio: 'pipe',
  })
  return directory
}

/** Makes machines, for as long as `use` boots them. */
export function withMachines<Result>(
  way: Way,
  release: Release,
  extensions: number,
  sides: readonly Side[],
  use: (boots: (() => Promise<Life>)[]) => Promise<Result>,
): Promise<Result> {
  const [side, ...rest] = sides
  if (side === undefined) return use([])
  return withMachine(way, release, extensions, side, (boot) =>
    withMachines(way, release, extensions, rest, (others) => use([boot, ...others])),
  )
}

/** Makes a machine whose next boots are known, for as long as `use` boots it. */
export async function withMachine<Result>(
  way: Way,
  release: Release,
  extensions: number,
  side: Side,
  use: (boot: (commandLine?: string[]) => Promise<Life & { boot: Boot }>) => Promise<Result>,
): Promise<Result> {
  const made = mkdtempSync(join(tmpdir(), 'hostext-lives-'))
  try {
    const base = rootOf(release, side, made)
    const machine: Machine = {
      release,
      base: () => base,
      dataRoot: manyImages(extensions),
      ...(way === 'uml-initrd' && { initrd: 'stacks' as const }),
      script: '',
      files: {
        'etc/hostext.conf': '[Safety]\nSettle=1s\n',
        'usr/lib/test/report*': REPORT,
        ...(side === 'empty' && EMPTY),
      },
      prepare: (root) => side === 'empty' && mkdirSync(join(root, 'usr/lib/nextroot')),
    }
    let number = 0
    const known = async (boot: () => Promise<Life & { boot: Boot }>) => {
      while (typeof side !== 'string' && number <= BEFORE) {
        number++
        const { boot: made } = await boot()
        const [keep, root, layers] = made.reports.get('known')?.split(' ') ?? []
        // The second boot keeps its decision, so the third one does not.
        if (root !== 'hostext' || layers !== String(extensions) || (number === 3 && keep !== 'no'))
          throw machineError(`boot ${number} is not as expected: ${keep} ${root} ${layers}`, made.console)
      }
    }
    if (way === 'container')
      return await withContainer(machine, 600, async (boot) => {
        const live = async (commandLine: string[] = []) => {
          const made = await boot({ commandLine })
          return { wall: made.seconds, processor: made.processor, boot: made }
        }
        await known(live)
        return use(live)
      })
    let processor = Number.NaN
    const emulator = measured(way === 'uml-initrd' ? ' as init process' : 'systemd[1]: ', (seconds) => {
      processor = seconds
    })
    return await withDisks(emulator, machine, {}, async ({ boot }) => {
      const live = async (commandLine: string[] = []) => {
        const made = await boot({ commandLine } satisfies BootOptions)
        return { wall: made.seconds, processor, boot: made }
      }
      await known(live)
      return use(live)
    })
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

/** How often a machine is looked at, in milliseconds. */
const PERIOD = 10

/**
 * User-mode Linux in a control group of its own. `took` gets the processor time from the text `from` on the
 * console to multi-user.target, in seconds.
 */
function measured(from: string, took: (seconds: number) => void): Emulator {
  return {
    ...uml,
    run: (start, { watch, ...options }) =>
      onProcessor(async (pinned) => {
        const cgroup = ownCgroup()
        let [first, looked, isOver] = [Number.NaN, 0, false]
        try {
          return await run([...cgroup.words, ...pinned, ...umlCommand(start)], {
            ...options,
            output: `${start.reports}.console`,
            period: PERIOD,
            watch(running) {
              if (Number.isNaN(first) && running.console.includes(from)) first = cgroup.processor()
              if (!isOver && existsSync(start.reports) && readFileSync(start.reports).length > 0) {
                isOver = true
                took(cgroup.processor() - first)
              }
              if (running.elapsed - looked < 0.25) return
              looked = running.elapsed
              watch?.(running)
            },
          })
        } finally {
          await cgroup.remove()
        }
      }),
  }
}
