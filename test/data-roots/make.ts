/**
 * Makes the data roots beside this file anew, with a real dockerd (`podman`: with a real Podman):
 * `npx tsx test/data-roots/make.ts [NAME...]`, as root on Debian. IDs change each time: run
 * `HOSTEXT_UPDATE=1 npm run test:unit` afterwards, and read the diff.
 *
 * Kept is what hostext reads. git knows neither empty directories nor whiteouts, so a layer without regular
 * files holds a `.gitkeep` instead.
 */
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { cached } from '../boot/cache.js'
import { labelSources, REPLACING } from '../boot/cases/safety.js'
import { withContainerdEngine } from '../boot/containerd-engine.js'
import { builderOf, dataRoot, type ExtensionSource, withEngine, writeContext } from '../boot/engine.js'
import { oneLayer, STANDARD, standardDataRoot } from '../boot/extensions.js'
import { prepareHost } from '../boot/packages.js'
import { makePodman } from './podman.js'

/** A container whose image carries these labels. */
function labelled(name: string, labels: Record<string, string>): ExtensionSource {
  const lines = Object.entries(labels).map(([label, value]) => `LABEL "${label}"="${value}"\n`)
  return {
    name,
    dockerfile: `FROM scratch\n${lines.join('')}COPY file /usr/share/${name}\n`,
    files: { file: `${name}\n` },
  }
}

const FEATURE = 'io.balena.features.host-extension'
const CLASS = 'io.balena.image.class'
const OVERRIDE = 'io.balena.image.override'

const LABELS = [
  labelled('feature-1', { [FEATURE]: '1' }),
  labelled('feature-word', { [FEATURE]: 'anything' }),
  labelled('feature-other-spelling', { 'balena.io.features.host-extension': '1' }),
  ...['', '0', 'false', 'no', 'off', 'OFF'].map((value) =>
    labelled(`not-feature-${value.toLowerCase() || 'empty'}${value === 'OFF' ? '-capital' : ''}`, {
      [FEATURE]: value,
    }),
  ),
  labelled('overlay', { [CLASS]: 'overlay' }),
  labelled('overlay-and-feature', { [CLASS]: 'overlay', [FEATURE]: '1' }),
  labelled('service', { [CLASS]: 'service' }),
  labelled('service-and-feature', { [CLASS]: 'service', [FEATURE]: '1' }),
  labelled('override-alone', { [OVERRIDE]: '1' }),
  labelled('override-10', { [CLASS]: 'overlay', [OVERRIDE]: '10' }),
  labelled('override-9', { [CLASS]: 'overlay', [OVERRIDE]: '9' }),
  labelled('override-minus-1', { [CLASS]: 'overlay', [OVERRIDE]: '-1' }),
  labelled('override-9-b', { [CLASS]: 'overlay', [OVERRIDE]: '9' }),
  labelled('override-feature', { [FEATURE]: '1', [OVERRIDE]: '9' }),
  labelled('override-word', { [CLASS]: 'overlay', [OVERRIDE]: 'high' }),
  labelled('override-empty', { [CLASS]: 'overlay', [OVERRIDE]: '' }),
  labelled('state', { [FEATURE]: '1' }),
]
// One that brings files where the base root keeps its state.
Object.assign(LABELS.at(-1) as ExtensionSource, {
  dockerfile: `FROM scratch\nLABEL ${FEATURE}=1\nCOPY file /var/lib/state/file\n`,
})

/** One with files for each index there is, for the release in the fixture's osrelease, and users. */
const INDEXES: ExtensionSource[] = [
  {
    name: 'indexed',
    dockerfile: `FROM scratch\nLABEL ${FEATURE}=1\nCOPY tree /\n`,
    files: {
      'tree/lib/modules/6.12.1-1-amd64/extra/indexed.ko': 'module\n',
      'tree/etc/ld.so.conf.d/indexed.conf': '/opt/indexed/lib\n',
      'tree/usr/lib/udev/hwdb.d/61-indexed.hwdb': 'hardware\n',
      'tree/usr/lib/sysusers.d/indexed.conf': 'u indexed -\n',
    },
  },
]

/** Images of both builders, and one of each upon layers that the other has made. */
const BUILDERS: ExtensionSource[] = [
  labelled('classic', { [FEATURE]: '1' }),
  labelled('buildkit', { [FEATURE]: '1' }),
  {
    name: 'classic-upon-buildkit',
    dockerfile: 'FROM buildkit:1\nCOPY file /usr/share/more\n',
    files: { file: '' },
  },
  {
    name: 'buildkit-upon-classic',
    dockerfile: 'FROM classic:1\nCOPY file /usr/share/more\n',
    files: { file: '' },
  },
]

