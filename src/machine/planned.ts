import { simplifyPath } from '../text/path.js'
import { mountPointOf, unitName } from '../text/unit-syntax.js'
import { listDirectory, type Root, resolveLinks } from './files.js'
import { type FstabEntry, isAutomatic } from './fstab.js'
import type { GptPartition } from './gpt.js'
import { GENERATED } from './run-directory.js'
import { readUnit, splitWords } from './unit-files.js'

/** A mount that a boot makes without being asked, at once, with the engine, or at the first access. */
export type PlannedMount = FstabEntry & {
  /** What says so, for messages: `/etc/fstab`, a unit, a word of the kernel command line. */
  from: string
}

/**
 * What systemd will mount besides the root, by each of the ways to say so: fstab(5), the kernel command line
 * (systemd-fstab-generator(8)), enabled mount units (systemd.mount(5)), the units of other generators, if
 * this boot has seen them (generators/steps/collect), and partitions by their type
 * (systemd-gpt-auto-generator(8)); also what is only mounted for an engine. The first one for a mount point
 * counts. Symbolic links in mount points are followed, as systemd does. `extra`: the values of
 * `systemd.mount-extra=`. `enabled`: the units that something of the system starts. `volatileVar`: whether
 * systemd-fstab-generator(8) has a tmpfs at /var where there would be no mount.
 */
export function readPlanned(
  root: Root,
  fstab: readonly FstabEntry[],
  extra: readonly string[],
  enabled: readonly string[],
  partitions: readonly GptPartition[],
  volatileVar = false,
): PlannedMount[] {
  const demanded = new Set(readDemanded(root, enabled))
  for (;;) {
    const planned = readAsked(root, fstab, extra, enabled, partitions, volatileVar, demanded)
    // A bind, or the mount of an image file, requires what its source is on: systemd.mount(5).
    const sources = planned.flatMap(({ source }) => (/^\/(?!dev\/)/.test(source) ? withParents(source) : []))
    const more = sources.filter((path) => !demanded.has(path))
    if (more.length === 0) return planned
    for (const path of more) demanded.add(path)
  }
}

/** The same, of what is `demanded` by name only these mount points. */
function readAsked(
  root: Root,
  fstab: readonly FstabEntry[],
  extra: readonly string[],
  enabled: readonly string[],
  partitions: readonly GptPartition[],
  volatileVar: boolean,
  demanded: ReadonlySet<string>,
): PlannedMount[] {
  const planned = new Map<string, PlannedMount>()
  const add = (mount: PlannedMount | undefined): void => {
    if (mount && mount.mountPoint !== '/' && !planned.has(mount.mountPoint))
      planned.set(mount.mountPoint, mount)
  }
  const addEntry = (entry: FstabEntry, from: string): void => {
    // Nobody looks at other places: what is mounted there may hang.
    if (isAutomatic(entry) || demanded.has(entry.mountPoint))
      add({ ...entry, mountPoint: resolveLinks(root, entry.mountPoint), from })
  }
  for (const entry of fstab) addEntry(entry, '/etc/fstab')
  for (const word of extra) {
    const entry = parseMountExtra(word)
    if (entry) addEntry(entry, 'systemd.mount-extra= on the kernel command line')
  }
  for (const name of [...enabled, ...[...demanded].map((path) => unitName(path, 'mount'))])
    if (/\.(?:auto)?mount$/.test(name)) add(readMountUnit(root, name.replace(/\.automount$/, '.mount')))
  for (const name of names(root, GENERATED)) add(readMountUnit(root, name, [GENERATED]))
  for (const { mountPoint, device, readOnly } of partitions)
    add({
      source: device,
      mountPoint,
      type: 'auto',
      options: readOnly ? ['ro'] : [],
      passno: 1,
      from: `the type of the partition ${device}`,
    })
  if (volatileVar)
    add({
      ...{ source: 'tmpfs', mountPoint: '/var', type: 'tmpfs', options: [], passno: 0 },
      from: 'systemd.volatile=state on the kernel command line',
    })
  return [...planned.values()]
}

/** The units of engines, of which engine/daemon.ts has the rest, and of containerd. */
export const ENGINE_UNITS = {
  docker: ['docker.service'],
  balena: ['balena.service', 'balena-engine.service'],
  snap: ['snap.docker.dockerd.service'],
  containerd: ['containerd.service'],
}

/**
 * Where the unit of an engine, if something starts it, has file systems mounted, by paths or by the names of
 * units (systemd.unit(5)); with all that is above, because a mount unit requires what it is mounted on.
 */
