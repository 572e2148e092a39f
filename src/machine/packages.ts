import { type Root, statLink } from './files.js'

/** What could change packages on this machine. */
export type Packages = {
  /**
   * The databases in /var, which is writable, of managers that write there before they change anything else.
   * dpkg is not among them: generators/packages/ refuses it with more words.
   */
  databases: string[]
  /** Units that change packages, or prepare for it, although nobody has asked. */
  automatic: string[]
}

/** Where rpm, opkg and pacman have their databases. */
const DATABASES = { rpm: '/var/lib/rpm', opkg: '/var/lib/opkg', pacman: '/var/lib/pacman' }

const AUTOMATIC = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'unattended-upgrades.service',
  'dnf-automatic.timer',
  'dnf-automatic-install.timer',
  'dnf5-automatic.timer',
  'dnf-makecache.timer',
]

/** Finds out by the programs and the units: /var need not be mounted yet. */
export function readPackages(root: Root): Packages {
  const has = (path: string): boolean => statLink(root, path) !== undefined
  return {
    databases: Object.entries(DATABASES).flatMap(([name, path]) => (has(`/usr/bin/${name}`) ? path : [])),
    automatic: AUTOMATIC.filter((unit) => has(`/usr/lib/systemd/system/${unit}`)),
  }
}
