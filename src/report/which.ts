import { readlinkSync } from 'node:fs'
import { isWhiteout } from '../machine/files.js'
import { type Layer, statIn } from './layers.js'

/** Of symbolic links on the way to a file, as the kernel follows: path_resolution(7), MAXSYMLINKS. */
const MOST_LINKS = 40

/** What a layer has at a path. `isSeen`: whether that is what the system sees; of a directory, a part. */
export type Provider = {
  layer: Layer
  kind: 'file' | 'directory' | 'link' | 'deleted' | 'other'
  target: string | null
  isSeen: boolean
}

/**
 * The path without links on the way to it: `/bin/ls` is `/usr/bin/ls` on most systems. Links are looked up in
 * the layers, not on the machine that runs this. Throws an Error if they go in a circle.
 */
export function withoutLinks(layers: readonly Layer[], path: string): string {
  let rest = path.split('/').filter(Boolean)
  let done: string[] = []
  let links = 0
  while (rest.length > 0) {
    const [name = '', ...more] = rest
    rest = more
    if (name === '.') continue
    if (name === '..') {
      done.pop()
      continue
    }
    const here = `/${[...done, name].join('/')}`
    const seen = more.length > 0 ? find(layers, here).find(({ isSeen }) => isSeen) : undefined
    if (seen?.kind !== 'link') {
      done.push(name)
      continue
    }
    links += 1
    if (links > MOST_LINKS) throw new Error(`${path}: too many levels of symbolic links`)
    const target = seen.target as string
    if (target.startsWith('/')) done = []
    rest = [...target.split('/').filter(Boolean), ...rest]
  }
  return `/${done.join('/')}`
}

/**
 * Who has something at a path, top first. What is below a file is hidden; of directories, all layers down to
 * a file are seen.
 */
export function find(layers: readonly Layer[], path: string): Provider[] {
  let isOpen = true
  let isDirectory = false
  return layers.flatMap((layer): Provider[] => {
    const stat = statIn(layer, path)
    if (!stat) {
      // A file in the place of a directory on the way hides everything below.
      if (blocks(layer, path)) isOpen = false
      return []
    }
    const kind = kindOf(stat)
    const isSeen = isOpen && (!isDirectory || kind === 'directory')
    if (kind === 'directory') isDirectory = true
    else isOpen = false
    const place = layer.directory + (layer.isEtc ? path.slice('/etc'.length) : path)
    return [{ layer, kind, isSeen, target: kind === 'link' ? readlinkSync(place) : null }]
  })
}

/** Whether a layer has something at a directory above the path that is none. */
function blocks(layer: Layer, path: string): boolean {
  const names = path.split('/').slice(1, -1)
  return names.some((_, index) => {
    const stat = statIn(layer, `/${names.slice(0, index + 1).join('/')}`)
    return stat !== undefined && !stat.isDirectory()
  })
}

function kindOf(stat: NonNullable<ReturnType<typeof statIn>>): Provider['kind'] {
  if (isWhiteout(stat)) return 'deleted'
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  return stat.isSymbolicLink() ? 'link' : 'other'
}
