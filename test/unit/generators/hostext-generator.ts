import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { DOCKER } from '../../../src/engine/daemon.js'
import { READ_DIRECTORIES } from '../../../src/engine/places.js'
import { GRAPHROOT } from '../../../src/engine/storage-conf.js'
import { unitName } from '../../../src/text/unit-syntax.js'
import { DATA_ROOTS, GENERATORS, PACKAGES, STEPS } from '../../support/paths.js'
import { cannotMount, runPrivately } from '../../support/private.js'
import { copyTree, makeTree, readTree, type Tree, writeTree } from '../../support/tree.js'

const STUB = join(GENERATORS, 'hostext-generator')
const REFUSE = join(PACKAGES, 'refuse')
/** All that the stub looks for in a data root. */
const CONTAINERS = join(DATA_ROOTS, 'standard/containers')

const MACHINE: Tree = {
  'proc/cmdline': 'root=/dev/vda ro quiet\n',
  'proc/self/mounts': '/dev/vda / ext4 ro 0 0\nproc /proc proc rw 0 0\n',
}
const LOCKED = { 'proc/self/mounts': 'hostext / overlay ro,lowerdir=0:/ 0 0\nproc /proc proc rw 0 0\n' }
/** What a boot that stacks has set aside. */
const DECIDED: Tree = {
  'run/hostext.decision': 'stacking\n',
  'run/hostext/layers/normal/run-hostext-0.mount': 'layer\n',
  'run/hostext/first/normal/hostext.target': 'first\n',
  'run/hostext/first/early/default.target': '-> /run/systemd/generator/hostext.target',
  'run/hostext/locked/normal/hostext.target': 'locked\n',
  'run/hostext/locked/late/tmp.mount': 'locked\n',
  'run/hostext/locked/early/hostext-good.timer': 'locked\n',
}

const HOW = readFileSync(join(STEPS, 'runtime.sh'), 'utf8')

type Result = { files: Tree; stderr: string; status: number | null; started: boolean; decision: string }

/** Runs the stub with `shell` on a machine of these files; its runtime is a script that leaves a trace. */
function run(
  t: Test,
  shell: string[],
  files: Tree,
  options: {
    engine?: string
    prepare?: (root: string) => void
    environment?: Tree
    runtime?: string | null
    /** Files beside the runtime. */
    library?: Tree
    /** Whether the directories are those of PID 1. */
    isPid1?: boolean
  } = {},
): Result {
  const work = makeTree(t)
  const root = join(work, 'root')
  writeTree(root, { ...MACHINE, ...files })
  for (const directory of ['normal', 'early', 'late', 'root/run']) {
    mkdirSync(join(work, directory), { recursive: true })
  }
  options.prepare?.(root)
  if (options.engine) copyTree(CONTAINERS, join(root, options.engine, 'containers'))
  const runtime =
    options.runtime === undefined ? '#!/bin/sh\necho "$@" >"$HOSTEXT_ROOT/started"\n' : options.runtime
  if (runtime !== null) {
    writeTree(root, {
      'usr/lib/hostext/runtime.sh': HOW,
      ...options.library,
      'usr/lib/hostext/node': runtime,
    })
    chmodSync(join(root, 'usr/lib/hostext/node'), 0o755)
  }
  const places = options.isPid1
    ? ['', '.early', '.late'].map((name) => join(root, `run/systemd/generator${name}`))
    : ['normal', 'early', 'late'].map((name) => join(work, name))
  for (const place of places) mkdirSync(place, { recursive: true })
  const [command, ...words] = [...shell, STUB, ...places]
  const { stderr, status } = spawnSync(command as string, words, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOSTEXT_ROOT: root, ...options.environment },
    // One that hangs holds up the boot.
    timeout: 60_000,
  })
  const written: Tree = {}
  for (const directory of ['normal', 'early', 'late']) {
    for (const [path, text] of Object.entries(readTree(join(work, directory))))
      written[`${directory}/${path}`] = text
  }
  const decision = join(root, 'run/hostext.decision')
  return {
    files: written,
    stderr,
    status,
    started: existsSync(join(root, 'started')),
    decision: existsSync(decision) ? readFileSync(decision, 'utf8') : '',
  }
}

