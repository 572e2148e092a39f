/**
 * Makes the archives beside this file anew, with real engines: `npx tsx test/archives/make.ts`, as root on
 * Debian. One image is built by Docker (BuildKit) and written in each of the formats that there are; another
 * one, of the same files, is built by Buildah. `docker-export` is what a container of the image shows: what
 * all others have to become.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withContainerdEngine } from '../boot/containerd-engine.js'
import { type ExtensionSource, withEngine, writeContext } from '../boot/engine.js'

const LONG = `usr/share/${'a-directory-with-a-long-name-'.repeat(6)}/${'and-a-file-'.repeat(12)}`

/** Layers that change, delete and replace what others have, and files of each kind. */
const SOURCE: ExtensionSource = {
  name: 'app',
  dockerfile: `FROM scratch AS tools
COPY busybox /busybox
FROM scratch
LABEL io.balena.features.host-extension=1 io.balena.image.os-version=1*
COPY one /
COPY two /
RUN --mount=type=bind,from=tools,target=/mnt ["/mnt/busybox", "sh", "-c", "cd /usr/share/app && /mnt/busybox rm deleted && /mnt/busybox rm -r replaced && /mnt/busybox mkdir replaced && echo new >replaced/new && /mnt/busybox ln kept hard && /mnt/busybox rm -r gone"]
RUN --mount=type=bind,from=tools,target=/mnt ["/mnt/busybox", "sh", "-c", "/mnt/busybox chmod 4755 /usr/bin/app && /mnt/busybox chown 1234:1234 /usr/share/app/replaced/new && /mnt/busybox mkfifo /usr/share/app/fifo && /mnt/busybox chmod 1777 /usr/share/app"]
COPY three /
`,
  files: {
    'one/usr/share/app/kept': 'kept\n',
    'one/usr/share/app/deleted': 'deleted\n',
    'one/usr/share/app/changed': 'one\n',
    'one/usr/share/app/gone/file': 'gone\n',
    'one/usr/share/app/replaced/old': 'old\n',
    'one/usr/share/app/link': '->../app/kept',
    'one/usr/bin/app*': '#!/bin/sh\nexec sleep infinity\n',
    'one/etc/passwd': 'root:x:0:0::/root:/bin/sh\napp:x:990:990::/var/lib/app:/bin/false\n',
    'one/etc/group': 'root:x:0:\napp:x:990:\n',
    'one/etc/hostname': 'image\n',
    'one/var/lib/app/state': 'state\n',
    'one/usr/lib/systemd/system/app.service':
      '[Service]\nExecStart=/usr/bin/app\nUser=app\n[Install]\nWantedBy=multi-user.target\n',
    [`two/${LONG}`]: 'long\n',
    'two/usr/share/app/changed': 'two\n',
    'two/usr/share/ünï/¢': 'not ASCII\n',
    'three/usr/share/app/deleted': 'again\n',
    'three/usr/share/app/gone': 'a file where a directory was\n',
  },
}

function run(...[program, ...words]: [string, ...string[]]): string {
  return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

const work = mkdtempSync(join(tmpdir(), 'hostext-archives-'))
const context = join(work, 'app')
const made = join(work, 'made')
try {
  mkdirSync(made)
  mkdirSync(context)
  writeContext(context, SOURCE)
  const docker = join(made, 'docker-save.tar')
  withEngine(join(work, 'docker'), (engine) => {
    engine.build('buildkit', 'app:1', context)
    engine.docker('save', '-o', docker, 'app:1')
    engine.docker('create', '--name', 'app', 'app:1', '/none')
    engine.docker('export', '-o', join(made, 'docker-export.tar'), 'app')
  })
  withContainerdEngine(join(work, 'containerd'), (engine) => {
    cpSync(context, join(engine.contexts, 'app'), { recursive: true, verbatimSymlinks: true })
    engine.build('buildkit', 'app')
    const to = join(engine.contexts, 'saved.tar')
    engine.docker('save', '-o', '/mnt/contexts/saved.tar', 'app:1')
    cpSync(to, join(made, 'docker-save-oci.tar'))
  })
  const skopeo = (...words: string[]) => run('skopeo', '--insecure-policy', 'copy', '--quiet', ...words)
  skopeo(`docker-archive:${docker}`, `oci-archive:${join(made, 'oci-gzip.tar')}:app:1`)
  skopeo(
    '--dest-compress-format=zstd',
    `docker-archive:${docker}`,
    `oci-archive:${join(made, 'oci-zstd.tar')}:app:1`,
  )
  const store = ['--root', join(work, 'store'), '--runroot', join(work, 'run'), '--storage-driver=vfs']
  run('buildah', ...store, 'build', '--layers', '--isolation=chroot', '--quiet', '--tag', 'app:1', context)
  for (const format of ['docker-archive', 'oci-archive'])
    run(
      'podman',
      ...store,
      'save',
      '--quiet',
      `--format=${format}`,
      '-o',
      join(made, `podman-${format}.tar`),
      'app:1',
    )
  for (const name of [
    'docker-save',
    'docker-save-oci',
    'docker-export',
    'oci-gzip',
    'oci-zstd',
    'podman-docker-archive',
    'podman-oci-archive',
  ]) {
    // Those whose layers are not compressed are kept compressed: they are mostly padding.
    const isPlain = /save$|export$|docker-archive$/.test(name)
    const file = join(made, `${name}.tar`)
    if (isPlain) run('gzip', '-9n', file)
    const from = isPlain ? `${file}.gz` : file
    const to = join(import.meta.dirname, isPlain ? `${name}.tar.gz` : `${name}.tar`)
    rmSync(to, { force: true })
    cpSync(from, to)
    console.log(`${to}: ${statSync(to).size} bytes`)
  }
} finally {
  if (existsSync(join(work, 'store'))) execFileSync('rm', ['-rf', work])
  rmSync(work, { recursive: true, force: true })
}
