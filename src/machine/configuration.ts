import { posix } from 'node:path'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { listDirectory, type Root, readText, resolveLinks, statLink } from './files.js'

/** `[Root] Etc=`: hostext.conf(5). */
export type EtcSetting = 'auto' | 'read-only' | 'volatile' | 'persistent'

/**
 * What `State=auto` keeps writable on a root that used to be: directories that programs and people write to.
 */
export const AUTOMATIC_STATE = ['/var', '/home', '/root', '/srv']

/** hostext.conf(5), with every default filled in. */
export type Configuration = {
  /** `[Engine] DataRoot=`: where the engine keeps its data; undefined: look in the usual places. */
  dataRoot: string | undefined
  /**
   * `[Stack] Started=`: whether a container that has been started may be an extension; `auto`: on balenaOS.
   */
  started: 'auto' | boolean
  /** `[Stack] Skip=`: the names of extensions to be left out. */
  skip: string[]
  /** `[Root] State=`: directories that stay writable, or `auto` to derive them from fstab. */
  state: 'auto' | string[]
  /** `[Root] Etc=`: whether /etc can be changed, and whether changes are kept. */
  etc: EtcSetting
  /** `[Boot] Timeout=`: seconds that stacking may take before it is given up. */
  timeout: number
  /** `[Boot] Container=`: stack inside containers too. */
  container: boolean
  /** `[Safety] Attempts=`: how many boots a stack has to boot well; 0: no rollback. */
  attempts: number
  /** `[Safety] Settle=`: seconds between the end of the boot and the mark that a stack is good. */
  settle: number
  /** `[Safety] TrialTimeout=`: seconds until a trial is given up and the machine rebooted. */
  trialTimeout: number
  /** `[Safety] Essential=`: more paths that no extension may replace. */
  essential: string[]
  /** `[Safety] ForeignSystem=`: whether an image that is a whole system other than this one is left out. */
  foreignSystem: 'warn' | 'skip'
  /** `[Safety] FailedUnits=`: what it means for a trial that units of its extensions have failed. */
  failedUnits: 'ignore' | 'warn' | 'bad'
}

export const DEFAULTS: Configuration = {
  dataRoot: undefined,
  started: 'auto',
  skip: [],
  state: 'auto',
  etc: 'auto',
  timeout: 60,
  container: false,
  attempts: 2,
  settle: 30,
  trialTimeout: 600,
  essential: [],
  foreignSystem: 'warn',
  failedUnits: 'warn',
}

/** The main file is the first of these that exists; the drop-ins of all directories are applied after it. */
export const MAIN_FILES = ['/etc/hostext.conf', '/run/hostext.conf', '/usr/lib/hostext/hostext.conf']
export const DROP_IN_DIRECTORIES = [
  '/etc/hostext.conf.d',
  '/run/hostext.conf.d',
  '/usr/lib/hostext/hostext.conf.d',
]

/**
 * Reads the configuration: the main file, then the drop-ins in the order of their names. A file in an earlier
 * directory hides a file of the same name in a later one, as in systemd-system.conf(5). Never throws:
 * mistakes come back as warnings with file and line, and those settings are ignored.
 */
export function readConfiguration(root: Root): { configuration: Configuration; messages: Message[] } {
  const configuration = { ...DEFAULTS }
  const messages: Message[] = []

  const dropIns = new Map<string, string>()
  for (const directory of DROP_IN_DIRECTORIES) {
    try {
      for (const name of listDirectory(root, directory)) {
        if (name.endsWith('.conf') && !dropIns.has(name)) dropIns.set(name, `${directory}/${name}`)
      }
    } catch (error) {
      messages.push(warning((error as Error).message))
    }
  }
  const read = (path: string): boolean => {
    // A link to /dev/null masks a file: systemd-system.conf(5).
    const masked = statLink(root, path)?.isSymbolicLink() && resolveLinks(root, path) === '/dev/null'
    const text = masked ? '' : readText(root, path, 64 << 10)
    if (text instanceof Error) messages.push(warning(text.message))
    else if (text !== undefined) apply(text, path, configuration, messages)
    return text !== undefined
  }
  MAIN_FILES.some(read)
  for (const name of [...dropIns.keys()].sort()) read(dropIns.get(name) as string)
  const { settle, trialTimeout } = configuration
  if (trialTimeout <= settle)
    messages.push(
      warning(
        `TrialTimeout=${trialTimeout}s is not longer than Settle=${settle}s: every trial is rebooted before it can be marked good`,
      ),
    )
  return { configuration, messages }
}

