import { type Dirent, readdirSync } from 'node:fs'
import { type MountPoint, mountOf } from '../machine/mountinfo.js'
import { type Layer, statIn } from './layers.js'

/** The most paths of each kind that are named; all are counted. */
const MOST = 1000
/** The most files that are looked at: more than any image. */
const MOST_FILES = 500_000

/** Paths, in their order; `count`: how many there are. */
export type Paths = { count: number; paths: string[] }

/** What the files of one layer do in the root. */
export type Effects = {
  /** Nobody below has them, and nobody above hides them. */
  adds: Paths
  /** They hide those of a layer below. */
  replaces: Paths & { of: Record<string, string> }
  /** Another layer, or a mount, hides them. */
  hidden: Paths & { by: Record<string, string> }
  units: string[]
  users: string[]
  state: string[]
  modules: string[]
}

const UNIT =
  /^\/(?:usr\/)?(?:etc|lib)\/systemd\/(?:system|user)\/([^/]+\.[a-z]+)$|^\/etc\/systemd\/system\/([^/]+\.[a-z]+)$/
const PARTS: [keyof Pick<Effects, 'units' | 'users' | 'state' | 'modules'>, RegExp][] = [
  ['units', UNIT],
  ['users', /^\/(?:usr\/lib|etc)\/sysusers\.d\/([^/]+\.conf)$/],
  ['state', /^\/(?:usr\/lib|etc)\/tmpfiles\.d\/([^/]+\.conf)$/],
  ['modules', /^\/usr\/lib\/modules\/(.+\.ko(?:\.[a-z0-9]+)?)$/],
]

/**
 * Looks through the files of a layer and compares them with the others. `mounted`: what is mounted over the
 * root. `describe`: how a layer is called.
 */
export function findEffects(
  layers: readonly Layer[],
  layer: Layer,
  mounted: readonly MountPoint[],
  describe: (layer: Layer) => string,
): Effects {
  const place = layers.indexOf(layer)
  const above = layers.slice(0, place)
  const below = layers.slice(place + 1)
  const effects: Effects = {
    adds: { count: 0, paths: [] },
    replaces: { count: 0, paths: [], of: {} },
    hidden: { count: 0, paths: [], by: {} },
    ...{ units: [], users: [], state: [], modules: [] },
  }
  const add = (paths: Paths, path: string): boolean => {
    paths.count += 1
    if (paths.count > MOST) return false
    paths.paths.push(path)
    return true
  }
  const lookAt = (path: string): void => {
    for (const [part, pattern] of PARTS) {
      const name = pattern.exec(path)?.slice(1).find(Boolean)
      if (name !== undefined) effects[part].push(name)
    }
    const hider = mountOf(mounted, path) ?? above.find((other) => isThere(other, path))
    if (hider !== undefined) {
      const who = 'mountPoint' in hider ? `a file system is mounted on ${hider.mountPoint}` : describe(hider)
      if (add(effects.hidden, path)) effects.hidden.by[path] = who
      return
    }
    const other = below.find((other) => isThere(other, path))
    if (!other) add(effects.adds, path)
    else if (add(effects.replaces, path)) effects.replaces.of[path] = describe(other)
  }
  walk(layer.directory, lookAt)
  return effects
}

/** Whether a layer has a file there, or something else that is no directory. */
function isThere(layer: Layer, path: string): boolean {
  const stat = statIn(layer, path)
  return stat !== undefined && !stat.isDirectory()
}

/** Calls `use` with every path of a tree that is no directory, in order, as paths of the root. */
function walk(directory: string, use: (path: string) => void): void {
  let left = MOST_FILES
  const enter = (path: string): void => {
    const entries: Dirent[] = readdirSync(directory + path, { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isDirectory()) enter(`${path}/${entry.name}`)
      else if (left > 0) {
        left -= 1
        use(`${path}/${entry.name}`)
      }
    }
  }
  enter('')
}
