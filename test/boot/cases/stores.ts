import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { BASE_REPORT, bootOf, type Case, isClean, isStacked, MARKED, said } from '../checks.js'
import { type Machine, type Outcome, reported } from '../machine.js'

/**
 * An engine and its store. `command`: its command line. `settings`: files that choose the store. `home`:
 * where hostext keeps what it makes of the images.
 */
type Store = {
  name: string
  command: 'docker' | 'podman'
  releases?: Case['releases']
  fullOnly?: boolean
  files?: Machine['files']
  prepare?: Machine['prepare']
  driver: string
  home: string
}

const CONTAINERD = '{ "iptables": false, "bridge": "none", "features": { "containerd-snapshotter": true } }\n'

const STORES: Store[] = [
  {
    name: "Docker's own store, with BuildKit and with the classic builder",
    command: 'docker',
    fullOnly: true,
    driver: 'overlay2',
    home: '/var/lib/docker',
  },
  {
    name: "Docker in containerd's store",
    command: 'docker',
    // Debian 12's engine does not know it.
    releases: ['trixie', 'forky'],
    files: { 'etc/docker/daemon.json': CONTAINERD },
    driver: 'overlayfs',
    home: '/var/lib/containerd',
  },
  {
    name: 'Docker in the store of a containerd that it starts itself',
    command: 'docker',
    releases: ['forky'],
    fullOnly: true,
    files: {
      'etc/docker/daemon.json': CONTAINERD,
      'etc/systemd/system/docker.service.d/own.conf':
        '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n',
    },
    prepare: (root) => symlinkSync('/dev/null', join(root, 'etc/systemd/system/containerd.service')),
    driver: 'overlayfs',
    home: '/var/lib/docker/containerd/daemon',
  },
  {
    name: 'Podman',
    command: 'podman',
    releases: ['forky'],
    fullOnly: true,
    driver: 'overlay',
    home: '/var/lib/containers/storage',
  },
]

/** Three extensions, one after the other: each is created, updated and removed. What is stacked in a boot. */
const STACKED = [undefined, 'wifi 1', 'wifi 2', 'gpu 1', 'gpu 2', 'disk 1', 'disk 2', undefined]

/**
 * `version NAME NUMBER`: a container NAME of an image with a whiteout, an opaque directory, odd owners and
 * modes, set-uid files and links. The uneven ones are built by BuildKit, where there are two builders.
 */
const life = ({ command, home }: Store) => `${BASE_REPORT}${MARKED}
if [ -d /run/hostext/locked ]; then marked; fi
engine=${command}
report driver ${command === 'docker' ? "docker info -f '{{.Driver}}'" : "podman info -f '{{.Store.GraphDriverName}}'"}
report home sh -c 'ls ${home}/hostext | grep -vxE "ids|indexes|known"'
# How an image shows in a directory: what each file is, and what it contains.
look() { (cd $1/usr/share/extension && find . -printf '%P %y %m %U %G %l\\n' | sort && find . -type f -exec md5sum {} + | sort); }
for name in wifi gpu disk; do
	$engine inspect $name >/dev/null 2>&1 || continue
	mkdir -p /var/seen/$name && $engine export $name | tar -xp --numeric-owner -C /var/seen/$name
	report exported look /var/seen/$name
	report stacked look /
done
version() {
	rm -rf /var/build && mkdir -p /var/build/files/opaque && cp /usr/lib/test/tools/busybox /var/build || return
	cd /var/build/files && echo "$1 $2" >version && echo x >gone && echo x >opaque/old && echo x >odd && echo x >kept || return
	cat >/var/build/Dockerfile <<EOF
FROM scratch
LABEL io.balena.features.host-extension=1
COPY busybox /busybox
COPY files /usr/share/extension
RUN ["/busybox", "sh", "-c", "cd /usr/share/extension && rm gone && rm -r opaque && mkdir -m 2750 opaque && echo new >opaque/new && chown 33:7 odd && chmod 4711 odd && ln -s odd link && ln kept hard && mkdir -m 700 private && echo s >private/s"]
EOF
	${command === 'docker' ? 'DOCKER_BUILDKIT=$(($2 % 2)) docker build -q --network none' : 'podman build -q --network host --isolation chroot'} -t $1:$2 /var/build && $engine create --name $1 $1:$2 /none
}
remove() { $engine rm $1 && $engine image prune -af; }
step() {
	case $boot in
	1) version wifi 1 ;;
	2) remove wifi && version wifi 2 ;;
	3) remove wifi && version gpu 1 ;;
	4) remove gpu && version gpu 2 ;;
	5) remove gpu && version disk 1 ;;
	6) remove disk && version disk 2 ;;
	7) remove disk ;;
	8) true ;;
	esac
}
report step step
# What the storage of a new Podman is until hostext has shut it, too.
report prepared sh -c 'for try in $(seq 100); do hostext plan | grep -qE "not prepared|can enter it" || break; sleep 0.5; done; hostext plan'
`

