import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DAEMONS } from '../../src/engine/daemon.js'
import { DEFAULT_DATA_ROOTS } from '../../src/engine/places.js'
import { GRAPHROOT } from '../../src/engine/storage-conf.js'
import { OTHERS, ROOTLESS } from '../../src/engine/unread.js'
import { FEATURE_LABELS } from '../../src/image/labels.js'
import { DROP_IN_DIRECTORIES, MAIN_FILES } from '../../src/machine/configuration.js'
import { UNIT_DIRECTORIES } from '../../src/machine/unit-files.js'
import { unitName } from '../../src/text/unit-syntax.js'
import type { Random } from './seeded.js'
import { type Tree, writeTree } from './tree.js'

/*
 * What makes one machine different from another: containers, settings, mounts, other engines.
 */

const PLACES = [
  ...DEFAULT_DATA_ROOTS,
  '/data/docker',
  '/srv/engine',
  '/home/engine',
  '/opt/my-engine',
  '/run/e',
]

/** Nobody keeps a unit in the others for a while: systemd.unit(5). */
export const LASTING_UNIT_DIRECTORIES = UNIT_DIRECTORIES.filter((path) => !/control|transient/.test(path))

/** A place, or a directory above or below it. */
function near(random: Random): string {
  const parts = random.pick(PLACES).split('/')
  if (random.number(6) === 0) return [...parts, random.pick(['containers', 'volumes'])].join('/')
  return parts.slice(0, 2 + random.number(parts.length - 1)).join('/')
}

const hex = (random: Random): string =>
  Array.from({ length: 64 }, () => random.number(16).toString(16)).join('')

/** A container as Docker keeps it: mostly one of somebody else, sometimes an extension or damaged. */
function dockers(random: Random): Tree {
  const id = hex(random)
  const labels = random.number(5) === 0 ? { [random.pick(FEATURE_LABELS)]: '1' } : { a: 'b' }
  const config = JSON.stringify({
    State: {},
    ID: id,
    Image: `sha256:${hex(random)}`,
    Config: { Image: 'x:1', Labels: labels },
    Name: '/x',
    Driver: 'overlay2',
    OS: 'linux',
  })
  // A file that ends after the driver has all its labels: then it is none of ours.
  const text = random.number(12) === 0 ? config.slice(0, random.number(config.indexOf('"Driver"'))) : config
  const place = random.pick(PLACES.filter((path) => path !== GRAPHROOT))
  return { [`${place}/containers/${id}/config.v2.json`]: text }
}

/** Containers of Podman and their image. */
function podmans(random: Random): Tree {
  const place = random.number(3) > 0 ? GRAPHROOT : random.pick(PLACES)
  const image = hex(random)
  const containers = [{ id: hex(random), names: ['x'], image, layer: hex(random) }]
  const Labels = random.number(4) === 0 ? { [random.pick(FEATURE_LABELS)]: '1' } : { a: 'b' }
  const config = JSON.stringify({ config: { Labels }, rootfs: { type: 'layers', diff_ids: ['sha256:x'] } })
  const name = Buffer.from(`sha256:${image}`).toString('base64')
  return {
    [`${place}/overlay-containers/containers.json`]: JSON.stringify(containers),
    [`${place}/overlay-images/images.json`]: JSON.stringify([
      { id: image, names: ['x:1'], layer: hex(random) },
    ]),
    [`${place}/overlay-images/${image}/=${name}`]: config,
  }
}

