import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { PROJECT } from '../support/paths.js'
import { cached } from './cache.js'
import { dataRoot, type ExtensionSource } from './engine.js'

export const FEATURE = 'LABEL io.balena.features.host-extension=1'
const BUSYBOX = '/usr/lib/layers/busybox'

/** One layer with only files. */
export const oneLayer: ExtensionSource = {
  name: 'one-layer',
  dockerfile: `FROM scratch\n${FEATURE}\nCOPY one.txt /usr/share/one-layer/one.txt\n`,
  files: { 'one.txt': 'from one-layer\n' },
}

/**
 * Many layers: it deletes a file of its own that the root also has, deletes one that only it has, and
 * replaces a directory.
 */
const manyLayers: ExtensionSource = {
  name: 'many-layers',
  dockerfile: `FROM scratch
${FEATURE}
COPY busybox ${BUSYBOX}
COPY old.txt /usr/share/base/deleted
COPY old.txt /usr/share/layers/deleted
COPY old.txt /usr/share/layers/directory/old.txt
RUN ["${BUSYBOX}", "rm", "/usr/share/base/deleted", "/usr/share/layers/deleted"]
RUN ["${BUSYBOX}", "sh", "-c", "cd /usr/share/layers && ${BUSYBOX} rm -r directory && ${BUSYBOX} mkdir directory && echo from many-layers > directory/new.txt"]
`,
  files: { 'old.txt': 'old\n' },
}

/** Goes above everything and replaces a file of the root. */
const override: ExtensionSource = {
  name: 'override',
  dockerfile: `FROM scratch
LABEL io.balena.image.class=overlay io.balena.image.override=10
COPY replaced.txt /usr/share/base/replaced
`,
  files: { 'replaced.txt': 'from override\n' },
}

/** Only adds files: the root's own file wins. */
const additive: ExtensionSource = {
  name: 'additive',
  dockerfile: `FROM scratch
LABEL io.balena.image.class=overlay
COPY file.txt /usr/share/base/kept
COPY file.txt /usr/share/additive/added
`,
  files: { 'file.txt': 'from additive\n' },
}

/** Not an extension: an ordinary container beside them. */
const service: ExtensionSource = {
  name: 'service',
  dockerfile: 'FROM scratch\nLABEL io.balena.image.class=service\nCOPY file.txt /usr/share/service\n',
  files: { 'file.txt': 'from service\n' },
}

/** What most machines boot with. */
export const STANDARD: readonly ExtensionSource[] = [oneLayer, manyLayers, override, additive, service]

/** The data root that most machines boot with. */
export function standardDataRoot(): string {
  return dataRoot('standard', STANDARD)
}

