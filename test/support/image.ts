import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { withMerged } from '../../src/image/merged.js'
import { noteLine } from '../../src/image/note.js'
import { type MadeTree, makeTree as makeKeptTree, type Owners, type TreeInput } from '../../src/image/tree.js'
import { makeTree, walk } from './tree.js'

/** The directories of state of most machines. */
export const STATE = ['/var', '/home', '/root', '/srv']

export const NO_OWNERS: Owners = { users: new Map(), groups: new Map() }

/** Runs a script in a directory, which is made; `$0` is the directory. */
export function sh(directory: string, script: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  execFileSync('sh', ['-ec', `umask 022; cd "$0"; ${script}`, directory], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** `view`: a script that makes what the kernel would show, where this one does not know how. */
type Options = {
  state?: string[]
  owners?: Owners
  progress?: (entries: number) => void
  sizes?: TreeInput['sizes']
  view?: string
  isWhole?: boolean
}

export type Made = {
  made: Omit<MadeTree, 'notes'> & { notes: string[] }
  /** What is in the tree, by path: {@link describe}. */
  tree: Record<string, string>
  /** The directory of the tree, of a layer, and of the root. */
  out: string
  layer: (index: number) => string
  base: string
}

/**
 * Makes the tree of an image whose layers these scripts make, the uppermost first, for the root that the
 * script `base` makes.
 */
export async function treeOf(
  t: Test,
  layers: string[],
  base = ':',
  { state = STATE, owners = NO_OWNERS, progress, sizes, view: script, isWhole = false }: Options = {},
): Promise<Made> {
  const work = makeTree(t)
  for (const [index, script] of layers.entries()) sh(join(work, 'layers', String(index)), script)
  sh(join(work, 'base'), base)
  sh(join(work, 'out'), ':')
  sh(join(work, 'view'), script ?? ':')
  const lower = layers.map((_, index) => String(index))
  const layer = (index: number) => join(work, 'layers', String(index))
  const make = (view: string) =>
    makeKeptTree({
      view,
      layers: lower.map((name) => join(work, 'layers', name)),
      out: join(work, 'out'),
      base: { prefix: join(work, 'base') },
      state,
      owners,
      isWhole,
      ...(progress && { progress }),
      ...(sizes && { sizes }),
    })
  const layered = { directory: '/layers', lower, key: 'KEY', chain: lower.join(':') }
  const made =
    script === undefined
      ? await withMerged({ prefix: work }, layered, '/view', make)
      : make(join(work, 'view'))
  return {
    made: { ...made, notes: made.notes.map(noteLine) },
    tree: listTree(join(work, 'out')),
    out: join(work, 'out'),
    layer,
    base: join(work, 'base'),
  }
}

/** Everything in a directory, by its path. */
export function listTree(directory: string): Record<string, string> {
  return Object.fromEntries(walk(directory).map(({ path }) => [path, describe(join(directory, path))]))
}

/**
 * `directory 0:0 0755`, `text of a file`, `-> target`, `device 1:3 …`; owner and mode unless they are the
 * usual ones.
 */
export function describe(path: string): string {
  const stat = lstatSync(path)
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0')
  const owner = `${stat.uid}:${stat.gid}`
  const special = owner === '0:0' ? '' : ` ${owner}`
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}${special}`
  if (stat.isDirectory()) return `directory${special}${mode === '0755' ? '' : ` ${mode}`}`
  const kind = stat.isFile()
    ? readFileSync(path, 'utf8').slice(0, 60).trimEnd()
    : stat.isFIFO()
      ? 'FIFO'
      : stat.isSocket()
        ? 'socket'
        : `device ${stat.rdev}`
  return `${kind}${special}${mode === '0644' ? '' : ` ${mode}`}`
}

/** Whether two paths are one file. */
export function isSameFile(one: string, other: string): boolean {
  return lstatSync(one).ino === lstatSync(other).ino
}
