import { basename, dirname } from 'node:path/posix'
import {
  at,
  followedLinks,
  listDirectory,
  type Root,
  readText,
  resolveLinks,
  statLink,
} from '../machine/files.js'
import { matchesGlob } from '../text/glob.js'
import { once } from '../text/once.js'
import { type Elf, readElf } from './elf.js'
import { COMMANDS } from './essential.js'

/** The libraries that the base root needs to boot and to recover. All paths are in the root. */
export type Libraries = {
  /** What programs ask for, `libz.so.1`, and the file names of their loaders; sorted. */
  names: string[]
  /** The files that they get, with their sizes; sorted. If one has changed, this has to be found again. */
  files: [path: string, size: number][]
  /** The links on the way to these files; sorted. */
  links: string[]
  /**
   * Where a loader would look before it comes to these files, and finds nothing now; sorted. `*` is any part
   * of one name. A file there would be taken in place of the root's, although it replaces none.
   */
  shadows: string[]
}

/** The libraries that the base root needs: the files themselves, and the links by which they are found. */
export function libraryPaths({ files, links }: Libraries): string[] {
  return [...files.map(([path]) => path), ...links]
}

/**
 * The programs of systemd that run in both passes, or on the way to a file system that the boot needs, and
 * the links by which they are started.
 */
const SYSTEMD = [
  'systemd',
  'systemd-executor',
  'systemd-shutdown',
  'systemd-udevd',
  'systemd-journald',
  'systemd-fsck',
  'systemd-remount-fs',
  'systemd-makefs',
  'systemd-growfs',
  'systemd-modules-load',
  'systemd-cryptsetup',
  'systemd-integritysetup',
  'systemd-veritysetup',
  'systemd-volatile-root',
  'systemd-sulogin-shell',
  'system-generators/systemd-fstab-generator',
  'system-generators/systemd-cryptsetup-generator',
]

/** Every file that is looked for. A root where a directory is a link has some of them twice. */
const PROGRAMS = [
  ...SYSTEMD.flatMap((name) => [`/usr/lib/systemd/${name}`, `/lib/systemd/${name}`]),
  ...['/usr/sbin', '/usr/bin', '/sbin', '/bin'].flatMap((directory) =>
    COMMANDS.map((name) => `${directory}/${name}`),
  ),
  '/usr/lib/hostext/node',
]

/** More than any root has. */
const MOST_LIBRARIES = 1000
const MOST_DIRECTORIES = 200
const MOST_INCLUDES = 200

/** Where a loader looks within a directory before it looks there: the last three up to glibc 2.36. */
const SUBDIRECTORIES = ['glibc-hwcaps/*', 'tls', 'haswell', 'x86_64']

/**
 * Finds the libraries of the programs that the base root needs to boot and to recover: those in DT_NEEDED,
 * all the way down, those that they open while they run, and the loaders. Searches as ld.so(8) does, but the
 * directories themselves and not its cache. What is missing, static or not an ELF file has no libraries;
 * nothing is an error.
 */
export function findEssentialLibraries(root: Root): Libraries {
  const names = new Set<string>()
  const files = new Map<string, number>()
  const links = new Set<string>()
  const shadows = new Set<string>()
  const readOnce = once((file: string) => readElf(at(root, file)))
  const pathOf = once((interpreter: string) => readSearchPath(root, interpreter))
  const hardwareOf = once((directory: string) => hardwareDirectories(root, directory))

  /** Adds a file and the links that lead to it, not to its directory. Returns it. */
  const add = once((path: string): string => {
    const { links: found, end: file } = followedLinks(root, path)
    for (const link of found) if (resolveLinks(root, link) === file) links.add(link)
    const stat = statLink(root, file)
    if (stat?.isFile()) files.set(file, stat.size)
    return file
  })
  /** Searches directories for a library that fits; undefined if there is none. */
  const search = (name: string, directories: readonly string[], needer: Elf): string | undefined => {
    const position = directories.findIndex((directory) =>
      fits(readOnce(resolveLinks(root, `${directory}/${name}`)), needer),
    )
    if (position < 0) return undefined
    names.add(name)
    for (const directory of directories.slice(0, position)) shadows.add(`${directory}/${name}`)
    for (const directory of directories) {
      for (const below of SUBDIRECTORIES) shadows.add(`${directory}/${below}/${name}`)
      // The loader may take this one instead. That depends on the processor.
      for (const below of hardwareOf(directory))
        if (statLink(root, `${below}/${name}`)) add(`${below}/${name}`)
    }
    return add(`${directories[position]}/${name}`)
  }

  /** What was searched for, by loader, directories of its own and name; and the files to look into. */
  const searched = new Set<string>()
  const look = (file: string, loader: string): void => {
    const open = [file]
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      const elf = readOnce(path)
      if (elf === undefined || searched.size > MOST_LIBRARIES) continue
      const own = ownDirectories(root, elf, path)
      for (const name of [...elf.needed, ...elf.dlopens]) {
        const key = [loader, ...own, name].join(':')
        if (name.includes('/') || searched.has(key)) continue
        searched.add(key)
        const found = search(name, [...new Set([...own, ...pathOf(loader)])], elf)
        if (found !== undefined) open.push(found)
      }
    }
  }
  for (const program of new Set(PROGRAMS.map((path) => resolveLinks(root, path)))) {
    const interpreter = readOnce(program)?.interpreter
    if (interpreter === undefined || !interpreter.startsWith('/')) continue
    if (statLink(root, resolveLinks(root, interpreter))?.isFile()) {
      names.add(basename(interpreter))
      add(interpreter)
    }
    // Every program that has a loader gets the libraries in it first.
    shadows.add('/etc/ld.so.preload')
    look(program, interpreter)
  }
  return {
    names: [...names].sort(),
    files: [...files].sort(([a], [b]) => (a < b ? -1 : 1)),
    links: [...links].sort(),
    shadows: [...shadows].sort(),
  }
}

