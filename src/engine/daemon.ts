import { basename } from 'node:path'
import { listDirectory, type Root, readBytes } from '../machine/files.js'
import { ENGINE_UNITS } from '../machine/planned.js'
import { findUnit, readAssignments, readUnit, splitWords, unitDirectories } from '../machine/unit-files.js'
import { matchesGlob } from '../text/glob.js'
import { isObject } from '../text/json.js'
import { printable } from '../text/printable.js'

/** A program that keeps containers as Docker does, and where it finds its settings. */
export type Daemon = {
  /** What people call it. */
  name: string
  /** Its unit; the first one that is there counts. */
  units: string[]
  /** The configuration file that it reads unless its command line names another: dockerd(8). */
  config: string
  /** Where it keeps its data if nothing says otherwise. */
  dataRoot: string
}

export const DOCKER: Daemon = {
  name: 'Docker',
  units: ENGINE_UNITS.docker,
  config: '/etc/docker/daemon.json',
  dataRoot: '/var/lib/docker',
}

export const DAEMONS: Daemon[] = [
  DOCKER,
  {
    name: 'balenaEngine',
    units: ENGINE_UNITS.balena,
    config: '/etc/balena-engine/daemon.json',
    dataRoot: '/var/lib/balena-engine',
  },
  {
    name: 'the snap of Docker',
    units: ENGINE_UNITS.snap,
    config: '/var/snap/docker/current/config/daemon.json',
    dataRoot: '/var/snap/docker/common/var-lib-docker',
  },
]

/** A value, and what says so: `/etc/docker/daemon.json`. */
export type Setting<Value> = { value: Value; where: string }

/** What a daemon was told, as far as it matters here. Unchecked text. */
export type DaemonSettings = {
  dataRoot?: Setting<string>
  /** Whether images are in containerd's store: the feature containerd-snapshotter. */
  containerd?: Setting<boolean>
  /** The storage driver. */
  driver?: Setting<string>
  /** What is wrong with the configuration file or the command line, which is ignored then. */
  problem?: string
}

const FEATURE = 'containerd-snapshotter'

/**
 * Reads what a daemon was told: its command line, and its configuration file. (dockerd does not start if both
 * say the same thing, so it does not matter which one counts.) `directories`: where units are.
 */
export function readDaemon(
  root: Root,
  { units, config }: Daemon,
  directories: readonly string[] = unitDirectories(root),
): DaemonSettings {
  const settings: DaemonSettings = {}
  const unit = readCommandLine(root, units, directories)
  const where = unit && `the command line in ${unit.name}`
  let path = config
  const unclear = unit?.words.find((word) => /\s--(?:data-root|graph)\b/.test(` ${word}`) && /\s/.test(word))
  for (const [name, value] of unit ? options(unit.words) : []) {
    const said = where as string
    if (name === 'config-file') path = value
    if (name === 'data-root' || name === 'graph' || name === 'g') settings.dataRoot = { value, where: said }
    if (name === 'storage-driver' || name === 's') settings.driver = { value, where: said }
    const [feature, is = 'true'] = value.split('=')
    if (name === 'feature' && feature === FEATURE)
      settings.containerd = { value: !/^(?:0|f|false)$/i.test(is), where: said }
  }
  if (unclear !== undefined && settings.dataRoot === undefined)
    settings.problem = `${where}: the data root in "${printable(unclear)}" is not understood`
  let json: Record<string, unknown>
  try {
    json = readJson(root, path) ?? {}
  } catch (error) {
    return { ...settings, problem: `${path}: ${(error as Error).message}` }
  }
  // `graph` is what engines up to 22 called it; balenaEngine is one.
  const { features, 'storage-driver': driver, 'data-root': dataRoot = json.graph } = json
  const feature = isObject(features) ? features[FEATURE] : undefined
  if (typeof feature === 'boolean') settings.containerd = { value: feature, where: path }
  if (typeof driver === 'string' && driver !== '') settings.driver = { value: driver, where: path }
  if (typeof dataRoot === 'string' && dataRoot !== '') settings.dataRoot = { value: dataRoot, where: path }
  else if (dataRoot !== undefined && dataRoot !== '') settings.problem = `${path}: data-root is not a string`
  return settings
}

/**
 * A configuration file, in UTF-8 or with a byte order mark that says otherwise, as the engine takes it.
 * Undefined without one. Throws an Error that says what is wrong, without the file's name.
 */
function readJson(root: Root, path: string): Record<string, unknown> | undefined {
  const bytes = readBytes(root, path)
  if (bytes === undefined) return undefined
  if (bytes instanceof Error) throw new Error(bytes.why)
  const text = decode(bytes)
  // The engine takes an empty file for one without settings.
  if (text.trim() === '') return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error('not valid JSON')
  }
  return isObject(json) ? json : {}
}