/** A setting that names a place, in one of the ways that there are. */
function setting(random: Random): Tree {
  const spelling = random.pick(['', '', '', '', '', '/', '//', '/.', '/x/..', '\r', ' '])
  const place = random.number(15) === 0 ? 'data/docker' : `${random.pick(PLACES)}${spelling}`
  const daemon = random.pick(DAEMONS)
  const unit = `${random.pick(LASTING_UNIT_DIRECTORIES)}/${random.pick(daemon.units)}`
  const start = (words: string) => `[Service]\nExecStart=/usr/bin/dockerd ${words}\n`
  return random.pick<() => Tree>([
    () => ({ [random.pick(MAIN_FILES)]: `[Engine]\nDataRoot=${place}\n` }),
    () => ({ [`${random.pick(DROP_IN_DIRECTORIES)}/x.conf`]: `[Engine]\nDataRoot = ${place}\n` }),
    () => ({ [daemon.config]: `{\n  "data-root":\n    "${place}"\n}\n` }),
    () => ({ [daemon.config]: `\ufeff{"data-root":"${place.replace('/', '\\u002f')}"}` }),
    () => ({
      [unit]: start('--config-file=/etc/engine.json'),
      '/etc/engine.json': `{"data-root": "${place}"}`,
    }),
    () => ({ [daemon.config]: `{"data-root": "${daemon.dataRoot}", "data-root": "${place}"}\n` }),
    () => ({
      [unit]: `${start('$A')}EnvironmentFile = /etc/sysconfig/docker\n`,
      '/etc/sysconfig/docker': `A=-g${place}\n`,
    }),
    () => ({
      '/etc/containers/storage.conf': random.pick([
        `storage.graphroot = "${place}"\n`,
        `[storage]\n"graphroot" = '${place}'\n`,
        `storage = { driver = "overlay", GraphRoot = "${place}" }\n`,
        `[storage]\ngraphroot = "${place}" # was "${GRAPHROOT}"\n`,
        `[storage.options]\nadditionalimagestores = [ '${place}' ]\n`,
      ]),
    }),
    () => ({ '/etc/containers/storage.conf.d/x.conf': `[storage]\nimagestore = "${place}"\n` }),
    () => ({
      '/etc/containers/storage.conf': `[storage.options]\nadditionalimagestores = [ "${place}" ]\n`,
    }),
    () => ({ [daemon.config]: `{"${random.pick(['data-root', 'graph'])}": "${place}"}\n` }),
    () => ({
      [unit]: start(random.pick([`--data-root ${place}`, `-g ${place}`, `--graph=${place}`, '-H fd://'])),
    }),
    () => ({
      [unit]: start('$A'),
      [`${unit}.d/x.conf`]: `[Service]\nEnvironment="A=--data-root ${place}"\n`,
    }),
    () => ({ [unit]: start('-H fd://'), [`${unit}.d/x.conf`]: start(`--data-root=${place}`) }),
    () => ({ [`${unit}.d/x.conf`]: start(`--data-root=${place}`) }),
    () => ({
      [unit]: `${start('$A')}EnvironmentFile=/etc/default/docker\n`,
      '/etc/default/docker': `A=-g${place}\n`,
    }),
    () => ({ '/etc/containers/storage.conf': `[storage]\ndriver = "overlay"\ngraphroot = "${place}"\n` }),
    () => ({ '/usr/share/containers/storage.conf': `[storage]\ngraphroot = "${GRAPHROOT}"\n` }),
    () => ({
      [`/var/lib/hostext/etc/upper${daemon.config.slice('/etc'.length)}`]: `{"data-root":"${place}"}`,
    }),
  ])()
}

