import { parse } from 'smol-toml'
import { directoryPath } from '../machine/configuration.js'
import { listDirectory, type Root, readText, resolveLinks, statLink } from '../machine/files.js'
import { isObject } from '../text/json.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'

/** Where root's Podman keeps everything if nothing says otherwise. */
export const GRAPHROOT = '/var/lib/containers/storage'

/** The main file is the first of these that exists. */
const MAIN_FILES = ['/etc/containers/storage.conf', '/usr/share/containers/storage.conf']
/** A file in a later directory hides one of the same name in an earlier one. */
const DROP_IN_DIRECTORIES = [
  '/usr/share/containers/storage.conf.d',
  '/usr/share/containers/storage.rootful.conf.d',
  '/etc/containers/storage.conf.d',
  '/etc/containers/storage.rootful.conf.d',
]
/** Fedora's own one has 11 KB, nearly all of it comments. */
const LARGEST_FILE = 256 << 10
/** The last one is left to Podman, which then takes what is there, or overlay. */
const DRIVERS = ['overlay', 'overlay2', '']

/** What containers-storage.conf(5) says about the stores of root's Podman. */
export type StorageConf = {
  /** The file that names `graphroot`; undefined if none does. */
  file: string | undefined
  graphroot: string
  /** The image store and the additional ones, in which images are searched after `graphroot`. */
  others: string[]
  /** Why nothing in these stores can be stacked; undefined if it can. */
  problem: string | undefined
  messages: Message[]
}

/** The keys that matter here, where they are, and the type that Podman demands of their values. */
const KEYS = [
  { table: [], name: 'driver', type: 'string' },
  { table: [], name: 'graphroot', type: 'string', isPath: true },
  { table: [], name: 'imagestore', type: 'string', isPath: true },
  { table: [], name: 'transient_store', type: 'boolean' },
  { table: ['options'], name: 'force_mask', type: 'number' },
  { table: ['options', 'overlay'], name: 'force_mask', type: 'string' },
] as const

/** A value, and the last file that has it. */
type Setting = { value: unknown; file: string }
type Warn = (text: string) => undefined

/**
 * Reads storage.conf as Podman 5.8 does (containers-config(5)): the main file, then drop-ins in the order of
 * their names. Podman 4.3 reads no drop-ins. Never throws: what cannot be used comes back as a
 * warning and is ignored.
 */
export function readStorageConf(root: Root): StorageConf {
  const messages: Message[] = []
  const warn: Warn = (text) => void messages.push({ level: 'warning', text: `${text}; ignored` })
  const settings = new Map<string, Setting>()
  const stores: string[] = []
  let appends = false
  for (const { file, text } of readFiles(root, warn)) {
    const storage = tableOf(parseFile(file, text, warn), ['storage'])
    for (const { table, name, type, ...more } of KEYS) {
      const value = find(tableOf(storage, table), name)
      if (value === undefined) continue
      if (typeof value !== type) {
        warn(`${file}: ${name} is not a ${type}`)
        continue
      }
      const usable = 'isPath' in more ? pathOf(value as string, name, file, warn) : value
      if (usable !== undefined) settings.set([...table, name].join('.'), { value: usable, file })
    }
    const list = find(tableOf(storage, ['options']), 'additionalimagestores')
    if (list === undefined) continue
    if (!Array.isArray(list)) {
      warn(`${file}: additionalimagestores is not an array`)
      continue
    }
    // As in Podman, a list replaces earlier ones unless the last attribute says that it is appended.
    for (const item of list) if (isObject(item) && typeof item.append === 'boolean') appends = item.append
    if (!appends) stores.length = 0
    for (const item of list)
      if (typeof item === 'string') stores.push(pathOf(item, 'additionalimagestores', file, warn) ?? '')
  }

  const graphroot = settings.get('graphroot')
  const imageStore = (settings.get('imagestore')?.value ?? '') as string
  return {
    file: graphroot?.value ? graphroot.file : undefined,
    graphroot: (graphroot?.value || GRAPHROOT) as string,
    others: [...new Set([imageStore, ...stores])].filter((path) => path !== ''),
    problem: findProblem(settings),
    messages,
  }
}

/** Why the stores that these settings describe cannot be stacked. */
function findProblem(settings: ReadonlyMap<string, Setting>): string | undefined {
  const driver = settings.get('driver')
  if (driver && !DRIVERS.includes(driver.value as string))
    return `its storage driver is ${printable(driver.value as string, 40)}, not overlay (${driver.file})`
  const mask = ['options.force_mask', 'options.overlay.force_mask']
    .map((name) => settings.get(name))
    .find((setting) => setting?.value)
  if (mask)
    return `its files do not have the modes that they have in the images: ${mask.file} sets force_mask`
  const transient = settings.get('transient_store')
  if (transient?.value)
    return `it forgets its containers at each boot: ${transient.file} sets transient_store`
  return undefined
}

/** The main file, and the drop-ins in the order of their names. Of these, Podman takes regular files only. */
function readFiles(root: Root, warn: Warn): { file: string; text: string }[] {
  const files: { file: string; text: string }[] = []
  const read = (file: string): boolean => {
    const text = readText(root, file, LARGEST_FILE)
    if (typeof text === 'string') files.push({ file: printable(file), text })
    else if (text) warn(printable(text.message))
    return text !== undefined
  }
  MAIN_FILES.some(read)
  const dropIns = new Map<string, string>()
  for (const directory of DROP_IN_DIRECTORIES) {
    if (!statLink(root, directory)) continue
    if (!statLink(root, resolveLinks(root, directory))?.isDirectory()) warn(`${directory}: not a directory`)
    try {
      for (const name of listDirectory(root, directory))
        if (name.endsWith('.conf') && statLink(root, `${directory}/${name}`)?.isFile())
          dropIns.set(name, directory)
    } catch (error) {
      warn((error as Error).message)
    }
  }
  for (const [name, directory] of [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)))
    read(`${directory}/${name}`)
  return files
}

function parseFile(file: string, text: string, warn: Warn): unknown {
  try {
    return parse(text.replace(/^\ufeff/, ''))
  } catch (error) {
    // Its further lines show the place.
    const [what] = (error as Error).message.split('\n')
    const { line } = error as { line?: number }
    return warn(`${file}${line === undefined ? '' : `:${line}`}: ${printable(what as string)}`)
  }
}

/** The value of a key. Like Podman's library, takes one in other case if none is exactly the same. */
function find(table: unknown, name: string): unknown {
  if (!isObject(table)) return undefined
  const key = [name, ...Object.keys(table)].find(
    (key) => Object.hasOwn(table, key) && key.toLowerCase() === name,
  )
  return key === undefined ? undefined : table[key]
}

function tableOf(table: unknown, names: readonly string[]): unknown {
  return names.reduce(find, table)
}

/** A path in its normal form, or an empty one. Undefined, with a warning, if it cannot be used. */
function pathOf(value: string, name: string, file: string, warn: Warn): string | undefined {
  const path = value === '' ? '' : directoryPath(value)
  if (path !== null && !path.includes('$')) return path
  return warn(`${file}: ${name} is not an absolute path without variables: ${printable(value)}`)
}
