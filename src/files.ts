import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs'

/**
 * The input tree: every file the program reads is below it. `/` on a machine; `$HOSTEXT_ROOT` in tests
 * and for a dry run over another system's files.
 */
export type Root = { prefix: string }

export function inputRoot(environment: NodeJS.ProcessEnv): Root {
  return { prefix: (environment.HOSTEXT_ROOT ?? '').replace(/\/+$/, '') }
}

/** A file that may be absent: its text, undefined if there is none, an Error for everything else. */
export function readText(root: Root, path: string, largest = 1 << 20): string | undefined | Error {
  try {
    // Asked first: most of what may be absent is, and an exception costs more than the question.
    const stat = statSync(root.prefix + path, { throwIfNoEntry: false })
    if (!stat) return undefined
    if (stat.size > largest) return new Error(`${path}: ${stat.size} bytes, more than ${largest}`)
    return readFileSync(root.prefix + path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    return new Error(`${path}: ${reason(error)}`)
  }
}

/** The names in a directory, sorted; none if it is not there. Throws on anything else. */
export function listDirectory(root: Root, path: string): string[] {
  try {
    if (!statSync(root.prefix + path, { throwIfNoEntry: false })?.isDirectory()) return []
    return readdirSync(root.prefix + path).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
    throw new Error(`${path}: ${reason(error)}`)
  }
}

/** lstat(2), or undefined where that fails. */
export function statLink(root: Root, path: string): Stats | undefined {
  return lstatSync(root.prefix + path, { throwIfNoEntry: false })
}

/** Path components and links that are followed before a path counts as a loop: path_resolution(7) has 40 links. */
const MOST_STEPS = 400

/**
 * Follows the symbolic links in a normalized absolute path, below the input root; what does not exist is kept as
 * it is. A loop of links ends in the path at which it was given up.
 */
export function resolveLinks(root: Root, path: string): string {
  let resolved = ''
  const rest = path.split('/').reverse()
  for (let steps = 0; rest.length > 0 && steps < MOST_STEPS; steps++) {
    const name = rest.pop() as string
    if (name === '' || name === '.') continue
    if (name === '..') {
      resolved = resolved.slice(0, resolved.lastIndexOf('/'))
      continue
    }
    const next = `${resolved}/${name}`
    if (!statLink(root, next)?.isSymbolicLink()) {
      resolved = next
      continue
    }
    const target = readlinkSync(root.prefix + next)
    if (target.startsWith('/')) resolved = ''
    rest.push(...target.split('/').reverse())
  }
  return (
    resolved +
      rest
        .reverse()
        .map((name) => `/${name}`)
        .join('') || '/'
  )
}

/** An error as the end of a line: "no such file or directory", without paths and codes twice. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*')?$/, '')
}
