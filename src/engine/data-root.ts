import { directoryPath } from '../configuration.js'
import { type Root, readText, statLink } from '../files.js'
import type { Message } from '../log.js'
import { printable } from '../printable.js'

const DAEMON_JSON = '/etc/docker/daemon.json'
/** balenaOS keeps the data of its engine on the data partition; the other is Docker's own default. */
const DEFAULT_DATA_ROOTS = ['/mnt/data/docker', '/var/lib/docker']

/**
 * The directories that may be the engine's data root, most specific first: `DataRoot=`, `data-root` in
 * daemon.json (dockerd(8)), the defaults. Those that do not exist are left out.
 */
export function findDataRoots(
  root: Root,
  configured: string | undefined,
): { dataRoots: string[]; messages: Message[] } {
  const messages: Message[] = []
  const named = configured ?? daemonDataRoot(root, messages)
  const candidates = configured
    ? [configured]
    : [...new Set([...(named ? [named] : []), ...DEFAULT_DATA_ROOTS])]
  const dataRoots = candidates.filter((path) => statLink(root, `${path}/containers`)?.isDirectory())
  if (configured && dataRoots.length === 0) {
    messages.push({ level: 'warning', text: `DataRoot=${configured} holds no engine data` })
  }
  return { dataRoots, messages }
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
  return path ?? warn(`data-root is no absolute path: ${printable(String(value))}`)
}
