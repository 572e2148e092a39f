import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BASE_REPORT, bootOf, type Case, isClean, isStacked, said } from '../checks.js'
import { type Outcome, reported } from '../machine.js'

/**
 * What the device's own engine does in each boot: three extensions are created, updated and removed in turn,
 * one step in each boot. `version NAME NUMBER` makes a container NAME from a new image, built by BuildKit the
 * first time and by the classic builder the second time.
 */
const LIFE = `${BASE_REPORT}
report engine docker info -f '{{.Driver}} {{.DockerRootDir}}'
report containers docker ps -a --format '{{.Names}} {{.Image}}'
report run docker run --rm --network=none tools:1 /busybox echo works
for name in wifi gpu disk; do report $name cat /usr/share/extension-$name; done
version() {
	mkdir -p /var/build && echo "$1 version $2" >/var/build/file
	printf 'FROM scratch\\nLABEL io.balena.features.host-extension=1\\nCOPY file /usr/share/extension-%s\\n' $1 >/var/build/Dockerfile
	DOCKER_BUILDKIT=$(($2 % 2)) docker build -q -t $1:$2 /var/build && docker create --name $1 $1:$2 /none
}
remove() {
	# A system prune removes every container that does not run, those of extensions too.
	docker rm $1 && docker \${2-image} prune -af \${2+--volumes} && docker builder prune -af
}
step() {
	case $boot in
	1) version wifi 1 ;;
	2) remove wifi system && version wifi 2 && version gpu 1 ;;
	3) remove wifi && remove gpu && version gpu 2 && version disk 1 ;;
	4) remove gpu && remove disk && version disk 2 ;;
	5) remove disk system ;;
	6) docker image prune -af ;;
	esac && { [ $boot = 6 ] || DOCKER_BUILDKIT=0 docker build -q -t tools:1 /usr/lib/test/tools; }
}
if [ -d /run/hostext/locked ]; then for try in $(seq 600); do [ -e /run/hostext/good ] && break; sleep 0.1; done; fi
report records sh -c 'ls /var/lib/docker/hostext | grep -vxE "trees|indexes|ids|known"; true'
report step step
# In the background, so that the next boot has nothing to prepare.
report prepared sh -c 'for try in $(seq 100); do hostext plan | grep -q "not prepared" || break; sleep 0.5; done; hostext plan'
# What was stacked at boot stays whole, whatever the engine has removed since, even after caches are dropped.
echo 3 >/proc/sys/vm/drop_caches
for name in wifi gpu disk; do report $name-after cat /usr/share/extension-$name; done
report images docker images -a --format '{{.Repository}}:{{.Tag}}'
report layers-left ls /var/lib/docker/overlay2
report mounts-left sh -c 'grep -c -E "hostext|nextroot" /proc/self/mountinfo'
report engine-unit systemctl is-active docker.service
report failed-after systemctl --failed --plain --no-legend
`

/** What is stacked in each boot, after the steps of the boots before it. */
const STACKED: Record<string, string>[] = [
  {},
  { wifi: 'wifi version 1' },
  { wifi: 'wifi version 2', gpu: 'gpu version 1' },
  { gpu: 'gpu version 2', disk: 'disk version 1' },
  { disk: 'disk version 2' },
  {},
]

/**
 * One image with the label: it is run, run with a restart policy, run without success, and used for a failed
 * build; and one container of it is created. `app` is what the image contains, `restarted` whether the engine
 * has restarted its container.
 */
const RUN = `${BASE_REPORT}
export DOCKER_BUILDKIT=0
report app cat /usr/share/app/file
for try in $(seq 300); do [ "$boot" = 1 ] || docker ps --format '{{.Names}}' | grep -q always && break; sleep 0.2; done
report running docker ps --format '{{.Names}}'
make() {
	mkdir -p /var/build && cp /usr/lib/test/tools/busybox /var/build && echo app >/var/build/file || return
	printf 'FROM scratch\\nLABEL io.balena.features.host-extension=1\\nCOPY busybox /busybox\\nCOPY file /usr/share/app/file\\n' >/var/build/Dockerfile
	docker build -q -t app /var/build || return
	docker run --name ran --network=none app /busybox true || return
	docker run --name always -d --restart=always --network=none app /busybox sleep 100000 || return
	! docker run --name failed --network=none app /none || return
	printf 'FROM app\\nRUN ["/busybox", "false"]\\n' >/var/build/Dockerfile
	! docker build -t step /var/build || return
	[ "$boot" != 2 ] || docker create --name meant --restart=always app /none
}
case $boot in
1) report make make ;;
2) docker rm -f ran always failed; report make make ;;
esac
`

/** The first example of the README: its Dockerfile, and the commands to type. */
function readExample(): { dockerfile: string; commands: string } {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8')
  const [, dockerfile, commands] = /^```dockerfile\n(.*?)^```\n\n```\n(.*?)^reboot\n```$/ms.exec(readme) ?? []
  if (!dockerfile || !commands) throw new Error('the README does not start with an example')
  return { dockerfile, commands }
}

/** The example in the first boot, and then again with each builder. */
const example = () => `${BASE_REPORT}
report drivers ls /usr/share/drivers
report driver docker info -f '{{.Driver}}'
if [ $boot = 1 ]; then
	cd /root/example
	report typed sh -ec '${readExample().commands}'
	for builder in 0 1; do
		touch files/usr/share/drivers/builder-$builder
		report builder-$builder env DOCKER_BUILDKIT=$builder sh -ec '${readExample().commands.replaceAll('wifi-drivers', 'wifi-drivers-$DOCKER_BUILDKIT')}'
	done
fi
`