/** Of these, what is in the files is kept, and their links: commands show it. */
const WHOLE = ['manual']

/** What the machine of the manual's examples has: the image of each, by the name of its container. */
const MANUAL: Record<string, ExtensionSource> = {
  gateway: {
    name: 'gateway:1.4',
    dockerfile: `FROM scratch\nLABEL ${FEATURE}=1\nCOPY tree /\n`,
    files: {
      'tree/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ngateway:x:990:990::/var/lib/gateway:/bin/false\n',
      'tree/etc/group': 'root:x:0:\ngateway:x:990:\n',
      'tree/etc/hostname': 'builder\n',
      'tree/etc/gateway.conf': 'port=8080\n',
      'tree/usr/bin/gateway*': '#!/bin/sh\nexec sleep infinity\n',
      'tree/lib/systemd/system/gateway.service': '[Service]\nUser=gateway\nExecStart=/usr/bin/gateway\n',
      'tree/lib/systemd/system/multi-user.target.wants/gateway.service': '->../gateway.service',
      'tree/var/lib/gateway/rules.db': 'rules\n',
    },
  },
  wifi: {
    name: 'wifi:2',
    dockerfile: `FROM scratch\nLABEL ${FEATURE}=1\nCOPY tree /\n`,
    files: {
      'tree/usr/lib/modules/6.1.0-18-amd64/updates/wifi.ko': 'module\n',
      'tree/usr/lib/firmware/wifi.bin': 'firmware\n',
      'tree/usr/lib/udev/rules.d/70-wifi.rules': 'SUBSYSTEM=="net", TAG+="systemd"\n',
    },
  },
  branding: {
    name: 'branding:1',
    dockerfile: `FROM scratch\nLABEL ${CLASS}=overlay ${OVERRIDE}=10\nCOPY tree /\n`,
    files: { 'tree/etc/issue': 'Our product\n', 'tree/usr/share/branding/logo': 'logo\n' },
  },
  defaults: {
    name: 'defaults:1',
    dockerfile: `FROM scratch\nLABEL ${CLASS}=overlay\nCOPY tree /\n`,
    files: { 'tree/etc/issue': 'A device\n', 'tree/etc/gateway.conf': 'port=80\n' },
  },
  'wifi-5.10': {
    name: 'wifi:1',
    dockerfile: `FROM scratch\nLABEL ${FEATURE}=1 io.balena.image.kernel-version=5.10.0\nCOPY tree /\n`,
    files: { 'tree/usr/lib/modules/5.10.0-28-amd64/updates/wifi.ko': 'module\n' },
  },
}

function manualDataRoot(): string {
  const made = cached('engine-manual', JSON.stringify(MANUAL), (directory) => {
    const context = join(directory, 'context')
    withEngine(join(directory, 'docker'), ({ docker, build }) => {
      for (const [container, source] of Object.entries(MANUAL)) {
        mkdirSync(context)
        writeContext(context, source)
        build('buildkit', source.name, context)
        docker('create', '--name', container, source.name, '/none')
        rmSync(context, { recursive: true })
      }
    })
  })
  return join(made, 'docker')
}

/** Copies what hostext reads of the data root at `from`. */
function keep(from: string, name: string): void {
  const to = join(import.meta.dirname, name)
  rmSync(to, { recursive: true, force: true })
  const copy = (path: string) =>
    cpSync(join(from, path), join(to, path), { recursive: true, verbatimSymlinks: true })
  for (const id of readdirSync(join(from, 'containers'))) {
    for (const file of ['config.v2.json', 'hostconfig.json']) copy(`containers/${id}/${file}`)
  }
  if (existsSync(join(from, LAYERS))) keepContainerd(from, to, copy)
  else keepOverlay2(from, to, copy)
  execFileSync('chmod', ['-R', 'u+rwX,go+rX', to])
}

function keepOverlay2(from: string, to: string, copy: (path: string) => void): void {
  for (const id of readdirSync(join(from, 'image/overlay2/layerdb/mounts'))) {
    for (const file of ['mount-id', 'init-id']) copy(`image/overlay2/layerdb/mounts/${id}/${file}`)
  }
  for (const layer of readdirSync(join(from, 'overlay2'))) {
    if (layer === 'backingFsBlockDev') continue
    if (layer === 'l') {
      copy('overlay2/l')
      continue
    }
    for (const file of ['lower', 'link'])
      if (existsSync(join(from, 'overlay2', layer, file))) copy(`overlay2/${layer}/${file}`)
    const [layerFrom, layerTo] = [from, to].map((root) => join(root, 'overlay2', layer, 'diff')) as [
      string,
      string,
    ]
    keepFiles(layerFrom, layerTo, WHOLE.includes(basename(to)))
  }
}

