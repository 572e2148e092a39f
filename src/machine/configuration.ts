import { posix } from 'node:path'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { listDirectory, type Root, readText, resolveLinks, statLink } from './files.js'

/** `[Root] Etc=`: hostext.conf(5). */
export type EtcSetting = 'auto' | 'read-only' | 'volatile' | 'persistent'

/** What `State=auto` takes of a root that used to be writable: directories which programs and people write to. */
export const AUTOMATIC_STATE = ['/var', '/home', '/root', '/srv']

/** hostext.conf(5), with every default filled in. */
export type Configuration = {
  /** `[Engine] DataRoot=`: where the engine keeps its data; undefined: look for it. */
  dataRoot: string | undefined
  /** `[Stack] Started=`: whether a container that has been started may be an extension; `auto`: on balenaOS. */
  started: 'auto' | boolean
  /** `[Root] State=`: directories that stay writable, or `auto` to derive them from fstab. */
  state: 'auto' | string[]
  /** `[Root] Etc=`: whether /etc can be changed, and whether changes are kept. */
  etc: EtcSetting
  /** `[Boot] Timeout=`: seconds until a switch that has not happened is given up. */
  timeout: number
  /** `[Boot] Container=`: stack inside containers too. */
  container: boolean
  /** `[Safety] Attempts=`: boots that a stack has to boot well in; 0: no rollback. */
  attempts: number
  /** `[Safety] Settle=`: seconds between the complete boot and the mark that a stack is good. */
  settle: number
  /** `[Safety] TrialTimeout=`: seconds until a boot of a stack on trial is given up and the machine rebooted. */
  trialTimeout: number
  /** `[Safety] Essential=`: more paths that no extension may replace. */
  essential: string[]
}

export const DEFAULTS: Configuration = {
  dataRoot: undefined,
  started: 'auto',
  state: 'auto',
  etc: 'auto',
  timeout: 60,
  container: false,
  attempts: 2,
  settle: 30,
  trialTimeout: 600,
  essential: [],
}

/** The main file is the first of these that exists; drop-ins of all directories apply on top of it. */
export const MAIN_FILES = ['/etc/hostext.conf', '/run/hostext.conf', '/usr/lib/hostext/hostext.conf']
export const DROP_IN_DIRECTORIES = [
  '/etc/hostext.conf.d',
  '/run/hostext.conf.d',
  '/usr/lib/hostext/hostext.conf.d',
]

/**
 * Reads the configuration: main file, then drop-ins in the order of their names, an earlier directory's
 * file hiding a later one's of the same name (as in systemd-system.conf(5)).
 * What is wrong in it comes back as warnings with file and line; the default holds.
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
 * Applies one file. The syntax is systemd.syntax(7): `[Section]`, `Key=value`, whole-line comments, a
 * backslash at the end of a line continues it. (INI libraries take `#` inside a value for a comment and
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
      // A comment between continued lines is passed over and does not end them.
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

/** One entry a setting, `Section.Key`: stores the value, or says what is wrong with it. The empty value is the default. */
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
    // Adds up, like all lists of systemd's.
    const words = value.split(/\s+/).filter(Boolean)
    const paths = words.map(directoryPath)
    const bad = paths.findIndex((path) => path === null || path === '/')
    if (bad >= 0) return `${printable(words[bad] as string)} cannot be an essential path`
    configuration.essential = value === '' ? [] : [...configuration.essential, ...(paths as string[])]
  },
}

/**
 * A normalized absolute path; null for anything else, and for what a unit or a line of a log cannot have as it is: `..`,
 * what {@link printable} escapes, a blank at the end (systemd.syntax(7) drops it).
 */
export function directoryPath(value: string): string | null {
  if (!value.startsWith('/') || value.split('/').includes('..')) return null
  const path = posix.normalize(value).replace(/(?<=.)\/$/, '')
  return printable(path, path.length) === path && !/\s$/.test(path) ? path : null
}

/** What PID 1 carries over itself, and what is stacked: the root, and /usr and /etc as a whole. */
function isNoState(path: string): boolean {
  return /^\/(?:(?:proc|sys|dev|run)(?:\/|$)|(?:usr|etc)?$)/.test(path)
}

/** A boolean as in systemd.syntax(7); undefined for anything else. */
function parseBoolean(value: string): boolean | undefined {
  if (/^(?:1|yes|y|true|t|on)$/i.test(value)) return true
  return /^(?:0|no|n|false|f|off)$/i.test(value) ? false : undefined
}

const UNITS: Record<string, number> = { '': 1, s: 1, sec: 1, second: 1, seconds: 1, m: 60, min: 60, h: 3600 }

/** A time span as in systemd.time(7), whole seconds; undefined where it is none or less than a second. */
function parseTimeSpan(value: string): number | undefined {
  // Not one expression for all of it: what may match in many ways takes years to fail.
  if (!/^\d/.test(value) || value.replace(/\d+\s*[a-z]*\s*/g, '') !== '') return undefined
  let seconds = 0
  for (const [, count, unit] of value.matchAll(/(\d+)\s*([a-z]*)/g)) {
    const scale = UNITS[unit as string]
    if (scale === undefined) return undefined
    seconds += Number(count) * scale
  }
  return seconds >= 1 && seconds <= 86400 ? seconds : undefined
}
