import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { GOOD_NAMES, type GoodName } from '../../src/stack/facts.js'
import { parseStack } from '../../src/trial/records.js'
import { type Cut, seeded } from './cut.js'
import { withDisks } from './disk-machine.js'
import { type MadeDisk, readFromDisk } from './disks.js'
import type { Boot, Machine } from './machine.js'
import type { Release } from './rootfs.js'
import { uml } from './uml.js'

/** Boots of a trial before its stack counts as bad: `Attempts=`. */
const ATTEMPTS = 2
const RECORD = '/var/lib/docker/hostext'
/** How many files each version has. */
export const FILES = 300

/**
 * One step of an extension's life in each boot, depending on what the boot finds: create, update, update to a
 * version that turns the machine off, update to one that does not, remove, upgrade hostext itself, and start
 * again. Each version is an image of its own. No step relies on an earlier step being complete.
 */
const LIFE = `
export DOCKER_BUILDKIT=0
record=${RECORD}
state=/var/lib/test
mark() { echo "@@at: $1" >$out; }
# durably FILE: replaces it with standard input, as a program should that cares about power cuts.
durably() { cat >$1.new && sync $1.new && mv -fT $1.new $1 && sync \${1%/*}; }
mkdir -p $state
mark up
for try in $(seq 600); do systemctl is-system-running | grep -qE "initializing|starting" || break; sleep 0.1; done
report state systemctl is-system-running
report failed systemctl --failed --plain --no-legend
report why sh -c 'for unit in $(systemctl --failed --plain --no-legend | cut -d" " -f1); do systemctl status --no-pager "$unit"; done'
report root findmnt -no SOURCE,FSTYPE,OPTIONS /
report target systemctl is-active multi-user.target
report decision cat /run/hostext.decision
report stacked cat /usr/share/extension
# A tree is whole or absent.
report files sh -c 'cat /usr/share/extension-files/* | wc -l'
report trees ls $record/trees
report rollback systemctl is-failed hostext-rollback.service
report engine docker info -f '{{.Driver}} {{.ServerVersion}}'
report containers docker ps -a --no-trunc --format '{{.Names}} {{.Image}} {{.Label "test.version"}}'
for image in $(docker ps -aq --no-trunc --filter label=test.version); do
	report images docker inspect -f '{{.Config.Labels}} {{.Image}}' $image
done

# Whether the stack of this boot is recorded as good, once that has settled.
stacked=$(cat /usr/share/extension 2>/dev/null)
image=$(docker inspect -f '{{.Image}}' extension 2>/dev/null)
is_good() { [ -n "$stacked" ] && grep -qF "$(echo "$image" | cut -c 8-19)" $record/good 2>/dev/null; }
settle() {
	mark settling
	if [ -n "$stacked" ]; then
		for try in $(seq 300); do
			grep -q "on trial" /run/hostext.decision && [ ! -e /run/hostext/good ] || break
			sleep 0.2
		done
	fi
	mark settled
}

# version: makes the next image and its container.
version() {
	number=$(($(cat $state/number 2>/dev/null || echo 0) + 1))
	echo $number | durably $state/number || return
	kind=good
	[ $((number % 4)) != 3 ] || kind=bad
	name="$number $kind $(cat /proc/sys/kernel/random/uuid)"
	rm -rf $state/build
	mkdir -p $state/build/tree/usr/share
	echo "$name" >$state/build/tree/usr/share/extension
	mkdir $state/build/tree/usr/share/extension-files
	for file in $(seq ${FILES}); do echo $file >$state/build/tree/usr/share/extension-files/$file; done
	if [ $kind = bad ]; then
		mkdir -p $state/build/tree/usr/lib/systemd/system/sysinit.target.wants
		# Reported, not printed: not everything that is printed reaches the console's file.
		cat >$state/build/tree/usr/lib/systemd/system/bad.service <<-END
			[Unit]
			DefaultDependencies=no
			[Service]
			Type=oneshot
			ExecStart=/bin/sh -c 'echo "@@bad: $name" >$out; sleep 1; exec systemctl --force --force poweroff'
		END
		ln -s ../bad.service $state/build/tree/usr/lib/systemd/system/sysinit.target.wants/
	fi
	printf 'FROM scratch\\nLABEL io.balena.features.host-extension=1 test.version="%s"\\nCOPY tree /\\n' "$name" >$state/build/Dockerfile
	made=$(docker build -q --no-cache -t extension:$number $state/build) || return
	echo "@@made: $name $made" >$out
	docker create --name extension extension:$number /none
}
# remove: also removes what a cut has left incomplete.
remove() {
	docker rm -f $(docker ps -aq --filter name='^/extension$') 2>/dev/null
	docker image prune -af --filter label=io.balena.features.host-extension=1
}
# upgrade: like build.mjs install, from a second copy: a temporary file beside each file, the stub last.
upgrade() {
	cd /usr/lib/test/upgrade || return
	for file in $(find . -type f ! -name hostext-generator | sort) $(find . -name hostext-generator); do
		rm -f /$file.new && cp -p $file /$file.new && mv -fT /$file.new /$file || return
	done
	cd /
}
step() {
	if [ -z "$image" ]; then
		findmnt -no SOURCE / | grep -q hostext || upgrade || return
		version
	elif is_good && [ $(($(cat $state/number) % 4)) = 0 ]; then
		remove
	else
		# Even for what is not stacked: it has been tried, or its data has not survived.
		remove && version
	fi
}

case " $(cat /proc/cmdline) " in
*" test.order=engine "*) mark step; report step step; settle ;;
*) settle; mark step; report step step ;;
esac
report good cat $record/good
report records ls $record
report engine-after docker ps -a
mark stopping
`