function decode(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.toString('utf16le', 2)
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    const even = Buffer.from(bytes.subarray(2, bytes.length - (bytes.length % 2)))
    return even.swap16().toString('utf16le')
  }
  return bytes.toString('utf8').replace(/^\ufeff/, '')
}

/**
 * The options of a command line as Go's pflag reads them: `--name value`, `--name=value`, `-n value`,
 * `-nvalue`. Only those with values matter here; after one without, its neighbour is taken for its value and
 * looked at again.
 */
export function options(words: readonly string[]): [name: string, value: string][] {
  return words.flatMap((word, index): [string, string][] => {
    const next = words[index + 1] ?? ''
    const long = /^--([a-z][a-z-]*)(?:=(.*))?$/s.exec(word)
    if (long) return [[long[1] as string, long[2] ?? next]]
    const short = /^-([a-zA-Z])=?(.*)$/s.exec(word)
    return short ? [[short[1] as string, short[2] || next]] : []
  })
}

/**
 * The words of a daemon's command line: the last ExecStart= of its unit and its drop-ins, with specifiers and
 * the variables of Environment= and EnvironmentFile= filled in (systemd.service(5), systemd.exec(5); Debian
 * keeps dockerd's options in such a file). If it starts a shell with a command, the words of that. Undefined
 * if there is no such unit.
 */
export function readCommandLine(
  root: Root,
  units: readonly string[],
  directories: readonly string[],
): { name: string; words: string[] } | undefined {
  const name = units.find((name) => findUnit(root, name, directories))
  if (name === undefined) return undefined
  const assignments = readUnit(root, name, directories)?.assignments ?? []

  let [command, variables, files]: [string[], string[], string[]] = [[], [], []]
  for (const [key, text] of assignments) {
    const value = expandSpecifiers(text, name)
    if (key === 'ExecStart') command = splitWords(value)
    // An empty value takes back what was said before.
    if (key === 'Environment') variables = value === '' ? [] : [...variables, ...splitWords(value)]
    if (key === 'EnvironmentFile') files = value === '' ? [] : [...files, value.replace(/^-/, '')]
  }
  const environment = new Map<string, string>()
  for (const assignment of variables) {
    const [, name, value] = /^(\w+)=(.*)$/s.exec(assignment) ?? []
    if (name !== undefined) environment.set(name, value as string)
  }
  // Files override Environment=, wherever they are named.
  for (const file of files.flatMap((pattern) => findFiles(root, pattern)))
    for (const [name, text] of readAssignments(root, file)) environment.set(name, splitWords(text).join(' '))

  const words = expandVariables(command, environment)
  const script = shellScript(words)
  return { name, words: script === undefined ? words : expandVariables(splitWords(script), environment) }
}

/** The specifiers of systemd.unit(5) that say nothing but the name of the unit. */
function expandSpecifiers(text: string, unit: string): string {
  const prefix = unit.replace(/\.\w+$/, '')
  const values: Record<string, string> = { n: unit, N: prefix, p: prefix, '%': '%' }
  return text.replace(/%(.)/gs, (all, specifier: string) => values[specifier] ?? all)
}

/** A variable that is a whole word becomes as many words as it has: systemd.service(5). */
function expandVariables(words: readonly string[], variables: ReadonlyMap<string, string>): string[] {
  return words.flatMap((word) => {
    const whole = /^\$(\w+)$/.exec(word)?.[1]
    if (whole !== undefined) return splitWords(variables.get(whole) ?? '')
    return word.replace(/\$\{(\w+)\}/g, (_, name: string) => variables.get(name) ?? '')
  })
}

/** What a shell is told to run: `/bin/sh -ec "exec dockerd"`. Undefined if there is no shell. */
function shellScript(words: readonly string[]): string | undefined {
  const shell = words.findIndex((word) =>
    /^(?:ba|da|a|k|z)?sh$/.test(basename(word.replace(/^[-@:+!|]+/, ''))),
  )
  if (shell < 0) return undefined
  const option = words.findIndex((word, index) => index > shell && /^-[a-z]*c$/.test(word))
  return option < 0 ? undefined : words[option + 1]
}

/** The files that a name stands for; only its last part may be a pattern of glob(7). Sorted. */
export function findFiles(root: Root, pattern: string): string[] {
  const slash = pattern.lastIndexOf('/')
  const [directory, name] = [pattern.slice(0, slash), pattern.slice(slash + 1)]
  if (slash < 0 || !/[*?[]/.test(name)) return slash < 0 ? [] : [pattern]
  try {
    return listDirectory(root, directory)
      .filter((entry) => matchesGlob(entry, name))
      .sort()
      .map((entry) => `${directory}/${entry}`)
  } catch {
    return []
  }
}
