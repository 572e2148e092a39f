import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.js'

/** One extension container: its Dockerfile, the files of its build context, and its name. */
export type ExtensionSource = {
  name: string
  dockerfile: string
  /** Path to text; a path that ends with `*` is executable; text starting with `->` makes a symbolic link. */
  files?: Record<string, string>
  /** Copies a tree into the context as `tree/`. */
  tree?: string
  /** An archive in the cache, which is in the context as `root.tar`. ADD keeps its owners and modes. */
  archive?: string
}

/** The builders that an engine has. They name the directories of layers differently. */
const BUILDERS = ['classic', 'buildkit'] as const
export type Builder = (typeof BUILDERS)[number]

/**
 * Makes a data root with a real dockerd: builds every image, creates every container, stops the engine. The
 * builders take turns unless `builder` names one. Returns the directory. The same sources are built only once
 * and then come from the cache.
 */
export function dataRoot(name: string, sources: readonly ExtensionSource[], builder?: Builder): string {
  const recipe = JSON.stringify([
    builder ?? BUILDERS,
    sources.map((source) => ({ ...source, tree: source.tree && readTree(source.tree) })),
  ])
  return join(
    cached(`engine-${name}`, recipe, (directory) => {
      const data = join(directory, 'docker')
      withEngine(data, ({ docker, build }) => {
        for (const [index, source] of sources.entries()) {
          const context = mkdtempSync(join(directory, 'context-'))
          writeContext(context, source)
          build(builder ?? builderOf(index), `${source.name}:1`, context)
          docker('create', '--name', source.name, `${source.name}:1`, '/none')
          rmSync(context, { recursive: true })
        }
      })
    }),
    'docker',
  )
}

/** The builder whose turn it is. */
export function builderOf(index: number): Builder {
  return BUILDERS[index % BUILDERS.length] as Builder
}

/**
 * Writes the build context of each source to /usr/lib/test/contexts/NAME of the tree at `root`, for its own
 * engine.
 */
export function writeContexts(root: string, sources: readonly ExtensionSource[]): void {
  for (const source of sources) {
    const context = join(root, 'usr/lib/test/contexts', source.name)
    mkdirSync(context, { recursive: true })
    writeContext(context, source)
  }
}

function readTree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => path.slice(directory.length) + readFileSync(path, 'base64'))
}

/** The build context of one source, in the directory `context`. */
export function writeContext(context: string, source: ExtensionSource): void {
  const { dockerfile, files = {}, tree, archive } = source
  writeFileSync(join(context, 'Dockerfile'), dockerfile)
  // A shell for RUN, at a path where no root has anything.
  cpSync('/bin/busybox', join(context, 'busybox'))
  if (tree) cpSync(tree, join(context, 'tree'), { recursive: true, verbatimSymlinks: true })
  if (archive) linkSync(archive, join(context, 'root.tar'))
  for (const [path, text] of Object.entries(files)) {
    const file = join(context, path.replace(/\*$/, ''))
    mkdirSync(join(file, '..'), { recursive: true })
    if (text.startsWith('->')) execFileSync('ln', ['-s', text.slice(2), file])
    else writeFileSync(file, text, { mode: path.endsWith('*') ? 0o755 : 0o644 })
  }
}

/** A running engine: its command line, `build` with either builder, and the path of its socket. */
export type Engine = {
  docker: (...words: string[]) => string
  build: (builder: Builder, tag: string, context: string, network?: 'none' | 'host') => void
  socket: string
}

/**
 * Debian's own command line, which includes BuildKit in Debian 12, as does the engine. Another one in
 * /usr/local/bin would need a plug-in.
 */
const DOCKER = '/usr/bin/docker'

/**
 * Runs dockerd on `data` with the overlay2 driver while `use` uses it, and waits until it has stopped.
 * `more`: arguments for dockerd.
 */
export function withEngine(data: string, use: (engine: Engine) => void, more: readonly string[] = []): void {
  const run = mkdtempSync('/tmp/hostext-engine-')
  const socket = `unix://${run}/docker.sock`
  const words = ['--data-root', data, '--exec-root', `${run}/exec`, '-H', socket, '--pidfile', `${run}/pid`]
  const log = join(run, 'log')
  // A shell that waits, because this process is synchronous and cannot reap the engine itself.
  const engine = spawn(
    'sh',
    [
      '-c',
      'exec dockerd "$@" >"$0" 2>&1',
      log,
      ...words,
      '--iptables=false',
      '--bridge=none',
      '--storage-driver',
      'overlay2',
      ...more,
    ],
    { stdio: 'ignore', detached: true },
  )
  engine.unref()
  const call = (env: NodeJS.ProcessEnv, args: string[]): string => {
    try {
      return execFileSync(DOCKER, ['-H', socket, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...env },
      }).trim()
    } catch (error) {
      throw new Error(`docker ${args.join(' ')}: ${(error as { stderr: string }).stderr}`)
    }
  }
  const docker = (...args: string[]): string => call({ DOCKER_BUILDKIT: '0' }, args)
  const build = (builder: Builder, tag: string, context: string, network = 'none'): void => {
    const env = { DOCKER_BUILDKIT: builder === 'buildkit' ? '1' : '0' }
    call(env, ['build', '--quiet', `--network=${network}`, '--tag', tag, context])
  }
  try {
    waitFor('dockerd', log, () => existsSync(`${run}/docker.sock`) && docker('version') !== '')
    use({ docker, build, socket: `${run}/docker.sock` })
  } finally {
    const pid = String(engine.pid)
    execFileSync('sh', [
      '-c',
      `kill ${pid} 2>/dev/null; while [ -d /proc/${pid} ] && ! grep -q '^State:.Z' /proc/${pid}/status; do sleep 0.1; done`,
    ])
    execFileSync('sh', [
      '-c',
      `grep -o ' ${run}[^ ]*' /proc/self/mounts | xargs -r umount -l 2>/dev/null; true`,
    ])
    rmSync(run, { recursive: true, force: true })
  }
}

function waitFor(what: string, log: string, ready: () => boolean): void {
  for (let attempt = 0; attempt < 300; attempt++) {
    try {
      if (ready()) return
    } catch {
      // Not yet.
    }
    execFileSync('sleep', ['0.1'])
  }
  throw new Error(`${what} did not start:\n${readFileSync(log, 'utf8').slice(-2000)}`)
}