function warning(text: string): Message {
  return { level: 'warning', text }
}

/**
 * Applies one file. The syntax is that of systemd.syntax(7): `[Section]`, `Key=value`, whole-line comments,
 * and a trailing backslash that continues a line. (INI libraries treat `#` inside a value as a comment, and
 * do not say which line a value came from.)
 */
function apply(text: string, path: string, configuration: Configuration, messages: Message[]): void {
  const lines = text.split('\n')
  let section = ''
  for (let index = 0; index < lines.length; index++) {
    const where = `${path}:${index + 1}`
    let line = (lines[index] as string).trim()
    if (!line || line.startsWith('#') || line.startsWith(';')) continue
    while (line.endsWith('\\') && index + 1 < lines.length) {
      const next = (lines[++index] as string).trim()
      // A comment between continued lines is skipped and does not end them.
      if (!next.startsWith('#') && !next.startsWith(';')) line = `${line.slice(0, -1)} ${next}`
    }

    const header = /^\[(.*)\]$/.exec(line)
    if (header) {
      section = header[1] as string
      continue
    }
    const equals = line.indexOf('=')
    const key = equals < 0 ? line : line.slice(0, equals).trim()
    const setting = SETTINGS[`${section}.${key}`]
    if (equals < 0) messages.push(warning(`${where}: not a setting: ${printable(line)}`))
    else if (!setting)
      messages.push(warning(`${where}: unknown setting ${printable(`[${section}] ${key}=`)}`))
    else {
      const problem = setting(line.slice(equals + 1).trim(), configuration)
      if (problem) messages.push(warning(`${where}: ${key}=: ${problem}; ignored`))
    }
  }
}

/**
 * One entry for each setting, `Section.Key`: stores the value, or returns what is wrong with it. An empty
 * value restores the default.
 */
