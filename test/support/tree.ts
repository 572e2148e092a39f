import {
  type Dirent,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Test } from 'tap'

/**
 * Files by path: text, or `-> target` for a symbolic link. A path that ends in `*` is written as executable.
 */
export type Tree = Record<string, string>

/** A new directory with these files, which is removed at the end of the test. */
export function makeTree(t: Test, files: Tree = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'hostext-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  writeTree(directory, files)
  return directory
}

export function writeTree(directory: string, files: Tree): void {
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, path.replace(/\*$/, ''))
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), file)
    else writeFileSync(file, text, { mode: path.endsWith('*') ? 0o755 : 0o644 })
  }
}

/** A file, a link or (with neither text nor target) a directory. */
export type Entry = { path: string; text?: Buffer; link?: string; mode: number }

const known = new Map<string, Entry[]>()

/** The modes of stores of layers, by their names. */
const CLOSED: Record<string, number> = { overlay2: 0o710, snapshots: 0o700 }

/** The entries of a directory in the checkout, parents first. A process reads each directory only once. */
export function entriesOf(directory: string): Entry[] {
  const entries =
    known.get(directory) ??
    walk(directory).map(({ path, entry }): Entry => {
      const place = `${directory}/${path}`
      if (entry.isSymbolicLink()) return { path, link: readlinkSync(place), mode: 0o777 }
      // Only writable by its owner: with a umask of 002, git made it writable by a group. A store of
      // layers is closed, as its engine created it, but git does not record that.
      const mode = CLOSED[basename(path)] ?? lstatSync(place).mode & 0o7755
      return entry.isFile() ? { path, text: readFileSync(place), mode } : { path, mode }
    })
  known.set(directory, entries)
  return entries
}

export function writeEntry(directory: string, { path, text, link, mode }: Entry): void {
  const place = `${directory}/${path}`
  if (link !== undefined) symlinkSync(link, place)
  else if (text) writeFileSync(place, text, { mode })
  else mkdirSync(place, { mode, recursive: true })
}

/** Copies a directory of the checkout, links and all. */
export function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o755 })
  for (const entry of entriesOf(from)) writeEntry(to, entry)
}

/** The tree in the format of {@link writeTree}, without empty directories. */
export function readTree(directory: string): Tree {
  const tree: Tree = {}
  for (const { path, entry } of walk(directory)) {
    const file = `${directory}/${path}`
    if (entry.isSymbolicLink()) tree[path] = `-> ${readlinkSync(file)}`
    else if (entry.isFile()) tree[path] = readFileSync(file, 'utf8')
  }
  return tree
}

/** Like {@link readTree}, and removes the directory. */
export function takeTree(directory: string): Tree {
  const tree: Tree = {}
  for (const { path, entry } of walk(directory).reverse()) {
    const file = `${directory}/${path}`
    if (entry.isSymbolicLink()) tree[path] = `-> ${readlinkSync(file)}`
    else if (entry.isFile()) tree[path] = readFileSync(file, 'utf8')
    if (entry.isDirectory()) rmdirSync(file)
    else unlinkSync(file)
  }
  rmdirSync(directory)
  return tree
}

/**
 * Everything in a directory, sorted by path; links are not followed. (Node's own function makes two calls for
 * each entry.)
 */
export function walk(directory: string): { path: string; entry: Dirent }[] {
  const found: { path: string; entry: Dirent }[] = []
  const look = (below: string): void => {
    for (const entry of readdirSync(`${directory}/${below}`, { withFileTypes: true })) {
      const path = below + entry.name
      found.push({ path, entry })
      if (entry.isDirectory()) look(`${path}/`)
    }
  }
  look('')
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}
