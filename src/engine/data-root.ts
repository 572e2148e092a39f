import { directoryPath } from '../configuration.js'
import { type Root, readText, resolveLinks, statLink } from '../files.js'
import type { Message } from '../log.js'
import { printable } from '../printable.js'

const DAEMON_JSON = '/etc/docker/daemon.json'
/** balenaOS keeps the data of its engine on the data partition; the other is Docker's own default. */
const DEFAULT_DATA_ROOTS = ['/mnt/data/docker', '/var/lib/docker']

/** The places where the engine's data may be, most specific first, symbolic links resolved. */
export type DataRoots = { candidates: string[]; messages: Message[] }

/**
 * Where to look for the engine's data: `DataRoot=` alone if it is set; otherwise `data-root` in daemon.json
 * (dockerd(8)), then the defaults. Two names of one directory count once.
 */
export function findDataRoots(root: Root, configured: string | undefined): DataRoots {
  const messages: Message[] = []
  const named = configured ?? daemonDataRoot(root, messages)
  const paths = configured ? [configured] : [...(named ? [named] : []), ...DEFAULT_DATA_ROOTS]
  return { candidates: [...new Set(paths.map((path) => resolveLinks(root, path)))], messages }
}

/** Whether an engine keeps its containers there. */
export function isDataRoot(root: Root, path: string): boolean {
  return statLink(root, `${path}/containers`)?.isDirectory() ?? false
}

function daemonDataRoot(root: Root, messages: Message[]): string | undefined {
  const text = readText(root, DAEMON_JSON)
  if (text === undefined) return undefined
  const warn = (problem: string): undefined => {
    messages.push({ level: 'warning', text: `${DAEMON_JSON}: ${problem}; ignored` })
  }
  if (text instanceof Error) return warn(text.message.slice(DAEMON_JSON.length + 2))
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return warn('not valid JSON')
  }
  const value =
    typeof json === 'object' && json !== null ? (json as Record<string, unknown>)['data-root'] : undefined
  if (value === undefined || value === '') return undefined
  const path = typeof value === 'string' ? directoryPath(value) : null
  return (
    path ??
    warn(
      `data-root is no absolute path: ${typeof value === 'object' ? 'an object' : printable(String(value))}`,
    )
  )
}