/** Copies the regular files of a layer, most of them without what is in them; all of it if it `isWhole`. */
function keepFiles(from: string, to: string, isWhole = false): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    const stat = lstatSync(join(from, entry))
    if (!stat.isFile() && !(isWhole && stat.isSymbolicLink())) continue
    mkdirSync(join(to, entry, '..'), { recursive: true })
    // A kernel is known by what is in it.
    if (isWhole || /\.dockerenv$|^boot\//.test(entry))
      cpSync(join(from, entry), join(to, entry), { verbatimSymlinks: true })
    else writeFileSync(join(to, entry), '')
  }
  if (readdirSync(to).length === 0) writeFileSync(join(to, '.gitkeep'), '')
}

/** Where a containerd that dockerd starts keeps its data, in the data root, and what is read there. */
const CONTAINERD = 'containerd/daemon'
const SNAPSHOTTER = `${CONTAINERD}/io.containerd.snapshotter.v1.overlayfs`
const BLOBS = `${CONTAINERD}/io.containerd.content.v1.content/blobs/sha256`
/** The layers of each container, as containerd itself mounts them. */
const LAYERS = 'layers.json'

function keepContainerd(from: string, to: string, copy: (path: string) => void): void {
  copy(LAYERS)
  copy(`${SNAPSHOTTER}/metadata.db`)
  const layers: Record<string, string[]> = JSON.parse(readFileSync(join(from, LAYERS), 'utf8'))
  for (const path of new Set(Object.values(layers).flat()))
    keepFiles(join(from, SNAPSHOTTER, 'snapshots', path), join(to, SNAPSHOTTER, 'snapshots', path))
  // The blobs to which a container leads, but none of layers.
  const wanted = readdirSync(join(from, 'containers')).flatMap((id): string[] => {
    const config = JSON.parse(readFileSync(join(from, 'containers', id, 'config.v2.json'), 'utf8'))
    return [config.Image, config.ImageManifest?.digest]
  })
  for (const digest of wanted) {
    const path = `${BLOBS}/${digest?.replace('sha256:', '')}`
    if (!digest || !existsSync(join(from, path))) continue
    copy(path)
    const { manifests, config } = JSON.parse(readFileSync(join(from, path), 'utf8'))
    for (const entry of manifests ?? []) wanted.push(entry.digest)
    const configPath = `${BLOBS}/${config?.digest.replace('sha256:', '')}`
    if (config && existsSync(join(from, configPath))) copy(configPath)
  }
}

/** Images in containerd's store, of both builders; one upon another; and containers that have lost theirs. */
function containerdDataRoot(): string {
  const upon: ExtensionSource = {
    name: 'upon',
    dockerfile: 'FROM many-layers:1\nCOPY file /usr/share/upon\n',
    files: { file: '' },
  }
  const made = cached('engine-containerd', JSON.stringify([STANDARD, upon]), (directory) => {
    const data = join(directory, 'docker')
    const layers: Record<string, string[]> = {}
    withContainerdEngine(data, ({ docker, build, contexts, layersOf }) => {
      const create = (name: string, image = name): void => {
        layers[name] = layersOf(docker('create', '--name', name, `${image}:1`, '/none'))
      }
      const prepare = (source: ExtensionSource): string => {
        const context = join(contexts, source.name)
        mkdirSync(context)
        writeContext(context, source)
        return source.name
      }
      for (const [index, source] of [...STANDARD, upon].entries()) {
        build(source === upon ? 'buildkit' : builderOf(index + 1), prepare(source))
        create(source.name)
      }
      create('second', oneLayer.name)
      // Its name is of another image now.
      build('buildkit', prepare(labelled('replaced', { [FEATURE]: '1' })))
      create('replaced')
      writeFileSync(join(contexts, 'replaced/file'), 'another\n')
      build('buildkit', 'replaced')
      // BuildKit's cache would keep the blobs.
      build('classic', prepare(labelled('gone', { [FEATURE]: '1' })))
      create('gone')
      const image = docker('inspect', '--format', '{{.Image}}', 'gone')
      // The first time, the image only loses its name.
      for (const name of ['gone:1', image]) docker('rmi', '-f', name)
      const blob = join(data, BLOBS, image.replace('sha256:', ''))
      for (let left = 50; existsSync(blob); left--) {
        if (left === 0) throw new Error(`${blob} is still there`)
        execFileSync('sleep', ['0.2'])
      }
    })
    writeFileSync(join(data, LAYERS), `${JSON.stringify(layers, null, 2)}\n`)
  })
  return join(made, 'docker')
}

