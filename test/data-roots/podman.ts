import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cached } from '../boot/cache.js'
import { mmdebstrap } from '../boot/mmdebstrap.js'

/** The root file system in which Podman runs. runc, because crun does not work with hybrid cgroups. */
const RELEASE = 'forky'
const PACKAGES = 'podman,buildah,runc,busybox-static'

/** `sh -c ENTER sh ROOT DATA`, with standard input for a shell in ROOT: DATA is its /var/lib/containers. */
const ENTER = `set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mkdir -p "$1/var/lib/containers" "$1/mnt/old"
mount --bind "$2" "$1/var/lib/containers"
cd "$1"
pivot_root . mnt/old
cd /
umount -l /mnt/old
exec sh
`

/** The graph root, and an additional image store, below /var/lib/containers. */
const STORAGE = 'storage'
const IMAGES = 'images'

/**
 * Images of one layer, of several with a whiteout and an opaque directory, in another store, and on top of
 * one from there; and containers in every state that matters.
 */
const MAKE = `set -e
export PODMAN_IGNORE_CGROUPSV1_WARNING=1
cd /tmp
printf '[storage]\\ndriver = "overlay"\\n[storage.options]\\nadditionalimagestores = ["/var/lib/containers/${IMAGES}"]\\n' >storage.conf
printf '[containers]\\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\\n' >containers.conf
export CONTAINERS_STORAGE_CONF=/tmp/storage.conf CONTAINERS_CONF_OVERRIDE=/tmp/containers.conf
podman() {
  command podman --cgroup-manager=cgroupfs --events-backend=file --runtime=runc "$@"
}
build() {
  name=$1
  shift
  printf '%s\\n' "$@" >context/Dockerfile
  podman $store build --quiet --network=none --tag="$name:1" context
}
create() {
  name=$1
  shift
  podman create --quiet --network=none --name="$name" "$@"
}
flag='LABEL io.balena.features.host-extension=1'
mkdir -p context/tree/usr/share/app/old context/tree/usr/share/app/cleared
echo text | tee context/tree/usr/share/app/file context/tree/usr/share/app/old/file >context/tree/usr/share/app/cleared/file
cp /bin/busybox context
mkdir -p /var/lib/containers/${IMAGES}
store='--root=/var/lib/containers/${IMAGES}' build base 'FROM scratch' "$flag" 'COPY tree /' 'COPY tree/usr/share/app/file /usr/share/base'
store=
build plain 'FROM scratch' 'COPY tree/usr/share/app/file /usr/share/plain'
build app 'FROM scratch' "$flag" 'LABEL io.balena.image.override=10' 'COPY busybox /usr/share/app/busybox'
build layers 'FROM localhost/app:1' 'COPY tree /' \\
  'RUN ["/usr/share/app/busybox", "rm", "-r", "/usr/share/app/old"]' \\
  'RUN ["/usr/share/app/busybox", "sh", "-c", "b=/usr/share/app/busybox; cd /usr/share/app; $b rm -r cleared; $b mkdir cleared; >cleared/new"]'
build mixed 'FROM localhost/base:1' 'COPY tree/usr/share/app/file /usr/share/mixed'

create plain plain:1 /none
create labelled --label=io.balena.features.host-extension=1 plain:1 /none
create app app:1 /none
create layers layers:1 /none
create before app:1 /none
podman rename before renamed
create base base:1 /none
create mixed mixed:1 /none
create once --rm app:1 /none
create mapped --uidmap=0:1000:1000 --gidmap=0:1000:1000 app:1 /none
podman pod create --infra=false --name=pod
podman create --quiet --pod=pod --name=in-pod app:1 /none
mkdir empty
podman create --quiet --network=none --name=no-image --rootfs empty /none
create started app:1 /usr/share/app/busybox true
podman start --attach started
create initialized app:1 /usr/share/app/busybox true
podman init initialized
create running app:1 /usr/share/app/busybox sleep 1000
podman start running
podman run --quiet --detach --rm --network=none --name=running-once app:1 /usr/share/app/busybox sleep 1000
create failed app:1 /none
! podman start failed
buildah from --pull-never --name=working localhost/app:1
`

/**
 * Makes the storage of a real Podman, with an additional image store; the machine that it runs on goes off
 * while two containers run. Returns the directory with both.
 */
function makeStorage(): string {
  const root = join(
    cached('podman-root', RELEASE + PACKAGES, (made) =>
      mmdebstrap(['--variant=minbase', `--include=${PACKAGES}`, RELEASE, join(made, 'root')]),
    ),
    'root',
  )
  return cached('podman-storage', root + ENTER + MAKE, (made) => {
    const words = ['--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--propagation', 'private']
    execFileSync('unshare', [...words, 'sh', '-c', ENTER, 'sh', root, made], {
      input: MAKE,
      stdio: ['pipe', 'inherit', 'inherit'],
    })
  })
}

/** What hostext reads of a store. */
const KEPT = [
  /^overlay-(?:containers|images|layers)\/[a-z-]+\.json$/,
  /^overlay-images\/[0-9a-f]{64}\/(?:manifest$|=)/,
  /^overlay\/[0-9a-f]{64}\/(?:lower|lower-layers)$/,
  /^overlay\/l\/[A-Z0-9]{26}$/,
]
/** What is known by its name: the files of layers, and those that tell that a container was started. */
const EMPTIED = [
  /^overlay\/[0-9a-f]{64}\/diff\//,
  /^overlay-containers\/[0-9a-f]{64}\/userdata\/[a-z]+(?:\.[a-z]+)?$/,
]
/** In git there are neither empty directories nor whiteouts: these get a `.gitkeep`. */
const DIRECTORIES = [/^overlay\/[0-9a-f]{64}\/diff$/, /^overlay-containers\/[0-9a-f]{64}\/userdata\/shm$/]

function keepStore(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  const own = ['containers', 'volatile-containers']
    .map((name) => join(from, `overlay-containers/${name}.json`))
    .flatMap((list) => (existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : []))
    .map(({ layer }: { layer: string }) => `overlay/${layer}/diff`)
  for (const path of readdirSync(from, { recursive: true, encoding: 'utf8' }).sort()) {
    const isOneOf = (forms: readonly RegExp[]): boolean => forms.some((form) => form.test(path))
    const place = join(to, path)
    const stat = lstatSync(join(from, path))
    // What a container has written is nothing to hostext.
    const target = stat.isSymbolicLink() ? join('overlay/l', readlinkSync(join(from, path))) : path
    if (own.some((diff) => target.startsWith(diff)) || stat.isCharacterDevice()) continue
    const isFile = !stat.isDirectory() && isOneOf(EMPTIED)
    if (!isFile && !isOneOf(stat.isDirectory() ? DIRECTORIES : KEPT)) continue
    mkdirSync(stat.isDirectory() ? place : join(place, '..'), { recursive: true })
    if (stat.isDirectory()) writeFileSync(join(place, '.gitkeep'), '')
    else if (isFile) {
      rmSync(join(to, path.replace(/(\/diff)\/.*/, '$1/.gitkeep')), { force: true })
      writeFileSync(place, '')
    } else cpSync(join(from, path), place, { verbatimSymlinks: true })
  }
  execFileSync('chmod', ['-R', 'u+rwX,go+rX', to])
}

/** Makes `podman/`, and `podman-images/`, the additional image store. */
export function makePodman(): void {
  const made = makeStorage()
  keepStore(join(made, STORAGE), join(import.meta.dirname, 'podman'))
  keepStore(join(made, IMAGES), join(import.meta.dirname, 'podman-images'))
}