function addTools(root: string): void {
  mkdirSync(join(root, 'usr/lib/test/tools'), { recursive: true })
  cpSync('/bin/busybox', join(root, 'usr/lib/test/tools/busybox'))
}

export function cases(): Case[] {
  return [...STORES.map(living), switching()]
}

function living(store: Store): Case {
  return {
    name: `${store.name}: extensions are created, updated and removed`,
    boot: 'uml',
    ...(store.releases && { releases: store.releases }),
    fullOnly: store.fullOnly ?? false,
    machine: {
      device: store.command === 'podman' ? 'podman' : true,
      boots: STACKED.map(() => ({})),
      files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n', ...store.files },
      prepare(root) {
        addTools(root)
        store.prepare?.(root)
      },
      script: life(store),
    },
    check(t, outcome) {
      isClean(t, outcome)
      for (const [index, stacked] of STACKED.entries()) {
        const boot = bootOf(outcome, index + 1)
        t.equal(reported(boot, 'driver'), store.driver)
        t.equal(boot.reports.get('step.status'), '0', reported(boot, 'step'))
        if (index + 1 < STACKED.length) t.notMatch(reported(boot, 'prepared'), /not prepared/)
        if (stacked === undefined) {
          t.notMatch(reported(boot, 'root'), /^hostext/, `boot ${index + 1} is plain`)
          t.match(said(boot), /no container is a host extension/)
          continue
        }
        isStacked(t, boot)
        t.equal(reported(boot, 'layers').match(/loaded active mounted/g)?.length, 1)
        t.notMatch(said(boot), /first: preparing/, 'it was prepared before the boot')
        const seen = reported(boot, 'stacked')
        t.match(seen, /^odd f 4711 33 7 $/m)
        t.match(seen, /^opaque d 2750 0 0 $/m)
        t.notMatch(seen, /^(?:gone|opaque\/old) /m)
        t.equal(seen, reported(boot, 'exported'), 'the files are those that the engine shows')
        t.match(reported(boot, 'home'), /^good$/m, 'where its layers are')
      }
    },
  }
}

const FEATURE = (isOn: boolean) =>
  `{ "iptables": false, "bridge": "none", "features": { "containerd-snapshotter": ${isOn} } }`

/** Docker gets another store, and then its old one back. It lists only what is in the one that it uses. */
const SWITCH = `${BASE_REPORT}${MARKED}
if [ -d /run/hostext/locked ]; then marked; fi
report old cat /usr/share/old
report new cat /usr/share/new
use() { echo "$1" >/etc/docker/daemon.json && systemctl restart docker; }
create() {
	mkdir -p /var/build && echo "$1" >/var/build/file || return
	printf 'FROM scratch\nLABEL io.balena.features.host-extension=1\nCOPY file /usr/share/%s\n' $1 >/var/build/Dockerfile
	docker build -q -t $1 /var/build && docker create --name $1 $1 /none
}
case $boot in
1) report step create old ;;
2) use '${FEATURE(true)}'; report step create new ;;
3) report step use '${FEATURE(false)}' ;;
esac
report listed docker ps -a --format '{{.Names}}'
`

function switching(): Case {
  return {
    name: 'Docker changes its store, and changes it back',
    boot: 'uml',
    releases: ['trixie', 'forky'],
    fullOnly: true,
    machine: {
      device: true,
      boots: [{}, {}, {}, {}],
      files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n', 'etc/docker/daemon.json': FEATURE(false) },
      script: SWITCH,
    },
    check(t, outcome) {
      isClean(t, outcome)
      const [first, second, third, fourth] = [1, 2, 3, 4].map((number) => bootOf(outcome, number)) as [
        Outcome,
        Outcome,
        Outcome,
        Outcome,
      ]
      for (const boot of [first, second, third])
        t.equal(boot.reports.get('step.status'), '0', reported(boot, 'step'))
      t.match(said(first), /no container is a host extension/)
      t.same(
        [first, second, third, fourth].map((boot) => reported(boot, 'listed')),
        ['old', 'new', 'old', 'old'],
        'what the engine lists',
      )
      for (const [boot, stacked, left, from] of [
        [second, 'old', undefined, ''],
        [third, 'new', 'old', 'overlay2'],
        [fourth, 'old', 'new', 'containerd'],
      ] as const) {
        isStacked(t, boot)
        t.equal(reported(boot, stacked), stacked)
        if (left === undefined) continue
        t.not(boot.reports.get(`${left}.status`), '0')
        t.match(said(boot), new RegExp(`left out: ${left} \\(.*\\): it is in the ${from} store`))
      }
    },
  }
}