export const SETTINGS: Record<string, (value: string, configuration: Configuration) => string | undefined> = {
  'Engine.DataRoot'(value, configuration) {
    const path = value === '' ? undefined : directoryPath(value)
    if (path === null) return `${printable(value)} is not an absolute path`
    configuration.dataRoot = path
  },
  'Stack.Started'(value, configuration) {
    const started = value === '' || value === 'auto' ? 'auto' : parseBoolean(value)
    if (started === undefined) return `${printable(value)} is neither auto nor a boolean`
    configuration.started = started
  },
  'Stack.Skip'(value, configuration) {
    // Values add up, as in every list setting of systemd.
    const names = value.split(/[\s,]+/).filter(Boolean)
    const bad = names.find((name) => !CONTAINER_NAME.test(name))
    if (bad !== undefined) return `${printable(bad)} cannot be the name of a container`
    configuration.skip = value === '' ? [] : [...configuration.skip, ...names]
  },
  'Root.State'(value, configuration) {
    if (value === '' || value === 'auto') configuration.state = 'auto'
    else if (value === 'none') configuration.state = []
    else {
      const paths = value.split(/\s+/).map(directoryPath)
      const bad = paths.findIndex((path) => path === null || isNoState(path) || !isUnitPath(path))
      if (bad >= 0) return `${printable(value.split(/\s+/)[bad] as string)} cannot be a state directory`
      configuration.state = [...new Set(paths as string[])].sort()
    }
  },
  'Root.Etc'(value, configuration) {
    const mode = (['auto', 'read-only', 'volatile', 'persistent'] as const).find(
      (mode) => mode === (value || 'auto'),
    )
    if (!mode) return `${printable(value)} is not one of auto, read-only, volatile, persistent`
    configuration.etc = mode
  },
  'Boot.Timeout'(value, configuration) {
    const seconds = value === '' ? DEFAULTS.timeout : parseTimeSpan(value)
    if (seconds === undefined) return `${printable(value)} is not a time span from a second to a day`
    configuration.timeout = seconds
  },
  'Boot.Container'(value, configuration) {
    const container = value === '' ? DEFAULTS.container : parseBoolean(value)
    if (container === undefined) return `${printable(value)} is not a boolean`
    configuration.container = container
  },
  'Safety.Attempts'(value, configuration) {
    if (value !== '' && !/^\d{1,3}$/.test(value)) return `${printable(value)} is not a number from 0 to 999`
    configuration.attempts = value === '' ? DEFAULTS.attempts : Number(value)
  },
  'Safety.Settle'(value, configuration) {
    const seconds = value === '' ? DEFAULTS.settle : value === '0' ? 0 : parseTimeSpan(value)
    if (seconds === undefined) return `${printable(value)} is not a time span`
    configuration.settle = seconds
  },
  'Safety.TrialTimeout'(value, configuration) {
    const seconds = value === '' ? DEFAULTS.trialTimeout : parseTimeSpan(value)
    if (seconds === undefined) return `${printable(value)} is not a time span from a second to a day`
    configuration.trialTimeout = seconds
  },
  'Safety.Essential'(value, configuration) {
    // Values add up, as in every list setting of systemd.
    const words = value.split(/\s+/).filter(Boolean)
    const paths = words.map(directoryPath)
    const bad = paths.findIndex((path) => path === null || path === '/')
    if (bad >= 0) return `${printable(words[bad] as string)} cannot be an essential path`
    configuration.essential = value === '' ? [] : [...configuration.essential, ...(paths as string[])]
  },
  'Safety.ForeignSystem'(value, configuration) {
    const choice = (['warn', 'skip'] as const).find((choice) => choice === (value || DEFAULTS.foreignSystem))
    if (!choice) return `${printable(value)} is not one of warn, skip`
    configuration.foreignSystem = choice
  },
  'Safety.FailedUnits'(value, configuration) {
    const choice = (['ignore', 'warn', 'bad'] as const).find(
      (choice) => choice === (value || DEFAULTS.failedUnits),
    )
    if (!choice) return `${printable(value)} is not one of ignore, warn, bad`
    configuration.failedUnits = choice
  },
}

/**
 * A normalized absolute path. Null for anything else, and for a path that cannot be written into a unit or a
 * log line as it is: with `..`, with a character that {@link printable} escapes, or with white space at the
 * end (systemd.syntax(7) drops it).
 */
export function directoryPath(value: string): string | null {
  if (!value.startsWith('/') || value.split('/').includes('..')) return null
  const path = posix.normalize(value).replace(/(?<=.)\/$/, '')
  return printable(path, path.length) === path && !/\s$/.test(path) ? path : null
}

/** What engines accept as a name: `docker create --help` and the manual of podman-create(1). */
const CONTAINER_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/

/**
 * What PID 1 carries over to the new root itself, and what is stacked as a whole: the root, /usr and /etc.
 */
function isNoState(path: string): boolean {
  return /^\/(?:(?:proc|sys|dev|run)(?:\/|$)|(?:usr|etc)?$)/.test(path)
}

/** A boolean as in systemd.syntax(7); undefined for anything else. */
function parseBoolean(value: string): boolean | undefined {
  if (/^(?:1|yes|y|true|t|on)$/i.test(value)) return true
  return /^(?:0|no|n|false|f|off)$/i.test(value) ? false : undefined
}

const UNITS: Record<string, number> = { '': 1, s: 1, sec: 1, second: 1, seconds: 1, m: 60, min: 60, h: 3600 }

/** A time span as in systemd.time(7), in whole seconds; undefined unless it is between a second and a day. */
export function parseTimeSpan(value: string): number | undefined {
  // Not one expression for the whole value: one that can match in many ways takes years to fail.
  if (!/^\d/.test(value) || value.replace(/\d+\s*[a-z]*\s*/g, '') !== '') return undefined
  let seconds = 0
  for (const [, count, unit] of value.matchAll(/(\d+)\s*([a-z]*)/g)) {
    const scale = UNITS[unit as string]
    if (scale === undefined) return undefined
    seconds += Number(count) * scale
  }
  return seconds >= 1 && seconds <= 86400 ? seconds : undefined
}
