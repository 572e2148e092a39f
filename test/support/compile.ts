import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { transformSync } from 'esbuild'

/**
 * Compiles `files` of the checkout at `project`, or all of its src/, packaging/ and test/, into the directory
 * `out`, under the same paths. A file that asks for its own path gets the path of its source.
 */
export function compile(project: string, out: string, files?: string[]): void {
  for (const source of files?.map((file) => join(project, file)) ?? sources(project)) {
    const { code } = transformSync(readFileSync(source, 'utf8'), {
      loader: 'ts',
      format: 'esm',
      target: 'node20',
      sourcefile: source,
      sourcemap: 'inline',
      define: { 'import.meta.dirname': JSON.stringify(dirname(source)), HOSTEXT_VERSION: '"1.2.3"' },
    })
    const file = join(out, relative(project, source).replace(/\.ts$/, '.js'))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, code)
  }
}

function sources(project: string): string[] {
  return ['src', 'packaging', 'test'].flatMap((top) =>
    readdirSync(join(project, top), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(top === 'packaging' ? '.mjs' : '.ts'))
      .map((name) => join(project, top, name)),
  )
}