/** Whether a library is one for this program: the loader goes on searching past all others. */
export function fits(library: Elf | undefined, { machine, bits, littleEndian }: Elf): library is Elf {
  return library?.machine === machine && library.bits === bits && library.littleEndian === littleEndian
}

/** The directories that a program or a library names itself. Of variables only $ORIGIN is known here. */
function ownDirectories(root: Root, { runpath }: Elf, path: string): string[] {
  return runpath
    .map((directory) => directory.replace(/^\$(?:ORIGIN|\{ORIGIN\})(?=\/|$)/, dirname(path)))
    .filter((directory) => directory.startsWith('/') && !directory.includes('$'))
    .map((directory) => resolveLinks(root, directory))
}

/** The directories that the loader at this path searches, in its order: ld.so(8), ldconfig(8). */
function readSearchPath(root: Root, interpreter: string): string[] {
  const musl = /^ld-musl-(.*)\.so\.1$/.exec(basename(interpreter))
  const directories = musl
    ? readMuslPath(root, musl[1] as string)
    : [...readLoaderConfiguration(root), ...defaultDirectories(dirname(resolveLinks(root, interpreter)))]
  return [...new Set(directories.map((directory) => resolveLinks(root, directory)))]
}

/** musl has one list; it has no cache. */
function readMuslPath(root: Root, architecture: string): string[] {
  const text = readText(root, resolveLinks(root, `/etc/ld-musl-${architecture}.path`))
  const listed = typeof text === 'string' ? text.split(/[:\n]/) : ['/lib', '/usr/local/lib', '/usr/lib']
  return listed.filter((directory) => directory.startsWith('/')).slice(0, MOST_DIRECTORIES)
}

/** Those that glibc has built in. Its loader is installed in the first of them. */
function defaultDirectories(loader: string): string[] {
  const own = loader.startsWith('/usr/') ? [loader] : [loader, `/usr${loader}`]
  return [...own, '/lib64', '/usr/lib64', '/lib', '/usr/lib']
}

/** Where the configuration of a loader is: the text of a file that can be read, the names in a directory. */
type Texts = { text: (path: string) => string | undefined; names: (directory: string) => readonly string[] }

/** The directories in /etc/ld.so.conf and the files that it includes. */
function readLoaderConfiguration(root: Root): string[] {
  return loaderDirectories(onRoot(root))
}

/** That of a root. */
export function onRoot(root: Root): Texts {
  return {
    text(path) {
      const text = readText(root, resolveLinks(root, path))
      return typeof text === 'string' ? text : undefined
    },
    names: (directory) => list(root, directory),
  }
}

/** The same, wherever the files are: ldconfig(8). */
export function loaderDirectories({ text, names }: Texts): string[] {
  const directories: string[] = []
  const open = ['/etc/ld.so.conf']
  for (let files = 0; open.length > 0 && files < MOST_INCLUDES; files++) {
    const path = open.shift() as string
    const included: string[] = []
    for (const line of text(path)?.split('\n') ?? []) {
      const entry = line.replace(/#.*/, '').trim()
      const include = /^include\s+(.+)$/.exec(entry)
      if (include) included.push(...matching(names, (include[1] as string).split(/\s+/), dirname(path)))
      else if (entry.startsWith('/')) directories.push(entry.replace(/=.*/, ''))
    }
    open.unshift(...included)
  }
  return directories.slice(0, MOST_DIRECTORIES)
}

/** The files that match one of the patterns, which have wildcards in their last part only. */
function matching(names: Texts['names'], patterns: readonly string[], directory: string): string[] {
  return patterns.flatMap((pattern) => {
    const path = pattern.startsWith('/') ? pattern : `${directory}/${pattern}`
    return names(dirname(path))
      .filter((name) => matchesGlob(name, basename(path)))
      .map((name) => `${dirname(path)}/${name}`)
  })
}

/** `/usr/lib/glibc-hwcaps/x86-64-v3`: libraries for processors that can do more. */
function hardwareDirectories(root: Root, directory: string): string[] {
  const hardware = `${directory}/glibc-hwcaps`
  return list(root, hardware).map((name) => `${hardware}/${name}`)
}

function list(root: Root, directory: string): string[] {
  try {
    return listDirectory(root, resolveLinks(root, directory))
  } catch {
    return []
  }
}