function readDemanded(root: Root, enabled: readonly string[]): string[] {
  const started = Object.values(ENGINE_UNITS)
    .flat()
    .filter((name) => [name, name.replace('.service', '.socket')].some((name) => enabled.includes(name)))
  const paths = started
    .flatMap((name) => readUnit(root, name)?.assignments ?? [])
    .flatMap(([key, value]) => {
      const words = splitWords(value)
      if (/^(?:Requires|Wants)MountsFor$/.test(key))
        return words.flatMap((path) => (path.startsWith('/') ? simplifyPath(path.replaceAll('%%', '%')) : []))
      if (!/^(?:Requires|BindsTo|Wants|Upholds)$/.test(key)) return []
      return words.flatMap((name) => mountPointOf(name.replace(/\.automount$/, '.mount')) ?? [])
    })
  return [...new Set(paths.flatMap(withParents))]
}

/** `/a/b` gives `/a/b` and `/a`; a path that is longer than the kernel takes (PATH_MAX) gives none. */
function withParents(path: string): string[] {
  if (path.length >= 4096) return []
  const names = path.split('/').slice(1)
  return names.map((_, index) => `/${names.slice(0, names.length - index).join('/')}`)
}

/**
 * What systemd will swap to, as it is written: fstab(5), `systemd.swap-extra=` (`extra`), enabled swap units
 * (systemd.swap(5)).
 */
export function readSwaps(
  root: Root,
  fstab: readonly FstabEntry[],
  extra: readonly string[],
  enabled: readonly string[],
): string[] {
  return [
    ...fstab.flatMap(({ source, type, options }) =>
      type === 'swap' && !options.includes('noauto') ? source : [],
    ),
    ...extra.flatMap((word) => splitExtra(word)[0] ?? []),
    ...enabled
      .filter((name) => name.endsWith('.swap'))
      .flatMap((name) => new Map(readUnit(root, name)?.assignments ?? []).get('What') ?? []),
  ]
}

/** Undefined if there is no such unit, or it is masked. */
function readMountUnit(root: Root, name: string, directories?: readonly string[]): PlannedMount | undefined {
  const unit = readUnit(root, name, directories)
  const mountPoint = mountPointOf(name)
  if (!unit || mountPoint === undefined) return undefined
  const values = new Map(unit.assignments)
  return {
    source: values.get('What') ?? '',
    mountPoint,
    type: values.get('Type') || 'auto',
    options: (values.get('Options') ?? '').split(',').filter(Boolean),
    // What fstab says by a number.
    passno: unit.assignments.some(([key, value]) => key === 'Requires' && /\bsystemd-fsck@/.test(value))
      ? 1
      : 0,
    from: directories ? `another generator (${name})` : unit.path,
  }
}

/**
 * `WHAT:WHERE[:TYPE[:OPTIONS]]` with the escapes of systemd.syntax(7). Undefined if it is something else,
 * which systemd ignores too.
 */
function parseMountExtra(word: string): FstabEntry | undefined {
  const [source, mountPoint, type, ...options] = splitExtra(word)
  if (!source || !mountPoint?.startsWith('/')) return undefined
  return {
    source,
    mountPoint: simplifyPath(mountPoint),
    type: type || 'auto',
    options: options.join(':').split(',').filter(Boolean),
    passno: 1,
  }
}

/** The fields of such a word, without their escapes. */
function splitExtra(word: string): string[] {
  const plain = (field: string): string =>
    field.replace(/\\(?:x([0-9a-f]{2})|(.))/gis, (_, hex: string | undefined, other: string) =>
      hex === undefined ? other : String.fromCharCode(Number.parseInt(hex, 16)),
    )
  return word.split(/(?<!\\):/).map(plain)
}

function names(root: Root, directory: string): string[] {
  try {
    return listDirectory(root, directory).filter((name) => name.endsWith('.mount'))
  } catch {
    return []
  }
}

/** File systems that are on another machine: fstab(5), systemd.mount(5) ("_netdev"). */
const NETWORK_TYPES = [
  ...['afs', 'ceph', 'cifs', 'fuse.ceph', 'fuse.glusterfs', 'fuse.sshfs', 'gfs', 'gfs2', 'glusterfs'],
  ...['lustre', 'ncp', 'ncpfs', 'nfs', 'nfs4', 'ocfs2', 'orangefs', 'pvfs2', 'smb3', 'smbfs', 'davfs'],
]

/** Whether a mount needs the network: a share, or a disk of this machine that is reached by it. */
export function isRemote(mount: Pick<PlannedMount, 'type' | 'options'>): boolean {
  return mount.options.includes('_netdev') || isShare(mount)
}

/** Whether it is a file system of another machine. */
export function isShare({ type }: Pick<PlannedMount, 'type'>): boolean {
  return NETWORK_TYPES.includes(type)
}

/** A planned mount as a message names it: `/etc/fstab: /srv/app (overlay)`. */
export function describePlanned({ from, mountPoint, type }: PlannedMount): string {
  return `${from}: ${mountPoint}${type === 'auto' ? '' : ` (${type})`}`
}