/** What an installed hostext consists of. */
const INSTALLED = ['usr/lib/hostext', 'usr/lib/systemd/system', 'usr/lib/systemd/system-generators']

function prepare(root: string): void {
  for (const directory of INSTALLED) {
    const to = join(root, 'usr/lib/test/upgrade', directory)
    mkdirSync(to, { recursive: true })
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      if (!entry.isFile() || !(directory.endsWith('hostext') || entry.name.startsWith('hostext'))) continue
      execFileSync('cp', [entry.name === 'node' ? '-al' : '-a', '-t', to, join(root, directory, entry.name)])
      // Another version, so that half an upgrade would be a mixture.
      if (entry.name === 'hostext.cjs') appendFileSync(join(to, entry.name), '\n// another version\n')
      else if (entry.name !== 'node') appendFileSync(join(to, entry.name), '\n# another version\n')
    }
  }
}

export function machineForCuts(release: Release): Machine {
  return {
    release,
    device: true,
    lean: true,
    memory: 768,
    script: LIFE,
    prepare,
    // Writes are soon on their way to the disk, so that most cuts find some that were not flushed.
    commandLine: ['sysctl.vm.dirty_expire_centisecs=20', 'sysctl.vm.dirty_writeback_centisecs=20'],
    files: {
      'etc/hostext.conf': `[Boot]\nTimeout=3min\n[Safety]\nAttempts=${ATTEMPTS}\nSettle=2s\nTrialTimeout=20min\n`,
    },
  }
}

/**
 * The phases of a boot with the texts at their ends, and the share of the cuts that each gets. If the phase
 * of the cut never begins (`hostext: stacking` on a plain root), the boot ends normally.
 */
export const PHASES = [
  { name: 'before the switch', from: 'systemd[1]: ', to: 'hostext: stacking', seconds: 3 },
  { name: 'the switch', from: 'hostext: stacking', to: undefined, seconds: 3 },
  { name: 'the boot after it', from: 'hostext: stacking', to: '@@at: up', seconds: 12 },
  { name: 'marking good', from: '@@at: settling', to: '@@at: settled', seconds: 5 },
  { name: 'the engine at work', from: '@@at: step', to: '@@at: stopping', seconds: 5 },
  { name: 'the shutdown', from: '@@at: stopping', to: undefined, seconds: 3 },
] as const
const MARKS = [...new Set(PHASES.flatMap(({ from, to }) => (to === undefined ? [from] : [from, to])))]

/** How long each phase took in the last boot that was not cut. */
export type Durations = Map<string, number>

export function learn(durations: Durations, marks: ReadonlyMap<string, number>): void {
  for (const { name, from, to } of PHASES) {
    const [begin, end] = [marks.get(from), to === undefined ? undefined : marks.get(to)]
    if (begin !== undefined && end !== undefined && end >= begin) durations.set(name, end - begin)
  }
}

