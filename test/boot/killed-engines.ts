import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Layers } from '../../src/engine/engine.js'
import { at, type Root, statLink } from '../../src/machine/files.js'
import { readAndDecide } from '../../src/read.js'
import { writeTree } from '../support/tree.js'
import { seeded } from './cut.js'
import { debian, type Kind } from './rootfs.js'
import { THROWAWAY_ROOT } from './throwaway-root.js'

const run = promisify(execFile)

// What build.mjs defines in the bundle.
Object.assign(globalThis, { HOSTEXT_VERSION: '1.2.3' })

/** An engine with one of its stores. */
export type Store = {
  name: string
  kind: Kind
  command: 'docker' | 'podman'
  /** Shell commands that start the engine. */
  start: string
  /** What is killed first, so that the rest of the engine sees it die. */
  daemon: string | undefined
}

const settings = (containerd: boolean): string =>
  `echo '{ "iptables": false, "ip6tables": false, "bridge": "none", "features": { "containerd-snapshotter": ${containerd} } }' >/etc/docker/daemon.json`

export const STORES: Store[] = [
  {
    name: "Docker's own store",
    kind: 'device',
    command: 'docker',
    start: `${settings(false)}\ndockerd &`,
    daemon: 'dockerd',
  },
  {
    name: "Docker in containerd's store",
    kind: 'device',
    command: 'docker',
    start: `${settings(true)}\ncontainerd &\ndockerd --containerd=/run/containerd/containerd.sock &`,
    daemon: 'dockerd',
  },
  {
    name: 'Podman',
    kind: 'podman',
    command: 'podman',
    // The limits of the machine that the tests run on may be lower than those that Podman gives.
    start: `printf '[containers]\\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\\n' >/run/containers.conf
export PODMAN_IGNORE_CGROUPSV1_WARNING=1 CONTAINERS_CONF_OVERRIDE=/run/containers.conf`,
    daemon: undefined,
  },
]

/** What engines keep, and what the test and its engine tell each other. */
const SHARED = ['var/lib/docker', 'var/lib/containerd', 'var/lib/containers', 'etc/docker', 'shared']

/**
 * `sh -c LAB sh ROOT WORK PREFIX COMMAND`, in namespaces of its own: runs COMMAND in the root file system
 * ROOT, which it does not change. The directories of SHARED are those below PREFIX.
 */
const LAB = `set -e
root=$1 work=$2 prefix=$3 command=$4
${THROWAWAY_ROOT}
mount -t tmpfs tmpfs tmp
for place in ${SHARED.join(' ')}; do
	mkdir -p "$place"
	mount --bind "$prefix/$place" "$place"
done
mkdir -p mnt/old
pivot_root . mnt/old
cd /
umount -l /mnt/old
exec sh -c "$command"
`

/**
 * Starts the engine, which finds what it left when it was killed; writes the containers that it lists; makes
 * and removes extensions; and ends amid that after `seconds`. As process 1 of its namespace it takes all of
 * the engine with it.
 */
const life = ({ command, start, daemon }: Store, seconds: string, killsDaemon: boolean): string => `
exec >/shared/log 2>&1
engine=${command}
${start}
for try in $(seq 600); do $engine info >/dev/null && break; sleep 0.1; done
for id in $($engine ps -aq --no-trunc); do
	$engine inspect -f '{{.Id}} {{.Name}} {{.State.Status}} {{index .Config.Labels "test.version"}}' $id
done >/shared/list || exit 3
version() {
	rm -rf /tmp/build && mkdir -p /tmp/build/files/old && cd /tmp/build && cp /shared/busybox . || return
	echo $1 >files/version
	echo x >files/old/file
	cat >Dockerfile <<-END
		FROM scratch
		LABEL io.balena.features.host-extension=1 test.version=$1
		COPY busybox /busybox
		COPY files /usr/share/extension
		RUN ["/busybox", "rm", "-r", "/usr/share/extension/old"]
		COPY files/version /usr/share/extension/again
	END
	${
    command === 'docker'
      ? 'DOCKER_BUILDKIT=$(($1 % 2)) docker build -q --network none'
      : 'podman build -q --network host --isolation chroot'
  } -t version:$1 . && $engine create --name version-$1 version:$1 /none
}
work() {
	number=$(cat /shared/number || echo 0)
	while :; do
		number=$((number + 1))
		echo $number >/shared/number
		version $number
		# Those that a kill has left, too.
		for name in $($engine ps -a --format '{{.Names}}' | sort -t - -k 2 -n | head -n -2); do $engine rm $name; done
		$engine image prune -af
	done
}
[ -e /shared/number ] || version 0 || exit 4
work &
sleep ${seconds}
${killsDaemon && daemon ? `kill -9 $(pidof ${daemon}); sleep 0.3` : ''}
exit 0
`

