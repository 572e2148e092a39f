import { at, inputRoot, type Root, readText } from './files.js'
import { isBelow, type MountPoint, mountOf, parseMountinfo } from './mountinfo.js'
import { BASE, ROOT_SOURCE, RUN_DIRECTORY } from './run-directory.js'

/**
 * The root as the next boot will find it. On a stacked machine, that is the base root: extensions may hide
 * its files. File systems that are mounted on it are the same in both.
 */
export function nextBootRoot(environment: NodeJS.ProcessEnv): Root {
  const root = inputRoot(environment)
  const text = readText(root, '/proc/self/mountinfo')
  const mounts = parseMountinfo(typeof text === 'string' ? text : '')
  if (mountOf(mounts, '/')?.source !== ROOT_SOURCE) return root
  if (!mounts.some(({ mountPoint }) => mountPoint === BASE)) return root
  const live = mounts.filter((mount) => !isStack(mount)).map(({ mountPoint }) => mountPoint)
  const places = live.filter((path) => path !== '/' && !isBelow(path, BASE)).map((path) => `${path}/`)
  // What is mounted below another one is as live as that, and comes right after it.
  const uppermost: string[] = []
  for (const place of places.sort()) if (!place.startsWith(uppermost.at(-1) ?? '//')) uppermost.push(place)
  return { ...root, base: { prefix: at(root, BASE), live: uppermost } }
}

/**
 * The mounts as the next boot will find them: without those of the stack, and with the base root in its
 * place.
 */
export function withoutStack(mounts: readonly MountPoint[]): MountPoint[] {
  const base = mounts.find(({ mountPoint }) => mountPoint === BASE)
  if (!base) return [...mounts]
  // A bind of what is at the same place in the base root is its state.
  const prefix = base.root === '/' ? '' : base.root
  const isState = ({ device, root, mountPoint }: MountPoint): boolean =>
    device === base.device && root === prefix + mountPoint
  const shown = mounts.filter((mount) => isBelow(mount.mountPoint, BASE))
  const others = mounts.filter((mount) => !isStack(mount) && !isState(mount) && !shown.includes(mount))
  return [
    ...shown.map((mount) => ({ ...mount, mountPoint: mount.mountPoint.slice(BASE.length) || '/' })),
    ...others,
  ]
}

function isStack({ type, source, mountPoint }: MountPoint): boolean {
  const isOverlay = type === 'overlay' && (source === ROOT_SOURCE || source.startsWith(`${ROOT_SOURCE}-`))
  return isOverlay || mountPoint.startsWith(`${RUN_DIRECTORY}/`)
}
