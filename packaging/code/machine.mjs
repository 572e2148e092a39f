import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * What a Debian machine has mounted when generators run, most of it with no meaning for hostext: the stub
 * reads all of it.
 */
export const MOUNTS = `22 27 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 27 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=988432k,nr_inodes=247108,mode=755
25 24 0:22 / /dev/pts rw,nosuid,noexec,relatime shared:3 - devpts devpts rw,gid=5,mode=620,ptmxmode=000
26 27 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=201796k,mode=755
27 1 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 ro
28 22 0:6 / /sys/kernel/security rw,nosuid,nodev,noexec,relatime shared:8 - securityfs securityfs rw
29 24 0:24 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
30 26 0:25 / /run/lock rw,nosuid,nodev,noexec,relatime shared:6 - tmpfs tmpfs rw,size=5120k
31 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
32 22 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:10 - pstore pstore rw
33 22 0:28 / /sys/fs/bpf rw,nosuid,nodev,noexec,relatime shared:11 - bpf bpf rw,mode=700
`

/** The same as /proc/self/mounts has it. */
export const mountsOf = (mountinfo) =>
  mountinfo.replaceAll(/^\S+ \S+ \S+ \S+ (\S+) (\S+) .*- (\S+) (\S+) .*$/gm, '$4 $1 $3 $2 0 0')

/** Writes a file, with the directories on the way. */
export function write(root, path, text) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** What Docker writes beside each container; the data roots of the tests are without it. */
export const HOST_CONFIG = JSON.stringify({
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'bridge',
  PortBindings: {},
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  CgroupnsMode: 'private',
  IpcMode: 'private',
  Privileged: false,
  ShmSize: 67108864,
  Runtime: 'runc',
  MaskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
  ReadonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
})

/** A container's metadata, as Docker has written them. */
export const CONTAINER = readFileSync(join(import.meta.dirname, 'config.v2.json'), 'utf8')
const { ID, Name, Image } = JSON.parse(CONTAINER)

/** The same for another ID, another name and an image of its own. */
export const containerLike = (id, name) =>
  CONTAINER.replaceAll(ID, id).replaceAll(Name.slice(1), name).replaceAll(Image, `sha256:${id}`)

/**
 * Makes a machine in the new directory `root`, whose engine has `count` extension containers, each with a
 * layer of its own.
 * @param {string} root
 * @param {number} count
 */
export function makeMachine(root, count) {
  write(
    root,
    'proc/cmdline',
    'BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=/dev/vda1 ro quiet console=ttyS0\n',
  )
  write(root, 'proc/self/mountinfo', MOUNTS)
  write(root, 'proc/self/mounts', mountsOf(MOUNTS))
  write(root, 'proc/sys/kernel/osrelease', '6.1.0-28-amd64\n')
  write(root, 'proc/sys/kernel/version', '#1 SMP\n')
  write(root, 'etc/os-release', 'ID=debian\nVERSION_ID="12"\n')
  write(root, 'etc/fstab', '/dev/vda1 / ext4 rw 0 1\n')
  write(root, 'usr/lib/systemd/system/soft-reboot.target', '')
  const data = join(root, 'var/lib/docker')
  for (let index = 0; index < count; index++) {
    const hex = (kind) => `${kind}${String(index)}`.padStart(64, '0')
    const short = (kind) => `${kind}${String(index)}`.padStart(26, 'A')
    write(data, `containers/${hex('c')}/config.v2.json`, containerLike(hex('c'), `extension-${index}`))
    write(data, `containers/${hex('c')}/hostconfig.json`, HOST_CONFIG)
    write(data, `image/overlay2/layerdb/mounts/${hex('c')}/mount-id`, hex('e'))
    write(data, `image/overlay2/layerdb/mounts/${hex('c')}/init-id`, `${hex('e')}-init`)
    mkdirSync(join(data, 'overlay2/l'), { recursive: true })
    write(data, `overlay2/${hex('e')}/lower`, `l/${short('I')}:l/${short('L')}`)
    write(data, `overlay2/${hex('e')}-init/diff/.dockerenv`, '')
    write(data, `overlay2/${hex('d')}/diff/usr/share/extension-${index}`, '')
    symlinkSync(`../${hex('e')}-init/diff`, join(data, 'overlay2/l', short('I')))
    symlinkSync(`../${hex('d')}/diff`, join(data, 'overlay2/l', short('L')))
  }
  if (existsSync(join(data, 'overlay2'))) chmodSync(join(data, 'overlay2'), 0o710)
}

/** The directories that PID 1 gives a generator. */
export const outputs = (root) =>
  ['', '.early', '.late'].map((suffix) => `${root}/run/systemd/generator${suffix}`)

/**
 * Makes a machine that has booted, as far as the generator, into one that is stacked: the same, seen from the
 * root overlay. The base root is a link to the root here, and a mount on a machine.
 * @param {string} root
 */
export function stackMachine(root) {
  const base = join(root, 'usr/lib/hostext/base')
  rmSync(base, { recursive: true, force: true })
  symlinkSync('../../..', base)
  const plain = '27 1 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 ro\n'
  const stacked = `27 1 0:40 / / ro,relatime shared:1 - overlay hostext ro,lowerdir+=/run/hostext/0,lowerdir+=/,index=off
40 27 254:1 / /usr/lib/hostext/base ro,relatime shared:20 - ext4 /dev/vda1 rw
41 27 254:1 /var /var rw,relatime shared:21 - ext4 /dev/vda1 rw
42 27 0:41 / /etc rw,relatime shared:22 - overlay hostext-etc rw,lowerdir=/etc,upperdir=/var/lib/hostext/etc/upper,workdir=/var/lib/hostext/etc/work
`
  const trees = readdirSync(join(root, 'run/hostext'))
    .filter((name) => /^\d+$/.test(name))
    .map(
      (name, index) =>
        `${50 + index} 26 254:1 /var/lib/docker/hostext/trees/AAAAAAAAAAAAAAAAAAAAAAAAAA.00000000/tree /run/hostext/${name} ro,relatime shared:${30 + index} - ext4 /dev/vda1 rw\n`,
    )
  write(root, 'proc/self/mountinfo', MOUNTS.replace(plain, stacked) + trees.join(''))
}