/** One image for each thing that has to work in the boot that stacks an extension. */
export function featuresDataRoot(): string {
  const tree = program('feature', 'usr/lib/x86_64-linux-gnu')
  const file = (name: string, path: string, text: string, more = ''): ExtensionSource => ({
    name,
    dockerfile: `FROM scratch\n${FEATURE}\nCOPY file ${path}\n${more}`,
    files: { file: text },
  })
  return dataRoot('features', [
    {
      name: 'has-service',
      dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`,
      files: {
        'tree/usr/lib/systemd/system/feature.service':
          '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "echo ran > /run/feature-service"\n',
        'tree/usr/lib/systemd/system/multi-user.target.wants/feature.service': '->../feature.service',
      },
    },
    file(
      'has-udev-rule',
      '/usr/lib/udev/rules.d/70-feature.rules',
      'KERNEL=="null", SYMLINK+="feature-null"\n',
    ),
    file(
      'has-tmpfiles',
      '/usr/lib/tmpfiles.d/feature.conf',
      'f /run/feature-tmpfiles 0644 root root - made\n',
    ),
    file('has-sysctl', '/usr/lib/sysctl.d/70-feature.conf', 'kernel.panic_on_oops = 1\n'),
    file('has-module', '/usr/lib/modules-load.d/feature.conf', 'dummy\n'),
    file('has-directory', '/feature/file', 'from has-directory\n'),
    {
      name: 'has-program',
      dockerfile: `FROM scratch\n${FEATURE}\nCOPY tree /\n`,
      tree,
    },
  ])
}

/**
 * A tree with the program usr/bin/NAME, which prints a line from its shared library `directory`/libNAME.so.1.
 */
export function program(name: string, directory: string): string {
  const library = '#include <stdio.h>\nvoid say(void) { puts("from the library"); }\n'
  const main = 'void say(void);\nint main(void) { say(); return 0; }\n'
  return join(
    cached(`program-${name}`, library + main + directory, (made) => {
      const [bin, lib] = [join(made, 'tree/usr/bin'), join(made, 'tree', directory)]
      mkdirSync(bin, { recursive: true })
      mkdirSync(lib, { recursive: true })
      writeFileSync(join(made, 'library.c'), library)
      writeFileSync(join(made, 'main.c'), main)
      const gcc = (...words: string[]) => execFileSync('gcc', words, { cwd: made })
      const file = join(lib, `lib${name}.so.1`)
      gcc('-shared', '-fPIC', `-Wl,-soname,lib${name}.so.1`, '-o', file, 'library.c')
      gcc('-o', join(bin, name), 'main.c', file)
    }),
    'tree',
  )
}

/**
 * Prepares the images of a root file system that has everything, as `hostext prepare --root` does at the end
 * of an image build.
 */
export function prepareImages(root: string): void {
  execFileSync(process.execPath, [join(PROJECT, 'dist/commands.cjs'), 'prepare', '--root', root], {
    stdio: 'pipe',
  })
}

/** The directory of the tree of a prepared image, below the data root. */
export function treeOf(data: string, name: string): string {
  const id = basename(containerDirectory(data, name))
  const mountId = readFileSync(join(data, 'image/overlay2/layerdb/mounts', id, 'mount-id'), 'utf8')
  const [, layer = ''] = readFileSync(join(data, 'overlay2', mountId, 'lower'), 'utf8').split(':')
  const tree = readdirSync(join(data, 'hostext/trees')).find((tree) =>
    tree.startsWith(layer.slice('l/'.length)),
  )
  if (!tree) throw new Error(`${name} is not prepared in ${data}`)
  return `hostext/trees/${tree}/tree`
}

/** The directory of the container named `name` in the data root at `data`. */
export function containerDirectory(data: string, name: string): string {
  for (const id of readdirSync(join(data, 'containers'))) {
    const directory = join(data, 'containers', id)
    if (JSON.parse(readFileSync(join(directory, 'config.v2.json'), 'utf8')).Name === `/${name}`)
      return directory
  }
  throw new Error(`no container ${name} in ${data}`)
}

/**
 * A shell function: `update OLD NEW` replaces the container OLD with NEW, as an engine leaves it on the disk.
 */
export const update = (data: string) => `update() {
	rm -r ${data}/containers/$(cat /var/update/$1)
	mv /var/update/$(cat /var/update/$2) ${data}/containers/
}
`

/**
 * Moves the containers `later` out of the data root of a machine; `update` replaces another one with one of
 * them.
 */
export function setAside(root: string, now: readonly string[], later: readonly string[]): void {
  const data = join(root, 'var/lib/docker')
  const aside = join(root, 'var/update')
  mkdirSync(aside, { recursive: true })
  for (const name of [...now, ...later]) {
    const directory = containerDirectory(data, name)
    writeFileSync(join(aside, name), basename(directory))
    if (later.includes(name)) renameSync(directory, join(aside, basename(directory)))
  }
}

/** Changes the metadata of the container named `name`. */
export function editContainer(data: string, name: string, edit: (text: string) => string): void {
  const file = join(containerDirectory(data, name), 'config.v2.json')
  writeFileSync(file, edit(readFileSync(file, 'utf8')))
}

/** Two versions of one extension with files in /etc, as containers `settings-1` and `settings-2`. */
export function settingsDataRoot(): string {
  const version = (number: number): ExtensionSource => ({
    name: `settings-${number}`,
    dockerfile: `FROM scratch\n${FEATURE}\nCOPY file /etc/settings/shipped\nCOPY file /etc/settings/shipped-and-edited\n`,
    files: { file: `version ${number}\n` },
  })
  return dataRoot('settings', [version(1), version(2)])
}
