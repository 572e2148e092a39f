import { lstatSync, type Stats } from 'node:fs'
import { CHANGES } from '../machine/etc-changes.js'
import { at, inputRoot, statLink } from '../machine/files.js'
import { isBelow } from '../machine/mountinfo.js'
import { nextBootRoot } from '../machine/next-boot.js'
import { RUN_DIRECTORY } from '../machine/run-directory.js'
import { type BootReport, type ReportedExtension, reportedTree } from './boot-report.js'

/**
 * One of the directories that make the root up. `extension`: undefined for the base root, and for changes.
 */
export type Layer = {
  kind: 'changes' | 'extension' | 'base'
  extension: ReportedExtension | undefined
  /** Where its files are, without the slash at the end. */
  directory: string
  /** Whether it only has files below /etc, and where these are in it. */
  isEtc: boolean
  /** Which paths are directories in it, as far as somebody has looked. */
  directories: Map<string, boolean>
}

/**
 * The directories that make up the root of a boot, top first. `report`: of this boot, or of the next one if
 * this one has no stack.
 */
export function findLayers(environment: NodeJS.ProcessEnv, report: BootReport): Layer[] {
  const live = inputRoot(environment)
  const base = nextBootRoot(environment)
  const layer = (extension: ReportedExtension): Layer => ({
    ...{ kind: 'extension', extension, isEtc: false, directories: new Map() },
    directory: at(base, reportedTree(report, extension)),
  })
  const upper = { persistent: `${CHANGES}/upper`, volatile: `${RUN_DIRECTORY}/etc/upper` }[report.etc ?? '']
  const has = upper !== undefined && statLink(live, upper)
  const other = () => ({ extension: undefined, directories: new Map<string, boolean>() })
  return [
    ...(has ? [{ ...other(), kind: 'changes' as const, directory: at(live, upper), isEtc: true }] : []),
    ...report.extensions.filter(({ above }) => above).map(layer),
    { ...other(), kind: 'base', directory: base.base?.prefix ?? base.prefix, isEtc: false },
    ...report.extensions.filter(({ above }) => !above).map(layer),
  ]
}

/** What a layer has at a path of the root; undefined if nothing. No link on the way is followed. */
export function statIn(layer: Layer, path: string): Stats | undefined {
  const { directory, isEtc } = layer
  if (isEtc && !isBelow(path, '/etc')) return undefined
  const own = isEtc ? path.slice('/etc'.length) : path
  return isDirectoryIn(layer, own.slice(0, own.lastIndexOf('/'))) ? lstat(directory + own) : undefined
}

/** Whether a directory of a layer is one, and all above it. Looks at each of them once. */
function isDirectoryIn(layer: Layer, own: string): boolean {
  if (own === '') return true
  let known = layer.directories.get(own)
  if (known === undefined) {
    const isBelowOne = isDirectoryIn(layer, own.slice(0, own.lastIndexOf('/')))
    known = isBelowOne && (lstat(layer.directory + own)?.isDirectory() ?? false)
    layer.directories.set(own, known)
  }
  return known
}

function lstat(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}
