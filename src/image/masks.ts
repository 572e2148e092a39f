import { UNIT_DIRECTORIES } from '../machine/unit-files.js'

/**
 * Masks: links to /dev/null and empty files, by which an image turns off units, rules and other files of
 * configuration of the same name (systemd.unit(5), udev(7), systemd.link(5), tmpfiles.d(5) …). Those in /etc
 * also count where the image goes below the root, because what they hide is in /usr/lib.
 */

/** What a whole system boots into. */
export const DEFAULT_TARGET = '/etc/systemd/system/default.target'

/**
 * Units without which a boot seems good, and is not: the state stays read-only, users or devices are missing.
 * (Without a target, nothing boots, and the stack is rolled back.)
 */
const NEEDED = new Set([
  ...['systemd-remount-fs.service', 'systemd-sysusers.service', 'systemd-tmpfiles-setup.service'],
  ...['systemd-tmpfiles-setup-dev.service', 'systemd-journald.service', 'systemd-journald.socket'],
  ...['systemd-udevd.service', 'systemd-udev-trigger.service'],
])

/**
 * Why a mask of an image is not taken; undefined if it is. `for itself`: the image is a whole system, made
 * to run in a container, and the root has what it turns off. `needed`: no image may turn this off.
 * `has`: whether the root has a path. A mask of what only the image has stays.
 */
export function findUnwantedMask(
  path: string,
  isWhole: boolean,
  has: (path: string) => boolean,
): 'for itself' | 'needed' | undefined {
  if (isWhole && maskedBy(path).some(has)) return 'for itself'
  const slash = path.lastIndexOf('/')
  const name = path.slice(slash + 1)
  const isUnit = UNIT_DIRECTORIES.includes(path.slice(0, slash))
  return isUnit && (NEEDED.has(name) || name.startsWith('hostext-')) ? 'needed' : undefined
}

/**
 * The places of what a mask in /etc turns off, which may be an instance of a template. Not its own: what the
 * root has there is replaced or stays as with any other file, and empty files in /etc are not rare.
 */
function maskedBy(path: string): string[] {
  if (!path.startsWith('/etc/')) return []
  const template = path.replace(/@[^/@]+(\.\w+)$/, '@$1')
  const vendors = ['/usr/local/lib', '/usr/lib', '/lib'].flatMap((lib) =>
    [path, template].map((path) => lib + path.slice('/etc'.length)),
  )
  return [...new Set([...vendors, ...(template === path ? [] : [template])])]
}
