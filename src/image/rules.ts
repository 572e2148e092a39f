import { isBelow } from '../machine/mountinfo.js'

/**
 * The rules of images, by path: what an image has that is not, or not as it is, for the root of a machine.
 * Paths are those in the root, after its links have been followed.
 */

/** What PID 1 mounts its own file systems on, and what is emptied in each boot. */
const API = ['/dev', '/proc', '/run', '/sys', '/tmp']

/**
 * Who the machine is, who may log in, and what it mounts: machine-id(5), hostname(5), passwd(5), fstab(5).
 */
const IDENTITY = new Set(
  [
    ...[
      'machine-id',
      'machine-info',
      'hostname',
      'hostid',
      'hosts',
      'resolv.conf',
      'fstab',
      'crypttab',
      'mtab',
    ],
    ...['passwd', 'shadow', 'group', 'gshadow', 'subuid', 'subgid', 'opasswd'].flatMap((name) => [
      name,
      // The copies that vipw(8) and shadow's tools keep.
      `${name}-`,
    ]),
  ].map((name) => `/etc/${name}`),
)
const MORE_IDENTITY = new Set(['/etc/.pwd.lock', '/etc/security/opasswd', '/var/lib/dbus/machine-id'])
/** Keys of SSH servers, and names of iSCSI initiators and NVMe hosts: what the scripts of packages make. */
const HOST_KEYS = [
  /^\/etc\/ssh\/ssh_host_[a-z0-9]+_key(?:\.pub|-cert\.pub)?$/,
  /^\/etc\/dropbear\/dropbear_[a-z0-9]+_host_key(?:\.pub)?$/,
  /^\/etc\/(?:iscsi\/initiatorname\.iscsi|nvme\/hostnqn|nvme\/hostid)$/,
]

/**
 * Files by which PID 1 and its first services take the machine for something else: a container, an initrd,
 * one with an update to install, with a file system to check or to label, with nobody allowed to log in.
 */
const SIGNS = new Set([
  ...['/.dockerenv', '/.containerenv', '/etc/initrd-release', '/usr/lib/initrd-release'],
  ...['/system-update', '/etc/system-update', '/.autorelabel', '/etc/selinux/.autorelabel'],
  ...['/forcefsck', '/fastboot', '/forcequotacheck', '/etc/nologin', '/etc/.updated', '/var/.updated'],
])

/**
 * By this, images FROM debian keep a build from starting services: invoke-rc.d(8) asks it. On a machine, it
 * would keep logrotate(8) and the scripts of packages from reaching their services. Where the root's links
 * put it, too.
 */
const BUILD = new Set(['/usr/sbin/policy-rc.d', '/usr/bin/policy-rc.d'])

export type Dropped = 'identity' | 'sign' | 'api' | 'build'

/** Why each kind of file is dropped, as part of a line. */
export const WHY_DROPPED: Record<Dropped, string> = {
  identity: 'it belongs to the machine',
  sign: 'systemd would take the machine for something else',
  api: 'nothing of an image is visible there',
  build: 'it is for building images',
}

/** Whether what an image has at `path` does not become part of the root at all; undefined if it does. */
export function findDropped(path: string): Dropped | undefined {
  if (API.some((directory) => isBelow(path, directory))) return 'api'
  if (IDENTITY.has(path) || MORE_IDENTITY.has(path) || isHostKey(path)) return 'identity'
  if (BUILD.has(path)) return 'build'
  return SIGNS.has(path) ? 'sign' : undefined
}

/** The same for a path that is below one that is dropped. */
export function findDroppedAbove(path: string): Dropped | undefined {
  for (let place = path; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const why = findDropped(place)
    if (why) return why
  }
  return undefined
}

const HOST_KEY_DIRECTORIES = ['/etc/ssh/*', '/etc/dropbear/*', '/etc/iscsi/*', '/etc/nvme/*']

/** The directories in which something may be dropped. */
const PARENTS = new Set(
  [...API, ...IDENTITY, ...MORE_IDENTITY, ...SIGNS, ...BUILD, ...HOST_KEY_DIRECTORIES].map((path) =>
    path.slice(0, path.lastIndexOf('/')),
  ),
)

/** Whether anything directly in this directory of the root may be dropped; the empty path is the root. */
export function hasDropped(directory: string): boolean {
  return PARENTS.has(directory)
}

/**
 * Whether this is a key or a name that each machine has of its own, and that may have to be made where an
 * image brought one: image/host-keys.ts.
 */
export function isHostKey(path: string): boolean {
  return HOST_KEYS.some((expression) => expression.test(path))
}

/** State that describes the image, not the machine: databases of its packages, what its build has left. */
const NO_STATE = [
  ...['apt', 'aptitude', 'dnf', 'dpkg', 'opkg', 'pacman', 'rpm', 'ucf', 'yum', 'zypp', 'apk'].map(
    (name) => `/var/lib/${name}`,
  ),
  ...['/var/lib/systemd', '/var/lib/hostext', '/var/backups', '/var/tmp', '/var/adm/fillup-templates'],
  ...['/var/cache/apt', '/var/cache/debconf', '/var/cache/dnf', '/var/cache/ldconfig', '/var/cache/yum'],
  ...['/var/log/apt', '/var/log/journal'],
]
/** Of these, services need the directories; the files in them are caches and logs. */
const DIRECTORIES_ONLY = ['/var/cache', '/var/log']

/** Of the state of systemd, these are the image's: users whose services run without a login (loginctl(1)). */
export const LINGER = '/var/lib/systemd/linger'

/**
 * What becomes of a path below a directory of state: all of it is copied to the state, only its directories
 * are, or nothing.
 */
export function stateOf(path: string): 'all' | 'directories' | 'nothing' {
  if (isBelow(path, LINGER)) return 'all'
  if (NO_STATE.some((directory) => isBelow(path, directory))) return 'nothing'
  return DIRECTORIES_ONLY.some((directory) => isBelow(path, directory)) ? 'directories' : 'all'
}
