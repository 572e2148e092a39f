import { directoryPath } from '../machine/configuration.js'
import { listDirectory, type Root, resolveLinks, statLink } from '../machine/files.js'
import type { Message } from '../text/log.js'
import { printable } from '../text/printable.js'
import { isUnitPath } from '../text/unit-syntax.js'
import { DAEMON_JSON, readDaemonJson } from './daemon.js'
import { findOtherWriter, findUnfitDirectory, isOpen } from './trust.js'

/** Where hostext keeps the records of booted stacks, in a data root. */
export const OWN_DIRECTORY = 'hostext'

/** balenaOS keeps the data of its engine on the data partition; the other is Docker's own default. */
export const DEFAULT_DATA_ROOTS = ['/mnt/data/docker', '/var/lib/docker']

/**
 * The places where the engine's data may be, most specific first, with symbolic links resolved. `exposed`:
 * those that users other than root could replace, and why.
 */
export type DataRoots = { candidates: string[]; exposed: Record<string, string>; messages: Message[] }

/**
 * Where to look for the engine's data: only `DataRoot=` if it is set; otherwise `data-root` in daemon.json
 * (dockerd(8)), then the defaults. Two names for one directory count once.
 */
export function findDataRoots(root: Root, configured: string | undefined): DataRoots {
  const messages: Message[] = []
  const named = configured ?? daemonDataRoot(root, messages)
  const paths = configured ? [configured] : [...(named ? [named] : []), ...DEFAULT_DATA_ROOTS]
  const candidates = new Set<string>()
  const exposed: Record<string, string> = {}
  for (const path of paths) {
    let problem: string | undefined
    // Sticky directories such as /tmp are no exception: the first user to create a name there owns it.
    const visit: Parameters<typeof resolveLinks>[2] = (place, stat) => {
      const why = stat?.isDirectory() ? findOtherWriter(stat) : undefined
      if (why) problem ??= `${printable(place)} ${why}`
    }
    visit('/', statLink(root, '/'))
    const resolved = resolveLinks(root, path, visit)
    if (!isUnitPath(resolved)) {
      const text = `${printable(path)} leads to ${printable(resolved)}, which no unit can name; ignored`
      messages.push({ level: 'warning', text })
      continue
    }
    candidates.add(resolved)
    for (const name of remapped(root, resolved)) {
      const text = `${resolved}/${name}: the data of an engine with user namespaces (userns-remap) is not read; its extensions are left out`
      messages.push({ level: 'warning', text })
    }
    if (problem) exposed[resolved] = problem
  }
  return { candidates: [...candidates], exposed, messages }
}

/** The directories in which dockerd keeps everything if it maps users (`userns-remap`): `100000.100000`. */
function remapped(root: Root, dataRoot: string): string[] {
  try {
    return listDirectory(root, dataRoot).filter(
      (name) => /^\d+\.\d+$/.test(name) && isDataRoot(root, `${dataRoot}/${name}`),
    )
  } catch {
    // If it matters, somebody else says that it cannot be read.
    return []
  }
}

/** Whether an engine keeps its containers there, or something else has the name `containers`. */
export function isDataRoot(root: Root, path: string): boolean {
  return statLink(root, `${path}/containers`) !== undefined
}

/**
 * The directories that lead to an engine's containers, their layers and the records of booted stacks. None
 * may be a symbolic link, which could lead anywhere.
 */
const DIRECTORIES = [
  OWN_DIRECTORY,
  `${OWN_DIRECTORY}/trees`,
  'containers',
  'overlay2',
  'overlay2/l',
  'image',
  'image/overlay2',
  'image/overlay2/layerdb',
  'image/overlay2/layerdb/mounts',
]

/**
 * Why nothing below a data root can be trusted; undefined if it can: {@link findUnfitDirectory},
 * {@link isOpen}.
 */
export function findUnfitDataRoot(root: Root, dataRoot: string): string | undefined {
  for (const name of DIRECTORIES) {
    const why = findUnfitDirectory(root, `${dataRoot}/${name}`)
    if (why) return `${dataRoot}/${name}: ${why}`
  }
  const layers = `${dataRoot}/overlay2`
  if (isOpen(root, layers))
    return `${layers}: users other than root can enter it, and change what they own in the images; "chmod go-x ${layers}" keeps them out`
  return undefined
}

function daemonDataRoot(root: Root, messages: Message[]): string | undefined {
  const warn = (problem: string): undefined => {
    messages.push({ level: 'warning', text: `${DAEMON_JSON}: ${problem}; ignored` })
  }
  let value: unknown
  try {
    value = readDaemonJson(root)?.['data-root']
  } catch (error) {
    return warn((error as Error).message)
  }
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string') return warn('data-root is not a string')
  return directoryPath(value) ?? warn(`data-root is not an absolute path: ${printable(value)}`)
}