const shells = [['dash'], ['busybox', 'sh'], ['bash', '--posix']].filter(([shell]) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${shell}`]).length > 0
  } catch {
    return false
  }
})
t.ok(shells.length > 0, 'there is a shell')

for (const shell of shells) {
  t.test(shell.join(' '), async (t) => {
    const isPlain = (t: Test, result: Result, why: string) => {
      t.match(result, { started: false, status: 0, decision: `plain root: ${why}` })
      t.match(result.stderr, `hostext: plain root: ${why}`)
      t.same(result.files, {})
    }

    t.test('in an initrd it is not our turn', async (t) => {
      for (const [files, environment] of [
        [{}, { SYSTEMD_IN_INITRD: '1' }],
        [{ 'etc/initrd-release': '' }, {}],
      ] as [Tree, Tree][]) {
        const result = run(t, shell, files, { environment, engine: 'var/lib/docker' })
        t.match(result, { started: false, status: 0, stderr: '', decision: '' })
      }
    })

    t.test('data that may not be where it will be: the runtime looks', async (t) => {
      for (const [what, files] of [
        ['fstab mounts it', { 'etc/fstab': '# x /x\nLABEL=d\t/mnt/data ext4\n' }],
        ['fstab mounts above it', { 'etc/fstab': 'x /var/ ext4' }],
        ['fstab mounts below it', { 'etc/fstab': 'x /var/lib/docker/containers/ ext4\n' }],
        ['a unit mounts below it', { 'etc/systemd/system/var-lib-docker-overlay2.mount': '' }],
        [
          'fstab mounts below a place that is named',
          {
            'etc/fstab': 'x /data/docker/overlay2 ext4\n',
            'etc/docker/daemon.json': '{"data-root": "/data/docker"}\n',
          },
        ],
        [
          'a unit mounts below a place that is named',
          {
            'etc/systemd/system/data-docker-containers.mount': '',
            'etc/docker/daemon.json': '{"data-root": "/data/docker"}\n',
          },
        ],
        ['fstab mounts it for whoever asks', { 'etc/fstab': 'x /var/lib/docker ext4 noauto\n' }],
        ['a unit mounts it', { 'etc/systemd/system/mnt-data.mount': '' }],
        ['behind a link', { 'var/lib/docker': '-> /data/docker' }],
        ['a persistent /etc names it', { 'var/lib/hostext/etc/upper/docker/daemon.json': '{}' }],
        [
          'a persistent /etc has it on the command line',
          { 'var/lib/hostext/etc/upper/systemd/system/snap.docker.dockerd.service.d/x.conf': '' },
        ],
        ['a link below it', { 'var/lib/docker/containers': '-> /elsewhere' }],
        ['a link below it, of Podman', { 'var/lib/containers/storage/overlay-containers': '-> /elsewhere' }],
        ['above a link', { var: '-> data/var' }],
        ['a unit mounts it above', { 'run/systemd/system/var.mount': '' }],
        ['a unit mounts it, in /lib', { 'lib/systemd/system/var-lib-balena\\x2dengine.mount': '' }],
        ['Podman, behind a link', { 'var/lib/containers': '-> /data' }],
        ['a snap, mounted', { 'etc/fstab': 'x /var/snap/docker ext4\n' }],
        // What the shell would split or expand.
        ...['/my data', '/da*', '/d?ta', '/[d]ata'].map((path) => [
          `DataRoot=${path}`,
          { 'etc/hostext.conf': `[Engine]\nDataRoot=${path}\n` },
        ]),
        [
          'elsewhere',
          { 'etc/fstab': 'x /data ext4\n', 'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n' },
        ],
        [
          'a space in its name',
          {
            'etc/fstab': 'x /my\\040data ext4\n',
            'etc/hostext.conf': '[Engine]\nDataRoot=/my data/docker\n',
          },
        ],
        // Other spellings of one place, wherever it is named.
        ...['/data//docker', '//data/docker', '/data/./docker', '/data/x/../docker', '/data\r'].map(
          (path) => [
            `DataRoot=${path}`,
            { 'etc/fstab': 'x /data ext4\n', 'etc/hostext.conf': `[Engine]\nDataRoot=${path}\n` },
          ],
        ),
        ...['/data//docker', '//data/docker', '/data/./docker'].map((path) => [
          `data-root ${path}`,
          { 'etc/fstab': 'x /data ext4\n', 'etc/docker/daemon.json': `{"data-root": "${path}"}` },
        ]),
        ...['//var', '/var//lib', '/var/./lib', '/./var', '/var/lib/.', '/home/../var', '/v\\141r'].map(
          (path) => [`fstab ${path}`, { 'etc/fstab': `LABEL=d ${path} ext4\n` }],
        ),
        [
          'a unit mounts it elsewhere',
          {
            'usr/lib/systemd/system/opt-engine.mount': '',
            'etc/docker/daemon.json': '{"data-root": "/opt/engine/docker"}\n',
          },
        ],
        [
          'a unit where systemd itself has some',
          {
            'etc/systemd/system/run-engine.mount': '',
            'etc/hostext.conf': '[Engine]\nDataRoot=/run/engine\n',
          },
        ],
        [
          'a unit whose name needs no escape',
          {
            'etc/systemd/system/opt-azAZ09:_.x.mount': '',
            'etc/hostext.conf': '[Engine]\nDataRoot=/opt/azAZ09:_.x\n',
          },
        ],
        [
          'a unit whose name has an escaped space',
          {
            'etc/systemd/system/opt-my\\x20engine.mount': '',
            'etc/hostext.conf': '[Engine]\nDataRoot=/opt/my engine\n',
          },
        ],
        [
          'a unit with an escaped name',
          {
            'etc/systemd/system/opt-my\\x2dengine.mount': '',
            'etc/hostext.conf': '[Engine]\nDataRoot=/opt/my-engine\n',
          },
        ],
        ...READ_DIRECTORIES.flatMap((name) => [
          [`fstab ${name}`, { 'etc/fstab': `x /var/lib/docker/${name} ext4\n` }],
          [`fstab below ${name}`, { 'etc/fstab': `x /var/lib/docker/${name}/x ext4\n` }],
          [`unit ${name}`, { [`etc/systemd/system/${unitName(`/var/lib/docker/${name}`, 'mount')}`]: '' }],
          [
            `unit below ${name}`,
            { [`etc/systemd/system/${unitName(`/var/lib/docker/${name}/x`, 'mount')}`]: '' },
          ],
        ]),
      ] as [string, Tree][])
        t.ok(run(t, shell, files).started, what)
      // systemd-gpt-auto-generator(8) mounts a partition there, if it is empty.
      const empty = (path: string, files: Tree) =>
        run(t, shell, files, { prepare: (root) => void mkdirSync(join(root, path), { recursive: true }) })
      t.ok(empty('var', {}).started)
      t.ok(empty('home', { 'etc/hostext.conf': '[Engine]\nDataRoot=/home/engine\n' }).started)
      t.notOk(empty('home', {}).started)
      t.notOk(empty('var/log', {}).started)
      // What fstab and units mount elsewhere means nothing.
      for (const files of [
        { 'etc/fstab': '//nas/share /home/share/ cifs\nx /data... ext4\n' },
        { 'etc/fstab': 'x / ext4\n#x /var ext4\nx /home ext4\nx /variant ext4\nx none swap\n' },
        { 'etc/systemd/system/var-lib-machines.mount': '' },
        { 'etc/fstab': 'x /var/lib/dockers/x ext4\n', 'etc/systemd/system/var-lib-docker2.mount': '' },
        // Below an engine's place, what hostext does not read may be on any disk.
        {
          'etc/fstab': 'x /var/lib/docker/volumes ext4\ny /var/lib/docker/volumes/a/_data nfs\n',
          'etc/systemd/system/var-lib-docker-volumes.mount': '',
          'etc/systemd/system/var-lib-docker-overlayx.mount': '',
        },
        {
          'etc/systemd/system/opt-other.mount': '',
          'etc/hostext.conf': '[Engine]\nDataRoot=/opt/engine\n',
          'opt/engine/containers/x': '',
        },
      ] as Tree[])
        isPlain(t, run(t, shell, files), 'no container is a host extension: ')
    })

    t.test('settings that the runtime warns of', async (t) => {
      for (const files of [
        { 'etc/hostext.conf': '[Engine]\nDataRoot=data/docker\n' },
        { 'etc/docker/daemon.json': '{"data-root": "data"}\n' },
        { 'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n' },
        { 'etc/hostext.conf': '[Engine]\nDataRoot=/data/docker\n', 'data/docker/image/x': '' },
      ] as Tree[])
        t.ok(run(t, shell, files).started, JSON.stringify(files))
      for (const files of [
        { 'etc/hostext.conf': '[Engine]\nDataRoot=\n' },
        { 'etc/docker/daemon.json': '{"data-root": ""}\n' },
      ] as Tree[])
        isPlain(t, run(t, shell, files), 'no container is a host extension: no engine in /mnt')
    })

    const WAITING: Tree = {
      'run/hostext/waiting/normal/hostext.target': 'waiting\n',
      'run/hostext/waiting/early/default.target': '-> /run/systemd/generator/hostext.target',
    }
    t.test('a boot that mounts its data first', async (t) => {
      const waits = run(t, shell, WAITING, { engine: 'var/lib/docker' })
      t.match(waits, { started: false, status: 0, stderr: '', decision: '' })
      t.same(waits.files, {
        'normal/hostext.target': 'waiting\n',
        'early/default.target': '-> /run/systemd/generator/hostext.target',
      })
      const mounted = { ...WAITING, 'run/hostext/collected': '' }
      const decides = run(t, shell, mounted)
      t.ok(decides.started, 'now the runtime decides, whatever the stub sees')
      t.same(decides.files, { 'normal/hostext.target': 'waiting\n' }, 'the step runs on to its end')
      const fails = run(t, shell, mounted, { runtime: '#!/bin/sh\nexit 1\n' })
      t.match(fails.decision, 'plain root: the runtime ended with status 1')
      t.same(fails.files, { 'normal/hostext.target': 'waiting\n' })
      const plain = run(t, shell, { ...mounted, 'run/hostext.decision': 'plain root: x\n' })
      t.same(plain.files, { 'normal/hostext.target': 'waiting\n' }, 'decided: no early target any more')
      const {
        'run/hostext/first/normal/hostext.target': _,
        'run/hostext/first/early/default.target': __,
        ...rest
      } = DECIDED
      const stacks = run(t, shell, {
        ...mounted,
        ...rest,
        'run/hostext/first/normal/switch.service': 'first\n',
      })
      t.same(stacks.files, {
        'normal/hostext.target': 'waiting\n',
        'normal/run-hostext-0.mount': 'layer\n',
        'normal/switch.service': 'first\n',
      })
      t.same(run(t, shell, { ...mounted, ...DECIDED, ...LOCKED }).files['normal/hostext.target'], 'locked\n')
    })

    t.test('nothing to do', async (t) => {
      isPlain(t, run(t, shell, {}), 'no container is a host extension: ')
      isPlain(
        t,
        run(t, shell, { 'var/lib/docker/containers/x/other': '' }),
        'no container is a host extension: ',
      )
      const config =
        '{"State":{},"Config":{"Labels":{"a":"b"}},"Name":"/x","Driver":"overlay2","OS":"linux"}\n'
      isPlain(
        t,
        run(t, shell, { 'var/lib/docker/containers/x/config.v2.json': config }),
        'no container is a host extension: ',
      )
    })

    const NO_ENGINE =
      'no engine in /mnt/data/docker /var/lib/docker /var/lib/balena-engine /var/snap/docker/common/var-lib-docker /var/lib/containers/storage'
    const CONTAINER = '{"Config":{"Labels":{}},"Name":"/x","Driver":"overlay2","OS":"linux"}\n'
    const PODMAN_CONTAINER = `{"id":"${'ab'.repeat(32)}","names":["x"]}`
    const IMAGE = 'var/lib/containers/storage/overlay-images/ab/=c2hhMjU2OmFi'
    t.test('where was looked is said, and what was there', async (t) => {
      const said = (files: Tree) => {
        const { decision, started } = run(t, shell, files)
        t.notOk(started)
        return decision.replace('plain root: no container is a host extension: ', '').trim()
      }
      t.equal(said({}), NO_ENGINE)
      t.equal(
        said({
          'var/lib/docker/containers/x/config.v2.json': CONTAINER,
          'var/lib/docker/containers/y/config.v2.json': CONTAINER,
          'mnt/data/docker/containers/x': '',
        }),
        `0 in /mnt/data/docker, 2 in /var/lib/docker, ${NO_ENGINE.replace('/mnt/data/docker /var/lib/docker ', '')}`,
      )
      t.equal(
        said({
          'var/lib/containers/storage/overlay-containers/containers.json': `[${PODMAN_CONTAINER},${PODMAN_CONTAINER}]`,
          'var/lib/containers/storage/overlay-containers/volatile-containers.json': `[${PODMAN_CONTAINER}]`,
          [IMAGE]: '{"config":{"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}',
        }),
        `3 in /var/lib/containers/storage, ${NO_ENGINE.replace(' /var/lib/containers/storage', '')}`,
      )
    })

    t.test('what is there and is not read is said', async (t) => {
      const others: Tree = {
        'var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/x': '',
        'var/lib/rancher/k3s/agent/containerd/x': '',
        'var/lib/lxc/x/config': '',
        'var/snap/lxd/common/lxd/containers/x': '',
        'home/u/.local/share/docker/containers/x/y': '',
        'home/w/.local/share/docker/other/x': '',
      }
      const rest =
        'k3s in /var/lib/rancher/k3s/agent/containerd, LXC in /var/lib/lxc, LXD in /var/snap/lxd/common/lxd/containers, rootless Docker in /home/u/.local/share/docker/containers'
      const plain = 'no container is a host extension: '
      isPlain(
        t,
        run(t, shell, others),
        `${plain}${NO_ENGINE}; not read: containerd in /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots, ${rest}`,
      )
      // Then containerd may be Docker's.
      const docker = { 'var/lib/docker/containers/x/config.v2.json': CONTAINER }
      isPlain(
        t,
        run(t, shell, { ...others, ...docker }),
        `${plain}1 in /var/lib/docker, ${NO_ENGINE.replace('/var/lib/docker ', '')}; not read: ${rest}`,
      )
    })

    t.test('settings of engines that name other places: the runtime looks', async (t) => {
      const unit = (words: string, name = 'docker') => ({
        [`usr/lib/systemd/system/${name}.service`]: `[Service]\nExecStart=/usr/bin/dockerd -H fd:// ${words}\n`,
      })
      for (const files of [
        unit('--data-root /d'),
        unit('--data-root=/d', 'balena'),
        unit('--graph=/d', 'balena-engine'),
        unit('-g /d'),
        unit('-g/d'),
        unit('"-g=/d"'),
        unit('--config-file /d'),
        unit('$A\nEnvironment="A=-g /d"'),
        unit('$A\nEnvironmentFile=-/etc/docker/options'),
        { ...unit('$DOCKER_OPTS'), 'etc/default/docker': 'DOCKER_OPTS="--data-root /d"\n' },
        {
          ...unit(''),
          'etc/systemd/system/docker.service.d/x.conf': 'ExecStart=/bin/dockerd --data-root /d\n',
        },
        { 'etc/containers/storage.conf': '[storage]\ngraphroot = "/d"\n' },
        { 'usr/share/containers/storage.conf': '[storage.options]\nadditionalimagestores = [ "/d" ]\n' },
        { 'etc/containers/storage.conf': '[storage.options]\nadditionalimagestores = [\n"/d",\n]\n' },
        { 'etc/containers/storage.conf': '[storage]\nimagestore = "/d"\n' },
        // However TOML lets somebody write it.
        ...[
          `[storage]\ngraphroot = "/d" # was "${GRAPHROOT}"`,
          `[storage]\ngraphroot = "/d" # x.conf:graphroot = "${GRAPHROOT}"`,
          'storage.graphroot = "/d"',
          '[storage]\n"graphroot" = "/d"',
          "[storage]\n'graphroot' = '/d'",
          '[storage]\n\tGraphRoot="/d"',
          '[storage]\n"\\u0067raphroot" = "/d"',
          'storage = { driver = "overlay", graphroot = "/d" }',
          "[storage.options]\nadditionalimagestores = [ '/d' ]",
          "[storage.options]\nadditionalimagestores = [\n  '/d',\n]",
          '[storage.options]\nadditionalimagestores = [\n{ append = true }, "/d" ]',
        ].map((text) => ({ 'etc/containers/storage.conf': `${text}\n` })),
        { 'etc/docker/daemon.json': `{"data-root": "${DOCKER.dataRoot}", "data-root": "/d"}` },
        { 'etc/docker/daemon.json': `{"graph": "${DOCKER.dataRoot}", "data-root": "/d"}` },
        unit('$A\nEnvironmentFile = /etc/sysconfig/docker'),
        unit('$A\n  EnvironmentFile=/etc/sysconfig/docker'),
        unit('$A\nEnvironmentFile=\\\n/etc/sysconfig/docker'),
        unit('$A\nEnvironmentFile=/etc/default/docker options'),
      ] as Tree[])
        t.ok(run(t, shell, files).started, JSON.stringify(files))
      for (const files of [
        unit('--delta-data-root=/d --log-driver journald'),
        unit('$DOCKER_OPTS\nEnvironmentFile=-/etc/default/docker\nEnvironment=HTTP_PROXY=http://x/'),
        {
          'etc/containers/storage.conf':
            '[storage]\ngraphroot = "/var/lib/containers/storage"\n# graphroot = "/d"\n',
        },
        { 'usr/share/containers/storage.conf': 'driver = "overlay"\nadditionalimagestores = [\n]\n' },
        // What is left of that of Fedora 43 without its comments.
        {
          'usr/share/containers/storage.conf': `# driver
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
  # graphroot = "/d"
[storage.options]
additionalimagestores = [
#  "/usr/lib/containers/storage",
]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos=""}
[storage.options.overlay]
mountopt = "nodev,metacopy=on"
`,
        },
      ] as Tree[]) {
        const result = run(t, shell, files)
        t.notOk(result.started, JSON.stringify(files))
        t.match(result.decision, /no container is a host extension: no engine in/)
      }
    })

    t.test('an extension of Podman', async (t) => {
      const list = {
        'var/lib/containers/storage/overlay-containers/containers.json': `[${PODMAN_CONTAINER}]`,
      }
      const image = (labels: string, rest = '"rootfs":{"diff_ids":[]}') => ({
        [IMAGE]: `{"config":{"Labels":{${labels}}},${rest}}`,
      })
      t.ok(run(t, shell, { ...list, ...image('"io.balena.features.host-extension":"1"') }).started)
      t.ok(run(t, shell, { ...list, ...image('"io.balena.image.class":"overlay"') }).started)
      t.ok(
        run(t, shell, { ...list, ...image('', '"root') }).started,
        'damaged: the label may have been there',
      )
      t.notOk(run(t, shell, { ...list, ...image('"a":"b"') }).started)
      t.ok(
        run(t, shell, { 'var/lib/containers/storage/hostext/good': '{}\n' }).started,
        'a stack has booted well',
      )
    })

    t.test('the data of an engine that maps users is for the runtime to name', async (t) => {
      t.ok(run(t, shell, { 'var/lib/docker/100000.100000/containers/x/y': '' }).started)
    })

    t.test('an extension, wherever the engine’s data is', async (t) => {
      for (const [files, engine] of [
        [{}, 'var/lib/docker'],
        [{}, 'mnt/data/docker'],
        [{ 'etc/hostext.conf': '[Engine]\n  DataRoot =  /data/my docker \n' }, 'data/my docker'],
        [{ 'usr/lib/hostext/hostext.conf.d/a.conf': '[Engine]\nDataRoot=/data' }, 'data'],
        [{ 'etc/docker/daemon.json': '{"log-level": "warn", "data-root":"/data", "x": "y"}' }, 'data'],
        [{ 'etc/docker/daemon.json': '{\n  "data-root":\n    "/data"\n}\n' }, 'data'],
        [{ 'etc/docker/daemon.json': '{"data\\u002droot": "/data"}\n' }, 'data'],
        [{ 'etc/docker/daemon.json': '{"graph": "/data"}' }, 'data'],
        [{ 'etc/docker/daemon.json': '\ufeff{"data-root": "/data"}' }, 'data'],
        [{ 'etc/balena-engine/daemon.json': '{"data-root": "/data"}' }, 'data'],
        [{}, 'var/lib/balena-engine'],
        [{}, 'var/snap/docker/common/var-lib-docker'],
      ] as [Tree, string][]) {
        const result = run(t, shell, files, { engine })
        t.match(result, { started: true, status: 0, stderr: '' }, JSON.stringify(files))
      }
    })

    t.test('metadata that looks damaged is for the runtime to name', async (t) => {
      for (const text of [
        '',
        '{"State":{',
        '{"Config":{"Labels":null}',
        '{"Config":{"Labels":{}},"Driver":"over',
      ]) {
        const result = run(t, shell, { 'var/lib/docker/containers/x/config.v2.json': text })
        t.equal(result.started, true, JSON.stringify(text))
      }
    })

    t.test('where a stack has booted well nothing is searched for', async (t) => {
      // Two reasons not to start it, which only a search finds.
      const config = '{"Config":{"Labels":{}},"Driver":"overlay2","OS":"linux"}\n'
      const files = {
        'var/lib/docker/containers/x/config.v2.json': config,
        'run/systemd/container': 'systemd-nspawn\n',
      }
      for (const data of ['var/lib/docker', 'mnt/data/docker'])
        t.ok(run(t, shell, { ...files, [`${data}/hostext/good`]: 'whatever it says\n' }).started, data)
      const off = { 'var/lib/docker/hostext/good': '', 'proc/cmdline': 'ro balena.nohostext\n' }
      isPlain(t, run(t, shell, off), 'balena.nohostext on the kernel command line')
      const records = { 'var/lib/docker/hostext/trial.1': '', 'var/lib/docker/hostext/previous': '' }
      isPlain(t, run(t, shell, { ...files, ...records }), 'running in a container')
    })

    t.test('turned off', async (t) => {
      for (const word of ['balena.nohostext', 'mobynit.no_overlays', 'emergency', 'rescue', 'single']) {
        const result = run(
          t,
          shell,
          { 'proc/cmdline': `root=/dev/vda ${word} quiet\n` },
          { engine: 'var/lib/docker' },
        )
        isPlain(t, result, `${word} on the kernel command line`)
      }
      for (const line of [
        'xemergency',
        'foo.emergency=1',
        'a="x emergency y"',
        'balena.nohostext balena.nohostext=0',
      ]) {
        const result = run(
          t,
          shell,
          { 'proc/cmdline': `root=/dev/vda ${line}\n` },
          { engine: 'var/lib/docker' },
        )
        t.equal(result.started, true, `${line}: the runtime knows`)
      }
    })

    t.test('containers', async (t) => {
      const engine = 'var/lib/docker'
      const container = { 'run/systemd/container': 'systemd-nspawn\n' }
      isPlain(t, run(t, shell, container, { engine }), 'running in a container, and Container=no')
      const environment = { SYSTEMD_VIRTUALIZATION: 'container:docker' }
      isPlain(t, run(t, shell, {}, { engine, environment }), 'running in a container, and Container=no')
      t.ok(run(t, shell, { ...container, 'etc/hostext.conf': '[Boot]\nContainer=yes\n' }, { engine }).started)
      t.ok(run(t, shell, {}, { engine, environment: { SYSTEMD_VIRTUALIZATION: 'vm:kvm' } }).started)
    })

    t.test('other generators that may mount the data of an engine', async (t) => {
      const script = readFileSync(join(STEPS, 'generators.sh'), 'utf8')
      const made = (files: Tree, library: Tree = { 'usr/lib/hostext/generators.sh': script }) => {
        const engine = { 'usr/lib/systemd/system/docker.service': '[Service]\nExecStart=dockerd\n' }
        const { started, decision } = run(t, shell, { ...engine, ...files }, { library })
        t.notOk(started)
        return /; not known yet: the mounts of (.*)\n/.exec(decision)?.[1]
      }
      const generators = (directory: string, tree: Tree): Tree =>
        Object.fromEntries(
          Object.entries(tree).map(([name, text]) => [
            `${directory}/systemd/system-generators/${name}`,
            text,
          ]),
        )
      const own = generators('usr/lib', {
        ...{ 'systemd-fstab-generator': '.mount', 'hostext-generator': '.mount' },
        'podman-system-generator': '.mount',
      })
      t.equal(made(own), undefined)
      const others = {
        ...own,
        ...generators('usr/lib', { zfs: 'x.mount', netplan: 'x.network', z2: '.mount' }),
      }
      t.equal(made(others), 'z2, zfs')
      t.equal(made({ ...others, ...generators('etc', { zfs: '-> /dev/null' }) }), 'z2', 'masked')
      t.equal(made({ ...others, ...generators('run', { zfs: 'none' }) }), 'z2', 'another one of that name')
      t.equal(made(others, {}), undefined, 'the script is missing')
    })

    t.test('the runtime hears from PID 1 that this is the first boot', async (t) => {
      const runtime = '#!/bin/sh\necho "first: $SYSTEMD_FIRST_BOOT" >&2\n'
      const options = { engine: 'var/lib/docker', environment: { SYSTEMD_FIRST_BOOT: '1' }, runtime }
      t.match(run(t, shell, {}, options).stderr, /^first: 1$/m)
    })

    t.test('installed on a running machine', async (t) => {
      const unit = 'run/systemd/units/invocation:systemd-journal-flush.service'
      const result = run(t, shell, { [unit]: '-> 0123456789abcdef' }, { engine: 'var/lib/docker' })
      t.match(result, { started: false, status: 0, stderr: '', decision: '' })
    })

    t.test('a boot that is decided', async (t) => {
      const engine = 'var/lib/docker'
      const plain = run(t, shell, { 'run/hostext.decision': 'plain root: because\n' }, { engine })
      t.match(plain, { started: false, stderr: '' })
      t.same(plain.files, {})
      t.same(run(t, shell, DECIDED, { engine }).files, {
        'normal/hostext.target': 'first\n',
        'normal/run-hostext-0.mount': 'layer\n',
        'early/default.target': '-> /run/systemd/generator/hostext.target',
      })
      t.same(run(t, shell, { ...DECIDED, ...LOCKED }, { engine }).files, {
        'normal/hostext.target': 'locked\n',
        'normal/run-hostext-0.mount': 'layer\n',
        'late/tmp.mount': 'locked\n',
        'early/hostext-good.timer': 'locked\n',
      })
      for (const [what, mounts] of [
        ['something is mounted over it', `${LOCKED['proc/self/mounts']}/dev/vda / ext4 ro 0 0\n`],
        ['it is mounted elsewhere', 'hostext /run/nextroot overlay ro 0 0\n'],
        ['somebody else’s overlay', 'overlay / overlay ro 0 0\n'],
        ['a disk of that name', 'hostext / ext4 ro 0 0\n'],
      ] as const) {
        const result = run(t, shell, { ...DECIDED, 'proc/self/mounts': mounts }, { engine })
        t.equal(result.files['normal/hostext.target'], 'first\n', what)
      }
      const back = run(t, shell, { ...DECIDED, 'run/hostext/attempted/x': '' }, { engine })
      t.same(
        back.files,
        { 'normal/hostext.target': 'first\n', 'normal/run-hostext-0.mount': 'layer\n' },
        'no second switch',
      )
      t.match(back.stderr, 'the switch ended in the old root')
      t.match(back.decision, 'the switch ended in the old root')
      const failed = run(
        t,
        shell,
        { ...DECIDED, 'run/hostext/attempted/x': '', 'run/hostext/fallback': '' },
        { engine },
      )
      t.equal(failed.stderr, '', 'said once')
      // The marker cannot be made: a shell that ends at that would say nothing, and with another status than
      // 0.
      const full = { 'run/hostext/fallback': '-> /nonexistent/x' }
      const unmarked = run(t, shell, { ...DECIDED, ...full, 'run/hostext/attempted/x': '' }, { engine })
      t.match(unmarked, { status: 0, decision: /the switch ended in the old root/ })
    })

    t.test('a plain boot with units of its own', async (t) => {
      const plain = { 'run/hostext/plain/normal/hostext-rollback.service': 'rolled back\n' }
      const decided = { ...plain, 'run/hostext.decision': 'plain root: because\n' }
      const result = run(t, shell, decided, { engine: 'var/lib/docker' })
      t.match(result, { started: false, stderr: '', status: 0 })
      t.same(result.files, { 'normal/hostext-rollback.service': 'rolled back\n' })
    })

    t.test('only holders of an earlier version are left', async (t) => {
      const labels = '{"io.balena.features.host-extension":"","io.balena.image.class":"hold"}'
      const config = `{"State":{},"Config":{"Labels":${labels}},"Name":"/x","Driver":"overlay2","OS":"linux"}\n`
      const result = run(t, shell, { 'var/lib/docker/containers/x/config.v2.json': config })
      t.match(result, { started: true, status: 0, stderr: '' })
    })

    t.test('what would hang is not read: the runtime names it', async (t) => {
      for (const path of [
        'etc/hostext.conf',
        'etc/docker/daemon.json',
        'etc/fstab',
        'var/lib/docker/containers/x/config.v2.json',
      ]) {
        for (const kind of ['FIFO', 'link to an endless device']) {
          // A configuration file that is a device is masked.
          if (path === 'etc/hostext.conf' && kind !== 'FIFO') continue
          const prepare = (root: string) => {
            mkdirSync(dirname(join(root, path)), { recursive: true })
            if (kind === 'FIFO') execFileSync('mkfifo', [join(root, path)])
            else symlinkSync('/dev/zero', join(root, path))
          }
          const result = run(t, shell, {}, { prepare })
          t.match(result, { started: true, status: 0, stderr: '' }, `${path} is a ${kind}`)
        }
      }
    })

    t.test('a runtime that does not work', async (t) => {
      const engine = 'var/lib/docker'
      for (const [runtime, why] of [
        [null, 'node is missing: extensions are left out'],
        ['#!/bin/sh\nexit 3\n', 'the runtime ended with status 3: extensions are left out'],
        ['#!/nonexistent\n', 'the runtime cannot be run (status 127): extensions are left out'],
        ['#!/bin/sh\nexit 124\n', 'the runtime was stopped after 20 s: extensions are left out'],
        ['#!/bin/sh\nkill $$\n', 'the runtime was stopped after 20 s: extensions are left out'],
        [
          '#!/bin/sh\nkill -9 $$\n',
          'the runtime was killed (out of memory, or it hung for 20 s): extensions are left out',
        ],
      ] as const) {
        const result = run(t, shell, {}, { engine, runtime })
        t.equal(result.status, 0)
        t.same(result.files, {})
        t.match(result.decision, why)
        t.match(result.stderr, why)
      }
    })

    t.test('a line for the kernel log is as long as the kernel takes', { skip: cannotMount }, async (t) => {
      const root = Array(8).fill('x'.repeat(200)).join('/')
      const script = 'export HOSTEXT_ROOT="/run/$0" SYSTEMD_EXEC_PID=$$; exec "$@"'
      const { kernelLog } = runPrivately(
        t,
        ['sh', '-c', script, root, ...shell, STUB, '/run/n', '/run/e', '/run/l'],
        { [`${root}/var/lib/docker/containers/x/config.v2.json`]: '{}', 'n/x': '', 'e/x': '', 'l/x': '' },
        {},
      )
      const lines = kernelLog.trimEnd().split('\n')
      t.match(lines.at(-1), /^<5>hostext: plain root: \/run\/xxx/)
      for (const line of lines) t.ok(line.length < 1000, line)
    })

    t.test('scripts that are damaged', async (t) => {
      const engine = 'var/lib/docker'
      const known = readFileSync(join(STEPS, 'known.sh'), 'utf8')
      for (const damage of ['', 'if', "x='", '\0'.repeat(2000), HOW.slice(0, 700), HOW.slice(0, 1500)]) {
        const library = { 'usr/lib/hostext/runtime.sh': damage }
        t.match(run(t, shell, {}, { engine, library }), { started: true, status: 0 }, damage.slice(0, 9))
      }
      // Where a decision seems to be kept, only the usual directories count: those of PID 1.
      for (const damage of ['', 'if', known.slice(0, 3000), known.slice(0, 5000)]) {
        const library = { 'usr/lib/hostext/known.sh': damage }
        const files = { 'var/lib/docker/hostext/good': '', 'var/lib/docker/hostext/known/sums': '' }
        const result = run(t, shell, files, { engine, library, isPid1: true })
        t.match(result, { started: true, status: 0 }, `known.sh: ${damage.length}`)
      }
    })

    /** With busybox' timeout, what is stopped has the status of a signal. */
    for (const status of [124, 143])
      t.test(`a seed with which the runtime takes too long (${status})`, async (t) => {
        const runtime = `#!/bin/sh
echo "$*" >>"$HOSTEXT_ROOT/started"
case "$*" in *--random-seed=*) exit ${status} ;; esac
`
        let root = ''
        const result = run(
          t,
          shell,
          {},
          {
            engine: 'var/lib/docker',
            runtime,
            prepare: (path) => {
              root = path
            },
          },
        )
        t.equal(result.status, 0)
        t.equal(result.decision, '', 'not plain: the second one was good')
        t.match(result.stderr, /once more, with a seed of its own/)
        const [first = '', second = '', ...more] = readFileSync(join(root, 'started'), 'utf8')
          .trim()
          .split('\n')
        t.same(more, [])
        t.match(first, / --random-seed=\d+ /)
        t.equal(first.replace(/--random-seed=\d+ /, ''), second)
      })

    t.test('what a runtime left behind that failed half-way does not start anything', async (t) => {
      const runtime = `#!/bin/sh
while [ "\${1#--}" != "$1" ]; do shift; done # the runtime's own options
shift # what starts the bundle
run=$HOSTEXT_ROOT/run/hostext
mkdir -p "$run/first/early/default.target.wants" "$run/locked" "$run/plain" "$run/waiting/early" "$run/journal"
echo >"$run/boot.json"
echo >"$run/journal/00"
mkdir "$3/default.target.wants"
for link in default.target.wants/a.service masked.service sysinit.target foo.service; do
	ln -s /dev/null "$run/first/early/$link"
	ln -s /dev/null "$3/$link"
done
ln -s /dev/null "$3/of-others.service"
ln -s ../b.service "$3/default.target.wants/b.service"
ln -s "$2/hostext.target" "$3/default.target"
echo >"$3/hostext-watch.service"
mkdir "$3/mount.d" "$3/dev-vdb.device.d"
echo >"$3/mount.d/50-hostext.conf"
echo >"$3/dev-vdb.device.d/60-hostext.conf"
echo >"$3/other.service"
mkdir "$2/basic.target.wants"
ln -s ../hostext-taken.service "$2/basic.target.wants/hostext-taken.service"
exit 1
`
      let root = ''
      const result = run(
        t,
        shell,
        { 'proc/cmdline': 'ro systemd.mask=masked.service systemd.mask=foo\n' },
        {
          engine: 'var/lib/docker',
          runtime,
          prepare: (path) => {
            root = path
          },
        },
      )
      t.same(
        result.files,
        {
          'early/default.target.wants/b.service': '-> ../b.service',
          'early/foo.service': '-> /dev/null',
          'early/masked.service': '-> /dev/null',
          'early/of-others.service': '-> /dev/null',
          'early/other.service': '\n',
        },
        'what others wrote stays',
      )
      t.same(readdirSync(join(root, 'run/hostext')), [], 'nothing says that something is stacked')
      t.match(result.decision, 'plain root')
    })
  })
}

