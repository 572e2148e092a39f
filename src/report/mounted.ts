import { type Root, readText } from '../machine/files.js'
import { isBelow, parseMountinfo } from '../machine/mountinfo.js'
import { BASE, ROOT_SOURCE, RUN_DIRECTORY } from '../machine/run-directory.js'

/** The mount points of everything that is mounted over the root, except for its own overlays and /proc. */
export function findMounted(root: Root): string[] {
  const text = readText(root, '/proc/self/mountinfo')
  return parseMountinfo(typeof text === 'string' ? text : '')
    .filter(({ source }) => source !== ROOT_SOURCE && !source.startsWith(`${ROOT_SOURCE}-`))
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path !== '/' && ![BASE, RUN_DIRECTORY].some((own) => isBelow(path, own)))
}

/** The mount point among them that a path is on; undefined if it is part of the root. */
export function findMountPointsOf(mounted: readonly string[], path: string): string | undefined {
  return mounted.find((place) => isBelow(path, place))
}
