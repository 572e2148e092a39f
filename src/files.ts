import { lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs'

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
    const buffer = readFileSync(root.prefix + path)
    if (buffer.length > largest) return new Error(`${path}: ${buffer.length} bytes, more than ${largest}`)
    return buffer.toString('utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    return new Error(`${path}: ${reason(error)}`)
  }
}

/** The names in a directory, sorted; none if it is not there. Throws on anything else. */
export function listDirectory(root: Root, path: string): string[] {
  try {
    return readdirSync(root.prefix + path).sort()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw new Error(`${path}: ${reason(error)}`)
  }
}

/** lstat(2), or undefined where that fails. */
export function statLink(root: Root, path: string): Stats | undefined {
  return lstatSync(root.prefix + path, { throwIfNoEntry: false })
}

/** An error as the end of a line: "no such file or directory", without paths and codes twice. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*')?$/, '')
}