/** By what they are: files, by paths that begin with a slash; a path that ends with one is a directory. */
export const PIECES: Record<string, (random: Random) => Tree> = {
  dockers,
  podmans,
  setting,
  'another generator': (random) => {
    const name = random.pick([
      'zfs-mount-generator',
      'zram-generator',
      'podman-system-generator',
      'systemd-x',
    ])
    const directory = random.pick(['run', 'etc', 'usr/local/lib', 'usr/lib'])
    const text = random.pick(['printf %s var-lib-docker.mount\n', 'writes x.service\n', '-> /dev/null'])
    // Where no engine is installed, the stub does not look at them.
    const engine = { '/usr/lib/systemd/system/docker.service': '[Service]\nExecStart=dockerd\n' }
    return { ...engine, [`/${directory}/systemd/system-generators/${name}`]: text }
  },
  'a setting of hostext': (random) => ({
    [random.pick(MAIN_FILES)]: random.pick([
      ...['Etc=persistent', 'Etc=persistant', 'State=auto', 'State=/data', 'State=data'].map(
        (line) => `[Root]\n${line}\n`,
      ),
      ...['Skip = a b', 'Started=yes', 'Started=maybe', 'Etc=auto'].map((line) => `[Stack]\n${line}\n`),
      ...['DataRot=/data/docker', 'DataRoots=/data/docker', 'DataRoot /data/docker', 'DataRoot='].map(
        (line) => `[Engine]\n${line}\n`,
      ),
      ...['FailedUnits=warn', 'FailedUnits=Warn', 'ForeignSystem=skip', 'Attempts=3', 'Attempts=x'].map(
        (line) => `[Safety]\n${line}\n`,
      ),
      ...['Timeout=60s', 'Timeout=60 parsecs', 'Container=no', 'Container=nope'].map(
        (line) => `[Boot]\n${line}\n`,
      ),
      '[Root]\nEtc=\\\n# x\npersistent\n',
      '# DataRoot=/data/docker\n\n; x\n',
      'Etc=auto\n',
      '[Engin]\n',
    ]),
  }),
  'a setting of Docker': (random) => ({
    [random.pick(DAEMONS).config]: random.pick([
      '{"log-level": "warn"}\n',
      '{"log-level": ',
      '[]',
      '',
      '{"data-root": 5}',
      '{"graph": null}',
      '{"features": {"containerd-snapshotter": true}}',
      '{"storage-driver": "btrfs"}',
      '{"userns-remap": "default"}',
    ]),
  }),
  // (Not cut off: what is no TOML only its engine and the program see.)
  'a setting of Podman': (random) => ({
    [random.pick([
      '/etc/containers/storage.conf',
      '/usr/share/containers/storage.conf',
      '/etc/containers/storage.conf.d/y.conf',
    ])]: random.pick([
      '[storage]\ndriver = "btrfs"\n',
      '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\n',
      '[storage]\ngraphroot = 5\n',
      "[storage]\ngraphroot = '/data/podman'\n",
      '[storage.options.overlay]\nuse_composefs = "true"\n',
      '[storage.options]\nadditionalimagestores = [\n]\n',
      '',
    ]),
  }),
  'a setting of containerd': (random) => ({
    '/etc/containerd/config.toml': random.pick(['root = "/data/c"\n', 'root = "c"\n', 'version = 3\n']),
  }),
  'a line of fstab': (random) => ({
    '/etc/fstab': `# x\nLABEL=d ${random.pick([near(random), '/boot', 'none'])} ext4 defaults\n`,
  }),
  'a mount unit': (random) => ({
    [`${random.pick(LASTING_UNIT_DIRECTORIES)}/${unitName(near(random), 'mount')}`]: '[Mount]\n',
  }),
  'a link': (random) => ({ [near(random)]: '-> /elsewhere' }),
  'an empty directory': (random) => ({ [`${random.pick(['/var', '/home', '/srv', near(random)])}/`]: '' }),
  'another engine': (random) => ({ [`${random.pick(OTHERS).path}/x`]: '' }),
  'an engine of a user': (random) => ({ [`/home/u/${random.pick(ROOTLESS).path}/x`]: '' }),
  'a data root without containers': (random) => ({ [`${random.pick(PLACES)}/image/x`]: '' }),
  'users are mapped': (random) => ({ [`${random.pick(PLACES)}/1000.1000/containers/x/y`]: '' }),
  'what nobody looks at': (random) => ({
    [random.pick(['/var/log/x', '/home/u/x', '/srv/x', '/mnt/usb/x'])]: '',
  }),
  'words of the kernel command line': (random) => ({
    '/proc/cmdline': `ro ${Array.from({ length: 1 + random.number(3) }, () =>
      random.pick([
        'balena.nohostext',
        'balena.nohostext=0',
        'mobynit.no_overlays',
        'hostext.skip=a',
        'emergency',
        'rescue',
        'single',
        '1',
        's',
        '-b',
        '3',
        '5',
        '"emergency"',
        'a="x emergency"',
        'systemd.unit=rescue.target',
        'systemd.unit="rescue.target"',
        'systemd.mount-extra=LABEL=d:/data:ext4',
        'systemd.volatile=yes',
        'systemd.run=true',
        'init=/bin/sh',
        '--',
        'rd.systemd.unit=x',
        'systemd.mask=docker.service',
        'root=/dev/mapper/x',
        'roothash=00',
        'quiet',
      ]),
    ).join(' ')}\n`,
  }),
  'in a container': (random) => ({
    '/run/systemd/container': 'systemd-nspawn\n',
    '/run/hostext.conf.d/c.conf': random.pick(['', '[Boot]\nContainer=yes\n']),
  }),
}

/** Adds files where that can be done: some pieces are in each other's way. Returns what was added. */
export function addPiece(root: string, files: Tree): string[] {
  return Object.entries(files).flatMap(([path, text]) => {
    try {
      if (path.endsWith('/')) mkdirSync(join(root, path), { recursive: true })
      else writeTree(root, { [path.slice(1)]: text })
      return `${path}: ${text}`
    } catch {
      return []
    }
  })
}