/** What happens to the next boot: the order of its steps, and when it is cut, if at all. */
export type NextBoot = { order: 'engine' | 'settle'; phase?: string; cut?: Cut }

/** Two thirds of the boots are cut, at a uniformly random time in a random phase. */
export function chooseBoot(random: () => number, durations: Durations): NextBoot {
  const [order, isCut, which, when] = [random(), random(), random(), random()]
  const boot = { order: order < 0.5 ? ('engine' as const) : ('settle' as const) }
  if (isCut >= 2 / 3) return boot
  const phase = PHASES[Math.floor(which * PHASES.length)] as (typeof PHASES)[number]
  const seconds = durations.get(phase.name) ?? phase.seconds
  return { ...boot, phase: phase.name, cut: { at: phase.from, after: when * seconds * 1000, random } }
}

/** A version of the extension: `7 bad <uuid>`. */
export type Version = { name: string; image: string; bad: boolean }

/** What is known about a machine from its boots so far. */
export type History = {
  versions: Map<string, Version>
  /** The record of the last good stack, as last seen. */
  good: string
  /** How often each bad version turned the machine off. */
  powerOffs: Map<string, number>
}

export function newHistory(): History {
  return { versions: new Map(), good: '', powerOffs: new Map() }
}

/** The records of good stacks that a boot left on the disk: src/trial/records.ts. */
export type Marks = Partial<Record<GoodName, string | undefined>>

/**
 * What is wrong with a boot and with the marks that it left on the disk, if anything, given all boots before
 * it. Adds the boot to the history.
 */
export function judge(
  history: History,
  boot: Pick<Boot, 'reports' | 'end' | 'clean'>,
  marks: Marks,
): string[] {
  const wrong: string[] = []
  for (const line of (boot.reports.get('made') ?? '').split('\n').filter(Boolean)) {
    const name = line.slice(0, line.lastIndexOf(' '))
    const image = line.slice(line.lastIndexOf(' ') + 1).replace('sha256:', '')
    history.versions.set(name, { name, image, bad: name.split(' ')[1] === 'bad' })
  }
  const turnedOff = boot.reports.get('bad')
  if (turnedOff !== undefined) {
    const count = (history.powerOffs.get(turnedOff) ?? 0) + 1
    history.powerOffs.set(turnedOff, count)
    if (count > ATTEMPTS) wrong.push(`the bad version ${turnedOff} was booted ${count} times`)
  }
  if (boot.end !== 'cut' && !boot.reports.has('END') && turnedOff === undefined)
    wrong.push(`it ended by itself (${boot.end}) without a bad extension`)

  const now = Object.values(marks).join('')
  for (const [name, text] of Object.entries(marks))
    if (text !== undefined && parseStack(text) === undefined) wrong.push(`${name} is not a record: "${text}"`)
  for (const { name, image, bad } of history.versions.values())
    if (bad && now.includes(image)) wrong.push(`the bad version ${name} is marked good`)
  // Under any name: `good` becomes `previous`, or `other` after an upgrade, before the next mark is made.
  if (history.good !== '' && !Object.values(marks).includes(history.good))
    wrong.push(`a good mark is lost: ${history.good}`)
  const isKnown = [...history.versions.values()].some(({ image }) => marks.good?.includes(image))
  if (marks.good !== undefined && !isKnown) wrong.push(`unknown: what is marked good: ${marks.good}`)
  history.good = marks.good ?? history.good
  if (boot.clean === false) wrong.push('it left its disk in use')
  if (boot.reports.has('END')) wrong.push(...judgeWhole(history, boot.reports))
  return wrong
}

/**
 * How a decision says why `extension` is not stacked: by its name, its ID, or with everything the engine
 * keeps.
 */
const WHY =
  /left out: (?:extension|[0-9a-f]{12}|everything) |rolled back: extension|plain root, extensions are left out|^plain root: (?!no container)/m