/** A container that the engine lists. A build that was killed leaves some, too, whose names it makes up. */
type Listed = { id: string; isOurs: boolean; status: string; version: string }

/** What hostext reads of a machine besides its engine. */
const MACHINE = {
  'proc/self/mountinfo': '22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n',
  'usr/lib/systemd/system/soft-reboot.target': '',
  'etc/fstab': '/dev/vda1 / ext4 rw\n',
}

/** Makes a machine at `prefix`: what hostext reads of it, and what an engine keeps on it. */
function makeLab(prefix: string): void {
  for (const place of SHARED) mkdirSync(join(prefix, place), { recursive: true })
  writeTree(prefix, MACHINE)
  cpSync('/bin/busybox', join(prefix, 'shared/busybox'))
}

/** Runs a script in the root file system of an engine, with what the engine keeps at `prefix`. */
async function inLab({ kind }: Store, prefix: string, script: string): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'hostext-work-'))
  const { root } = debian('forky', kind)
  const words = '--mount --pid --ipc --uts --fork --kill-child --propagation private'.split(' ')
  try {
    await run('unshare', [...words, 'sh', '-c', LAB, 'sh', root, work, prefix, script])
  } catch (error) {
    const log = readFileSync(join(prefix, 'shared/log'), 'utf8').slice(-3000)
    throw new Error(`status ${(error as { code: number }).code}: ${log}`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * Kills an engine `rounds` times while it makes and removes extensions, at moments that follow from `seed`.
 * After each kill hostext reads what is there, as the next boot would; then the engine is started again.
 * Returns what does not fit together, a line each, and how many containers were compared.
 */
export async function killEngine(
  store: Store,
  rounds: number,
  seed: number,
): Promise<{ problems: string[]; compared: number }> {
  const random = seeded(seed)
  const prefix = mkdtempSync(join(tmpdir(), 'hostext-killed-'))
  try {
    makeLab(prefix)
    const problems: string[] = []
    let compared = 0
    let before: Found | undefined
    for (let round = 1; round <= rounds + 1; round++) {
      const seconds = (0.2 + random() * 4).toFixed(2)
      await inLab(store, prefix, life(store, seconds, random() < 0.5))
      const listed = readList(prefix)
      if (before) {
        compared += listed.filter(({ isOurs }) => isOurs).length
        problems.push(...compare(before, listed).map((line) => `after kill ${round - 1}: ${line}`))
      }
      before = findExtensions({ prefix })
    }
    return { problems, compared }
  } finally {
    rmSync(prefix, { recursive: true, force: true })
  }
}

function readList(prefix: string): Listed[] {
  return readFileSync(join(prefix, 'shared/list'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [id = '', name = '', status = '', version = ''] = line.split(' ')
      return { id, isOurs: /^\/?version-/.test(name), status, version }
    })
}

/** The versions of the extensions that a boot would stack, by ID; and what it says. */
type Found = { versions: Map<string, string>; said: string }

function findExtensions(root: Root): Found {
  const { facts, decision } = readAndDecide(root, {})
  const found = facts.engines?.flatMap(({ unprepared }) => unprepared) ?? []
  return {
    versions: new Map(found.map(({ container, layers }) => [container.id, versionIn(root, layers)])),
    said: decision.messages.map(({ text }) => text).join('; '),
  }
}

/** The file of an image that says which one it is, and whether the rest of it is there. */
function versionIn(root: Root, { directory, lower }: Layers): string {
  const layers = lower.map((name) => at(root, name.startsWith('/') ? name : `${directory}/${name}`))
  const [again, version] = ['again', 'version'].map((name) =>
    layers
      .map((layer) => join(layer, 'usr/share/extension', name))
      .filter((path) => statLink({ prefix: '' }, path)?.isFile())
      .map((path) => readFileSync(path, 'utf8').trim()),
  )
  return again?.[0] === version?.[0] ? String(version?.[0]) : `${version} and ${again}`
}

function compare({ versions, said }: Found, listed: readonly Listed[]): string[] {
  const ours = listed.filter(({ isOurs }) => isOurs)
  const lost = ours.filter(({ id, status, version }) => status === 'created' && versions.get(id) !== version)
  const more = [...versions].filter(([id]) => !ours.some((container) => container.id === id))
  return [
    ...lost.map(
      ({ id, version }) =>
        `the engine lists ${id.slice(0, 12)} of version ${version}, hostext has ${versions.get(id)} (${said})`,
    ),
    ...more.map(
      ([id, version]) => `hostext has ${id.slice(0, 12)} of version ${version}, which is not listed`,
    ),
  ]
}
