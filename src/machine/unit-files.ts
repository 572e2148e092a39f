import { listDirectory, type Root, readText, resolveLinks, statLink, unseen } from './files.js'

/** Where systemd finds units, without the generators' own directories: systemd.unit(5). */
export const UNIT_DIRECTORIES = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

/** Those of {@link UNIT_DIRECTORIES} that are there: on most machines three. */
export function unitDirectories(root: Root): string[] {
  return UNIT_DIRECTORIES.filter((path) => statLink(root, path))
}

/** The path of a unit's file; undefined if there is none. `directories`: where to look. */
export function findUnit(
  root: Root,
  name: string,
  directories: readonly string[] = unitDirectories(root),
): string | undefined {
  return directories.map((directory) => `${directory}/${name}`).find((path) => statLink(root, path))
}

/**
 * Through what `target` pulls in units, sorted and without duplicates: links, as `<target>.wants/<unit>`, and
 * drop-ins, as `<target>.d/<name>`. A drop-in for several units is named as if it were for this one, whose
 * drop-in of the same name takes its place: systemd.unit(5).
 */
export function readPulledIn(
  root: Root,
  target: string,
  directories: readonly string[] = unitDirectories(root),
): string[] {
  const found = new Set<string>()
  for (const directory of directories) {
    for (const kind of ['wants', 'requires', 'upholds'])
      for (const name of list(root, `${directory}/${target}.${kind}`)) found.add(`${target}.${kind}/${name}`)
    for (const names of dropInDirectories(target))
      for (const name of list(root, `${directory}/${names}`))
        if (name.endsWith('.conf')) found.add(`${target}.d/${name}`)
  }
  return [...found].sort()
}

/** The directories with drop-ins for a target: `multi-user.target.d`, `multi-.target.d`, `target.d`. */
function dropInDirectories(target: string): string[] {
  const prefixes = [...target.matchAll(/-/g)].map(({ index }) => `${target.slice(0, index + 1)}.target.d`)
  return [`${target}.d`, ...prefixes, 'target.d']
}

/** Run levels whose scripts systemd-sysv-generator(8) makes units of. */
const RUN_LEVELS = [2, 3, 4, 5]

/**
 * The units that generators link to the target of a boot where they find something to run: systemd's own, for
 * rc.local and SysV scripts, and that of cloud-init. Their links cannot be seen before they have run.
 */
export function readHooked(root: Root): string[] {
  const scripts = RUN_LEVELS.flatMap((level) => list(root, `/etc/rc${level}.d`)).flatMap(
    (name) => /^S\d\d([\w.@:-]{1,200}?)(?:\.sh)?$/.exec(name)?.[1] ?? [],
  )
  return [
    ...new Set(['cloud-init.target', 'rc-local.service', ...scripts.map((name) => `${name}.service`)]),
  ].sort()
}

/**
 * A unit as its file and its drop-ins have it: all assignments in their order, without sections. Undefined if
 * there is no such unit, or it is masked. `directories`: where to look, the first one counts.
 */
export function readUnit(
  root: Root,
  name: string,
  directories: readonly string[] = unitDirectories(root),
): { path: string; assignments: [string, string][] } | undefined {
  const path = findUnit(root, name, directories)
  if (path === undefined || resolveLinks(root, path) === '/dev/null') return undefined
  const dropIns = new Map<string, string>()
  for (const directory of directories.map((path) => `${path}/${name}.d`)) {
    // If several directories have the same name, the first one counts.
    for (const file of list(root, directory).filter((name) => name.endsWith('.conf')))
      if (!dropIns.has(file)) dropIns.set(file, `${directory}/${file}`)
  }
  const files = [path, ...[...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path)]
  return { path, assignments: files.flatMap((path) => readAssignments(root, path)) }
}

/**
 * Whether tmp.mount is masked, by a link to /dev/null or an empty file, so that no generator's unit of that
 * name counts. `isPlanned`: something has it mounted. Then a mask of the vendor is none: fstab comes before
 * it. One in /run is for this boot only.
 */
export function isTmpMasked(root: Root, isPlanned: boolean): boolean {
  const directories = unitDirectories(root).filter((path) => (isPlanned ? /^\/etc/ : /^(?!\/run)/).test(path))
  const path = findUnit(root, 'tmp.mount', directories)
  if (path === undefined) return false
  // (/dev is no input of a decision: what the link says is.)
  if (!statLink(root, path)?.isSymbolicLink()) return readText(root, path) === ''
  return resolveLinks(unseen(root), path) === '/dev/null'
}

/** The words of a value, without their quotes: systemd.syntax(7), "Quoting". */
export function splitWords(text: string): string[] {
  const words = text.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|["'\\])+/gs)
  return [...words].map(([word]) =>
    word.replace(/"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\\(.)/gs, (all, double, single, escaped) => {
      const inner: string | undefined = double ?? single
      return inner === undefined ? (escaped ?? all) : inner.replace(/\\(.)/gs, '$1')
    }),
  )
}

/** The lines `KEY=VALUE` of a file; continued lines are joined. */
export function readAssignments(root: Root, path: string): [string, string][] {
  const text = readText(root, path)
  if (typeof text !== 'string') return []
  const lines = text.replaceAll(/\\\n/g, ' ').matchAll(/^[ \t]*(\w+)[ \t]*=[ \t]*(.*)$/gm)
  return [...lines].map(([, key, value]) => [key as string, value as string])
}

/**
 * The names of all units that another unit wants or requires through a link, sorted. Not the links that
 * generators make: systemd.unit(5).
 */
export function readEnabled(root: Root, directories: readonly string[] = unitDirectories(root)): string[] {
  const names = directories.flatMap((directory) =>
    list(root, directory)
      .filter((name) => /\.(?:wants|requires|upholds)$/.test(name))
      .flatMap((links) => list(root, `${directory}/${links}`)),
  )
  return [...new Set(names)].sort()
}

/**
 * The path units that the machine starts with encrypted volumes, sorted: they ask for a passphrase, or know
 * it (clevis). Names that cannot be in a list of units as they are are left out.
 */
export function readAskers(root: Root, directories: readonly string[] = unitDirectories(root)): string[] {
  const names = directories.flatMap((directory) => list(root, `${directory}/cryptsetup.target.wants`))
  return [...new Set(names)].filter((name) => /^[\w:.@-]+\.path$/.test(name)).sort()
}

/** What systemd merges into the running system, and where its images are: systemd-sysext(8). */
const MERGED: Record<string, string[]> = {
  'systemd-sysext.service': ['/etc', '/run', '/var/lib', '/usr/local/lib', '/usr/lib'].map(
    (path) => `${path}/extensions`,
  ),
  'systemd-confext.service': ['/run', '/var/lib', '/usr/local/lib', '/usr/lib'].map(
    (path) => `${path}/confexts`,
  ),
}

/** The services, of those that are enabled, that will mount overlays of images over /usr, /opt or /etc. */
export function readMerging(root: Root, enabled: readonly string[]): string[] {
  return Object.entries(MERGED).flatMap(([unit, places]) =>
    enabled.includes(unit) && places.some((path) => list(root, path).length > 0) ? unit : [],
  )
}

/** The names in a directory. systemd passes over one that it cannot list, too. */
export function list(root: Root, directory: string): string[] {
  try {
    return listDirectory(root, directory)
  } catch {
    return []
  }
}
