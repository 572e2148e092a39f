import { CHANGES } from '../machine/etc-changes.js'
import { RUN_DIRECTORY } from '../machine/run-directory.js'
import { countAbove, placeName } from '../stack/order.js'
import type { Plan } from '../stack/plan.js'

/** The lowest layer of the root: mount points that it does not have, below the run directory. */
const PLACES = 'places'
/** Where the changes to a volatile /etc are kept. */
const VOLATILE = `${RUN_DIRECTORY}/etc`

/**
 * One overlay of the new root: the root itself, or a directory that has to be an overlay of its own because
 * overlays do not cross mount points (/usr) or because it has an upper layer (/etc).
 */
export type Stack = {
  /** Where it is in the new root. */
  path: string
  /** lowerdir=, relative to the run directory, without the rebuilt indexes: `0:1:/:2`. Left wins. */
  lower: string
  /** The directory with the rebuilt indexes, below the run directory, if there are any. */
  index: string | undefined
  /** upperdir=, workdir= and further options of the mount. */
  upper: string | undefined
}

/**
 * The overlays of the new root, the root first. For /etc and /usr, the layers are those directories below the
 * mount points of the extensions. So every overlay stacks directly on the extensions, and none is more than
 * two deep.
 */
export function stacks(plan: Plan, nextRoot: string): Stack[] {
  const result: Stack[] = [makeStack(plan, '/')]
  if (plan.separateUsr) result.push(makeStack(plan, '/usr'))
  // Absolute: from systemd 254 on, PID 1 creates these directories itself before the mount, relative to /.
  if (plan.etc.mode === 'volatile')
    result.push(makeStack(plan, '/etc', `upperdir=${VOLATILE}/upper,workdir=${VOLATILE}/work`))
  if (plan.etc.mode === 'persistent') {
    const changes = changesBeforeSwitch(plan, nextRoot)
    // Lower layers may change between boots only if none of these features is used:
    // Documentation/filesystems/overlayfs.rst, "Changes to underlying filesystems".
    const plainly = 'redirect_dir=off,metacopy=off,index=off,xino=off'
    result.push(makeStack(plan, '/etc', `upperdir=${changes}/upper,workdir=${changes}/work,${plainly}`))
  }
  return result
}

/**
 * The path of the kept changes in the first pass: through the state bind, because the base root itself is
 * read-only.
 */
export function changesBeforeSwitch({ etc }: Pick<Plan, 'etc'>, nextRoot: string): string {
  return etc.mode === 'persistent' && etc.state ? nextRoot + CHANGES : CHANGES
}

function makeStack(
  { extensions, indexes, places }: Pick<Plan, 'extensions' | 'indexes' | 'places'>,
  path: string,
  upper?: string,
): Stack {
  const name = path.slice(1)
  const part = (number: number): string[] => {
    const place = placeName(number, extensions.length)
    if (path === '/') return [place]
    return extensions[number]?.contents.top.includes(name) ? [`${place}${path}`] : []
  }
  const numbers = [...extensions.keys()]
  const above = countAbove(extensions)
  const lower = [...numbers.slice(0, above).flatMap(part), path, ...numbers.slice(above).flatMap(part)]
  if (path === '/' && places.length > 0) lower.push(PLACES)
  const index = indexes.length > 0 ? `index/${name || 'root'}` : undefined
  // An overlay without an upper directory needs two lower ones.
  if (lower.length === 1 && !upper && !index) lower.unshift('empty')
  return { path, lower: lower.join(':'), index, upper }
}

/** The mount options of an overlay, for the run directory as working directory. */
export function stackOptions({ lower, index, upper }: Stack): string {
  return `${upper ? 'rw' : 'ro'},lowerdir=${index ? `${index}:` : ''}${lower}${upper ? `,${upper}` : ''}`
}

/** The directories below the run directory that the overlays need. */
export function stackDirectories(plan: Plan): string[] {
  const directories = stacks(plan, '').flatMap(({ index }) =>
    index ? [index, index.replace('index/', 'index.work/')] : [],
  )
  if (plan.indexes.length > 0) directories.push('merged')
  if (plan.etc.mode === 'volatile') directories.push('etc/upper', 'etc/work')
  return directories
}

/** The directories below the run directory that everybody may see in the root. */
export function newPlaces({ places }: Pick<Plan, 'places'>): string[] {
  return places.map((path) => PLACES + path)
}

/** The name that findmnt(8) shows: `hostext`, `hostext-usr`, `hostext-etc`. */
export function stackSource({ path }: Stack): string {
  return ['hostext', path.slice(1)].filter(Boolean).join('-')
}
