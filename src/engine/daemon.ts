import { listDirectory, type Root, readText, statLink } from '../machine/files.js'
import { UNIT_DIRECTORIES } from '../machine/unit-files.js'
import { isObject } from '../text/json.js'

/** Where dockerd reads its configuration: dockerd(8). */
export const DAEMON_JSON = '/etc/docker/daemon.json'
const UNIT = 'docker.service'

/**
 * The settings in daemon.json; undefined without one. Throws an Error that says what is wrong, without the
 * file's name.
 */
export function readDaemonJson(root: Root): Record<string, unknown> | undefined {
  const text = readText(root, DAEMON_JSON)
  if (text === undefined) return undefined
  if (text instanceof Error) throw new Error(text.why)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error('not valid JSON')
  }
  return isObject(json) ? json : {}
}

/**
 * The words of dockerd's command line: the last ExecStart= of docker.service and its drop-ins, with the
 * variables of EnvironmentFile= filled in (systemd.service(5), systemd.exec(5); Debian keeps dockerd's
 * options in such a file). Quotes are dropped: no option that matters here has a value with white space.
 */
export function readDaemonWords(root: Root): string[] {
  const directories = UNIT_DIRECTORIES.filter((path) => statLink(root, path))
  const unit = directories.map((path) => `${path}/${UNIT}`).find((path) => statLink(root, path))
  if (unit === undefined) return []
  const dropIns = new Map<string, string>()
  for (const directory of directories.map((path) => `${path}/${UNIT}.d`)) {
    if (!statLink(root, directory)?.isDirectory()) continue
    // If several directories have the same name, the first one counts.
    for (const name of listDirectory(root, directory).filter((name) => name.endsWith('.conf')))
      if (!dropIns.has(name)) dropIns.set(name, `${directory}/${name}`)
  }
  const files = [unit, ...[...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path)]

  let command: string[] = []
  const variables = new Map<string, string[]>()
  for (const [key, value] of files.flatMap((path) => readAssignments(root, path))) {
    if (key === 'ExecStart') command = splitWords(value)
    if (key !== 'EnvironmentFile') continue
    for (const [name, text] of readAssignments(root, value.replace(/^-/, '')))
      variables.set(name, splitWords(text))
  }
  return command.flatMap((word) => variables.get(/^\$\{?(\w+)\}?$/.exec(word)?.[1] ?? '') ?? word)
}

/** The lines `KEY=VALUE` of a file; continued lines are joined. */
function readAssignments(root: Root, path: string): [string, string][] {
  const text = readText(root, path)
  if (typeof text !== 'string') return []
  const lines = text.replaceAll(/\\\n/g, ' ').matchAll(/^[ \t]*(\w+)[ \t]*=[ \t]*(.*)$/gm)
  return [...lines].map(([, key, value]) => [key as string, value as string])
}

function splitWords(text: string): string[] {
  return text.replaceAll(/["']/g, ' ').split(/\s+/).filter(Boolean)
}
