import { readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bootContainer } from '../boot/container.js'
import type { Machine } from '../boot/machine.js'
import { debian, type Release } from '../boot/rootfs.js'
import { compare } from './compare.js'
import { factsOf, type Reports } from './facts.js'
import { guestScript } from './guest.js'
import { readOwners } from './owners.js'
import { imageData, installedRoot, unpackedData } from './roots.js'
import type { PackageSet } from './sets.js'
import type { Result } from './table.js'

/** The forms in which packages are on a machine; `base`: not at all. */
export type Form = 'base' | 'installed' | 'image' | 'unpacked'

/**
 * What the installer of Debian writes for a server, and mmdebstrap does not: its own name, and a network, for
 * which some services wait. Its cable ends at itself.
 */
const SERVER = {
  'etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tdevice\n',
  'etc/systemd/network/lan.netdev': '[NetDev]\nName=lan\nKind=veth\n[Peer]\nName=plug\n',
  'etc/systemd/network/lan.network': '[Match]\nName=lan\n[Network]\nAddress=192.0.2.1/24\n',
  'etc/systemd/network/plug.network': '[Match]\nName=plug\n[Network]\nLinkLocalAddressing=no\n',
  // NetworkManager would wait a minute for an address of its own.
  'etc/NetworkManager/conf.d/lan.conf':
    '[keyfile]\nunmanaged-devices=interface-name:lan;interface-name:plug\n',
  // Squid lets its clients finish for 30 s.
  'etc/systemd/system.conf.d/quick.conf': '[Manager]\nDefaultTimeoutStopSec=3s\n',
}

/** The machine that has the packages of a set in one form. */
export function machineOf(form: Form, set: PackageSet): Omit<Machine, 'release'> {
  return {
    script: guestScript(set),
    ownNetwork: true,
    files: SERVER,
    prepare(root) {
      symlinkSync(
        '/usr/lib/systemd/system/systemd-networkd.service',
        join(root, 'etc/systemd/system/multi-user.target.wants/systemd-networkd.service'),
      )
    },
    ...(form === 'base' && { base: (release) => debian(release).root }),
    ...(form === 'installed' && { base: (release) => installedRoot(release, set).root }),
    ...(form === 'image' && { dataRoot: (release) => imageData(release, set) }),
    ...(form === 'unpacked' && { dataRoot: (release) => unpackedData(release, set) }),
  }
}

/** Boots a machine and returns what it reports. */
export async function bootForm(form: Form, release: Release, set: PackageSet): Promise<Reports> {
  const { reports } = await bootContainer({ ...machineOf(form, set), release })
  return reports
}

/** Compares the machines of a set by their reports. */
export function compareForms(release: Release, set: PackageSet, reports: Record<Form, Reports>): Result {
  const { root, debs } = installedRoot(release, set)
  const added = readdirSync(debs).map((name) => name.split('_')[0] as string)
  const owners = readOwners(root, debian(release).root, set, added)
  const facts = {
    base: factsOf(reports.base),
    installed: factsOf(reports.installed),
    image: factsOf(reports.image),
    unpacked: factsOf(reports.unpacked),
  }
  return { release, set: set.name, rows: compare(set, facts, owners) }
}
