import {
  chmodSync,
  cpSync,
  type Dirent,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'

/** Files by path: text, or `-> target` for a symbolic link. */
export type Tree = Record<string, string>

/** A new directory with these files; gone when the test is over. */
export function makeTree(t: Test, files: Tree = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'hostext-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  writeTree(directory, files)
  return directory
}

export function writeTree(directory: string, files: Tree): void {
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), file)
    else writeFileSync(file, text, { mode: 0o644 })
  }
}

/** Copies a directory of the checkout, links and all, as root's own: a umask of 002 made it one of a group's. */
export function copyTree(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 })
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  for (const path of ['.', ...readdirSync(to, { recursive: true, encoding: 'utf8' })]) {
    const { mode } = lstatSync(join(to, path))
    if ((mode & 0o170000) !== 0o120000 && mode & 0o022) chmodSync(join(to, path), mode & 0o7755)
  }
}

/** What {@link writeTree} wrote; empty directories do not count. */
export function readTree(directory: string): Tree {
  const tree: Tree = {}
  for (const { path, entry } of walk(directory)) {
    const file = `${directory}/${path}`
    if (entry.isSymbolicLink()) tree[path] = `-> ${readlinkSync(file)}`
    else if (entry.isFile()) tree[path] = readFileSync(file, 'utf8')
  }
  return tree
}

/** All that is in a directory, sorted by path; links are not followed. (Node's own way asks twice about each entry.) */
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