const scripts = [
  ...[STUB, REFUSE],
  ...['command', 'init-bottom'].map((name) => join(GENERATORS, name)),
  ...readdirSync(STEPS).map((name) => join(STEPS, name)),
].filter((path) => !/\.(?:service|path)$/.test(path))

t.test('no script ends because it cannot write to a file', async (t) => {
  t.ok(scripts.length >= 6, 'all of generators/')
  // POSIX, "Consequences of Shell Errors": a shell may end where the redirection of a special built-in fails;
  // dash does.
  const special =
    /(?:^|[;&|{]|\b(?:do|then|else))[ \t]*(?:[:.]|break|continue|eval|exec|export|readonly|return|set|shift|times|trap|unset)[ \t](?:[^#\n;&|]*[ \t])?\d*[<>]/m
  t.match(': >"$run/good"', special)
  t.match('\texec 2>/dev/null', special)
  t.match('[ -e x ] || : >"$run/closed"', special)
  t.notMatch('true >x\n# : >x\ncase x in *:) printf x >y ;; esac', special)
  for (const script of scripts) {
    // In a subshell that may end.
    const text = readFileSync(script, 'utf8').replace(/^\t+exec 2>\/dev\/null$/m, '')
    t.notMatch(text, special, script)
  }
})

t.test('shellcheck has nothing to say', async (t) => {
  const dracut = join(GENERATORS, 'dracut/module-setup.sh')
  for (const words of [
    ['--shell=sh', ...scripts],
    ['--shell=bash', dracut],
  ]) {
    const { stdout, error } = spawnSync('shellcheck', words, { encoding: 'utf8' })
    if (error) t.pass('no shellcheck here', { skip: true })
    else t.equal(stdout, '')
  }
})