/** What is wrong with a boot that was not cut. */
function judgeWhole(history: History, reports: Map<string, string>): string[] {
  const wrong: string[] = []
  const failed = (reports.get('failed') ?? '')
    .split('\n')
    .map((line) => line.split(' ', 1)[0] as string)
    .filter((unit) => unit !== '' && unit !== 'hostext-rollback.service')
  if (reports.get('target') !== 'active') wrong.push('multi-user.target was not reached')
  if (failed.length > 0) wrong.push(`units failed: ${failed.join(' ')}\n${reports.get('why')}`)
  for (const key of ['engine', 'containers', 'engine-after'])
    if (reports.get(`${key}.status`) !== '0') wrong.push(`the engine: ${key}: ${reports.get(key)}`)
  const stacked = reports.get('stacked.status') === '0' ? (reports.get('stacked') ?? '') : undefined
  if (stacked !== undefined && reports.get('files') !== String(FILES))
    wrong.push(`a part of ${stacked} is stacked: ${reports.get('files')} files of ${FILES}`)
  if (stacked !== undefined && history.versions.get(stacked)?.bad)
    wrong.push(`the bad version ${stacked} is stacked, and the machine is up`)
  // If it is not stacked, a message says why for this very extension: "no container" is not a reason.
  const decision = reports.get('decision') ?? ''
  const there = /^extension .*$/m.exec(reports.get('containers') ?? '')?.[0]
  if (stacked === undefined && there && !WHY.test(decision))
    wrong.push(`nothing is stacked of ${there}; the decision: ${decision}`)
  return wrong
}

export type LifeOptions = {
  release: Release
  seed: number
  cuts: number
  /** Called with a line about each boot. */
  tell: (line: string) => void
}

/**
 * Boots one machine until its power was cut `cuts` times and one more boot was complete. Throws an Error at
 * the first thing that is wrong, with the history so far. Returns the number and seconds of the boots, and
 * how they ended.
 */
export async function live({
  release,
  seed,
  cuts,
  tell,
}: LifeOptions): Promise<{ boots: number; seconds: number; cuts: number; ends: number }> {
  const random = seeded(seed)
  const durations: Durations = new Map()
  const history = newHistory()
  const done = { boots: 0, seconds: 0, cuts: 0, ends: 0 }
  return withDisks(uml, machineForCuts(release), {}, async ({ boot }) => {
    let isWhole = false
    // The first boot is not cut, to learn how long a boot takes here; nor is the last.
    while (done.cuts < cuts || !isWhole) {
      const next = chooseBoot(random, durations)
      const cut = done.boots > 0 && done.cuts < cuts ? next.cut : undefined
      let marks: Marks = {}
      const result = await boot({
        commandLine: [`test.order=${next.order}`],
        expectEnd: 'any',
        marks: MARKS,
        ...(cut && { cut }),
        examine: (disk: MadeDisk) => {
          marks = Object.fromEntries(
            GOOD_NAMES.map((name) => [name, readFromDisk(disk, `${RECORD}/${name}`)]),
          )
        },
      })
      done.boots++
      done.seconds += result.seconds
      isWhole = result.reports.has('END') && result.end !== 'cut'
      if (result.end === 'cut') done.cuts++
      if (isWhole) {
        done.ends++
        learn(durations, result.marks)
      }
      const rest = result.unflushed
        ? `, ${result.unflushed.lost} of ${result.unflushed.lost + result.unflushed.kept} blocks lost`
        : ''
      const where = cut
        ? `${next.phase}, ${Math.round((cut.after ?? 0) / 100) / 10} s after "${cut.at}"`
        : 'to its end'
      tell(
        `boot ${done.boots} (${where}): ${result.end} after ${Math.round(result.seconds)} s${rest}; stacked: ${result.reports.get('stacked') ?? '?'}; step: ${result.reports.get('step.status') ?? '-'}; made: ${result.reports.get('made') ?? '-'}`,
      )
      const wrong = judge(history, result, marks)
      if (wrong.length > 0) {
        const said = [...result.reports].map(([key, text]) => `${key}: ${text}`).join('\n')
        throw new Error(
          `boot ${done.boots}, seed ${seed}: ${wrong.join('; ')}\nreports:\n${said}\nmarks on the disk: ${JSON.stringify(marks)}\nconsole:\n${result.console.slice(-15_000)}`,
        )
      }
    }
    return done
  })
}