export function cases(): Case[] {
  return [
    {
      name: 'what is run, or built, or tried is no extension; what is created is',
      boot: 'uml',
      machine: {
        device: true,
        boots: [{}, {}, {}],
        prepare(root) {
          mkdirSync(join(root, 'usr/lib/test/tools'), { recursive: true })
          cpSync('/bin/busybox', join(root, 'usr/lib/test/tools/busybox'))
        },
        files: { 'etc/hostext.conf': '[Safety]\nSettle=1s\n' },
        script: RUN,
      },
      check(t, outcome) {
        isClean(t, outcome)
        const [first, second, third] = [1, 2, 3].map((number) => bootOf(outcome, number)) as [
          Outcome,
          Outcome,
          Outcome,
        ]
        for (const boot of [first, second])
          t.equal(boot.reports.get('make.status'), '0', reported(boot, 'make'))
        t.match(said(first), /no container is a host extension/)
        t.notMatch(reported(second, 'root'), /^hostext/, 'nothing that was run is stacked')
        t.not(second.reports.get('app.status'), '0')
        t.equal(reported(second, 'running'), 'always', 'the engine goes on running it')
        isStacked(t, third)
        t.equal(reported(third, 'layers').match(/loaded active mounted/g)?.length, 1, 'one is stacked')
        t.match(reported(third, 'layers'), 'Host extension meant (app)')
        t.equal(reported(third, 'app'), 'app')
        for (const [boot, builds] of [
          [second, 1],
          [third, 2],
        ] as const) {
          const leftOut = said(boot).match(/left out: /g)?.length
          t.equal(leftOut, 3 + builds, 'three containers, and the step of each build that failed')
          for (const [name, why] of [
            ['ran', 'it has been started'],
            ['always', 'it has been started'],
            ['failed', 'an attempt to start it failed'],
          ])
            t.match(
              said(boot),
              new RegExp(`left out: ${name} \\(app, [0-9a-f]{12}\\): ${why}, but .* Started=yes`),
            )
        }
      },
    },
    {
      name: 'the first example of the README',
      boot: 'uml',
      machine: {
        device: true,
        boots: [{}, {}],
        files: {
          'root/example/Dockerfile': readExample().dockerfile,
          'root/example/files/usr/share/drivers/typed': '',
        },
        script: example(),
      },
      check(t, outcome) {
        const [first, second] = [bootOf(outcome, 1), bootOf(outcome, 2)]
        t.equal(reported(first, 'driver'), 'overlay2')
        for (const key of ['typed', 'builder-0', 'builder-1'])
          t.equal(first.reports.get(`${key}.status`), '0', reported(first, key))
        isStacked(t, second)
        t.equal(reported(second, 'layers').match(/loaded active mounted/g)?.length, 3)
        t.same(reported(second, 'drivers').split('\n'), ['builder-0', 'builder-1', 'typed'])
      },
    },
    {
      name: 'the engine of the device creates, updates and removes extensions',
      boot: 'uml',
      machine: {
        device: true,
        boots: STACKED.map(() => ({})),
        prepare(root) {
          mkdirSync(join(root, 'usr/lib/test/tools'), { recursive: true })
          cpSync('/bin/busybox', join(root, 'usr/lib/test/tools/busybox'))
        },
        files: {
          'etc/hostext.conf': '[Safety]\nSettle=1s\n',
          'usr/lib/test/tools/Dockerfile': 'FROM scratch\nCOPY busybox /busybox\n',
        },
        script: LIFE,
      },
      check(t, outcome) {
        isClean(t, outcome)
        for (const [index, stacked] of STACKED.entries()) {
          const number = index + 1
          const boot = bootOf(outcome, number)
          const names = Object.keys(stacked)
          if (names.length > 0) {
            isStacked(t, boot)
            t.equal(reported(boot, 'layers').match(/loaded active mounted/g)?.length, names.length)
          } else {
            t.notMatch(reported(boot, 'root'), /^hostext/, `boot ${number} is plain`)
            t.equal(reported(boot, 'state'), 'running')
            t.match(said(boot), /no container is a host extension/)
          }
          for (const key of ['', '-after']) {
            const there = ['wifi', 'gpu', 'disk'].filter(
              (name) => boot.reports.get(`${name}${key}.status`) === '0',
            )
            const seen = Object.fromEntries(there.map((name) => [name, reported(boot, `${name}${key}`)]))
            t.same(
              seen,
              stacked,
              `boot ${number} has what was created${key && ', after the engine has removed it'}`,
            )
          }
          if (names.length > 0)
            t.equal(reported(boot, 'records').split('\n')[0], 'good', 'it has booted well')
          t.equal(reported(boot, 'engine'), 'overlay2 /var/lib/docker')
          if (number > 1) t.equal(reported(boot, 'run'), 'works', 'the engine runs containers')
          t.equal(boot.reports.get('step.status'), '0', reported(boot, 'step'))
          t.notMatch(reported(boot, 'prepared'), /not prepared/)
          t.notMatch(said(boot), /first: preparing/, 'everything was prepared before the boot')
          t.equal(reported(boot, 'engine-unit'), 'active')
          t.equal(reported(boot, 'failed-after'), '')
        }
        const end = bootOf(outcome, STACKED.length)
        t.equal(reported(end, 'containers'), '', 'no container is left')
        t.equal(reported(end, 'images'), '', 'nor an image')
        t.equal(reported(end, 'layers-left'), 'l', 'nor a layer')
        t.equal(reported(end, 'mounts-left'), '0', 'nor a mount of ours')
      },
    },
  ]
}