/** One image with the label, and containers of it that somebody runs, tried to run, builds, or means to be extensions. */
function startedDataRoot(): string {
  const dockerfile = `FROM scratch\nLABEL ${FEATURE}=1\nCOPY busybox /usr/share/app/busybox\n`
  const run = '/usr/share/app/busybox'
  const made = cached('engine-started', dockerfile, (directory) => {
    const data = join(directory, 'docker')
    const context = join(directory, 'context')
    mkdirSync(context)
    const build = (docker: (...words: string[]) => string, more = '', ...words: string[]) => {
      writeContext(context, { name: 'app', dockerfile: `${dockerfile}${more}` })
      return docker('build', '--quiet', '--network=none', '--tag=app:1', ...words, context)
    }
    const fails = (work: () => void) => {
      try {
        work()
      } catch {
        return
      }
      throw new Error('it did not fail')
    }
    withEngine(
      data,
      ({ docker }) => {
        // Steps of builds first, so that app:1 is what the last one makes.
        build(docker, 'ENV STEP=kept\n', '--rm=false')
        fails(() => build(docker, `RUN ["${run}", "false"]\n`))
        fails(() => build(docker, 'RUN ["/none"]\n'))
        build(docker)
        const run1 = (name: string, ...words: string[]) =>
          docker(
            'run',
            '--network=none',
            `--name=${name}`,
            ...words.slice(0, -1),
            'app:1',
            run,
            words.at(-1) as string,
          )
        run1('ran', 'true')
        run1('always', '--detach', '--restart=always', 'true')
        docker('create', '--name=runtime', '--runtime=extension', '--network=none', 'app:1', run, 'true')
        docker('start', '--attach', 'runtime')
        fails(() => docker('run', '--network=none', '--name=failed', 'app:1', '/none'))
        docker('create', '--name=meant', 'app:1', '/none')
        docker('create', '--name=meant-restart', '--restart=always', 'app:1', '/none')
        docker('create', '--name=once', '--rm', 'app:1', '/none')
      },
      ['--add-runtime', 'extension=/usr/sbin/runc'],
    )
  })
  return join(made, 'docker')
}

/** What an earlier version made, and labelled, so that the engine kept the image of a stacked extension. */
const HOLDER_LABELS = {
  'io.hostext.hold': '1',
  [FEATURE]: '',
  'balena.io.features.host-extension': '',
  [CLASS]: 'hold',
}

/** What is left of an extension that was removed while it was stacked: its holder. */
function holdersDataRoot(): string {
  const name = 'held'
  const made = cached('engine-holders', JSON.stringify([oneLayer, HOLDER_LABELS]), (directory) => {
    const data = join(directory, 'docker')
    const context = join(directory, 'context')
    mkdirSync(context, { recursive: true })
    writeContext(context, { ...oneLayer, name })
    withEngine(data, ({ docker, build }) => {
      build('buildkit', `${name}:1`, context)
      const image = docker('image', 'inspect', '--format', '{{.Id}}', `${name}:1`)
      const holder = `hostext-hold-${image.replace('sha256:', '').slice(0, 12)}`
      const labels = Object.entries(HOLDER_LABELS).map(([label, value]) => `--label=${label}=${value}`)
      docker('create', '--name', holder, '--network=none', ...labels, image, '/none')
    })
  })
  return join(made, 'docker')
}

const problem = prepareHost()
if (problem) throw new Error(problem)
const MAKERS: Record<string, () => string> = {
  standard: standardDataRoot,
  builders: () => dataRoot('builders', BUILDERS),
  labels: () => dataRoot('labels', LABELS),
  holders: holdersDataRoot,
  manual: manualDataRoot,
  started: startedDataRoot,
  indexes: () => dataRoot('indexes', INDEXES),
  containerd: containerdDataRoot,
  safety: () => {
    const { fit, unfit } = labelSources('6.12.1-1-amd64')
    return dataRoot('safety', [...fit, ...unfit, ...REPLACING.map(([source]) => source)])
  },
}
const names = process.argv.slice(2)
for (const [name, make] of Object.entries(MAKERS)) {
  if (names.length === 0 || names.includes(name)) keep(make(), name)
}
if (names.length === 0 || names.includes('podman')) makePodman()
